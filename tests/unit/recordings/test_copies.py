"""Copies of recordings are found, and repeats of a program are no copies."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from recording_files import recording_table, write_recording

from gcodefp.recordings.cleaning import load_recording
from gcodefp.recordings.copies import (
    SIGNATURE_HASHES,
    Signature,
    find_copies,
    format_signature,
    parse_signature,
    sensor_signature,
)
from gcodefp.recordings.loading import load_recordings
from gcodefp.simulation.recording import simulate_recording

GROUPS = ("imu", "mag", "mic", "motor")
REAL = Path(__file__).resolve().parents[4] / "shared" / "recordings"
CHANGES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "renamed": lambda table: table,
    "without the last 30 rows": lambda table: table[:-30],
    "first half": lambda table: table[: len(table) // 2],
    "second half": lambda table: table[len(table) // 2 :],
    "rounded to 2 decimals": lambda table: table.round(2),
    "columns in another order": lambda table: table[sorted(table, reverse=True)],
    "other labels": lambda table: table.assign(gcode_line=table["gcode_line"] + 1, posx=0.0),
    "without two nodes": lambda table: table.drop(columns=table.filter(regex="spindle2|frame_l2")),
    "rounded half": lambda table: table[len(table) // 2 :].round(3),
}  # fmt: skip


def signature(path: Path, table: pd.DataFrame) -> Signature:
    return load_recording(write_recording(path, table), GROUPS, 8).signature


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    return simulate_recording("pocket25", 4, 0)


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found_whatever_was_changed(
    tmp_path: Path, original: pd.DataFrame, change: str
) -> None:
    signatures = {
        "pocket25_004": signature(tmp_path / "a.csv", original),
        "pocket25_004 (1)": signature(tmp_path / "b.csv", CHANGES[change](original)),
        "pocket25_005": signature(tmp_path / "c.csv", simulate_recording("pocket25", 5, 0)),
    }
    assert find_copies(signatures) == {"pocket25_004 (1)": "pocket25_004"}


def test_copies_of_copies_and_of_other_folders_are_of_one_original(
    tmp_path: Path, original: pd.DataFrame
) -> None:
    whole = signature(tmp_path / "a.csv", original)
    assert len(whole) == SIGNATURE_HASHES
    np.testing.assert_array_equal(parse_signature(format_signature(whole)), whole)
    halves = [signature(tmp_path / f"{half}.csv", CHANGES[half](original)) for half in
              ("first half", "second half")]  # fmt: skip
    pairs = find_copies({"a": halves[0], "b": whole, "c": halves[1]})
    assert pairs == {"b": "a", "c": "a"}
    assert find_copies({"x": halves[0], "y": halves[1]}, {"b": whole}) == {"x": "b", "y": "b"}
    assert find_copies({"x": halves[0]}) == find_copies({}) == {}


def test_what_repeats_in_every_recording_makes_no_copy() -> None:
    """Levels of a switch, a constant, a frozen node, and the controller's own columns."""
    count = 400
    levels = {"posx": np.arange(count) / 8, "feed": np.arange(count) % 7, "x.RMS": 3.0}
    switch = pd.DataFrame({**levels, "spindle": np.arange(count) % 40 < 20})
    frozen = recording_table(rows=count).filter(regex=r"\.").assign(**{"x.Ax": 1.0})
    frozen[:] = frozen.iloc[0].to_numpy()
    for table in (switch, frozen, switch[:3], switch[:0]):
        assert not len(sensor_signature(table.astype(np.float32)))


@pytest.mark.skipif(not REAL.is_dir(), reason=f"{REAL} is not there")
def test_repeats_of_a_real_program_are_no_copies(tmp_path: Path) -> None:
    paths = sorted(REAL.glob("face150025_0*.csv.gz"))[1:8]
    copy = write_recording(tmp_path / "x_001.csv.gz", pd.read_csv(paths[0])[300:].round(3))
    recordings, excluded = load_recordings([*paths, copy], GROUPS, 64)
    assert not excluded
    signatures = {name: recording.signature for name, recording in recordings.items()}
    assert find_copies(signatures) == {"x_001": "face150025_002"}
