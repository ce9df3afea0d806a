"""Balanced accuracy: every class weighs the same, however few rows it has."""

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.bootstrap import Estimate, multiplicities, percentile_interval


def estimate_balanced(
    hits: NDArray[np.number] | NDArray[np.bool_],
    true_class: NDArray[np.integer],
    recording: NDArray[np.integer],
) -> Estimate:
    """The mean over classes of recall (Brodersen et al. 2010), with a percentile interval.

    A resample may have lost every recording of a class: its mean is over the classes that it has.

    Args:
        hits: (N,) 1 where the row's class was told right, else 0.
        true_class: (N,) of each row.
        recording: (N,) index of each row's recording.

    Returns:
        `n` counts rows.
    """
    if not len(hits):
        return Estimate(None, None, None, 0, 0)
    recordings, of_recording = np.unique(recording, return_inverse=True)
    classes, of_class = np.unique(true_class, return_inverse=True)
    shape = len(recordings), len(classes)
    cells = of_recording * len(classes) + of_class
    right = np.bincount(cells, weights=hits, minlength=shape[0] * shape[1]).reshape(shape)
    count = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    value = _mean_recall(right.sum(0, keepdims=True), count.sum(0, keepdims=True))[0]
    times = multiplicities(len(recordings))
    low, high = percentile_interval(_mean_recall(times @ right, times @ count))
    return Estimate(float(value), low, high, len(hits), len(recordings))


def _mean_recall(right: NDArray[np.number], count: NDArray[np.integer]) -> NDArray[np.float64]:
    """Mean recall of each sample, (R,), over its classes that have rows.

    Args:
        right, count: (R, classes) hits and rows.
    """
    recall = right / np.maximum(count, 1)
    return recall.sum(1) / (count > 0).sum(1)
