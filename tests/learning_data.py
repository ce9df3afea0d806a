"""A small dataset whose signals tell the blocks, for the tests of whatever learns or evaluates."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import Split, write_description, write_split
from gcodefp.dataset.vocabulary import build_vocabulary
from gcodefp.dataset.windows import window_starts
from gcodefp.files import sha256
from gcodefp.learning.device import open_device
from gcodefp.learning.hyperparameters import Hyperparameters, hyperparameters_from
from gcodefp.learning.load import load_training_data
from gcodefp.learning.network import Network
from gcodefp.learning.tensors import sizes_of
from gcodefp.learning.trainer import TrainingData

BLOCKS = ("G0 X1", "G1 X2 Y1", "M3", "G1 Y2", "X2")
OPERATIONS = ("face", "pocket")
CHANNELS = len(BLOCKS) + len(OPERATIONS)
WINDOW = 8
ROWS = 32
ROWS_PER_BLOCK = 4
MM_PER_UNIT = (1.0, 25.4)
"""Of the recordings of each operation: face is in millimetres, pocket in inches."""

RECORDINGS = {
    "train": ("face_001", "face_002", "face_003", "pocket_001", "pocket_002", "pocket_003"),
    "val": ("face_004", "pocket_004"),
    "test": ("face_005", "pocket_005", "pocket_006"),
}
TINY: Mapping[str, Any] = {
    "d_model": 8,
    "nhead": 2,
    "num_layers": 1,
    "batch_size": 16,
    "max_epochs": 4,
    "learning_rate": 0.02,
}
"""Hyperparameters of a run that takes a moment."""
CPU = open_device("cpu", threads=1)


def tiny_split(recordings: Sequence[str], rows: int = ROWS, noise: float = 0.3) -> Split:
    """Each block has a channel that is high while it runs, and so has each operation."""
    count = len(recordings)
    block, operation, signals = [], [], []
    for name in recordings:
        random = np.random.default_rng(list(name.encode()))
        kind = OPERATIONS.index(name.partition("_")[0])
        order = random.permutation(-(-rows // ROWS_PER_BLOCK)) % len(BLOCKS)
        of_row = order.repeat(ROWS_PER_BLOCK)[:rows]
        told = np.zeros((rows, CHANNELS))
        told[np.arange(rows), of_row] = 2.0
        told[:, len(BLOCKS) + kind] = 2.0
        block.append(of_row)
        operation.append(np.full(rows, kind))
        signals.append(told + noise * random.normal(size=told.shape))
    recording = np.arange(count).repeat(rows)
    seconds = np.tile(np.arange(rows) / 4, count)
    return Split(
        signals=np.concatenate(signals).astype(np.float32),
        block=np.concatenate(block).astype(np.int32),
        blocks=np.array(BLOCKS),
        operation=np.concatenate(operation).astype(np.int16),
        position_mm=np.zeros((count * rows, 3), np.float32),
        mm_per_unit=np.array(MM_PER_UNIT, np.float32)[np.concatenate(operation)],
        seconds=seconds,
        recording=recording.astype(np.int16),
        row=np.tile(np.arange(rows), count).astype(np.int32),
        recordings=np.array(recordings),
        window_start=window_starts(recording, seconds, WINDOW, WINDOW // 2, 2.0),
    )


def shuffled(split: Split, seed: int = 0) -> Split:
    """The same rows with the blocks of others."""
    return replace(split, block=np.random.default_rng(seed).permutation(split.block))


def with_blocks(split: Split, blocks: NDArray[np.str_]) -> Split:
    """The same rows with other blocks, (N,)."""
    texts, block = np.unique(blocks, return_inverse=True)
    return replace(split, block=block.astype(np.int32), blocks=texts)


def write_dataset(folder: Path, **changed: Split) -> Path:
    """Writes the NPZ files and dataset.json; `changed` are splits in place of the usual ones."""
    splits = {name: tiny_split(recordings) for name, recordings in RECORDINGS.items()} | changed
    for name, split in splits.items():
        write_split(folder / f"{name}.npz", split)
    train = splits["train"]
    document = {
        "leaky": False,
        "window": {"rows": WINDOW},
        "split": {"by": "recording"},
        "controller_is_input": False,
        "centered": False,
        "channels": [
            {"name": f"n.c{i}", "unit": "", "mean": 0.0, "std": 1.0} for i in range(CHANNELS)
        ],
        "vocabulary": asdict(build_vocabulary(train.blocks[train.block].tolist(), OPERATIONS)),
        "splits": {name: {"sha256": sha256(folder / f"{name}.npz")} for name in splits},
    }
    write_description(folder / "dataset.json", document)
    return folder


def tiny_data(folder: Path, **changed: Split) -> TrainingData:
    """What a training run sees of a dataset that is written into the folder."""
    write_dataset(folder, **changed)
    return load(folder)


def load(folder: Path) -> TrainingData:
    """What a training run sees of the dataset in the folder."""
    return load_training_data(
        folder / "dataset.json", folder / "train.npz", folder / "val.npz", CPU
    )


def tiny(**changed: Any) -> Hyperparameters:
    """The hyperparameters of a short run."""
    return hyperparameters_from({**TINY, **changed})


def untrained(data: TrainingData, seed: int = 0, **changed: Any) -> Network:
    """A network with random weights, ready for prediction."""
    torch.manual_seed(seed)
    return Network(sizes_of(data.description), tiny(**changed)).eval()


def dataset_flags(folder: Path, *splits: str) -> list[str]:
    """The flags by which the steps are given a dataset."""
    flags = ["--dataset", str(folder / "dataset.json"), "--device", "cpu"]
    for name in splits:
        flags += [f"--{name}", str(folder / f"{name}.npz")]
    return flags


def tiny_flags(**changed: Any) -> list[str]:
    """The hyperparameters of a short run as flags of the train step."""
    return [f"--{name}={value}" for name, value in {**TINY, **changed}.items()]
