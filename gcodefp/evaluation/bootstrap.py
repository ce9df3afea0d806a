"""95 % intervals from a bootstrap over recordings, and the statistics that can be resampled.

Rows of one recording are dependent, so recordings are resampled, not rows (the cluster bootstrap;
Davison and Hinkley 1997, section 3.8). Two statistics are compared on the same resamples.

Shapes: N rows, K recordings, S resamples.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE_LEVEL = 0.95
RESAMPLES = 2000

Numbers = NDArray[np.number] | NDArray[np.bool_]
"""Of rows (N,)."""
Indices = NDArray[np.integer]


class Estimate(NamedTuple):
    """A statistic and its interval, None if there is nothing to count."""

    value: float | None
    low: float | None
    high: float | None
    n: int  # the denominator, such as words or rows
    recordings: int  # number of recordings with anything to count


class Difference(NamedTuple):
    """One statistic minus another on the same resamples; recordings count in either."""

    value: float | None
    low: float | None
    high: float | None
    recordings: int


class Statistic(NamedTuple):
    """A number computed from K recordings, each with a multiplicity."""

    recordings: Indices  # (K,) indices, ascending, of recordings with anything to count
    n: int  # the denominator if each recording counts once
    # how often each resample contains each recording, (S, K) with no row of zeros, to the statistic
    # on each resample, (S,)
    resampled: Callable[[Indices], NDArray[np.floating]]


def ratio(numerator: Numbers, denominator: Numbers, recording: Indices) -> Statistic:
    """The ratio of two sums over rows of recordings (N,), such as correct over total."""
    sums = np.bincount(recording, weights=numerator)
    counts = np.bincount(recording, weights=denominator)
    counted = np.flatnonzero(counts > 0)
    sums, counts = sums[counted], counts[counted]
    return Statistic(counted, int(counts.sum()), lambda times: (times @ sums) / (times @ counts))


EMPTY = ratio(*[np.zeros(0, np.int64)] * 3)
"""A metric that the predictions do not support."""


def balanced_accuracy(correct: Numbers, true_class: Indices, recording: Indices) -> Statistic:
    """The mean over classes of recall (Brodersen et al. 2010).

    The mean of a resample is over the classes that it contains.

    Args:
        correct: (N,) 1 where the row's class is predicted, else 0.
        true_class: (N,) of each row.
        recording: (N,) index of each row's recording.
    """
    recordings, recording_index = np.unique(recording, return_inverse=True)
    classes, class_index = np.unique(true_class, return_inverse=True)
    shape = len(recordings), len(classes)
    cells = recording_index * len(classes) + class_index
    correct_count, count = (
        np.bincount(cells, weights, shape[0] * shape[1]).reshape(shape)
        for weights in (correct, None)
    )

    def resampled(times: Indices) -> NDArray[np.floating]:
        total = times @ count
        recall = times @ correct_count / np.maximum(total, 1)
        return np.asarray(recall.sum(1) / (total > 0).sum(1))

    return Statistic(recordings, int(count.sum()), resampled)


def quantile(values: NDArray[np.floating], recording: Indices, q: float = 0.5) -> Statistic:
    """A quantile over rows, by default the median, linear between ranks.

    Args:
        values: (N,) of each row; NaN is skipped.
        recording: (N,) index of each row's recording.
        q: between 0 and 1.
    """
    finite = ~np.isnan(values)
    recordings, index = np.unique(recording[finite], return_inverse=True)
    order = np.argsort(values[finite], kind="stable")
    ascending, index = values[finite][order], index[order]

    def resampled(times: Indices) -> NDArray[np.floating]:
        rank = (times @ np.bincount(index) - 1) * q
        below, above = np.floor(rank).astype(int), np.ceil(rank).astype(int)
        # A loop: a table of all rows in all resamples would take hundreds of megabytes.
        ranks = [
            np.cumsum(sample[index]).searchsorted(pair, side="right")
            for sample, pair in zip(times, np.stack([below, above], axis=1), strict=True)
        ]
        low, high = ascending[np.array(ranks)].T
        return np.asarray(low + (rank - below) * (high - low))

    return Statistic(recordings, len(ascending), resampled)


def estimate(numerator: Numbers, denominator: Numbers, recording: Indices) -> Estimate:
    """The `ratio` of two sums, with its interval."""
    return with_interval(ratio(numerator, denominator, recording))


def with_interval(statistic: Statistic) -> Estimate:
    """A statistic with its percentile interval."""
    count = len(statistic.recordings)
    if not count:
        return Estimate(None, None, None, 0, 0)
    low, high = percentile_interval(statistic.resampled(multiplicities(count)))
    return Estimate(_value(statistic), low, high, statistic.n, count)


def paired_difference(minuend: Statistic, subtrahend: Statistic) -> Difference:
    """The difference of two statistics of one split, with its interval on the same resamples.

    Recordings with anything to count in only one of the two are resampled too; the few resamples
    without a recording for one of them are skipped.
    """
    if not len(minuend.recordings) or not len(subtrahend.recordings):
        return Difference(None, None, None, 0)
    recordings = np.union1d(minuend.recordings, subtrahend.recordings)
    times = multiplicities(len(recordings))
    first, second = (
        times[:, np.searchsorted(recordings, statistic.recordings)]
        for statistic in (minuend, subtrahend)
    )
    usable = first.any(axis=1) & second.any(axis=1)
    differences = minuend.resampled(first[usable]) - subtrahend.resampled(second[usable])
    value = _value(minuend) - _value(subtrahend)
    return Difference(value, *percentile_interval(differences), len(recordings))


def _value(statistic: Statistic) -> float:
    """The statistic with each recording counted once."""
    return float(statistic.resampled(np.ones((1, len(statistic.recordings)), np.int64))[0])


def draw_resamples(recordings: int) -> NDArray[np.int64]:
    """The recordings of each resample, (RESAMPLES, recordings); the same in every call."""
    return np.random.default_rng(0).integers(recordings, size=(RESAMPLES, recordings))


def multiplicities(recordings: int) -> NDArray[np.int64]:
    """How often each resample of `draw_resamples` has each recording, (RESAMPLES, recordings)."""
    cells = draw_resamples(recordings) + recordings * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(cells.ravel(), minlength=RESAMPLES * recordings)
    return counts.reshape(RESAMPLES, recordings)


def percentile_interval(resampled: NDArray[np.floating]) -> tuple[float, float]:
    """The middle CONFIDENCE_LEVEL of a statistic's values on the resamples, (RESAMPLES,)."""
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)
