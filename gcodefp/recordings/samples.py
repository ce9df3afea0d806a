"""Which samples of a recording can be believed; those that cannot become NaN."""

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_INTERPOLATED_ROWS = 4
FROZEN_ROWS = 20


def clean_samples(signals: pd.DataFrame, counts: Counter[str]) -> pd.DataFrame:
    """Interpolates short gaps and takes out frozen nodes.

    Real sensors are noisy: when all channels of a node repeat their values for FROZEN_ROWS rows,
    the node has dropped out and its last value is repeated by the logger.

    Args:
        signals: N rows, one column per channel.
        counts: gains `interpolated_samples`, `frozen_samples` and `missing_samples`.

    Returns:
        the same shape; NaN where no valid sample is.
    """
    values = signals.to_numpy(np.float32)
    missing = np.isnan(values)
    if missing.any():
        filled = signals.interpolate(limit=MAX_INTERPOLATED_ROWS, limit_area="inside")
        values = filled.to_numpy(np.float32)
    nodes = np.array([_node_of(channel) for channel in signals.columns])
    frozen = np.zeros(values.shape, bool)
    for node in set(nodes):
        frozen[:, nodes == node] = _frozen_rows(values[:, nodes == node])[:, None]
    counts["interpolated_samples"] += int((missing & ~np.isnan(values) & ~frozen).sum())
    counts["frozen_samples"] += int(frozen.sum())
    counts["missing_samples"] += int((np.isnan(values) & ~frozen).sum())
    cleaned = np.where(frozen, np.float32(np.nan), values)
    return pd.DataFrame(cleaned, index=signals.index, columns=signals.columns)


def _node_of(channel: str) -> str:
    return channel.rpartition(".")[0] or channel


def _frozen_rows(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Rows that lie in a stretch of at least FROZEN_ROWS equal rows; values (N, channels)."""
    changed = np.any(values[1:] != values[:-1], axis=1)
    stretch = np.concatenate([[0], np.cumsum(changed)])
    return np.bincount(stretch)[stretch] >= FROZEN_ROWS
