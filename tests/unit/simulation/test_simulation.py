"""Simulated programs and recordings, and the step that writes them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gcodefp import simulate
from gcodefp.recordings.columns import MM_PER_UNIT, NODE_QUANTITIES, REQUIRED, parse_operation
from gcodefp.recordings.gcode import parse_block
from gcodefp.simulation.programs import PROGRAMS, ProgramWriter, build_program
from gcodefp.simulation.recording import (
    add_faults,
    format_clock,
    plan_program,
    simulate_recording,
    simulate_recordings,
)

FIRST, SECOND, THIRD = "face50", "pocket25", "adaptive25"


def test_modal_words_are_written_once() -> None:
    writer = ProgramWriter()
    writer.line(0.0, x=1.0, y=-0.0, feed=22.0)
    writer.line(0.0, x=1.0, y=0.12346)
    writer.rapid(x=1.0, y=0.1235)
    writer.rapid(z=0.6)
    texts = ["G1 X1. Y0. F22.", "Y0.1235", "G0 Z0.6", "G53 G0 Z0.", "M30"]
    assert [line.text for line in writer.finish()] == texts


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_readable_and_of_the_promised_size(name: str) -> None:
    program = build_program(name)
    assert 25 <= len(program) <= 200
    assert 40 < plan_program(name).seconds < 70
    assert all(parse_block(line.text) for line in program)
    assert program[-1].text == "M30"
    assert [line.number for line in program] == list(range(16, 16 + len(program)))
    assert plan_program(name).moves[-1].end_mm[2] == pytest.approx(25.9926)  # machine Z zero


def test_a_recording_depends_on_its_name_and_the_seed_alone(tmp_path: Path) -> None:
    few = simulate_recordings(tmp_path / "few", 1, 0, [FIRST, SECOND])
    assert len(simulate_recordings(tmp_path / "many", 2, 0, [THIRD, SECOND, FIRST])) == 6
    simulate_recordings(tmp_path / "other", 1, 1, [FIRST, SECOND])
    for path in few:
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes()
        assert path.read_bytes() != (tmp_path / "other" / path.name).read_bytes()


@pytest.mark.parametrize("name", PROGRAMS)
def test_recordings_have_the_schema_of_the_real_ones(name: str, tmp_path: Path) -> None:
    path = simulate_recordings(tmp_path, 1, 1, [name])[0]
    assert path.name == f"{name}_001.csv.gz"
    assert parse_operation(path.name.removesuffix(".csv.gz")) == name
    table = pd.read_csv(path)
    columns = {"stat", "unit", "feed", "momo", "vel", "plane", "spindle", "x_motor"}
    assert {*REQUIRED, *columns} <= set(table.columns)
    nodes = {column.partition(".")[0] for column in table if "." in column}
    assert len(nodes) >= 5
    groups = ("imu", "mag", "mic", "environment", "optical")
    quantities = [name for group in groups for name in NODE_QUANTITIES[group]]
    assert {f"{node}.{quantity}" for node in nodes for quantity in quantities} <= set(table)
    assert 140 <= len(table) <= 300
    texts = {line.number: line.text for line in build_program(name)}
    assert table["gcode_string"].tolist() == [texts[line] for line in table["gcode_line"]]


@pytest.mark.parametrize("name", [FIRST, SECOND, THIRD])
def test_line_numbers_step_back_once_and_the_end_is_in_millimetres(name: str) -> None:
    table = simulate_recording(name, 2, 0)
    line = table["gcode_line"].to_numpy()
    backwards = np.flatnonzero(np.diff(line) < 0)
    assert len(backwards) == 1
    assert line[backwards[0] + 1] == 16
    assert 8 <= backwards[0] + 1 <= 10
    assert line[: backwards[0] + 1].min() > 16
    tail = table["gcode_string"] == "M30"
    assert tail.iloc[-1]
    assert (table.loc[tail, ["unit", "stat"]] == [1, 3]).all().all()
    assert (table.loc[~tail, ["unit", "stat"]] == [0, 5]).all().all()
    machine_frame = tail | table["gcode_string"].str.startswith("G53")
    for axis in "xyz":
        shift = table[f"mpo{axis}"] - table[f"pos{axis}"] * table["unit"].astype(str).map(
            MM_PER_UNIT
        )
        assert shift[machine_frame].abs().max() < 1e-3
        assert np.ptp(shift[~machine_frame]) < 1e-3


def test_reports_name_the_executed_block_and_slow_down_at_rest() -> None:
    table = simulate_recording(FIRST, 1, 0)
    passes = table[table["gcode_string"] == "G1 X-0.1254"].groupby("gcode_line")["posx"]
    assert len(passes) >= 3
    for _, x in passes:
        assert (np.diff(x) <= 0).all()
        assert np.ptp(x) > 1.5
    period = pd.to_timedelta(table["t_console"]).dt.total_seconds().diff().to_numpy()[1:]
    assert np.all(period >= 0)
    assert np.median(period) == pytest.approx(0.257, abs=0.005)
    at_end = (table["gcode_string"] == "M30").to_numpy()[:-1]
    assert np.median(period[at_end]) == pytest.approx(0.515, abs=0.01)
    assert format_clock(3600 + 59.9996) == "01:01:00.000"


def test_faults_are_rare_but_occur() -> None:
    clean = pd.DataFrame(np.random.default_rng(0).normal(size=(100, 2)), columns=["a.Ax", "b.Ax"])
    counts = {"lost": 0, "repeated": 0, "frozen": 0}
    for seed in range(80):
        table = add_faults(clean, np.random.default_rng(seed))
        counts["lost"] += bool(table.isna().any().any())
        counts["repeated"] += len(table) > len(clean)
        counts["frozen"] += bool((table.nunique() < 99 - table.isna().sum() - 2).any())
    assert all(3 <= count <= 20 for count in counts.values()), counts


def test_the_step_writes_each_program_once(tmp_path: Path) -> None:
    flags = ["--recordings-per-program", "2", "--seed", "5", "--programs", FIRST, FIRST]
    assert simulate.main(["--output", str(tmp_path / "out"), *flags]) == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{FIRST}_001.csv.gz", f"{FIRST}_002.csv.gz"]


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--programs", "face41", "invalid choice: 'face41' (choose from"),
        ("--recordings-per-program", "0", "0 is not a whole number from 1"),
        ("--seed", "-1", "-1 is not a whole number from 0"),
    ],
)
def test_a_wrong_argument_is_an_error(
    flag: str, value: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        simulate.main(["--output", str(tmp_path / "out"), f"{flag}={value}"])
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
