"""Training runs on the small dataset."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from learning_data import CPU, tiny
from torch import Tensor

from gcodefp.model.checkpoint import Checkpoint, read_checkpoint
from gcodefp.model.hyperparameters import Objective
from gcodefp.model.trainer import TrainingData, TrainingResult, train

GCODE = Objective("val/gcode_acc", "maximize")


def go_on(epoch: int, metrics: Mapping[str, float]) -> bool:
    return False


def run(
    folder: Path, data: TrainingData, objective: Objective = GCODE, **changed: Any
) -> tuple[TrainingResult, Checkpoint]:
    result = train(tiny(**changed), data, objective, folder, go_on)
    return result, read_checkpoint(folder / "checkpoint.pt", CPU)


def weights(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return dict(checkpoint.network.state_dict())


def same_weights(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
