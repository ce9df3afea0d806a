"""The splits that a training run may see, loaded onto its device."""

from pathlib import Path

import torch

from gcodefp.dataset.store import read_description, read_split
from gcodefp.learning.tensors import to_tensors
from gcodefp.learning.trainer import TrainingData


def load_training_data(dataset: Path, train: Path, val: Path, device: torch.device) -> TrainingData:
    """Reads dataset.json, train.npz and val.npz; the test split has no way in."""
    description = read_description(dataset)
    splits = (read_split(p, description, n) for p, n in ((train, "train"), (val, "val")))
    return TrainingData(description, *(to_tensors(split, description, device) for split in splits))
