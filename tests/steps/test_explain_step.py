"""The explain step as the pipeline starts it, and who reads its files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_steps import evaluate, learn
from learning_data import (
    CHANNELS,
    RECORDINGS,
    ROWS,
    SENSORS,
    dataset_flags,
    shuffled,
    tiny_flags,
    tiny_split,
    write_dataset,
)
from result_files import results_of, true_blocks, write_results

from gcodefp import explain, train
from gcodefp.errors import UserError
from gcodefp.evaluation.names import EXPLANATION_FORMAT, MODEL, WHOLE
from gcodefp.reporting.executed_paths import median_toolpath, toolpaths
from gcodefp.reporting.predictions import read_predictions
from gcodefp.reporting.results import read_explanation

TEST_ROWS = ROWS * len(RECORDINGS["test"])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def checkpoint(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(dataset, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def explained(dataset: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("explanation") / "new"
    assert run(checkpoint, dataset, output) == 0
    return output


def run(checkpoint: Path, dataset: Path, output: Path) -> int:
    flags = ["--checkpoint", str(checkpoint), *dataset_flags(dataset, "test")]
    return explain.main([*flags, "--output", str(output)])


def document(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))
    return content


def test_what_is_told_agrees_with_the_evaluation(
    explained: Path, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    assert evaluate(checkpoint, dataset, tmp_path) == 0
    models = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["models"]
    predictions = read_predictions(tmp_path / "predictions.npz")
    found, told = read_explanation(explained), document(explained)
    assert told["format"] == EXPLANATION_FORMAT
    assert {Path(of).name for of in told["provenance"]["inputs"]} == {
        "checkpoint.pt", "dataset.json", "test.npz",
    }  # fmt: skip
    assert (told["recordings"], told["rows"]) == (len(RECORDINGS["test"]), TEST_ROWS)
    assert told["sensors"]["complete"] == {
        of: models[MODEL][of] for of in ("gcode", "token", "operation")
    }
    for name in (MODEL, WHOLE):
        np.testing.assert_array_equal(found.right[name], predictions.right(name))
        assert told["calibration"][name]["right"] == models[name]["gcode"]
        sure = told["calibration"][name]["confidence"]["value"]
        assert sure == pytest.approx(found.confidence[name].mean())
        assert (found.confidence[name] > 0).all()
        assert (found.confidence[name] <= 1).all()
    # It learnt: where it is wrong, it is less sure.
    sure, right = found.confidence[MODEL], found.right[MODEL]
    assert sure[~right].mean() < sure[right].mean() - 0.1
    assert told["excerpt"]["recording"] == median_toolpath(toolpaths(predictions)).name


def test_without_its_sensors_nothing_is_left(explained: Path) -> None:
    """Even channels (Ax) tell some of the blocks and the operation pocket, odd ones the rest."""
    sensors = document(explained)["sensors"]
    assert sensors["trained_again"] is False
    assert [(of["kind"], of["name"]) for of in sensors["without"]] == [
        ("all", ""), ("group", "imu"), ("group", "mag"),
        ("node", "n0"), ("node", "n1"), ("node", "n2"), ("node", "n3"),
    ]  # fmt: skip
    lost = {of["name"]: of["differences"]["gcode"] for of in sensors["without"]}
    assert lost[""]["high"] < -0.2
    assert lost[""]["value"] < min(lost["n0"]["value"], lost["n3"]["value"])


def test_the_excerpt_is_of_neighbouring_rows_of_the_split(explained: Path) -> None:
    found = read_explanation(explained)
    test = tiny_split(RECORDINGS["test"])
    index = found.excerpt_index
    assert np.diff(index).tolist() == [1] * (ROWS - 1)
    assert len(set(test.recording[index].tolist())) == 1
    np.testing.assert_array_equal(found.excerpt_scaled, test.signals[index])
    np.testing.assert_array_equal(found.excerpt_samples, test.signals[index])
    np.testing.assert_array_equal(found.excerpt_block, test.blocks[test.block[index]])
    np.testing.assert_array_equal(found.excerpt_seconds, test.seconds[index])
    right = found.excerpt_block == found.excerpt_read
    np.testing.assert_array_equal(right, found.right[MODEL][index])
    assert found.excerpt_saliency.shape == (ROWS, CHANNELS)
    assert found.channel_saliency.shape == (CHANNELS,)
    shares = document(explained)["saliency"]["channels"]
    assert list(shares) == SENSORS
    assert sum(shares.values()) == pytest.approx(1.0)


def test_the_same_checkpoint_is_explained_the_same(
    explained: Path, checkpoint: Path, dataset: Path, tmp_path: Path
) -> None:
    assert run(checkpoint, dataset, tmp_path) == 0
    one, other = document(explained), document(tmp_path)
    assert one.pop("provenance") != other.pop("provenance")
    assert one == other
    npz = "explanation.npz"
    with np.load(explained / npz) as first, np.load(tmp_path / npz) as second:
        assert list(first) == list(second)
        for name in first:
            assert first[name].tobytes() == second[name].tobytes(), name


# What is refused


def test_a_checkpoint_of_another_dataset_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write_dataset(tmp_path / "other", train=shuffled(tiny_split(RECORDINGS["train"])))
    assert run(checkpoint, other, tmp_path / "explanation") == 1
    assert "checkpoint.pt: was trained on another dataset than" in capsys.readouterr().err
    assert not (tmp_path / "explanation").exists()


def test_a_val_split_does_not_pass_for_the_test(
    dataset: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", str(checkpoint), *dataset_flags(dataset, "test")]
    flags += ["--test", str(dataset / "val.npz"), "--output", str(tmp_path)]
    assert explain.main(flags) == 1
    assert "val.npz: is not the test split" in capsys.readouterr().err


def test_a_control_is_not_explained(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [*dataset_flags(dataset, "train", "val"), *tiny_flags(max_epochs=1)]
    control = ["--control", "labels_shuffled", "--output", str(tmp_path / "run")]
    assert train.main([*flags, *control]) == 0
    assert run(tmp_path / "run/checkpoint.pt", dataset, tmp_path / "explanation") == 1
    assert "trained for control labels_shuffled" in capsys.readouterr().err


# Who reads it


def test_missing_and_torn_files_are_named_with_their_remedy(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    arrays = tmp_path / "explanation/explanation.npz"
    arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"explanation.npz: cannot be read .* --forcerun explain"):
        results_of(options)
    arrays.unlink()
    with pytest.raises(UserError, match=r"explanation.npz: no such file; .* --forcerun explain"):
        results_of(options)
    (tmp_path / "explanation/explanation.json").unlink()
    with pytest.raises(UserError, match=r"explanation.json: no such file; .* --forcerun explain"):
        results_of(options)


def test_an_explanation_of_something_else_is_refused(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    path = tmp_path / "explanation/explanation.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["provenance"]["inputs"] |= {"best/checkpoint.pt": "00" * 32}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"other files than were evaluated \(best/checkpoint.pt\)"):
        results_of(options)
