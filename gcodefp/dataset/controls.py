"""Changed splits from which the motion cannot be told: whoever tells it from them has a leak.

Each control takes away what one thing rests on and leaves all else as it is, so what is still
right was right for another reason.
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
"""The same split gives the same control."""


class Control(NamedTuple):
    """How a control is made.

    Attributes:
        change: takes a split, a source of chance and the rows of a window to the changed split.
        splits: the splits that are changed.
        what: what is done, in words for readers.
    """

    change: Callable[[Split, np.random.Generator, int], Split]
    splits: tuple[str, ...]
    what: str

    @property
    def trains(self) -> bool:
        """Whether a network has to be trained for it; otherwise the winner itself is read."""
        return "train" in self.splits


def apply_control(split: Split, name: str, control: str | None, window: int) -> Split:
    """What a control makes of the split `name`; the split itself where it leaves it as it is.

    Args:
        window: rows per window.
    """
    if control is None or name not in CONTROLS[control].splits:
        return split
    return CONTROLS[control].change(split, np.random.default_rng(SEED), window)


def labels_shuffled(split: Split, random: np.random.Generator, window: int) -> Split:
    """Every row gets the labels of a row drawn from the whole split, all labels of the same one."""
    drawn = random.permutation(len(split.block))
    new_row = np.empty_like(drawn)
    new_row[drawn] = np.arange(len(drawn))
    labels = ("block", "operation", "position_mm", "mm_per_unit", "program", "state")
    moved = {label: getattr(split, label)[drawn] for label in labels}
    # A sensed row is the number of a row, and that row's labels have moved as well.
    lag_corrected_row = new_row[split.lag_corrected_row[drawn]].astype(
        split.lag_corrected_row.dtype
    )
    return replace(split, **moved, lag_corrected_row=lag_corrected_row)


def sensors_permuted(split: Split, random: np.random.Generator, window: int) -> Split:
    """Every stretch of rows gets the samples of another one of the same operation.

    The stretches are as long as a window: what is in a window still looks like that operation, but
    tells what happens at another moment. Single rows would look like noise, and any reader fails
    on noise.
    """
    source = np.arange(len(split.operation))
    for operation in np.unique(split.operation):
        rows = np.flatnonzero(split.operation == operation)
        segments = np.array_split(rows, max(2, len(rows) // window))
        # One cycle through all of them in random order: none stays where it was.
        order = random.permutation(len(segments))
        follower = np.empty_like(order)
        follower[order] = np.roll(order, 1)
        source[rows] = np.concatenate([segments[index] for index in follower])
    return replace(split, signals=split.signals[source], valid=split.valid[source])


def presence_only(split: Split, random: np.random.Generator, window: int) -> Split:
    """Instead of its value, a sample says whether it is there."""
    return replace(split, signals=split.valid.astype(np.float32))


CONTROLS = {
    LABELS_SHUFFLED: Control(labels_shuffled, ("train", "val"), "labels shuffled"),
    SENSORS_PERMUTED: Control(
        sensors_permuted, ("test",), "sensors permuted within each operation"
    ),
    PRESENCE_ONLY: Control(
        presence_only, ("train", "val", "test"), "nothing but which samples are there"
    ),
}
"""The controls by name."""
