"""What the tests of the evaluate step have in common."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from learning_data import dataset_flags, load, write_dataset
from training_runs import GCODE, run

from gcodefp.dataset.store import Split
from gcodefp.evaluate import main
from gcodefp.files import sha256
from gcodefp.model.hyperparameters import Objective

LEARNT = {"d_model": 16, "batch_size": 8, "max_epochs": 14, "augmentation_prob": 0.0}


def learn(dataset: Path, folder: Path, objective: Objective = GCODE, **changed: Any) -> Path:
    """The checkpoint of a run over the dataset."""
    run(folder, load(dataset), objective, **{**LEARNT, **changed})
    return folder / "checkpoint.pt"


def evaluate(checkpoint: Path, dataset: Path, output: Path) -> int:
    files = dataset_flags(dataset, "train", "val", "test")
    return main(["--checkpoint", str(checkpoint), *files, "--output", str(output)])


def results(output: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """metrics.json, and the arrays of predictions.npz."""
    with np.load(output / "predictions.npz", allow_pickle=False) as arrays:
        return json.loads((output / "metrics.json").read_text()), dict(arrays)


def with_test(dataset: Path, folder: Path, test: Split) -> Path:
    """The same dataset but for its test split."""
    write_dataset(folder, test=test)
    for name in ("train", "val"):
        assert sha256(folder / f"{name}.npz") == sha256(dataset / f"{name}.npz")
    return folder
