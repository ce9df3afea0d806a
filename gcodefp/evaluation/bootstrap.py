"""95 % intervals from a bootstrap over recordings, and the statistics that can be resampled.

Rows of one recording are dependent, so recordings are resampled, not rows (the cluster bootstrap;
Davison and Hinkley 1997, section 3.8). Two statistics are compared on the same resamples.

Shapes: N rows, K recordings, S resamples.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A statistic, its interval and its sample size.

    Attributes:
        value: None if there is nothing to count.
        n: the denominator, such as words or rows.
        recordings: number of recordings with anything to count.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    recordings: int


class Difference(NamedTuple):
    """One statistic minus another on the same resamples; all None if there is nothing to count.

    Attributes:
        recordings: number of recordings with anything to count in either statistic.
    """

    value: float | None
    low: float | None
    high: float | None
    recordings: int


class Statistic(Protocol):
    """A number computed from K recordings, each with a multiplicity.

    Attributes:
        recordings: (K,) indices, ascending, of recordings with anything to count.
        n: the denominator if each recording counts once.
    """

    @property
    def recordings(self) -> NDArray[np.integer]: ...
    @property
    def n(self) -> int: ...
    def resampled(self, multiplicity: NDArray[np.integer]) -> NDArray[np.floating]:
        """The statistic on each resample, (S,).

        Args:
            multiplicity: (S, K) how often each resample contains each recording; no row is zero.
        """
        ...


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over rows, such as correct over total; a `Statistic`.

    Attributes:
        sums, counts: (K,) numerator and denominator of each recording.
    """

    recordings: NDArray[np.integer]
    sums: NDArray[np.number]
    counts: NDArray[np.number]

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def resampled(self, multiplicity: NDArray[np.integer]) -> NDArray[np.floating]:
        return (multiplicity @ self.sums) / (multiplicity @ self.counts)


def ratio(
    numerator: NDArray[np.number] | NDArray[np.bool_],
    denominator: NDArray[np.number] | NDArray[np.bool_],
    recording: NDArray[np.integer],
) -> Ratio:
    """The ratio of two sums.

    Args:
        numerator, denominator: (N,) of each row.
        recording: (N,) index of each row's recording.
    """
    sums = np.bincount(recording, weights=numerator)
    counts = np.bincount(recording, weights=denominator)
    counted = np.flatnonzero(counts > 0)
    return Ratio(counted, sums[counted], counts[counted])


EMPTY = Ratio(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
"""A metric that the predictions do not support."""


@dataclass(frozen=True)
class BalancedAccuracy:
    """The mean over classes of recall (Brodersen et al. 2010); a `Statistic`.

    The mean of a resample is over the classes that it contains.

    Attributes:
        correct, total: (K, classes) rows.
    """

    recordings: NDArray[np.integer]
    correct: NDArray[np.number]
    total: NDArray[np.integer]

    @property
    def n(self) -> int:
        return int(self.total.sum())

    def resampled(self, multiplicity: NDArray[np.integer]) -> NDArray[np.floating]:
        correct, total = multiplicity @ self.correct, multiplicity @ self.total
        recall = correct / np.maximum(total, 1)
        return recall.sum(1) / (total > 0).sum(1)


def balanced_accuracy(
    correct: NDArray[np.number] | NDArray[np.bool_],
    true_class: NDArray[np.integer],
    recording: NDArray[np.integer],
) -> BalancedAccuracy:
    """The mean over classes of recall.

    Args:
        correct: (N,) 1 where the row's class is predicted, else 0.
        true_class: (N,) of each row.
        recording: (N,) index of each row's recording.
    """
    recordings, recording_index = np.unique(recording, return_inverse=True)
    classes, class_index = np.unique(true_class, return_inverse=True)
    shape = len(recordings), len(classes)
    cells = recording_index * len(classes) + class_index
    counts = (np.bincount(cells, weights, shape[0] * shape[1]) for weights in (correct, None))
    return BalancedAccuracy(recordings, *(count.reshape(shape) for count in counts))


@dataclass(frozen=True)
class Quantile:
    """A quantile over N rows, linear between ranks; a `Statistic`.

    Attributes:
        ascending: (N,) sorted values.
        recording_index: (N,) index of each value's recording in `recordings`.
        level: of the quantile, such as 0.5 for the median.
    """

    recordings: NDArray[np.integer]
    ascending: NDArray[np.floating]
    recording_index: NDArray[np.integer]
    level: float

    @property
    def n(self) -> int:
        return len(self.ascending)

    def resampled(self, multiplicity: NDArray[np.integer]) -> NDArray[np.floating]:
        rank = (multiplicity @ np.bincount(self.recording_index) - 1) * self.level
        below, above = np.floor(rank).astype(int), np.ceil(rank).astype(int)
        # A loop: a table of all rows in all resamples would take hundreds of megabytes.
        ranks = [
            np.cumsum(sample[self.recording_index]).searchsorted(pair, side="right")
            for sample, pair in zip(multiplicity, np.stack([below, above], axis=1), strict=True)
        ]
        low, high = self.ascending[np.array(ranks)].T
        quantile: NDArray[np.floating] = low + (rank - below) * (high - low)
        return quantile


def quantile(
    values: NDArray[np.floating], recording: NDArray[np.integer], level: float = 0.5
) -> Quantile:
    """A quantile over rows, by default the median.

    Args:
        values: (N,) of each row; NaN is skipped.
        recording: (N,) index of each row's recording.
        level: between 0 and 1.
    """
    finite = ~np.isnan(values)
    recordings, recording_index = np.unique(recording[finite], return_inverse=True)
    order = np.argsort(values[finite], kind="stable")
    return Quantile(recordings, values[finite][order], recording_index[order], level)


def estimate(
    numerator: NDArray[np.number], denominator: NDArray[np.number], recording: NDArray[np.integer]
) -> Estimate:
    """The ratio of two sums, with a percentile interval; the arguments are those of `ratio`."""
    return with_interval(ratio(numerator, denominator, recording))


def with_interval(statistic: Statistic) -> Estimate:
    """A statistic with its percentile interval."""
    count = len(statistic.recordings)
    if not count:
        return Estimate(None, None, None, 0, 0)
    low, high = percentile_interval(statistic.resampled(multiplicities(count)))
    return Estimate(_value(statistic), low, high, statistic.n, count)


def paired_difference(minuend: Statistic, subtrahend: Statistic) -> Difference:
    """The difference of two statistics, with its percentile interval on the same resamples.

    Recordings with anything to count in only one of the two are resampled too; the few resamples
    without a recording for one of them are skipped.

    Args:
        minuend, subtrahend: of the same split, so that their indices mean the same recordings.
    """
    if not len(minuend.recordings) or not len(subtrahend.recordings):
        return Difference(None, None, None, 0)
    recordings = np.union1d(minuend.recordings, subtrahend.recordings)
    multiplicity = multiplicities(len(recordings))
    minuend_counts, subtrahend_counts = (
        multiplicity[:, np.searchsorted(recordings, statistic.recordings)]
        for statistic in (minuend, subtrahend)
    )
    usable = minuend_counts.any(axis=1) & subtrahend_counts.any(axis=1)
    differences = minuend.resampled(minuend_counts[usable]) - subtrahend.resampled(
        subtrahend_counts[usable]
    )
    value = _value(minuend) - _value(subtrahend)
    return Difference(value, *percentile_interval(differences), len(recordings))


def _value(statistic: Statistic) -> float:
    """The statistic with each recording counted once."""
    return float(statistic.resampled(np.ones((1, len(statistic.recordings)), np.int64))[0])


def draw_resamples(recordings: int) -> NDArray[np.int64]:
    """The recordings of each resample, (RESAMPLES, recordings); the same in every run."""
    return np.random.default_rng(0).integers(recordings, size=(RESAMPLES, recordings))


def multiplicities(recordings: int) -> NDArray[np.int64]:
    """How often each resample of `draw_resamples` has each recording, (RESAMPLES, recordings)."""
    cells = draw_resamples(recordings) + recordings * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(cells.ravel(), minlength=RESAMPLES * recordings)
    return counts.reshape(RESAMPLES, recordings)


def percentile_interval(resampled: NDArray[np.floating]) -> tuple[float, float]:
    """The middle CONFIDENCE of a statistic's values on the resamples, (RESAMPLES,)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)
