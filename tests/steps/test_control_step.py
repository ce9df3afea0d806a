"""Controls as the pipeline trains and scores them: those that fail, and those that do not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluation_steps import LEARNT, evaluate, learn
from learning_data import (
    CHANNELS,
    RECORDINGS,
    WINDOW,
    dataset_flags,
    tiny_flags,
    tiny_split,
    write_dataset,
)

from gcodefp.control import main
from gcodefp.dataset.controls import CONTROLS, LABELS_SHUFFLED, PRESENCE_ONLY, SENSORS_PERMUTED
from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import window_starts
from gcodefp.evaluate import main as evaluate_step
from gcodefp.evaluation.controls import CONTROL_FORMAT
from gcodefp.evaluation.names import MAJORITY_PRIVILEGED, MODEL, WHOLE, WRITTEN
from gcodefp.train import main as train_step

LOUD = "CONTROL NOT FAILED"
LATE = (0, 3, 6, 9, 12, 15, 18, 21, 7, 14, 1, 19)
"""Rows by which the test recordings begin late."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"))


@pytest.fixture(scope="module")
def winner(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(dataset, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Test recordings that begin anywhere: which row it is tells nothing."""
    names = [f"{'face' if i % 2 else 'pocket'}_{i + 5:03}" for i in range(len(LATE))]
    return write_dataset(tmp_path_factory.mktemp("cut"), test=cut_off(tiny_split(names)))


@pytest.fixture(scope="module")
def cut_winner(cut: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return learn(cut, tmp_path_factory.mktemp("cut_run"))


def cut_off(split: Split) -> Split:
    """Without the first rows of each recording, as many as LATE says."""
    kept = split.row >= np.array(LATE)[split.recording]
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
    """A dataset in which the node that is live tells the block."""
    splits = {name: tiny_split(names) for name, names in RECORDINGS.items()}
    changed = {name: live_with_its_block(split) for name, split in splits.items()}
    return write_dataset(tmp_path_factory.mktemp("giveaway"), **changed)


def live_with_its_block(split: Split) -> Split:
    valid = np.zeros((len(split.block), CHANNELS), bool)
    valid[np.arange(len(valid)), split.block] = True
    return replace(split, valid=valid)


def trained(dataset: Path, control: str, folder: Path, **changed: Any) -> Path:
    flags = tiny_flags(**{**LEARNT, **changed})
    given = [*dataset_flags(dataset, "train", "val"), "--control", control]
    assert train_step([*given, "--output", str(folder), *flags]) == 0
    return folder / "checkpoint.pt"


def score(dataset: Path, checkpoint: Path, control: str, output: Path) -> int:
    given = ["--control", control, "--checkpoint", str(checkpoint), "--output", str(output)]
    return main([*given, *dataset_flags(dataset, "train", "test")])


def scored(dataset: Path, checkpoint: Path, control: str, folder: Path) -> dict[str, Any]:
    assert score(dataset, checkpoint, control, folder / "control.json") == 0
    return json.loads((folder / "control.json").read_text())


@pytest.fixture(scope="module")
def not_failed(giveaway: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """control.json of the control that sees the live node."""
    folder = tmp_path_factory.mktemp("not_failed")
    checkpoint = trained(giveaway, PRESENCE_ONLY, folder / "run")
    scored(giveaway, checkpoint, PRESENCE_ONLY, folder)
    return folder / "control.json"


@pytest.mark.parametrize("control", CONTROLS)
def test_controls_fail_on_honest_data(
    control: str, cut: Path, cut_winner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trains = CONTROLS[control].trains
    checkpoint = trained(cut, control, tmp_path / "run") if trains else cut_winner
    found = scored(cut, checkpoint, control, tmp_path)
    assert (found["format"], found["control"]) == (CONTROL_FORMAT, control)
    assert found["recordings"] == len(LATE)
    assert found["fails"] is True
    assert LOUD not in capsys.readouterr().err
    assert set(found["answers"]) == {MODEL, WHOLE, WRITTEN}
    for of in found["answers"].values():
        gain = of["score"]["value"] - of["limit_score"]["value"]
        assert of["difference"]["value"] == pytest.approx(gain)
    inputs = {Path(path).name for path in found["provenance"]["inputs"]}
    assert inputs == {"checkpoint.pt", "dataset.json", "train.npz", "test.npz"}


def test_what_the_controls_are_kept_from_is_what_the_winner_knows(
    cut: Path, cut_winner: Path, tmp_path: Path
) -> None:
    assert evaluate(cut_winner, cut, tmp_path) == 0
    models = json.loads((tmp_path / "metrics.json").read_text())["models"]
    assert models[MODEL]["gcode"]["low"] > models[MAJORITY_PRIVILEGED]["gcode"]["value"] + 0.3


def test_a_control_that_does_not_fail_is_told_loudly(
    not_failed: Path, giveaway: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = json.loads(not_failed.read_text())
    assert found["fails"] is False
    of = found["answers"][MODEL]
    assert (of["limit"], of["fails"]) == (MAJORITY_PRIVILEGED, False)
    assert of["difference"]["low"] > 0
    assert of["score"]["value"] > 0.9
    checkpoint = learn(giveaway, tmp_path / "run", max_epochs=1)
    flags = dataset_flags(giveaway, "train", "test")
    flags += ["--checkpoint", str(checkpoint), "--controls", str(not_failed)]
    assert evaluate_step([*flags, "--output", str(tmp_path)]) == 0
    loud = [line for line in capsys.readouterr().err.splitlines() if LOUD in line]
    assert any(f": {MODEL} has 9" in line or f": {MODEL} has 100" in line for line in loud)
    assert all(PRESENCE_ONLY in line and MAJORITY_PRIVILEGED in line for line in loud)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [of["answers"] for of in metrics["controls"]] == [found["answers"]]
    assert str(not_failed) in metrics["provenance"]["inputs"]


def test_without_controls_there_is_nothing_to_tell(
    dataset: Path, winner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(winner, dataset, tmp_path) == 0
    assert json.loads((tmp_path / "metrics.json").read_text())["controls"] == []
    assert LOUD not in capsys.readouterr().err


# What is refused


def test_a_control_is_neither_evaluated_nor_taken_for_another(
    dataset: Path, winner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = trained(dataset, LABELS_SHUFFLED, tmp_path / "run", max_epochs=1)
    assert evaluate(checkpoint, dataset, tmp_path / "evaluation") == 1
    assert f"was trained for control {LABELS_SHUFFLED}: no model" in capsys.readouterr().err
    for control, of, told in (
        (PRESENCE_ONLY, checkpoint, f"is trained for control {LABELS_SHUFFLED}, {PRESENCE_ONLY}"),
        (LABELS_SHUFFLED, winner, f"is no control's, {LABELS_SHUFFLED} needs one that is trained"),
        (SENSORS_PERMUTED, checkpoint, "needs one that is no control's"),
    ):
        assert score(dataset, of, control, tmp_path / "control.json") == 1
        assert told in capsys.readouterr().err
    assert not (tmp_path / "control.json").exists()


def test_a_control_of_another_dataset_is_refused(
    giveaway: Path, winner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(giveaway, winner, SENSORS_PERMUTED, tmp_path / "control.json") == 1
    assert "was trained on another dataset" in capsys.readouterr().err


def test_an_unreadable_control_is_told_before_anything_is_scored(
    dataset: Path, winner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--checkpoint", str(winner), *dataset_flags(dataset, "train", "test")]
    flags += ["--controls", str(tmp_path / "none.json"), "--output", str(tmp_path / "e")]
    assert evaluate_step(flags) == 1
    assert "none.json: no such file; it is made by: snakemake" in capsys.readouterr().err
    assert not (tmp_path / "e").exists()
