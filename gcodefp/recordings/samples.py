"""Which samples of a recording can be believed; those that cannot become NaN."""

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings.columns import PLAIN_COLUMNS, channel_group

MAX_INTERPOLATED_ROWS = 4
FROZEN_ROWS = 20


def clean_samples(signals: pd.DataFrame, counts: Counter[str]) -> pd.DataFrame:
    """Interpolates gaps of at most MAX_INTERPOLATED_ROWS and takes out frozen nodes.

    Real sensors are noisy: when all channels of a node repeat their values for FROZEN_ROWS rows,
    the node has dropped out and its last value is repeated by the logger. What the controller
    reports has no noise and may well stand still.

    Args:
        signals: N rows, one column per channel.
        counts: gains `interpolated_samples`, `frozen_samples` and `missing_samples`.

    Returns:
        the same shape; NaN where no valid sample is.
    """
    missing = ~np.isfinite(signals.to_numpy(np.float64))
    if missing.any():
        filled = signals.mask(missing).interpolate(limit_area="inside")
        signals = filled.mask(_in_long_gap(missing))
    values = signals.to_numpy(np.float32)
    nodes = np.array([_node_of(channel) for channel in signals.columns])
    frozen = np.zeros(values.shape, bool)
    # Plain columns may stand still: a motor that rests, a controller that reports no change.
    for node in {_node_of(c) for c in signals.columns if channel_group(c) not in PLAIN_COLUMNS}:
        frozen[:, nodes == node] = _frozen_rows(values[:, nodes == node])[:, None]
    frozen &= ~np.isnan(values)
    counts["interpolated_samples"] += int((missing & ~np.isnan(values) & ~frozen).sum())
    counts["frozen_samples"] += int(frozen.sum())
    counts["missing_samples"] += int(np.isnan(values).sum())
    cleaned = np.where(frozen, np.float32(np.nan), values)
    return pd.DataFrame(cleaned, index=signals.index, columns=signals.columns)


def _node_of(channel: str) -> str:
    return channel.rpartition(".")[0] or channel


def _in_long_gap(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Missing samples, (N, channels), of gaps too long to be interpolated."""
    long = np.zeros_like(missing)
    for column in np.flatnonzero(missing.any(axis=0)):
        gap = missing[:, column]
        long[:, column] = gap & (_stretch_lengths(gap[1:] != gap[:-1]) > MAX_INTERPOLATED_ROWS)
    return long


def _frozen_rows(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Rows that lie in a stretch of at least FROZEN_ROWS equal rows; values (N, channels)."""
    # A channel that is missing in both rows says nothing about the node's other channels.
    equal = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return _stretch_lengths(~equal.all(axis=1)) >= FROZEN_ROWS


def _stretch_lengths(changed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Length of the stretch that each of N rows lies in, from the N - 1 borders between rows."""
    stretch = np.concatenate([[0], np.cumsum(changed)])
    return np.bincount(stretch)[stretch]
