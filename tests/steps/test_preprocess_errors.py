import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from recording_files import ROWS, preprocess, recording_table, write_recording, write_recordings


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four recordings of each of two programs."""
    return write_recordings(tmp_path / "recordings", {"face": 4, "pocket": 4})


def break_gzip(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def put_text(path: Path) -> None:
    table = pd.read_csv(path).astype({"spindle2.Ax": object})
    table.loc[6, "spindle2.Ax"] = "1,25"
    write_recording(path, table)


BAD_FILES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "torn": (break_gzip, ["cannot be read as CSV"]),
    "empty": (lambda path: path.write_bytes(b""), ["cannot be read as CSV"]),
    "garbage": (lambda path: path.write_bytes(bytes(range(256)) * 9), ["cannot be read as CSV"]),
    "header": (lambda path: write_recording(path, recording_table(rows=0)), ["no row"]),
    "lacking": (
        lambda path: write_recording(path, recording_table().drop(columns="gcode_line")),
        ["'gcode_line' is missing"],
    ),
    "text": (put_text, ["'spindle2.Ax'", "data row 7", "'1,25' is no number"]),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_bad_file_is_named_with_the_way_out(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    path = recordings / "face_002_aligned.csv.gz"
    damage, parts = BAD_FILES[bad]
    damage(path)
    assert preprocess(recordings, tmp_path / "dataset") == 1
    message = capsys.readouterr().err
    for part in (str(path), *parts, "recordings.exclude"):
        assert part in message
    assert "Traceback" not in message
    assert not (tmp_path / "dataset").exists()
    assert preprocess(recordings, tmp_path / "dataset", exclude="face_002") == 0


def test_a_pressure_that_is_no_number_matters_where_it_is_an_input(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recordings / "face_002_aligned.csv.gz"
    table = pd.read_csv(path).astype({"spindle2.Pressure": object})
    table.loc[3, "spindle2.Pressure"] = "off"
    write_recording(path, table)
    assert preprocess(recordings, tmp_path / "dataset") == 0
    assert preprocess(recordings, tmp_path / "read", groups=["imu", "environment"]) == 1
    assert f"{path}: column 'spindle2.Pressure', data row 4: 'off'" in capsys.readouterr().err


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def add_namesake(folder: Path) -> None:
    write_recording(folder / "face_001.csv")


@pytest.mark.parametrize(
    ("damage", "options", "complaint"),
    [
        (shutil.rmtree, {}, "no such folder; set recordings.folder"),
        (empty, {}, "no .csv or .csv.gz file in this folder"),
        (add_namesake, {}, "two files for the recording 'face_001'"),
        (None, {"exclude": "face_001_aligned.csv.gz"}, "exclude: 'face_001_aligned.csv.gz' is no"),
        (
            None,
            {"exclude": [f"{o}_00{i}" for o in ("face", "pocket") for i in (1, 2, 3, 4)]},
            "leaves none",
        ),
        (None, {"window": ROWS + 1}, "no recording is left; the reasons are above"),
        (None, {"test_fraction": 0.0}, "no recording is left for test"),
        (None, {"split": "session", "held_out": "nose*"}, "held_out: 'nose*' matches none"),
        (None, {"split": "session"}, "split.held_out is empty: split.by 'session'"),
        (None, {"split": "program"}, "split.held_out is empty: split.by 'program'"),
        (None, {"max_gap_seconds": 0.1}, "no window of 8 rows fits"),
        (None, {"groups": "optical"}, "none is live in 50% of the 4 train recordings"),
    ],
)
def test_a_bad_request_is_answered_with_the_key_and_the_value(
    recordings: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None] | None,
    options: dict[str, object],
    complaint: str,
) -> None:
    if damage is not None:
        damage(recordings)
    assert preprocess(recordings, tmp_path / "dataset", **options) == 1
    message = capsys.readouterr().err
    assert complaint in message
    assert "Traceback" not in message
    assert not (tmp_path / "dataset").exists()
