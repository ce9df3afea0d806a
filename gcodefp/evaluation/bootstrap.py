"""95 % intervals from a bootstrap over recordings.

Rows of one recording are alike, so recordings are drawn, not rows (the cluster bootstrap; Davison
and Hinkley 1997, section 3.8). A metric is a ratio of sums over rows, such as hits over chances.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A ratio, its interval, and what it rests on.

    Attributes:
        value: None if there was nothing to measure.
        n: the denominator: words, rows, or whatever the metric counts.
        recordings: how many of them have anything to count.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    recordings: int


def estimate(
    numerator: NDArray[np.number], denominator: NDArray[np.number], recording: NDArray[np.integer]
) -> Estimate:
    """The ratio of two sums, with a percentile interval.

    Args:
        numerator, denominator: (N,) of each row.
        recording: (N,) index of each row's recording.
    """
    sums = np.bincount(recording, weights=numerator)
    counts = np.bincount(recording, weights=denominator)
    sums, counts = sums[counts > 0], counts[counts > 0]
    if not len(counts):
        return Estimate(None, None, None, 0, 0)
    drawn = np.random.default_rng(0).integers(len(counts), size=(RESAMPLES, len(counts)))
    ratios = sums[drawn].sum(1) / counts[drawn].sum(1)
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [edge, 1 - edge])
    value = float(sums.sum() / counts.sum())
    return Estimate(value, float(low), float(high), int(counts.sum()), len(counts))
