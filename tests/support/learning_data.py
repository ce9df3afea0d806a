"""A small dataset whose blocks follow from its signals, for tests of training and evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import FORMAT, PROGRAMS_FILE, Split, write_split
from gcodefp.dataset.vocabulary import FIELDS, build_vocabulary
from gcodefp.dataset.windows import window_starts
from gcodefp.files import sha256, write_json
from gcodefp.model.data import network_sizes, select_device
from gcodefp.model.hyperparameters import Hyperparameters, parse_hyperparameters
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData, load_training_data
from gcodefp.programs.table import UNKNOWN, Programs, write_programs
from gcodefp.recordings.columns import channel_unit

BLOCKS = ("G0 X1", "G1 X2 Y1", "M3", "G1 Y2", "X2")
OPERATIONS = ("face", "pocket")
CHANNELS = len(BLOCKS) + len(OPERATIONS)
SENSORS = [f"n{i // 2}.{('Ax', 'Mx')[i % 2]}" for i in range(CHANNELS)]
WINDOW = 8
ROWS = 32
ROWS_PER_BLOCK = 4
STEP_SECONDS = 0.25
ORDER = ((3, 0, 1, 4, 2, 0, 1, 2), (1, 2, 0, 3, 2, 4, 0, 1))
"""The blocks of each operation's program, which all its recordings run."""
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
CPU = select_device("cpu", threads=1)


def tiny_split(recordings: Sequence[str], rows: int = ROWS, noise: float = 0.3) -> Split:
    """Each block has a channel that is high while it runs, and so has each operation.

    The tool's X depends on the block, its Y on the operation. There are no lags; the programs are
    those of `tiny_programs`.
    """
    count = len(recordings)
    operations = [_operation_of(name) for name in recordings]
    kind = np.repeat(operations, rows)
    orders = [np.resize(ORDER[operation], -(-rows // ROWS_PER_BLOCK)) for operation in operations]
    block = np.concatenate([order.repeat(ROWS_PER_BLOCK)[:rows] for order in orders])
    signals = np.zeros((count * rows, CHANNELS))
    signals[np.arange(count * rows), block] = 2.0
    signals[np.arange(count * rows), len(BLOCKS) + kind] = 2.0
    generators = [np.random.default_rng(list(name.encode())) for name in recordings]
    noises = np.concatenate([random.normal(size=(rows, CHANNELS)) for random in generators])
    recording = np.arange(count).repeat(rows)
    row = np.tile(np.arange(rows), count)
    return Split(
        signals=(signals + noise * noises).astype(np.float32),
        valid=np.ones((count * rows, CHANNELS), bool),
        environment=np.stack([99.0 + kind, 20.0 + kind], axis=1).astype(np.float32),
        block=block.astype(np.int32),
        blocks=np.array(BLOCKS),
        line=(row // ROWS_PER_BLOCK).astype(np.int64),
        operation=kind.astype(np.int16),
        position_mm=np.stack([10.0 * block, -5.0 * kind, 0 * row - 1], axis=1).astype(np.float32),
        mm_per_unit=np.array(MM_PER_UNIT, np.float32)[kind],
        seconds=row * STEP_SECONDS,
        recording=recording.astype(np.int16),
        row=row.astype(np.int32),
        program=kind.astype(np.int16),
        state=(ROWS * kind + np.minimum(row, ROWS - 1)).astype(np.float32),
        lag_corrected_row=np.arange(count * rows, dtype=np.int32),
        recordings=np.array(recordings),
        lag_seconds=np.zeros(count, np.float32),
        window_start=window_starts(recording, row * STEP_SECONDS, WINDOW, WINDOW // 2, 2.0),
    )


def _operation_of(recording: str) -> int:
    return OPERATIONS.index(recording.partition("_")[0])


def tiny_programs(train: Split) -> Programs:
    """A program of ROWS states for each operation: the lines of its first train recording."""
    count = len(OPERATIONS)
    first_rows = np.array([np.flatnonzero(train.program == index)[0] for index in range(count)])
    last = np.bincount(train.recording)[train.recording[first_rows]] - 1
    rows = (first_rows[:, None] + np.minimum(np.arange(ROWS), last[:, None])).ravel()
    line, block = train.row[rows] // ROWS_PER_BLOCK, train.blocks[train.block[rows]]
    return Programs(
        names=np.array(OPERATIONS),
        first=(ROWS * np.arange(count + 1)).astype(np.int32),
        line=line,
        block=block,
        position_mm=train.position_mm[rows],
        mm_per_unit=train.mm_per_unit[rows],
        template=train.signals[rows],
        noise=np.eye(CHANNELS, dtype=np.float32),
        lag_seconds=np.zeros(len(train.recordings)),
        lag_program=np.array([_operation_of(name) for name in train.recordings]),
        executed_line=line,
        executed_block=block,
        executed_program=np.repeat(np.arange(count), ROWS),
        step_seconds=np.array(STEP_SECONDS),
    )


def shuffled(split: Split, seed: int = 0) -> Split:
    """The same rows with the blocks of others."""
    return replace(split, block=np.random.default_rng(seed).permutation(split.block))


def of_no_program(split: Split) -> Split:
    """The same rows of a program that the train split does not have."""
    return replace(
        split,
        program=np.full_like(split.program, UNKNOWN),
        state=np.full_like(split.state, np.nan),
        lag_seconds=np.full_like(split.lag_seconds, np.nan),
    )


def with_blocks(split: Split, blocks: NDArray[np.str_]) -> Split:
    """The same rows with other blocks, (N,)."""
    texts, block = np.unique(blocks, return_inverse=True)
    return replace(split, block=block.astype(np.int32), blocks=texts)


def write_dataset(folder: Path, **changed: Split) -> Path:
    """Writes the files of a dataset; `changed` are splits in place of the usual ones."""
    splits = {name: tiny_split(recordings) for name, recordings in RECORDINGS.items()} | changed
    for name, split in splits.items():
        write_split(folder / f"{name}.npz", split)
    train = splits["train"]
    programs = tiny_programs(train)
    write_programs(folder / PROGRAMS_FILE, programs)
    deviation = train.position_mm.std(axis=0)
    document = {
        "leaky": False,
        "window": {"rows": WINDOW},
        "split": {"by": "recording"},
        "controller_is_input": False,
        "centered": False,
        "channels": [
            {"name": name, "unit": channel_unit(name), "mean": 0.0, "std": 1.0} for name in SENSORS
        ],
        "vocabulary": asdict(build_vocabulary(train.blocks[train.block].tolist(), OPERATIONS)),
        "position_mm": {
            "mean": train.position_mm.mean(axis=0).tolist(),
            "std": np.where(deviation > 0, deviation, 1.0).tolist(),
        },
        "programs": {
            "names": programs.names.tolist(),
            "places": len(programs),
            "step_seconds": STEP_SECONDS,
            "sha256": sha256(folder / PROGRAMS_FILE),
        },
        "splits": {
            name: {
                "recordings": split.recordings.tolist(),
                "sha256": sha256(folder / f"{name}.npz"),
            }
            for name, split in splits.items()
        },
        "recordings": {
            name: {"operation": name.partition("_")[0]}
            for split in splits.values()
            for name in split.recordings.tolist()
        },
    }
    write_json(folder / "dataset.json", FORMAT, document)
    return folder


def tiny_data(folder: Path, **changed: Split) -> TrainingData:
    """The training data of a dataset that is written into the folder."""
    write_dataset(folder, **changed)
    return load(folder)


def load(folder: Path) -> TrainingData:
    """The training data of the dataset in the folder."""
    return load_training_data(
        folder / "dataset.json", folder / "train.npz", folder / "val.npz", CPU
    )


def tiny(**changed: Any) -> Hyperparameters:
    """The hyperparameters of a short run."""
    return parse_hyperparameters({**TINY, **changed})


def untrained(data: TrainingData, seed: int = 0, **changed: Any) -> Network:
    """A network with random weights, ready for prediction."""
    torch.manual_seed(seed)
    return Network(network_sizes(data.description), tiny(**changed)).eval()


def varied(data: TrainingData, seed: int = 0) -> Network:
    """An untrained network with large weights, whose predictions differ from row to row."""
    network = untrained(data, seed)
    with torch.no_grad():
        network.stem.weight *= 20
        for field in FIELDS:
            getattr(network, f"{field}_head").weight *= 20
    return network


def dataset_flags(folder: Path, *splits: str) -> list[str]:
    """Flags of the stages that name a dataset."""
    flags = ["--dataset", str(folder / "dataset.json"), "--device", "cpu"]
    for name in splits:
        flags += [f"--{name}", str(folder / f"{name}.npz")]
    return flags


def tiny_flags(**changed: Any) -> list[str]:
    """The hyperparameters of a short run as flags of the train step."""
    return [f"--{name}={value}" for name, value in {**TINY, **changed}.items()]
