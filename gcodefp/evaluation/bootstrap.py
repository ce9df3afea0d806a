"""95 % intervals from a bootstrap over recordings.

Rows of one recording are alike, so recordings are drawn, not rows (the cluster bootstrap; Davison
and Hinkley 1997, section 3.8). A metric says what it is on any resample, so that two of them can
be looked at on the same ones.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
RESAMPLES = 2000


class Estimate(NamedTuple):
    """A metric, its interval, and what it rests on.

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


class Difference(NamedTuple):
    """One metric minus another, on the same resamples; all None if there was nothing to measure.

    Attributes:
        recordings: how many of them have anything to count in either.
    """

    value: float | None
    low: float | None
    high: float | None
    recordings: int


class Statistic(Protocol):
    """A metric of K recordings, each of which may count any number of times.

    Attributes:
        recordings: (K,) indices, ascending, of those that have anything to count.
        n: the denominator, each recording counting once.
    """

    @property
    def recordings(self) -> NDArray[np.integer]: ...
    @property
    def n(self) -> int: ...
    def of(self, times: NDArray[np.integer]) -> NDArray[np.floating]:
        """The metric on each of S samples, (S,); `times` (S, K) has no row of zeros."""
        ...


@dataclass(frozen=True)
class Ratio:
    """A ratio of sums over rows, such as hits over chances; a `Statistic`.

    Attributes:
        sums, counts: (K,) numerator and denominator of each recording.
    """

    recordings: NDArray[np.integer]
    sums: NDArray[np.number]
    counts: NDArray[np.number]

    @property
    def n(self) -> int:
        return int(self.counts.sum())

    def of(self, times: NDArray[np.integer]) -> NDArray[np.floating]:
        return (times @ self.sums) / (times @ self.counts)


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


NOTHING = Ratio(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
"""A metric of those who say nothing that it could judge."""


def estimate(
    numerator: NDArray[np.number], denominator: NDArray[np.number], recording: NDArray[np.integer]
) -> Estimate:
    """The ratio of two sums, with a percentile interval; the arguments are those of `ratio`."""
    return with_interval(ratio(numerator, denominator, recording))


def with_interval(statistic: Statistic) -> Estimate:
    """A metric with its percentile interval."""
    count = len(statistic.recordings)
    if not count:
        return Estimate(None, None, None, 0, 0)
    low, high = percentile_interval(statistic.of(multiplicities(count)))
    return Estimate(_value(statistic), low, high, statistic.n, count)


def paired_difference(one: Statistic, other: Statistic) -> Difference:
    """`one` minus `other`, with the percentile interval of the difference on the same resamples.

    Recordings of which only one of the two has anything to count are drawn too; the few resamples
    in which one of them is left without any recording are left out.

    Args:
        one, other: of the same split, so that their indices mean the same recordings.
    """
    if not len(one.recordings) or not len(other.recordings):
        return Difference(None, None, None, 0)
    every = np.union1d(one.recordings, other.recordings)
    times = multiplicities(len(every))
    drawn = [times[:, np.searchsorted(every, of.recordings)] for of in (one, other)]
    usable = np.all([of.any(axis=1) for of in drawn], axis=0)
    resampled = one.of(drawn[0][usable]) - other.of(drawn[1][usable])
    return Difference(_value(one) - _value(other), *percentile_interval(resampled), len(every))


def _value(statistic: Statistic) -> float:
    """The metric itself: each recording counts once."""
    return float(statistic.of(np.ones((1, len(statistic.recordings)), np.int64))[0])


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
