"""The controller's clock column as seconds."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HOUR_SECONDS = 3600.0
DAY_SECONDS = 86400.0


def elapsed_seconds(clock: pd.Series) -> NDArray[np.float64]:
    """Seconds since the first row, from `HH:MM:SS.mmm` or `MM:SS.s` (a spreadsheet's damage).

    A step back by more than half the format's range is the clock's wrap at midnight or at the full
    hour; smaller steps back are kept as they are.

    Returns:
        shape (rows,); NaN where the text is no time of day.
    """
    parts = clock.astype("string").str.split(":", expand=True)
    if parts.shape[1] not in (2, 3):
        return np.full(len(clock), np.nan)
    fields = [pd.to_numeric(parts[i], errors="coerce").to_numpy(float, na_value=np.nan) for i in parts]
    seconds = np.zeros(len(clock))
    for field in fields:
        seconds = seconds * 60.0 + field
    wrap = DAY_SECONDS if len(fields) == 3 else HOUR_SECONDS
    known = np.flatnonzero(np.isfinite(seconds))
    steps = np.diff(seconds[known])
    wraps = np.concatenate([[0.0], np.cumsum(steps < -wrap / 2)])
    seconds[known] += wraps * wrap
    return seconds - (seconds[known[0]] if known.size else 0.0)
