"""Incomplete recordings and wrong files: what is said, and that nothing is written."""

from pathlib import Path

import pytest
from learning_data import SENSORS, WINDOW
from new_recordings import learnt, new_recording, predict
from recording_files import write_recording

from gcodefp.evaluation.prediction import PREDICTION_FORMAT
from gcodefp.files import read_json


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learnt(tmp_path_factory.mktemp("learnt"), max_epochs=1)


def error(
    checkpoint: Path, folder: Path, recording: Path, capsys: pytest.CaptureFixture[str]
) -> str:
    """What is said when the prediction fails; nothing is written then."""
    capsys.readouterr()
    assert predict(checkpoint, folder / "out", recording) == 1
    assert not (folder / "out").exists()
    return capsys.readouterr().err


def test_missing_channels_are_filled_and_named(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = new_recording("face_009").drop(columns=SENSORS[:2])
    lacking[SENSORS[2]] = float("nan")
    recording = write_recording(tmp_path / "x.csv", lacking)
    assert predict(checkpoint, tmp_path / "out", recording) == 0
    document = read_json(tmp_path / "out" / "x.json", PREDICTION_FORMAT, "")
    assert document["missing_channels"] == SENSORS[:3]
    assert f"x: 3 channels are missing: {', '.join(SENSORS[:3])}" in capsys.readouterr().err


def test_with_less_than_half_of_the_channels_nothing_is_predicted(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = write_recording(
        tmp_path / "x.csv", new_recording("face_009").drop(columns=SENSORS[:4])
    )
    said = error(checkpoint, tmp_path, recording, capsys)
    assert f"4 of the {len(SENSORS)} channels of the checkpoint are missing" in said
    assert f"x.csv: {', '.join(SENSORS[:4])}" in said.replace("at least half are needed", "x.csv")


def test_a_file_of_something_else_lacks_all_channels(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv").write_text("name,price\nmill,7\n")
    said = error(checkpoint, tmp_path, tmp_path / "x.csv", capsys)
    assert f"{len(SENSORS)} of the {len(SENSORS)} channels" in said


def test_a_recording_shorter_than_a_window_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = write_recording(tmp_path / "x.csv", new_recording("face_009", rows=WINDOW - 1))
    said = error(checkpoint, tmp_path, short, capsys)
    assert f"7 rows are too short a recording, one window of the checkpoint needs {WINDOW}" in said
    long_enough = write_recording(tmp_path / "y.csv", new_recording("face_009", rows=WINDOW))
    assert predict(checkpoint, tmp_path / "out", long_enough) == 0


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\x00torn", b"PK\x03\x04"])
def test_a_torn_file_is_told(
    content: bytes, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.csv.gz").write_bytes(content)
    assert "x.csv.gz: cannot be read as CSV" in error(
        checkpoint, tmp_path, tmp_path / "x.csv.gz", capsys
    )


def test_half_a_gzip_file_is_told(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write_recording(tmp_path / "x.csv.gz", new_recording("face_009")).read_bytes()
    (tmp_path / "x.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "x.csv.gz: cannot be read" in error(checkpoint, tmp_path, tmp_path / "x.csv.gz", capsys)


def test_text_among_the_samples_is_told(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = new_recording("face_009").astype({SENSORS[3]: object})
    table.loc[5, SENSORS[3]] = "off"
    recording = write_recording(tmp_path / "x.csv", table)
    said = error(checkpoint, tmp_path, recording, capsys)
    assert f"x.csv: column {SENSORS[3]!r}, data row 6: 'off' is no number" in said


def test_no_recording_and_no_checkpoint(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "x.csv: no such recording" in error(checkpoint, tmp_path, tmp_path / "x.csv", capsys)
    recording = write_recording(tmp_path / "x.csv", new_recording("face_009"))
    assert "no such checkpoint" in error(tmp_path / "none.pt", tmp_path, recording, capsys)
    for content in (checkpoint.read_bytes()[:1000], b'{"format": "gcodefp-best-1"}', b""):
        (tmp_path / "torn.pt").write_bytes(content)
        said = error(tmp_path / "torn.pt", tmp_path, recording, capsys)
        assert "torn.pt: is no checkpoint of gcodefp, or a torn one" in said


def test_no_recording_is_overwritten_and_no_prediction_twice(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = write_recording(tmp_path / "x.csv", new_recording("face_009"))
    before = recording.read_bytes()
    assert predict(checkpoint, tmp_path, recording) == 1
    assert "x.csv: would be overwritten; choose another --output" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert recording.read_bytes() == before
    other = write_recording(tmp_path / "other" / "x_aligned.csv.gz", new_recording("face_009"))
    assert predict(checkpoint, tmp_path / "out", recording, other) == 1
    assert "two recordings are called 'x'" in capsys.readouterr().err
