"""A median over rows, for errors with long tails, where a mean tells of a few rows only."""

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.bootstrap import Estimate, multiplicities, percentile_interval


def estimate_median(values: NDArray[np.floating], recording: NDArray[np.integer]) -> Estimate:
    """The median with a percentile interval from resampled recordings.

    Args:
        values: (N,) of each row; NaN is left out.
        recording: (N,) index of each row's recording.

    Returns:
        `n` counts the rows that have a value, `recordings` those with such rows.
    """
    known = ~np.isnan(values)
    if not known.any():
        return Estimate(None, None, None, 0, 0)
    recordings, of_recording = np.unique(recording[known], return_inverse=True)
    order = np.argsort(values[known], kind="stable")
    ascending, of_recording = values[known][order], of_recording[order]
    low, high = percentile_interval(_resampled_medians(ascending, of_recording))
    value = float(np.median(ascending))
    return Estimate(value, low, high, len(ascending), len(recordings))


def _resampled_medians(
    ascending: NDArray[np.floating], of_recording: NDArray[np.integer]
) -> NDArray[np.floating]:
    """The median of every resample, (RESAMPLES,), of sorted values and their recordings, (N,)."""
    rows = np.bincount(of_recording)
    times = multiplicities(len(rows))
    totals = times @ rows
    # The two middle places of an even number of values, twice the same one of an odd number.
    middles = np.stack([(totals - 1) // 2, totals // 2], axis=1)
    # A loop, as a table of every row in every resample would take hundreds of megabytes.
    places = [
        np.cumsum(of[of_recording]).searchsorted(middle, side="right")
        for of, middle in zip(times, middles, strict=True)
    ]
    return ascending[np.array(places)].mean(1)
