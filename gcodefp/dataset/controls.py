"""Negative controls: splits without information on the motion; correct predictions are leaks.

Each control removes one source of information and keeps all others.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gcodefp.dataset.store import Split

LABELS_SHUFFLED = "labels_shuffled"
SENSORS_PERMUTED = "sensors_permuted"
PRESENCE_ONLY = "presence_only"
SEED = 0
"""Fixed: the same split gives the same control."""


class Control(NamedTuple):
    """One negative control.

    Attributes:
        change: makes the changed split from a split, a random generator and the rows of a window.
        splits: the splits that are changed.
        description: the change, for reports.
    """

    change: Callable[[Split, np.random.Generator, int], Split]
    splits: tuple[str, ...]
    description: str

    @property
    def needs_training(self) -> bool:
        """Whether a network is trained for it; otherwise the best run's network predicts."""
        return "train" in self.splits


def apply_control(split: Split, name: str, control: str | None, window: int) -> Split:
    """The split `name`, changed for a control if the control changes that split.

    Args:
        window: rows per window.
    """
    if control is None or name not in CONTROLS[control].splits:
        return split
    return CONTROLS[control].change(split, np.random.default_rng(SEED), window)


def labels_shuffled(split: Split, rng: np.random.Generator, window: int) -> Split:
    """Every row gets all labels of another row, drawn from the whole split."""
    source = rng.permutation(len(split.block))
    new_row = np.empty_like(source)
    new_row[source] = np.arange(len(source))
    labels = ("block", "operation", "position_mm", "mm_per_unit", "program", "state")
    shuffled = {label: getattr(split, label)[source] for label in labels}
    # This label is a row number, and the labels of that row have moved as well.
    lag_corrected_row = new_row[split.lag_corrected_row[source]].astype(
        split.lag_corrected_row.dtype
    )
    return replace(split, **shuffled, lag_corrected_row=lag_corrected_row)


def sensors_permuted(split: Split, rng: np.random.Generator, window: int) -> Split:
    """Every piece of rows gets the samples of another piece of the same operation.

    Pieces are as long as a window: a window is still of that operation, at another time. Single
    permuted rows would be noise, on which any network fails.
    """
    source = np.arange(len(split.operation))
    for operation in np.unique(split.operation):
        rows = np.flatnonzero(split.operation == operation)
        pieces = np.array_split(rows, max(2, len(rows) // window))
        # One random cycle through all pieces: none keeps its samples.
        order = rng.permutation(len(pieces))
        source_piece = np.empty_like(order)
        source_piece[order] = np.roll(order, 1)
        source[rows] = np.concatenate([pieces[index] for index in source_piece])
    return replace(split, signals=split.signals[source], valid=split.valid[source])


def presence_only(split: Split, rng: np.random.Generator, window: int) -> Split:
    """Every sample is replaced by whether it is valid."""
    return replace(split, signals=split.valid.astype(np.float32))


CONTROLS = {
    LABELS_SHUFFLED: Control(labels_shuffled, ("train", "val"), "labels shuffled"),
    SENSORS_PERMUTED: Control(
        sensors_permuted, ("test",), "sensors permuted within each operation"
    ),
    PRESENCE_ONLY: Control(
        presence_only, ("train", "val", "test"), "only the mask of valid samples"
    ),
}
"""The controls by name."""
