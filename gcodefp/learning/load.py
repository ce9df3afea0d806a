"""The splits that a training run may see, loaded onto its device."""

from pathlib import Path

import torch

from gcodefp.dataset.controls import apply_control
from gcodefp.dataset.store import read_description, read_split
from gcodefp.learning.tensors import to_tensors
from gcodefp.learning.trainer import TrainingData


def load_training_data(
    dataset: Path, train: Path, val: Path, device: torch.device, control: str | None = None
) -> TrainingData:
    """Reads dataset.json, train.npz and val.npz; the test split has no way in.

    Args:
        control: what the splits are changed for, one of CONTROLS.
    """
    description = read_description(dataset)
    splits = (
        apply_control(read_split(path, description, name), name, control, description.window)
        for path, name in ((train, "train"), (val, "val"))
    )
    return TrainingData(
        description.for_control(control),
        *(to_tensors(split, description, device) for split in splits),
    )
