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
    drawn = draw(len(counts))
    low, high = percentile_interval(sums[drawn].sum(1) / counts[drawn].sum(1))
    value = float(sums.sum() / counts.sum())
    return Estimate(value, low, high, int(counts.sum()), len(counts))


def draw(recordings: int) -> NDArray[np.int64]:
    """Which recordings each resample is made of, (RESAMPLES, recordings); always the same ones."""
    return np.random.default_rng(0).integers(recordings, size=(RESAMPLES, recordings))


def multiplicities(recordings: int) -> NDArray[np.int64]:
    """How many times each resample of `draw` has each recording, (RESAMPLES, recordings)."""
    cells = draw(recordings) + recordings * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(cells.ravel(), minlength=RESAMPLES * recordings)
    return counts.reshape(RESAMPLES, recordings)


def percentile_interval(resampled: NDArray[np.floating]) -> tuple[float, float]:
    """The middle CONFIDENCE of a metric's values on the resamples, (RESAMPLES,)."""
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [edge, 1 - edge])
    return float(low), float(high)
