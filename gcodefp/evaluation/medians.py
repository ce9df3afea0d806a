"""A median over rows, for errors with long tails, where a mean tells of a few rows only."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.bootstrap import Estimate, with_interval


@dataclass(frozen=True)
class Median:
    """The median over N rows of K recordings; a `Statistic`.

    Attributes:
        ascending: (N,) sorted values.
        of_recording: (N,) index of each value's recording in `recordings`.
    """

    recordings: NDArray[np.integer]
    ascending: NDArray[np.floating]
    of_recording: NDArray[np.integer]

    @property
    def n(self) -> int:
        return len(self.ascending)

    def of(self, times: NDArray[np.integer]) -> NDArray[np.floating]:
        totals = times @ np.bincount(self.of_recording)
        # The two middle places of an even number of values, twice the same one of an odd number.
        middles = np.stack([(totals - 1) // 2, totals // 2], axis=1)
        # A loop, as a table of every row in every resample would take hundreds of megabytes.
        places = [
            np.cumsum(of[self.of_recording]).searchsorted(middle, side="right")
            for of, middle in zip(times, middles, strict=True)
        ]
        return self.ascending[np.array(places)].mean(1)


def median(values: NDArray[np.floating], recording: NDArray[np.integer]) -> Median:
    """The median over rows.

    Args:
        values: (N,) of each row; NaN is left out.
        recording: (N,) index of each row's recording.
    """
    known = ~np.isnan(values)
    recordings, of_recording = np.unique(recording[known], return_inverse=True)
    order = np.argsort(values[known], kind="stable")
    return Median(recordings, values[known][order], of_recording[order])


def estimate_median(values: NDArray[np.floating], recording: NDArray[np.integer]) -> Estimate:
    """The median with a percentile interval from resampled recordings.

    Returns:
        `n` counts the rows that have a value, `recordings` those with such rows.
    """
    return with_interval(median(values, recording))
