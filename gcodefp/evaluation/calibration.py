"""Whether a line that is said to be right with 70 % is right in 70 % of cases.

The expected calibration error is the mean distance between what is said and what is true, over
bins of rows that are about as sure (Naeini et al. 2015, Obtaining well calibrated probabilities
using Bayesian binning; Guo et al. 2017, On calibration of modern neural networks). The bins hold
about as many rows each. As a mean of distances it is above 0 by chance alone, and so is its
interval.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.bootstrap import estimate, with_interval

BINS = 10


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error over B bins and K recordings; a `Statistic`.

    Attributes:
        gaps: (K, B) sum over a recording's rows in a bin of right (0 or 1) minus confidence.
        rows: (K,) rows of each recording.
    """

    recordings: NDArray[np.integer]
    gaps: NDArray[np.floating]
    rows: NDArray[np.integer]

    @property
    def n(self) -> int:
        return int(self.rows.sum())

    def of(self, times: NDArray[np.integer]) -> NDArray[np.floating]:
        return np.abs(times @ self.gaps).sum(axis=1) / (times @ self.rows)


def bins_of(confidence: NDArray[np.floating], bins: int = BINS) -> NDArray[np.intp]:
    """The bin of each row, (N,): as many rows each, but equal confidences are never parted."""
    ascending = np.sort(confidence)
    first = np.arange(bins) * len(ascending) // bins
    edges = np.unique(ascending[first])
    return np.searchsorted(edges, confidence, side="right") - 1


def calibration_error(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], recording: NDArray[np.integer]
) -> CalibrationError:
    """The expected calibration error of N rows; the bins are those of all of them.

    Args:
        confidence: (N,) probability of what is said of each row.
        right: (N,) whether it is right.
        recording: (N,) index of each row's recording.
    """
    recordings, of_row = np.unique(recording, return_inverse=True)
    of_bin = bins_of(confidence)
    gaps = np.zeros((len(recordings), of_bin.max() + 1))
    np.add.at(gaps, (of_row, of_bin), right - confidence)
    return CalibrationError(recordings, gaps, np.bincount(of_row))


def describe_calibration(
    confidence: NDArray[np.floating], right: NDArray[np.bool_], recording: NDArray[np.integer]
) -> dict[str, Any]:
    """As it stands in explanation.json; the arguments are those of `calibration_error`.

    `overconfidence` is the mean confidence minus the share that is right.
    """
    correct, every = right.astype(np.float64), np.ones(len(right))
    of_bin = bins_of(confidence)
    error = calibration_error(confidence, right, recording)
    return {
        "right": estimate(correct, every, recording)._asdict(),
        "confidence": estimate(confidence, every, recording)._asdict(),
        "overconfidence": estimate(confidence - correct, every, recording)._asdict(),
        "expected_calibration_error": with_interval(error)._asdict(),
        "bins": [
            {
                "confidence": float(confidence[rows].mean()),
                "lowest": float(confidence[rows].min()),
                "highest": float(confidence[rows].max()),
                "right": estimate(correct[rows], every[rows], recording[rows])._asdict(),
            }
            for rows in (of_bin == index for index in range(of_bin.max() + 1))
        ],
    }
