"""The stage `explain` as the pipeline starts it, and how its files are read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_commands import evaluate
from learning_data import (
    RECORDINGS,
    ROWS,
    dataset_flags,
    tiny_split,
)
from result_files import results_of, true_blocks, write_results

from gcodefp import explain
from gcodefp.errors import UserError
from gcodefp.evaluation.names import EXPLANATION_FORMAT, MODEL, OCCLUSION_METRICS, WHOLE


@pytest.fixture(scope="module")
def explained(learnable: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("explanation") / "new"
    assert run(checkpoint, learnable, output) == 0
    return output


def run(checkpoint: Path, dataset: Path, output: Path, *more: str) -> int:
    flags = ["--checkpoint", str(checkpoint), *dataset_flags(dataset, "test")]
    return explain.main([*flags, "--output", str(output), *more])


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """explanation.json and the arrays of explanation.npz."""
    with np.load(folder / "explanation.npz", allow_pickle=False) as arrays:
        document = json.loads((folder / "explanation.json").read_text(encoding="utf-8"))
        return document, dict(arrays)


def test_explanation_agrees_with_the_evaluation(
    explained: Path, checkpoint: Path, learnable: Path, tmp_path: Path
) -> None:
    assert evaluate(checkpoint, learnable, tmp_path) == 0
    models = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["models"]
    document, arrays = read(explained)
    assert document["format"] == EXPLANATION_FORMAT
    inputs = {Path(path).name for path in document["provenance"]["inputs"]}
    assert inputs == {"checkpoint.pt", "dataset.json", "test.npz"}
    size = len(RECORDINGS["test"]), ROWS * len(RECORDINGS["test"])
    assert (document["recordings"], document["rows"]) == size
    complete = {name: models[MODEL][name] for name in OCCLUSION_METRICS}
    assert document["sensors"]["complete"] == complete
    for name, prefix in ((MODEL, "model"), (WHOLE, "whole")):
        calibration, confidence = document["calibration"][name], arrays[f"{prefix}_confidence"]
        assert calibration["right"] == models[name]["gcode"]
        assert arrays[f"{prefix}_right"].mean() == pytest.approx(models[name]["gcode"]["value"])
        assert calibration["confidence"]["value"] == pytest.approx(confidence.mean())
        assert (confidence > 0).all()
        assert (confidence <= 1).all()
    # A trained network is less confident where it is wrong.
    confidence, correct = arrays["model_confidence"], arrays["model_right"]
    assert confidence[~correct].mean() < confidence[correct].mean() - 0.1


def test_without_sensors_the_lines_are_lost(explained: Path) -> None:
    """Even channels (Ax) show some of the blocks and the operation pocket, odd ones the rest."""
    sensors = read(explained)[0]["sensors"]
    assert sensors["trained_again"] is False
    assert [(part["kind"], part["name"]) for part in sensors["without"]] == [
        *[("all", ""), ("group", "imu"), ("group", "mag")],
        *[("node", f"n{i}") for i in range(4)],
    ]
    loss = {part["name"]: part["differences"]["gcode"] for part in sensors["without"]}
    assert loss[""]["high"] < -0.2
    assert loss[""]["value"] < min(loss["n0"]["value"], loss["n3"]["value"])


def test_excerpt_is_the_recording_of_median_accuracy(explained: Path) -> None:
    document, arrays = read(explained)
    test = tiny_split(RECORDINGS["test"])
    index = arrays["excerpt_index"]
    assert np.diff(index).tolist() == [1] * (ROWS - 1)
    (recording,) = set(test.recording[index].tolist())
    assert document["excerpt"]["recording"] == test.recordings[recording]
    accuracy = arrays["whole_right"].reshape(-1, ROWS).mean(axis=1)
    assert accuracy[recording] == np.median(accuracy)
    for name, expected in (
        ("scaled", test.signals),
        ("samples", test.signals),
        ("block", test.blocks[test.block]),
        ("seconds", test.seconds),
    ):
        np.testing.assert_array_equal(arrays[f"excerpt_{name}"], expected[index])
    correct = arrays["excerpt_block"] == arrays["excerpt_read"]
    np.testing.assert_array_equal(correct, arrays["model_right"][index])


def test_explanation_of_other_files_is_refused(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    path = tmp_path / "explanation/explanation.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["provenance"]["inputs"] |= {"best/checkpoint.pt": "00" * 32}
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UserError, match=r"other files than were evaluated \(best/checkpoint.pt\)"):
        results_of(options)
