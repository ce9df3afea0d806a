"""The clock, and the rules of cleaning with their counts."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_files import ROWS, clock_text, recording_table, write_recording

from gcodefp.errors import UserError
from gcodefp.recordings.cleaning import (
    LEAST_PREAMBLE_ROWS,
    PREAMBLE_SECONDS,
    Recording,
    RecordingExcluded,
    load_recording,
)
from gcodefp.recordings.clock import elapsed_seconds, rows_in
from gcodefp.recordings.samples import MAX_INTERPOLATED_SECONDS, clean_samples, frozen_rows

GROUPS = ("imu", "mag", "mic", "motor")
WINDOW = 8
PERIOD = 0.25
PREAMBLE = rows_in(PREAMBLE_SECONDS, PERIOD, LEAST_PREAMBLE_ROWS)
RULES = (
    *("duplicate_rows", "unlabelled_rows", "preamble_rows", "tail_rows"),
    *("interpolated_samples", "frozen_samples", "missing_samples"),
)
SPINDLE = [f"spindle2.{quantity}" for quantity in ("Ax", "Mx", "RMS")]


def load(folder: Path, table: pd.DataFrame, groups: tuple[str, ...] = GROUPS) -> Recording:
    return load_recording(write_recording(folder / "pocket_001.csv", table), groups, WINDOW)


def counts(rows: int = ROWS, **changed: int) -> dict[str, int]:
    return {"rows_in_file": rows, **dict.fromkeys(RULES, 0), **changed}


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 86_399), st.lists(st.floats(0.001, 5000), min_size=1, max_size=50))
def test_the_clock_continues_after_midnight(start: float, steps: list[float]) -> None:
    seconds = np.round(start + np.cumsum([0.0, *steps]), 3)
    texts = pd.Series([clock_text(second % 86_400) for second in seconds])
    # 23:59:59.9996 rounds to a time that no clock shows.
    texts = texts.replace("24:00:00.000", "00:00:00.000")
    np.testing.assert_allclose(elapsed_seconds(texts), seconds - seconds[0], atol=0.002)


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        (["59:58.5", "59:59.0", "00:00.2"], [0.0, 0.5, 1.7]),
        (["23:59:59.000", "00:00:01.500", "00:00:01.000"], [0.0, 2.5, 2.0]),
        (["12:00:00", None, "", "noon", "12:00:01"], [0.0, math.nan, math.nan, math.nan, 1.0]),
        (["12:00:00", "12:00:01:5", "00:02.5", "12:00:03"], [0.0, math.nan, math.nan, 3.0]),
        (["12:00:00", "25:00:00", "12:60:00", "12:00:60", "-1:0:0"], [0.0] + [math.nan] * 4),
        (["12:00:00", "inf:00:00", "nan:00:01", "1e0:00:00"], [0.0] + [math.nan] * 3),
        (["garbage", None], [math.nan, math.nan]),
        (["11:59:59 PM", "12:00:01.5 am", "1:00:00 a.m."], [0.0, 2.5, 3601.0]),
        (["12:59:59 PM", "01:00:00 PM", "13:00:01 PM", "13:00:01"], [0.0, 1.0, math.nan, math.nan]),
        (["10:00:00,5", " 10:00:01,25"], [0.0, 0.75]),
        (["2024-03-05T23:59:59.5Z", "2024-03-06 00:00:00,25+00:00"], [0.0, 0.75]),
        (["2024-03-05T23:59:59+01:00", "2024-03-05T23:00:00+00:00", "x"], [0.0, 1.0, math.nan]),
        (["2024-03-05T00:00:00", "2024-03-07T00:00:00"], [0.0, 172_800.0]),
        (["2024-13-05T00:00:00", "2024-03-05"], [math.nan, 0.0]),
        (["2024-03-05T10:00+05:00", "2024-03-05T10:00", "2024-03-05T05:00:02Z"], [0, math.nan, 2]),
        (["2024-03-05 10:00:00 +05:00", "2024-03-05 10:00:01"], [0, math.nan]),
        # Hours and minutes, or minutes and seconds.
        (["10:15", "10:16"], [math.nan, math.nan]),
        (["10:15", "10:15.5"], [0.0, 0.5]),
        ([], []),
    ],
)
def test_clock_texts(texts: list[str | None], seconds: list[float]) -> None:
    measured = elapsed_seconds(pd.Series(texts, dtype="str"))
    np.testing.assert_allclose(measured, seconds, atol=1e-9)


def repeated(table: pd.DataFrame) -> pd.DataFrame:
    twice, same_clock = table[5:6], table[5:6].assign(**{"spindle2.Ax": 0.5})
    return pd.concat([table[:6], twice, twice, same_clock, table[6:]], ignore_index=True)


def unlabelled(table: pd.DataFrame) -> pd.DataFrame:
    table = table.astype({"gcode_line": float})
    table.loc[3, "t_console"] = "??"
    table.loc[[4, 5], "gcode_line"] = [math.nan, math.inf]
    garbage = [None, "hello", "(only a remark)", "X1 " * 21]
    table.loc[6:9, "gcode_string"] = pd.Series(garbage, index=range(6, 10))
    return table


def with_preamble(table: pd.DataFrame) -> pd.DataFrame:
    table.loc[:4, "gcode_line"] = [16, 20, 25, 18, 40]
    return table


def ended_by(text: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda table: table.assign(
        gcode_string=table["gcode_string"].where(table.index != ROWS - 10, text)
    )


@pytest.mark.parametrize(
    ("change", "kept", "changed"),
    [
        (repeated, [*range(6), *range(8, ROWS + 3)], {"rows": ROWS + 3, "duplicate_rows": 2}),
        (unlabelled, [0, 1, 2, *range(10, ROWS)], {"unlabelled_rows": 7}),
        (with_preamble, [*range(5, ROWS)], {"preamble_rows": 5}),
        *(
            (ended_by(end), [*range(ROWS - 10)], {"tail_rows": 10})
            for end in ("M30", "M2", "m30 (end)", "G53 M30", "M30 P0", "N9 M02 M5")
        ),
    ],
)
def test_rules_drop_rows_and_count_them(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], kept: list[int], changed: Any
) -> None:
    recording = load(tmp_path, change(recording_table()))
    assert recording.row.tolist() == kept
    assert recording.counts == counts(**changed)
    assert recording.seconds[0] == 0.0


def test_a_recording_that_breaks_a_rule_is_rejected(tmp_path: Path) -> None:
    def rejection(table: pd.DataFrame) -> str:
        with pytest.raises(RecordingExcluded) as rejected:
            load(tmp_path, table)
        return str(rejected.value)

    table = recording_table()
    table.loc[: ROWS // 2, "gcode_string"] = None
    table.loc[ROWS // 2 : ROWS // 2 + 1, "t_console"] = "half past"
    reason = rejection(table)
    assert "55% of the rows" in reason
    assert "t_console in 2 rows, such as 'half past' in data row 21" in reason
    assert "gcode_string in 21 rows, such as nothing in data row 1" in reason
    assert "gcode_line in" not in reason
    table = recording_table().assign(gcode_line=16.5)
    assert "gcode_line in 40 rows, such as '16.5'" in rejection(table)
    assert "'1e+300'" in rejection(table.assign(gcode_line=1e300))
    table = recording_table()
    table.loc[20, "t_console"] = "11:59:00.000"
    assert rejection(table) == "the clock runs backwards 1 times"
    assert rejection(table.assign(t_console="12:00:00")) == "the clock does not advance"
    assert len(load(tmp_path, recording_table(rows=WINDOW)).row) == WINDOW
    assert f"one window needs {WINDOW}" in rejection(recording_table(rows=WINDOW - 1))
    table = recording_table(rows=80)
    table["gcode_line"] = [*range(100, 100 + PREAMBLE), *range(80 - PREAMBLE)]
    assert load(tmp_path, table).counts["preamble_rows"] == PREAMBLE
    table["gcode_line"] = [*range(100, 101 + PREAMBLE), *range(79 - PREAMBLE)]
    assert "several logs" in rejection(table)
    table = recording_table(rows=80).assign(posx=np.arange(80) / 8)
    moving = table.assign(gcode_line=np.arange(80) // 73)
    assert "line 0 is reported in 91% of 79 moving rows" in rejection(moving)
    # A machine that rests on one line for long is no fault.
    assert load(tmp_path, moving.assign(posx=np.maximum(np.arange(80) - 55, 0) / 8)) is not None


@pytest.mark.parametrize(
    "block",
    [
        "G91",
        "G92 X0",
        "G92",
        "G92 E0 Z1",
        "G2 X1 Y1 R-0.5",
        "G3 X1 I0.5",
        "G0 G91 X1",
        "g2 x1 j-.5",
    ],
)
def test_a_path_that_is_only_known_with_positions_needs_them(tmp_path: Path, block: str) -> None:
    table = recording_table().replace({"gcode_string": {"G1 X1. Y7.541": block}})
    table.loc[7, "gcode_string"] = block
    assert load(tmp_path, table).counts == counts()
    for without in (
        table.drop(columns=["posx", "posy", "posz"]),
        table.assign(posx=None, posy=1e99, posz=None),
    ):
        with pytest.raises(RecordingExcluded, match=r"posx is missing, and .* in data row 8 has"):
            load(tmp_path, without)


def test_a_clock_of_whole_seconds_is_spread_and_noted(tmp_path: Path) -> None:
    table = recording_table()
    table["t_console"] = table["t_console"].str[:8]
    recording = load(tmp_path, table)
    np.testing.assert_allclose(recording.seconds, np.arange(ROWS) / 4)
    (note,) = recording.notes
    assert note.startswith("the clock has 10 times for 40 rows")
    # One time twice now and then is as it was.
    table = recording_table()
    table.loc[20:, "t_console"] = table["t_console"].shift(1)
    recording = load(tmp_path, table)
    assert (recording.seconds[19], recording.seconds[20], recording.notes) == (4.75, 4.75, [])


def test_samples_that_no_sensor_gives_are_missing(tmp_path: Path) -> None:
    table = recording_table()
    table.loc[12, ["spindle", "spindle2.Ax", "spindle2.Pressure"]] = [1e308, -1e308, 1e308]
    table.loc[13, "posx"] = 1e308
    recording = load(tmp_path, table)
    assert recording.counts == counts(interpolated_samples=2)
    assert recording.notes == ["2 samples are above 1e+09: taken as missing"]
    assert np.isfinite(recording.signals).all(axis=None)
    assert np.flatnonzero(~np.isfinite(recording.position_mm[:, 0])).tolist() == [13]
    assert np.flatnonzero(~np.isfinite(recording.environment[:, 0])).tolist() == [12]


@pytest.mark.parametrize(
    ("units", "expected"),
    [
        ((0, 1), (25.4, 1.0)),
        (("20", "21.0"), (25.4, 1.0)),
        (("G20", "g21"), (25.4, 1.0)),
        ((" Inch ", "mm"), (25.4, 1.0)),
        (("in", None), (25.4, 25.4)),
        ((None, "1"), (1.0, 1.0)),
        ((None, None), (1.0, 1.0)),
    ],
)
def test_positions_are_millimetres_whatever_the_unit(
    tmp_path: Path, units: tuple[Any, Any], expected: tuple[float, float]
) -> None:
    """A blank unit is the last one seen."""
    table = recording_table().assign(posx=2.0, unit=[units[0]] * 30 + [units[1]] * 10)
    table.loc[5, "posz"] = math.nan
    if units[0] is not None:
        table.loc[3:7, "unit"] = None
    recording = load(tmp_path, table)
    factors = np.repeat(expected, [30, 10])
    np.testing.assert_allclose(recording.mm_per_unit, factors)
    np.testing.assert_allclose(recording.position_mm[:, 0], 2 * factors)
    assert np.argwhere(np.isnan(recording.position_mm)).tolist() == [[5, 2]]


def test_a_unit_comes_from_the_program_if_it_has_no_column_and_else_is_an_error(
    tmp_path: Path,
) -> None:
    table = recording_table().drop(columns="unit")
    recording = load(tmp_path, table)
    np.testing.assert_allclose(recording.mm_per_unit, 1.0)
    assert recording.notes == ["no unit, G20 or G21: its lengths are taken as mm"]
    table.loc[4:7, "gcode_string"], table.loc[24:27, "gcode_string"] = "G20 G90", "N5 g21"
    factors = np.repeat([25.4, 1.0], [24, 16])
    np.testing.assert_allclose(load(tmp_path, table).mm_per_unit, factors)
    np.testing.assert_allclose(load(tmp_path, table.assign(unit=1)).mm_per_unit, 1.0)
    for unit in (2, "cm", "G90", -1, "0.5"):
        table["unit"] = pd.Series([0] * 8 + [unit] * (ROWS - 8), dtype=object)
        with pytest.raises(
            UserError, match=rf"'unit': '{str(unit).lower()}' in data row 9 is not a unit"
        ):
            load(tmp_path, table)


@pytest.mark.parametrize("period", [0.257, 0.02, 0.001, 1.0])
def test_limits_of_dropouts_are_times(period: float) -> None:
    longest, frozen = round(1.0 / period), max(10, round(5.1 / period))
    samples = np.random.default_rng(0).normal(size=(10 * frozen, 2))
    samples[1 : 1 + longest] = samples[2 * frozen : 2 * frozen + longest + 1] = math.nan
    samples[4 * frozen : 5 * frozen - 1] = 1.0
    samples[7 * frozen : 8 * frozen] = 1.0
    counted: Counter[str] = Counter()
    clean_samples(pd.DataFrame(samples, columns=["a.Ax", "a.Ay"]), counted, period)
    assert counted["interpolated_samples"] == 2 * longest
    # Those of the longer gap, and of the longer repetition.
    assert counted["frozen_samples"] == 2 * frozen
    assert counted["missing_samples"] == 2 * (longest + 1)


def test_short_gaps_are_interpolated_and_long_ones_stay(tmp_path: Path) -> None:
    table = recording_table()
    table["spindle"] = np.sin(np.arange(ROWS))
    short = rows_in(MAX_INTERPOLATED_SECONDS, PERIOD)
    long = short + 1
    table.loc[10 : 10 + short - 1, "frame_r2.Ax"] = math.nan
    table.loc[9, "frame_r2.Ax"], table.loc[10 + short, "frame_r2.Ax"] = 0.0, 1.0
    table.loc[12, "spindle"] = math.inf
    table.loc[20 : 20 + long - 1, "spindle"] = math.nan
    # Nothing lies on the other side of a gap at an end.
    table.loc[:1, "spindle2.Mx"] = math.nan
    table.loc[ROWS - 1, "spindle2.RMS"] = math.nan
    recording = load(tmp_path, table)
    assert recording.counts == counts(interpolated_samples=short + 1, missing_samples=long + 3)
    ramp = np.arange(1, short + 1) / (short + 1)
    np.testing.assert_allclose(recording.signals["frame_r2.Ax"][10 : 10 + short], ramp, rtol=1e-6)
    assert np.isclose(recording.signals["spindle"][12], (np.sin(11) + np.sin(13)) / 2)
    assert np.flatnonzero(recording.signals["spindle"].isna()).tolist() == [*range(20, 20 + long)]


@pytest.mark.parametrize("is_absent", [False, True])
def test_a_frozen_node_is_invalid_from_its_first_repeated_row(
    tmp_path: Path, is_absent: bool
) -> None:
    table = recording_table()
    if is_absent:
        table["spindle2.Gx"] = math.nan
    first = ROWS - frozen_rows(PERIOD)
    table.loc[first:, SPINDLE] = table.loc[first, SPINDLE].to_numpy()
    recording = load(tmp_path, table)
    assert recording.counts["frozen_samples"] == frozen_rows(PERIOD) * 3
    assert recording.counts["missing_samples"] == (ROWS if is_absent else 0)
    assert recording.signals.loc[first:, SPINDLE].isna().all(axis=None)
    assert recording.signals.loc[: first - 1, SPINDLE].notna().all(axis=None)
    assert recording.signals["frame_r2.Ax"].notna().all()


def test_channels_that_may_stand_still_are_not_frozen(tmp_path: Path) -> None:
    table = recording_table()
    # One row short; one channel of a node alone; a feed that the program holds.
    first = ROWS - frozen_rows(PERIOD) + 1
    table.loc[first:, SPINDLE] = table.loc[first, SPINDLE].to_numpy()
    table["frame_r2.RMS"] = 3.0
    table["feed"] = 185.42
    recording = load(tmp_path, table, (*GROUPS, "controller"))
    assert recording.counts == counts()
    assert recording.signals[["feed", "posy"]].notna().all(axis=None)
