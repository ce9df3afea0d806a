"""Balanced accuracy: every class weighs the same, however few rows it has."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Balanced:
    """The mean over classes of recall (Brodersen et al. 2010) in K recordings; a `Statistic`.

    A resample may have lost every recording of a class: its mean is over the classes that it has.

    Attributes:
        right, count: (K, classes) hits and rows.
    """

    recordings: NDArray[np.integer]
    right: NDArray[np.number]
    count: NDArray[np.integer]

    @property
    def n(self) -> int:
        return int(self.count.sum())

    def of(self, times: NDArray[np.integer]) -> NDArray[np.floating]:
        right, count = times @ self.right, times @ self.count
        recall = right / np.maximum(count, 1)
        return recall.sum(1) / (count > 0).sum(1)


def balanced(
    hits: NDArray[np.number] | NDArray[np.bool_],
    true_class: NDArray[np.integer],
    recording: NDArray[np.integer],
) -> Balanced:
    """The mean over classes of recall.

    Args:
        hits: (N,) 1 where the row's class was told right, else 0.
        true_class: (N,) of each row.
        recording: (N,) index of each row's recording.
    """
    recordings, of_recording = np.unique(recording, return_inverse=True)
    classes, of_class = np.unique(true_class, return_inverse=True)
    shape = len(recordings), len(classes)
    cells = of_recording * len(classes) + of_class
    right = np.bincount(cells, weights=hits, minlength=shape[0] * shape[1]).reshape(shape)
    count = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    return Balanced(recordings, right, count)
