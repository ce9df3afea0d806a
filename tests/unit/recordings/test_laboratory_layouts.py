"""Each shipped layout reads what its logger writes: known lines, positions and vibrations."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import laboratory_machine as machine
import numpy as np
import pandas as pd
import pytest
import yaml
from laboratory_machine import FIRST_LINE, Run
from laboratory_samples import (
    LOGGERS,
    NUMBERED,
    PRINT_TIME,
    START_UNIX,
    WITH_LABELS,
    write_laboratory,
)

from gcodefp.dataset.split import expand_to_programs
from gcodefp.errors import UserError
from gcodefp.recordings.cleaning import load_recording
from gcodefp.recordings.columns import BLOCK, CLOCK, LINE, POSITION_MM, channel_group
from gcodefp.recordings.gcode import format_block, parse_block
from gcodefp.recordings.laboratory.assembly import read_recording, read_sensors
from gcodefp.recordings.laboratory.lab_files import LabRecording, list_recordings
from gcodefp.recordings.laboratory.layout import SHIPPED, parse_layout, read_layout
from gcodefp.recordings.laboratory.reader import RecordingExcluded

START = {
    "mill": 12 * 3600.0, "klipper": PRINT_TIME, "plc_mill": 0.0, "linuxcnc": 0.0, "duet": 0.0,
}  # fmt: skip
"""What a logger's clock says at the start; START_UNIX for the others."""
ROW_HZ = {"mill": 4.0, "grbl": 5.0, "grbl_without_lines": 5.0}
"""Others have 10 rows a second."""
NODES = {
    "klipper": ["toolhead"], "grbl": ["spindle"], "grbl_without_lines": ["spindle"],
    "octoprint": ["toolhead"], "duet": ["toolhead"], "two_accelerometers": ["bed", "nozzle"],
}  # fmt: skip
"""Accelerometers whose vibration becomes features."""
MOTORS = {
    "plc_mill": [f"{a}_feedback.Current" for a in "XYZ"],
    "linuxcnc": ["x_motor", "y_motor", "z_motor"], "mtconnect": ["x_motor", "y_motor", "z_motor"],
}  # fmt: skip
CLOCK_STEP = 2e-3
"""Clocks of logs have milliseconds: so near to a change the line may be the one before."""


Sample = tuple[pd.DataFrame, np.ndarray, Run]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Sample]:
    """A logger's table by its layout, the machine's time at its rows, and the run."""
    return cache(lambda logger: read_sample(logger, tmp_path_factory.mktemp(logger)))


def read_sample(logger: str, folder: Path) -> Sample:
    ((name, run),) = write_laboratory(logger, folder).items()
    (recording,) = list_recordings(folder, (), read_layout(logger))
    assert isinstance(recording, LabRecording)
    assert (recording.name, recording.operation) == (name, "square")
    step = 1 / ROW_HZ.get(logger, 10.0)
    table = read_recording(recording) if logger in WITH_LABELS else read_sensors(recording, step)
    seconds = table[CLOCK].to_numpy(float) - START.get(logger, START_UNIX)
    assert np.diff(seconds) == pytest.approx(step, abs=CLOCK_STEP)
    return table, seconds, run


def settled(run: Run, t: np.ndarray, seconds: float) -> np.ndarray:
    """Rows whose block runs from so many seconds before them to as many after."""
    return (run.index(t - seconds) == run.index(t + seconds)) & (run.index(t) >= 0)


@pytest.mark.parametrize("logger", sorted(WITH_LABELS))
def test_lines_and_blocks_are_those_that_ran(logger: str, sample: Callable[[str], Sample]) -> None:
    table, t, run = sample(logger)
    lines = run.lines(t)
    if logger == "plc_mill":  # Every tenth sample is wrong: it takes the row before.
        lines[16::10] = np.where(lines[15::10] > 0, lines[15::10], lines[16::10])
    certain = (run.lines(t - CLOCK_STEP) == run.lines(t + CLOCK_STEP)) & (lines > 0)
    certain &= t >= machine.IDLE_SECONDS + 0.3  # Klipper's first report is of the second block.
    numbers = {"octoprint": lines - FIRST_LINE + 1}.get(logger, lines)
    numbers = 10 * lines if logger in NUMBERED else numbers
    assert certain.mean() > 0.85
    assert table[LINE].to_numpy(float)[certain].tolist() == numbers[certain].tolist()
    texts = {block.line: format_block(parse_block(block.text)) for block in run.blocks}
    read = [format_block(parse_block(text)) for text in table[BLOCK][certain]]
    assert read == [texts[line] for line in lines[certain]]
    assert len(set(lines[certain])) >= len(run.blocks) - 3


@pytest.mark.parametrize("logger", sorted(WITH_LABELS - {"octoprint"}))
def test_positions_are_in_millimetres(logger: str, sample: Callable[[str], Sample]) -> None:
    table, t, run = sample(logger)
    position = table[list(POSITION_MM)].to_numpy(float)
    finite = np.isfinite(position).all(axis=1)
    assert finite.mean() > 0.9
    # Moonraker's positions, 4 a second, cut a corner.
    tolerance = 2.5 if logger == "klipper" else 0.01
    assert np.abs(position - run.position_mm(t))[finite].max() < tolerance


@pytest.mark.parametrize("logger", sorted(NODES))
def test_vibrations_become_features_in_g(logger: str, sample: Callable[[str], Sample]) -> None:
    table, t, run = sample(logger)
    half = 0.5 / ROW_HZ.get(logger, 10.0)
    sensed = t - run.lag_seconds
    cut = settled(run, sensed, 1.5 * half) & (np.abs(run.velocity_mm_s(sensed)) > 0).any(axis=1)
    assert cut.sum() > 100
    for node in NODES[logger]:
        for axis, speed in zip("xy", np.abs(run.velocity_mm_s(sensed)).T, strict=False):
            expected = np.hypot(speed / machine.MM_S_PER_G / np.sqrt(2), machine.NOISE_G)
            rms = table[f"{node}.A{axis}_rms"].to_numpy(float)
            assert rms[cut] == pytest.approx(expected[cut], rel=0.25, abs=0.005)
        assert table[f"{node}.Az_mean"].to_numpy(float)[cut] == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("logger", sorted(MOTORS))
def test_currents_are_in_amperes(logger: str, sample: Callable[[str], Sample]) -> None:
    table, t, run = sample(logger)
    expected = machine.IDLE_A + np.abs(run.velocity_mm_s(t)) / machine.MM_S_PER_A
    certain = settled(run, t, 0.2)
    names = MOTORS[logger] if logger != "linuxcnc" else [f"{m}_mean" for m in MOTORS[logger]]
    group = "electrical" if logger == "plc_mill" else "motor"
    assert {channel_group(name) for name in names} == {group}
    currents = table[names].to_numpy(float)[certain]
    assert currents == pytest.approx(expected[certain], abs=6 * machine.NOISE_A)


@pytest.mark.parametrize("logger", sorted(set(LOGGERS) - WITH_LABELS))
def test_a_log_without_lines_needs_the_programs_file(logger: str, tmp_path: Path) -> None:
    write_laboratory(logger, tmp_path)
    (recording,) = list_recordings(tmp_path, (), read_layout(logger))
    assert isinstance(recording, LabRecording)
    table = read_recording(recording)
    assert "gcode_line" not in table
    assert table.attrs["program"] == str(recording.program)
    with pytest.raises(UserError, match="no labels to learn from"):
        read_recording(replace(recording, program=None))


def test_copies_of_a_programs_file_are_one_program(tmp_path: Path) -> None:
    """Else a held-out program may be in the train split under another file's name."""
    write_laboratory("duet", tmp_path, 2, programs=1)
    program = tmp_path / "square.gcode"
    for name in ("square_001", "square_002"):
        (tmp_path / f"{name}.gcode").write_text(program.read_text())
    content = yaml.safe_load((SHIPPED / "duet.yaml").read_text())
    content["program"]["files"] = "{name}.gcode"
    layout = parse_layout(content, "lab.yaml")
    recordings = [
        load_recording(source, ("imu",), 1, tmp_path)
        for source in list_recordings(tmp_path, (), layout)
    ]
    assert len({recording.program for recording in recordings}) == 2
    assert expand_to_programs({"square_001"}, recordings) == {"square_001", "square_002"}
    again = load_recording(tmp_path / "square_001.parquet", ("imu",), 1)
    assert again.program == recordings[0].program
    assert again.blocks.tolist() == recordings[0].blocks.tolist()


def test_a_print_resets_its_filament_and_needs_positions_only_for_relative_moves(
    tmp_path: Path,
) -> None:
    write_laboratory("octoprint", tmp_path, speed=3.0)
    (source,) = list_recordings(tmp_path, (), read_layout("octoprint"))
    log = tmp_path / "square_001-serial.log"
    text = log.read_text()
    assert " G1 Z-0.5 F900*" in text
    log.write_text(text.replace(" G1 Z-0.5 F900*", " G92 E0*"))
    assert "G92 E0" in load_recording(source, ("imu",), 1).blocks
    log.write_text(text.replace(" G1 Z-0.5 F900*", " G91*"))
    with pytest.raises(RecordingExcluded, match=r"map x, y and z in the layout.*'G91'"):
        load_recording(source, ("imu",), 1)


@pytest.mark.parametrize(("code", "mm_per_unit"), [("G20", 25.4), ("G21", 1.0)])
def test_the_programs_unit_holds_though_no_row_reports_it(
    code: str, mm_per_unit: float, tmp_path: Path
) -> None:
    write_laboratory("grbl", tmp_path, speed=3.0)
    program = tmp_path / "square.nc"
    program.write_text(program.read_text().replace("G21", f"({code}) {code}"))
    (source,) = list_recordings(tmp_path, (), read_layout("grbl"))
    recording = load_recording(source, ("imu",), 1)
    assert not any(code in block for block in recording.blocks)
    assert set(recording.mm_per_unit.tolist()) == {np.float32(mm_per_unit)}
    assert recording.notes == []
