"""The files of a layout become one canonical table."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout_files import (
    LINES,
    ROW_HZ,
    ROWS,
    ROWS_PER_LINE,
    blocks,
    content,
    layout,
    write_laboratory,
)

from gcodefp.errors import UserError
from gcodefp.recordings.cleaning import load_recording
from gcodefp.recordings.laboratory.assembly import read_recording, read_sensors
from gcodefp.recordings.laboratory.lab_files import LabRecording, list_recordings
from gcodefp.recordings.laboratory.reader import RecordingExcluded, read_canonical, write_canonical
from gcodefp.recordings.loading import read_unlabelled

LINE_OF_ROW = np.arange(ROWS) // ROWS_PER_LINE + 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_laboratory(tmp_path, {"pocket": 1})


def first(folder: Path, **changes: Any) -> LabRecording:
    recording = list_recordings(folder, (), layout(**changes))[0]
    assert isinstance(recording, LabRecording)
    return recording


def with_source(name: str, **changes: Any) -> dict[str, Any]:
    sources = content()["sources"]
    sources[name] |= changes
    return {"sources": sources}


def test_a_recording_across_midnight_from_two_clocks(folder: Path) -> None:
    table = read_recording(first(folder))
    np.testing.assert_allclose(np.diff(table["t_console"]), 1 / ROW_HZ, atol=1e-6)
    assert table["gcode_line"].tolist() == LINE_OF_ROW.tolist()
    assert table["gcode_string"].tolist() == [blocks("pocket")[n - 1] for n in LINE_OF_ROW]
    np.testing.assert_allclose(table["x_mm"], LINE_OF_ROW * 12.7)
    # A sine of 1 g in every row: its power is a half, its peak nearly 1.
    np.testing.assert_allclose(table["toolhead.Ax_rms"], np.sqrt(0.5), rtol=0.15)
    powers = sum(10 ** table[f"toolhead.Ax_band{n}"] for n in range(1, 5))
    np.testing.assert_allclose(powers, 0.5, rtol=0.3)
    assert (table["toolhead.Ay_rms"] < 0.02).all()
    assert table.attrs["operation"] == "pocket"


def test_line_numbers_may_step_back_unless_the_layout_has_a_preamble(folder: Path) -> None:
    path = folder / "pocket_001.csv"
    text = path.read_text().replace(",1,0.5", ",4,0.5")
    path.write_text(text)
    assert load_recording(first(folder), ["imu"], 8).counts["preamble_rows"] == 0
    with_preamble = load_recording(first(folder, preamble=True), ["imu"], 8)
    assert with_preamble.counts["preamble_rows"] == ROWS_PER_LINE


def test_evenly_spaced_rows_hold_the_labels(folder: Path) -> None:
    table = read_recording(first(folder, rows={"rate_hz": 10}))
    np.testing.assert_allclose(np.diff(table["t_console"]), 0.1)
    assert len(table) == 2 * ROWS - 1
    assert table["gcode_line"].tolist() == np.repeat(LINE_OF_ROW, 2)[:-1].tolist()
    inside = table["x_mm"].to_numpy()[2 * ROWS_PER_LINE - 1]
    assert inside == pytest.approx(12.7 * 1.5, rel=1e-4), "between two reports the tool is between"


@pytest.mark.parametrize("numbering", ["n_word", "byte"])
def test_a_controller_that_counts_otherwise(folder: Path, numbering: str) -> None:
    texts = [f"N{10 * (n + 1)} {block}" for n, block in enumerate(blocks("pocket"))]
    (folder / "pocket.nc").write_bytes("\r\n".join(["(pocket)", *texts]).encode())
    table = pd.read_csv(folder / "pocket_001.csv")
    starts = np.cumsum([10, *(len(text) + 2 for text in texts)])
    middle = 5 if numbering == "byte" else 0
    numbers = np.array([10 * n for n in range(1, LINES + 1)]) if numbering == "n_word" else starts
    table["n"] = numbers[LINE_OF_ROW - 1] + middle
    table.to_csv(folder / "pocket_001.csv", index=False)
    program = {"files": "{operation}.nc", "numbering": numbering}
    read = read_recording(first(folder, program=program))
    assert read["gcode_string"].tolist() == [texts[n - 1] for n in LINE_OF_ROW]
    lines = LINE_OF_ROW + 1 if numbering == "byte" else 10 * LINE_OF_ROW
    assert read["gcode_line"].tolist() == lines.tolist()


def test_a_machine_that_never_runs_excludes_the_recording(folder: Path) -> None:
    columns = {"n": "line", "x_in": {"as": "running", "equals": ["never"]}}
    with pytest.raises(RecordingExcluded, match="no row is `running`"):
        load_recording(first(folder, **with_source("controller", columns=columns)), ["imu"], 8)


def test_a_line_without_text_is_its_own_label(folder: Path) -> None:
    recording = load_recording(first(folder, program=None), ["imu"], 8)
    assert recording.blocks.tolist() == [f"L{n}" for n in LINE_OF_ROW]
    assert recording.notes == [], "without lengths there is no doubt about their unit"


def test_the_layout_may_say_the_unit_of_the_program(folder: Path) -> None:
    (note,) = load_recording(first(folder), ["imu"], 8).notes
    assert "taken as mm" in note
    in_inches = load_recording(first(folder, unit="in"), ["imu"], 8)
    assert (in_inches.mm_per_unit == np.float32(25.4)).all()
    assert in_inches.position_mm[0, 0] == pytest.approx(12.7), "its unit is the column's"


def test_a_table_shifts_a_clock(folder: Path) -> None:
    before = read_recording(first(folder))
    (folder / "list.csv").write_text(
        "recording,operation,session,machine,offset_seconds.toolhead,remark\n"
        "pocket_001,face,monday,mill 2,0.4,good\n"
    )
    (folder / "face.nc").write_text((folder / "pocket.nc").read_text())
    recording = first(folder, table="list.csv")
    assert (recording.operation, recording.session, recording.machine) == (
        "face",
        "monday",
        "mill 2",
    )
    after = read_recording(recording)
    np.testing.assert_allclose(
        after["toolhead.Ax_band3"][2:], before["toolhead.Ax_band3"][:-2], atol=1e-3
    )
    cleaned = load_recording(recording, ["imu"], 8)
    assert (cleaned.operation, cleaned.session, cleaned.machine) == ("face", "monday", "mill 2")


def test_a_missing_file_excludes_the_recording_unless_it_is_optional(folder: Path) -> None:
    (folder / "pocket_001_accel.csv").unlink()
    with pytest.raises(RecordingExcluded, match="no file of the source 'toolhead'"):
        read_recording(first(folder))
    optional = with_source("toolhead", optional=True)
    assert "toolhead.Ax_rms" not in read_recording(first(folder, **optional))


def test_sensors_need_no_controller(folder: Path) -> None:
    (folder / "pocket_001.csv").unlink()
    (folder / "pocket.nc").unlink()
    table = read_sensors(first(folder, program=None), step_seconds=0.25)
    np.testing.assert_allclose(np.diff(table["t_console"]), 0.25)
    # From half a second before the program to half a second after it.
    assert len(table) == int((ROWS / ROW_HZ + 1) / 0.25)
    assert "gcode_line" not in table
    np.testing.assert_allclose(table["toolhead.Ax_rms"][1:-1], np.sqrt(0.5), rtol=0.2)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["pocket_001.csv", "pocket_001_accel.csv", "pocket.nc"]),
    st.lists(
        st.tuples(st.floats(0, 0.999), st.sampled_from(b'\0\n\r",.-9\xffe')), min_size=1, max_size=4
    ),
    st.floats(0, 1.5),
)
def test_damaged_files_are_refused_or_read(
    name: str, damages: list[tuple[float, int]], length: float
) -> None:
    with TemporaryDirectory() as temporary:
        folder = write_laboratory(Path(temporary), {"pocket": 1})
        content = bytearray((folder / name).read_bytes())
        for offset, byte in damages:
            content[int(offset * len(content))] = byte
        (folder / name).write_bytes(content[: int(length * len(content))])
        for read in (
            lambda source: load_recording(source, ["imu"], 8),
            lambda source: read_unlabelled(source, ["toolhead.Ax_mean"], 8, 0.2),
        ):
            # Anything else that is raised fails the test.
            with suppress(UserError, RecordingExcluded):
                read(first(folder))


def test_rows_of_a_canonical_file_that_are_alike_are_no_duplicates(tmp_path: Path) -> None:
    current = np.repeat(np.random.default_rng(0).normal(size=200), 3)
    table = pd.DataFrame({"t_console": np.arange(600) * 0.1, "S.Current": current})
    write_canonical(tmp_path / "slow.parquet", table)
    recording = read_unlabelled(tmp_path / "slow.parquet", ["S.Current"], 8, 0.1).recording
    np.testing.assert_allclose(recording.signals["S.Current"], current, rtol=1e-6)


@pytest.mark.parametrize("method", ["hold", "interpolate"])
def test_a_slow_sensor_is_frozen_after_ten_of_its_own_samples(tmp_path: Path, method: str) -> None:
    """A sample every 10 s, each twice, the last one for 135 s."""
    rows, times = np.arange(0, 295, 0.2), np.arange(0, 300, 10.0)
    pd.DataFrame({"t": rows, "n": rows // 5}).to_csv(tmp_path / "pocket_001.csv")
    room = pd.DataFrame({"t": times, "T": np.minimum(times // 20, 8.0)})
    room.to_csv(tmp_path / "pocket_001_room.csv")
    clock = {"format": "seconds", "column": "t"}
    sources = {
        "controller": {"files": "{name}.csv", "clock": clock, "columns": {"n": "line"}},
        "room": {"files": "{name}_room.csv", "clock": clock, "resample": method,
                 "columns": {"T": "room.Temperature [degC]"}},
    }  # fmt: skip
    source = first(tmp_path, sources=sources, program=None)
    labelled = load_recording(source, ["environment"], 8)
    unlabelled = read_unlabelled(source, ["room.Temperature"], 8, 0.2).recording
    for recording in (labelled, unlabelled):
        before = recording.seconds < 160
        assert recording.signals.notna().to_numpy()[before].all()
        assert recording.signals.isna().to_numpy()[~before].all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            with_source("controller", columns={"line": "line"}),
            "has no column 'line'; known are: n, x_in",
        ),
        (with_source("controller", columns={"n": "block"}), "maps block but not line"),
        (
            with_source("toolhead", clock={"format": "sample", "rate_hz": 100}),
            "say when it started",
        ),
    ],
)
def test_a_layout_that_does_not_fit_the_files(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_recording(first(folder, **changes))


def test_clocks_without_a_common_time(folder: Path) -> None:
    clock = {"format": "time_of_day", "column": "time", "offset_seconds": 7200}
    in_paris = with_source("controller", clock=clock)
    with pytest.raises(RecordingExcluded, match="are unit, time zone and offset of the clocks"):
        read_recording(first(folder, **in_paris))
    both = with_source("controller", columns={"n": "line", "x_in": "X.Current [A]"})
    moved = replace(first(folder, rows={"rate_hz": 4}, **both), offsets={"toolhead": 3600.0})
    with pytest.raises(UserError, match="no time at which all sources have samples"):
        read_sensors(moved, 0.25)


@pytest.mark.parametrize("begin", ["2024-01-15 10:00", "2024-03-31 10:00", "2024-03-31 23:59:58"])
def test_times_of_day_are_those_of_their_time_zone(tmp_path: Path, begin: str) -> None:
    """On 2024-03-31 at 2:00 clocks in Paris went forward: 10:00 was nine hours after midnight."""
    seconds = np.arange(0, 8, 0.2)
    wall = pd.Timestamp(begin) + pd.to_timedelta(seconds, unit="s")
    texts = wall.strftime("%H:%M:%S.%f")
    pd.DataFrame({"time": texts, "n": 1 + seconds // 1}).to_csv(tmp_path / "pocket_001.csv")
    t = pd.Timestamp(begin, tz="Europe/Paris").timestamp() + seconds
    accel = pd.DataFrame({"t": (1000 * t).round().astype(int), "a_x": seconds})
    accel.to_csv(tmp_path / "pocket_001_accel.csv")
    sources = content()["sources"]
    sources["controller"]["clock"]["timezone"] = "Europe/Paris"
    sources["toolhead"]["clock"]["unit"] = "ms"
    sources["toolhead"]["resample"] = "interpolate"
    table = read_recording(first(tmp_path, sources=sources, program=None))
    start = (pd.Timestamp(begin) - pd.Timestamp(begin).normalize()).total_seconds()
    np.testing.assert_allclose(table["t_console"], start + seconds, atol=1e-6)
    np.testing.assert_allclose(table["toolhead.Ax"][1:-1], seconds[1:-1] / 9.80665, atol=1e-4)


def test_times_of_day_in_two_time_zones_and_dates_in_no_calendar(folder: Path) -> None:
    accel = pd.read_csv(folder / "pocket_001_accel.csv")
    for scale in (1e3, 1e9):
        accel.assign(t=scale * accel["t"]).to_csv(folder / "pocket_001_accel.csv")
        with pytest.raises(UserError, match=r"pocket_001_accel.csv: .* is clock.unit right"):
            read_recording(first(folder))
    day = {"format": "time_of_day", "column": "t", "timezone": "Europe/Paris"}
    with pytest.raises(UserError, match="controller are in UTC, those of toolhead in Europe/Paris"):
        read_recording(first(folder, **with_source("toolhead", clock=day)))


def test_other_parquet_files_are_no_recordings(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match="no recording that gcodefp wrote; a layout"):
        read_canonical(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("text")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_canonical(tmp_path / "b.parquet")
    write_canonical(tmp_path / "c.parquet", pd.DataFrame({"t_console": [0.0], "S.Power": [2.0]}))
    assert read_canonical(tmp_path / "c.parquet")["S.Power"].tolist() == [2.0]
