"""The samples of channels: gaps, frozen sensors and impossible values."""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings import columns
from gcodefp.recordings.clock import rows_in

MAX_INTERPOLATED_SECONDS = 1.0
FROZEN_SECONDS, LEAST_FROZEN_ROWS = 5.1, 10
"""A node that repeats its samples for so long has dropped out; fewer rows, or samples of a slow
sensor, are alike by chance."""
MAX_SAMPLE = 1e9
"""Larger samples and positions are invalid; the largest real ones are below 1e5."""


def clean_samples(
    signals: pd.DataFrame,
    counts: Counter[str],
    period_seconds: float,
    periods: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """Interpolates gaps of at most MAX_INTERPOLATED_SECONDS, invalidates samples of frozen nodes.

    Real sensors are noisy: when all channels of a node repeat their values for FROZEN_SECONDS, the
    node has dropped out and the logger repeats its last sample. The groups `columns.WITHOUT_NOISE`
    may stay constant.

    Args:
        signals: N rows, one column per channel.
        period_seconds: from one row to the next.
        periods: channel -> seconds from one sample to the next, where a sensor is slower than the
            rows: held or interpolated, its samples are alike from row to row.
        counts: `interpolated_samples`, `frozen_samples` and `missing_samples` are added to it.

    Returns:
        the same shape; NaN where there is no valid sample.
    """
    missing = ~is_sample(signals.to_numpy(np.float64))
    if missing.any():
        filled = signals.mask(missing).interpolate(limit_area="inside")
        most = rows_in(MAX_INTERPOLATED_SECONDS, period_seconds)
        signals = filled.mask(_in_long_gap(missing, most))
    values = signals.to_numpy(np.float32)
    nodes = np.array([columns.node_or_channel(channel) for channel in signals.columns])
    has_noise = [
        columns.channel_group(channel) not in columns.WITHOUT_NOISE for channel in signals.columns
    ]
    frozen = np.zeros(values.shape, bool)
    for node in set(nodes[np.array(has_noise, bool)].tolist()):
        # A channel that is missing in both rows carries no information on the node.
        is_repeated = equals_previous(values[:, nodes == node])
        names = signals.columns[nodes == node]
        slowest = max((periods or {}).get(name, 0.0) for name in names)
        least = max(
            frozen_rows(period_seconds), rows_in(LEAST_FROZEN_ROWS * slowest, period_seconds)
        )
        is_frozen = interval_lengths(~is_repeated) >= least
        frozen[:, nodes == node] = is_frozen[:, None]
    frozen &= ~np.isnan(values)
    counts["interpolated_samples"] += int((missing & ~np.isnan(values) & ~frozen).sum())
    counts["frozen_samples"] += int(frozen.sum())
    counts["missing_samples"] += int(np.isnan(values).sum())
    cleaned = np.where(frozen, np.float32(np.nan), values)
    return pd.DataFrame(cleaned, index=signals.index, columns=signals.columns)


def is_sample(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each value is a number of at most MAX_SAMPLE."""
    valid: NDArray[np.bool_] = np.abs(values) <= MAX_SAMPLE
    return valid


def frozen_rows(period_seconds: float) -> int:
    """How many equal rows of a node are frozen."""
    return rows_in(FROZEN_SECONDS, period_seconds, LEAST_FROZEN_ROWS)


def _in_long_gap(missing: NDArray[np.bool_], most: int) -> NDArray[np.bool_]:
    """Missing samples, (N, channels), of gaps of more than `most` rows."""
    lengths = [interval_lengths(gap[1:] != gap[:-1]) for gap in missing.T]
    return missing & (np.stack(lengths, axis=1) > most)


def equals_previous(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each row but the first equals the previous one, (N - 1,); NaN equals NaN.

    Args:
        values: (N, channels).
    """
    equal = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return equal.all(axis=1)


def interval_lengths(changed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rows in the interval without a change around each of N rows, (N,); `changed` is (N - 1,)."""
    interval = np.concatenate([[0], np.cumsum(changed)])
    return np.bincount(interval)[interval]
