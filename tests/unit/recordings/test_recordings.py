import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording_files import ROWS, clock_text, recording_table, write_recording

from gcodefp.recordings.cleaning import (
    FROZEN_ROWS,
    MAX_INTERPOLATED_ROWS,
    PREAMBLE_ROWS,
    Recording,
    RecordingRejected,
    elapsed_seconds,
    load_recording,
)
from gcodefp.recordings.gcode import format_block, parse_block

GROUPS = ("imu", "mag", "mic", "motor")
WINDOW = 8
CHANNELS = 7
UNTOUCHED = {
    "rows_in_file": ROWS,
    "duplicate_rows": 0,
    "unlabelled_rows": 0,
    "preamble_rows": 0,
    "tail_rows": 0,
    "interpolated_samples": 0,
    "frozen_samples": 0,
    "missing_samples": 0,
}


def load(folder: Path, table: pd.DataFrame, groups: tuple[str, ...] = GROUPS) -> Recording:
    return load_recording(write_recording(folder / "pocket_001.csv", table), groups, WINDOW)


def rejection(folder: Path, table: pd.DataFrame) -> str:
    with pytest.raises(RecordingRejected) as rejected:
        load(folder, table)
    return str(rejected.value)


def insert_before(table: pd.DataFrame, row: int, other: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table[:row], other, table[row:]], ignore_index=True)


# Clock


@given(st.floats(0, 86_399), st.lists(st.floats(0.001, 5000), min_size=1, max_size=50))
def test_the_clock_counts_on_over_midnight(start: float, steps: list[float]) -> None:
    seconds = np.round(start + np.cumsum([0.0, *steps]), 3)
    texts = pd.Series([clock_text(second % 86_400) for second in seconds])
    # 23:59:59.9996 rounds to a time that no clock shows.
    texts = texts.replace("24:00:00.000", "00:00:00.000")
    np.testing.assert_allclose(elapsed_seconds(texts), seconds - seconds[0], atol=0.002)


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        (["12:40:01.926", "12:40:02.178"], [0.0, 0.252]),
        (["59:58.5", "59:59.0", "00:00.2"], [0.0, 0.5, 1.7]),
        (["23:59:59.000", "00:00:01.500", "00:00:01.000"], [0.0, 2.5, 2.0]),
        (["12:00:10", "12:00:08", "12:00:12"], [0.0, -2.0, 2.0]),
        (["12:00:00", None, "", "noon", "12:00:01"], [0.0, math.nan, math.nan, math.nan, 1.0]),
        (["12:00:00", "12:00:01:5", "00:02.5", "12:00:03"], [0.0, math.nan, math.nan, 3.0]),
        (["12:00:00", "25:00:00", "12:60:00", "12:00:60", "-1:0:0"], [0.0] + [math.nan] * 4),
        (["12:00:00", "inf:00:00", "nan:00:01", "1e0:00:00"], [0.0] + [math.nan] * 3),
        (["garbage", None], [math.nan, math.nan]),
        ([], []),
    ],
)
def test_clock_texts(texts: list[str | None], seconds: list[float]) -> None:
    found = elapsed_seconds(pd.Series(texts, dtype="str"))
    np.testing.assert_allclose(found, seconds, atol=1e-9)


# Cleaning: rows


def test_a_clean_recording_stays_as_it_is(tmp_path: Path) -> None:
    table = recording_table()
    recording = load(tmp_path, table)
    assert recording.counts == UNTOUCHED
    assert (recording.name, recording.operation) == ("pocket_001", "pocket")
    assert recording.row.tolist() == list(range(ROWS))
    assert recording.lines.tolist() == table["gcode_line"].tolist()
    assert recording.blocks.tolist() == [
        format_block(parse_block(text)) for text in table["gcode_string"]
    ]
    np.testing.assert_allclose(recording.seconds, np.arange(ROWS) / 4)
    assert recording.signals.shape == (ROWS, CHANNELS)
    for channel in recording.signals:
        np.testing.assert_allclose(recording.signals[channel], table[channel], rtol=1e-6)


def test_repeated_rows_are_dropped(tmp_path: Path) -> None:
    table = recording_table()
    twice, same_clock = table[5:6], table[5:6].assign(**{"spindle2.Ax": 0.5})
    recording = load(tmp_path, insert_before(table, 6, pd.concat([twice, twice, same_clock])))
    assert recording.counts == UNTOUCHED | {"rows_in_file": ROWS + 3, "duplicate_rows": 2}
    assert recording.row.tolist() == [*range(6), *range(8, ROWS + 3)]


def test_rows_without_clock_line_or_readable_block_are_dropped(tmp_path: Path) -> None:
    table = recording_table().astype({"gcode_line": float})
    table.loc[3, "t_console"] = "??"
    table.loc[4, "gcode_line"] = math.nan
    table.loc[5, "gcode_line"] = math.inf
    table.loc[6, "gcode_string"] = None
    table.loc[7, "gcode_string"] = "hello"
    table.loc[8, "gcode_string"] = "(only a remark)"
    table.loc[9, "gcode_string"] = "X1 X2 X3 X4 X5 X6 X7 X8"
    recording = load(tmp_path, table)
    assert recording.counts == UNTOUCHED | {"unlabelled_rows": 7}
    assert recording.row.tolist() == [0, 1, 2, *range(10, ROWS)]


def test_a_recording_that_is_mostly_unlabelled_is_rejected(tmp_path: Path) -> None:
    table = recording_table()
    table.loc[: ROWS // 2, "gcode_string"] = None
    assert "52% of the rows" in rejection(tmp_path, table)


def test_the_preamble_ends_where_the_line_number_steps_back(tmp_path: Path) -> None:
    table = recording_table()
    table.loc[:4, "gcode_line"] = [16, 20, 25, 18, 40]
    recording = load(tmp_path, table)
    assert recording.counts == UNTOUCHED | {"preamble_rows": 5}
    assert recording.row[0] == 5
    assert recording.seconds[0] == 0.0


@pytest.mark.parametrize(
    ("first_of_second", "kept"), [(PREAMBLE_ROWS, True), (PREAMBLE_ROWS + 1, False)]
)
def test_a_program_that_starts_again_means_several_logs(
    tmp_path: Path, first_of_second: int, kept: bool
) -> None:
    table = recording_table(rows=80)
    table["gcode_line"] = [*range(100, 100 + first_of_second), *range(80 - first_of_second)]
    if kept:
        assert load(tmp_path, table).counts["preamble_rows"] == first_of_second
    else:
        assert "several logs" in rejection(tmp_path, table)


@pytest.mark.parametrize("end", ["M30", "M2", "m30 (end)", "G53 M30"])
def test_the_program_ends_at_its_end(tmp_path: Path, end: str) -> None:
    table = recording_table()
    table.loc[ROWS - 10, "gcode_string"] = end
    recording = load(tmp_path, table)
    assert recording.counts == UNTOUCHED | {"tail_rows": 10}
    assert recording.row[-1] == ROWS - 11


@pytest.mark.parametrize(("clock", "steps"), [("11:59:00.000", 1), ("11:00:00.000", 1)])
def test_a_clock_that_runs_backwards_is_rejected(tmp_path: Path, clock: str, steps: int) -> None:
    table = recording_table()
    table.loc[20, "t_console"] = clock
    assert rejection(tmp_path, table) == f"the clock runs backwards {steps} times"


def test_a_recording_shorter_than_a_window_is_rejected(tmp_path: Path) -> None:
    assert len(load(tmp_path, recording_table(rows=WINDOW)).row) == WINDOW
    assert f"one window needs {WINDOW}" in rejection(tmp_path, recording_table(rows=WINDOW - 1))


def test_positions_are_millimetres_whatever_the_unit(tmp_path: Path) -> None:
    table = recording_table()
    table["posx"] = 2.0
    table.loc[30:, "unit"] = 1
    table.loc[5, "posz"] = math.nan
    recording = load(tmp_path, table)
    np.testing.assert_allclose(recording.position_mm[:30, 0], 50.8)
    np.testing.assert_allclose(recording.position_mm[30:, 0], 2.0)
    np.testing.assert_allclose(recording.mm_per_unit, [25.4] * 30 + [1.0] * 10)
    assert np.argwhere(np.isnan(recording.position_mm)).tolist() == [[5, 2]]


# Cleaning: samples


def test_short_gaps_are_interpolated_and_long_ones_stay(tmp_path: Path) -> None:
    table = recording_table()
    table["spindle"] = np.sin(np.arange(ROWS))
    short, long = MAX_INTERPOLATED_ROWS, MAX_INTERPOLATED_ROWS + 1
    table.loc[10 : 10 + short - 1, "frame_r2.Ax"] = math.nan
    table.loc[9, "frame_r2.Ax"], table.loc[10 + short, "frame_r2.Ax"] = 0.0, 1.0
    table.loc[12, "spindle"] = math.inf
    table.loc[20 : 20 + long - 1, "spindle"] = math.nan
    # Nothing lies on the other side of a gap at an end.
    table.loc[:1, "spindle2.Mx"] = math.nan
    table.loc[ROWS - 1, "spindle2.RMS"] = math.nan
    recording = load(tmp_path, table)
    assert recording.counts == UNTOUCHED | {
        "interpolated_samples": short + 1,
        "missing_samples": long + 3,
    }
    ramp = np.arange(1, short + 1) / (short + 1)
    np.testing.assert_allclose(recording.signals["frame_r2.Ax"][10 : 10 + short], ramp, rtol=1e-6)
    assert np.isclose(recording.signals["spindle"][12], (np.sin(11) + np.sin(13)) / 2)
    assert np.flatnonzero(recording.signals["spindle"].isna()).tolist() == [*range(20, 20 + long)]


@pytest.mark.parametrize("absent", [False, True])
def test_a_frozen_node_is_taken_out_from_its_first_repeated_row(
    tmp_path: Path, absent: bool
) -> None:
    table = recording_table()
    node = [column for column in table if column.startswith("spindle2.")]
    if absent:
        table["spindle2.Gx"] = math.nan
    first = ROWS - FROZEN_ROWS
    table.loc[first:, node] = table.loc[first, node].to_numpy()
    recording = load(tmp_path, table)
    assert recording.counts["frozen_samples"] == FROZEN_ROWS * 3
    assert recording.counts["missing_samples"] == (ROWS if absent else 0)
    assert recording.signals.loc[first:, node[:3]].isna().all(axis=None)
    assert recording.signals.loc[: first - 1, node[:3]].notna().all(axis=None)
    assert recording.signals["frame_r2.Ax"].notna().all()


def test_what_may_stand_still_is_not_frozen(tmp_path: Path) -> None:
    table = recording_table()
    # One row short; one channel of a node alone; a feed that the program holds.
    first = ROWS - FROZEN_ROWS + 1
    node = [column for column in table if column.startswith("spindle2.")]
    table.loc[first:, node] = table.loc[first, node].to_numpy()
    table["frame_r2.RMS"] = 3.0
    table["feed"] = 185.42
    recording = load(tmp_path, table, (*GROUPS, "controller"))
    assert recording.counts == UNTOUCHED
    assert recording.signals["feed"].notna().all()
    assert recording.signals["posy"].notna().all()
