"""Scoring a checkpoint on a folder of other labelled recordings."""

from pathlib import Path

import numpy as np
import pytest
from evaluation_steps import evaluate, learn, results
from recording_files import preprocess, read_dataset, write_recordings

from gcodefp.evaluate import main
from gcodefp.evaluation.names import PREDICTORS, SENSORS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_recordings(folder / "recordings", {"face": 4, "pocket": 4})
    assert preprocess(folder / "recordings", folder / "d") == 0
    learn(folder / "d", folder / "run", max_epochs=2)
    return folder


def score(made: Path, recordings: Path, output: Path, *more: str) -> int:
    flags = ["--checkpoint", str(made / "run" / "checkpoint.pt"), "--output", str(output)]
    return main([*flags, "--recordings", str(recordings), *more])


def test_the_test_recordings_score_as_in_the_test_split(made: Path, tmp_path: Path) -> None:
    """The folder holds all recordings: those that the network was trained on are left out."""
    dataset = made / "d"
    known = ["--dataset", str(dataset / "dataset.json"), "--train", str(dataset / "train.npz")]
    assert score(made, made / "recordings", tmp_path / "folder", *known) == 0
    assert evaluate(made / "run" / "checkpoint.pt", dataset, tmp_path / "split") == 0
    (of_folder, arrays), (of_split, same) = (results(tmp_path / n) for n in ("folder", "split"))
    assert of_folder["models"] == of_split["models"]
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, same[name])
    description, _ = read_dataset(dataset)
    splits = description.document["splits"]
    left_out = {entry["recording"] for entry in of_folder["left_out"]}
    assert left_out == {*splits["train"]["recordings"], *splits["val"]["recordings"]}
    assert (of_folder["foreign"], of_split["foreign"]) == (str(made / "recordings"), None)


def test_a_checkpoint_alone_is_enough(made: Path, tmp_path: Path) -> None:
    write_recordings(tmp_path / "new", {"other": 2})
    assert score(made, tmp_path / "new", tmp_path / "e") == 0
    metrics, _ = results(tmp_path / "e")
    kinds = {PREDICTORS[name].kind for name in metrics["models"]}
    assert kinds == {SENSORS}
    # A program that the train split has none of.
    assert all(of["gcode"]["value"] == 0 for of in metrics["models"].values())


def test_nothing_but_known_recordings_is_no_test(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description, _ = read_dataset(made / "d")
    name = description.document["splits"]["train"]["recordings"][0]
    folder = tmp_path / "known"
    folder.mkdir()
    source = made / "recordings" / f"{name}_aligned.csv.gz"
    (folder / source.name).write_bytes(source.read_bytes())
    assert score(made, folder, tmp_path / "e") == 1
    said = capsys.readouterr().err
    assert f"excluded {name}: a recording of this name is in the train split" in said
    assert f"{folder}: no recording is left" in said


def test_test_and_train_need_their_dataset(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", str(made / "run" / "checkpoint.pt"), "--output", str(tmp_path)]
    assert main([*flags, "--test", str(made / "d" / "test.npz")]) == 1
    assert "--dataset is missing" in capsys.readouterr().err
