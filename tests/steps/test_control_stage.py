"""Negative controls as the pipeline trains and scores them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_commands import LEARNT, evaluate, learn
from learning_data import (
    CHANNELS,
    RECORDINGS,
    WINDOW,
    dataset_flags,
    tiny_flags,
    tiny_split,
    write_dataset,
)

from gcodefp import predict
from gcodefp.control import main
from gcodefp.dataset.controls import CONTROLS, LABELS_SHUFFLED, PRESENCE_ONLY, SENSORS_PERMUTED
from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import window_starts
from gcodefp.evaluate import main as evaluate_step
from gcodefp.evaluation.controls import CONTROL_FORMAT, assess_control, comparisons
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import GREEDY, MAJORITY, MAJORITY_PRIVILEGED, MODEL, WHOLE
from gcodefp.train import main as train_step

LEAK = "LEAK: negative control"
FIRST_ROWS = (0, 3, 6, 9, 12, 15, 18, 21, 7, 14, 1, 19)
"""Rows by which the test recordings begin late."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test recordings that begin anywhere, so that the row alone predicts nothing."""
    names = [f"{'face' if i % 2 else 'pocket'}_{i + 5:03}" for i in range(len(FIRST_ROWS))]
    return write_dataset(tmp_path_factory.mktemp("dataset"), test=begun_late(tiny_split(names)))


@pytest.fixture(scope="module")
def winner(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(dataset, tmp_path_factory.mktemp("run"))


def begun_late(split: Split) -> Split:
    """Without the first rows of each recording."""
    kept = split.row >= np.array(FIRST_ROWS)[split.recording]
    rows = {
        name: array[kept]
        for name, array in vars(split).items()
        if name not in ("blocks", "recordings", "lag_seconds", "window_start")
    }
    rows["lag_corrected_row"] = np.arange(kept.sum(), dtype=np.int32)
    starts = window_starts(rows["recording"], rows["seconds"], WINDOW, WINDOW // 2, 2.0)
    return replace(split, **rows, window_start=starts)


@pytest.fixture(scope="module")
def giveaway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in which the block decides which channel is valid."""
    splits = {name: tiny_split(names) for name, names in RECORDINGS.items()}
    for name, split in splits.items():
        valid = np.zeros((len(split.block), CHANNELS), bool)
        valid[np.arange(len(valid)), split.block] = True
        splits[name] = replace(split, valid=valid)
    return write_dataset(tmp_path_factory.mktemp("giveaway"), **splits)


def trained(dataset: Path, control: str, folder: Path, **changed: Any) -> Path:
    flags = [*dataset_flags(dataset, "train", "val"), *tiny_flags(**{**LEARNT, **changed})]
    assert train_step([*flags, "--control", control, "--output", str(folder)]) == 0
    return folder / "checkpoint.pt"


def score(dataset: Path, checkpoint: Path, control: str, output: Path) -> int:
    flags = ["--control", control, "--checkpoint", str(checkpoint), "--output", str(output)]
    return main([*flags, *dataset_flags(dataset, "train", "test")])


@pytest.mark.parametrize("control", CONTROLS)
def test_controls_pass_on_honest_data(
    control: str, dataset: Path, winner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs_training = CONTROLS[control].needs_training
    checkpoint = trained(dataset, control, tmp_path / "run") if needs_training else winner
    assert score(dataset, checkpoint, control, tmp_path / "control.json") == 0
    document = json.loads((tmp_path / "control.json").read_text())
    assert (document["format"], document["control"]) == (CONTROL_FORMAT, control)
    assert (document["recordings"], document["fails"]) == (len(FIRST_ROWS), True)
    assert LEAK not in capsys.readouterr().err
    assert set(document["answers"]) == {MODEL, WHOLE, GREEDY}
    keeps_program = control == SENSORS_PERMUTED
    assert set(document.get("program_answers", {})) == (set() if keeps_program else {MODEL, WHOLE})
    for _, _, judgement in comparisons(document):
        gain = judgement["score"]["value"] - judgement["limit_score"]["value"]
        assert judgement["difference"]["value"] == pytest.approx(gain)
    inputs = {Path(path).name for path in document["provenance"]["inputs"]}
    assert inputs == {"checkpoint.pt", "dataset.json", "train.npz", "test.npz"}


def test_a_control_that_leaks_is_reported(
    giveaway: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "control.json"
    control_run = trained(giveaway, PRESENCE_ONLY, tmp_path / "control_run")
    assert score(giveaway, control_run, PRESENCE_ONLY, output) == 0
    document = json.loads(output.read_text())
    judgement = document["answers"][MODEL]
    assert document["fails"] is judgement["fails"] is False
    assert judgement["limit"] == MAJORITY_PRIVILEGED
    assert judgement["difference"]["low"] > 0
    assert judgement["score"]["value"] > 0.9
    checkpoint = learn(giveaway, tmp_path / "run", max_epochs=1)
    flags = [*dataset_flags(giveaway, "train", "test"), "--checkpoint", str(checkpoint)]
    capsys.readouterr()
    assert evaluate_step([*flags, "--controls", str(output), "--output", str(tmp_path)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if LEAK in line]
    assert any(f": of {MODEL} the block is correct in 9" in line for line in lines)
    assert all(PRESENCE_ONLY in line and MAJORITY_PRIVILEGED in line for line in lines)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [control["answers"] for control in metrics["controls"]] == [document["answers"]]
    assert str(output) in metrics["provenance"]["inputs"]


def test_a_control_that_knows_the_program_leaks() -> None:
    names = [f"{'face' if i % 3 else 'pocket'}_{i:03}" for i in range(12)]
    test = tiny_split(names)
    assert 0.6 < (test.program == test.program[-1]).mean() < 0.7
    rows = np.arange(len(test.block))
    blocks, operation = np.full(len(rows), "G0 X0"), np.zeros(len(rows), np.int64)
    nothing = RowPredictions(blocks, operation, np.full(len(rows), test.program[0], np.int64))
    knows = nothing._replace(program=test.program.astype(np.int64))
    predictions = {MODEL: knows, WHOLE: nothing, GREEDY: nothing._replace(program=None)}
    predictions |= {MAJORITY: nothing, MAJORITY_PRIVILEGED: nothing}
    answers = assess_control(PRESENCE_ONLY, predictions, test, rows)
    fails = {(what, name): each["fails"] for what, name, each in comparisons(answers)}
    assert [key for key, fail in fails.items() if not fail] == [("program", MODEL)]
    assert len(fails) == 5
    assert "program_answers" not in assess_control(SENSORS_PERMUTED, predictions, test, rows)
    half = replace(test, program=np.where(test.recording % 2, test.program, -1))
    common = assess_control(PRESENCE_ONLY, predictions, half, rows)["program_answers"][WHOLE]
    assert 0.2 < common["limit_score"]["value"] < 0.5, "a program of the train split"
    none = replace(test, program=np.full_like(test.program, -1))
    assert "program_answers" not in assess_control(PRESENCE_ONLY, predictions, none, rows)


def test_checkpoints_of_another_control_or_dataset_are_refused(
    dataset: Path, giveaway: Path, winner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained(dataset, LABELS_SHUFFLED, tmp_path / "run", max_epochs=1)
    of_control = f"was trained for control {LABELS_SHUFFLED}"
    assert evaluate(checkpoint, dataset, tmp_path / "evaluation") == 1
    assert f"{of_control}; name the checkpoint that" in capsys.readouterr().err
    for data, path, control, message in (
        (dataset, checkpoint, PRESENCE_ONLY, f"{of_control}; name the checkpoint that"),
        (dataset, winner, LABELS_SHUFFLED, "was trained for no control; name the checkpoint that"),
        (dataset, checkpoint, SENSORS_PERMUTED, f"{of_control}; name the checkpoint that"),
        (giveaway, winner, SENSORS_PERMUTED, "was trained on another dataset"),
    ):
        assert score(data, path, control, tmp_path / "control.json") == 1
        assert message in capsys.readouterr().err
    predicted = ["--checkpoint", str(checkpoint), "--output", str(tmp_path / "predicted")]
    assert predict.main(["recording.csv", *predicted]) == 1
    assert f"{checkpoint}: {of_control}" in capsys.readouterr().err
    assert not (tmp_path / "control.json").exists()
