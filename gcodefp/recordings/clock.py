"""The controller's clock column as seconds."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HOUR_SECONDS = 3600.0
DAY_SECONDS = 86400.0

_TIME = re.compile(r"^\s*(?:([01]?\d|2[0-3]):)?([0-5]?\d):([0-5]?\d(?:\.\d*)?)\s*$", re.ASCII)


def elapsed_seconds(clock: pd.Series) -> NDArray[np.float64]:
    """Seconds since the first row, from `HH:MM:SS.mmm` or `MM:SS.s` (a spreadsheet's damage).

    A step back by more than half the format's range is the clock's wrap at midnight or at the full
    hour; smaller steps back are kept as they are. If some rows have hours, those without are NaN.

    Returns:
        shape (rows,); NaN where the text is no time of day.
    """
    fields = (
        clock.astype("string").str.extract(_TIME).astype("Float64").to_numpy(float, na_value=np.nan)
    )
    hours, minutes, rest = fields.T
    has_hours = bool(np.isfinite(hours).any())
    seconds = (hours * HOUR_SECONDS if has_hours else 0.0) + minutes * 60.0 + rest
    wrap = DAY_SECONDS if has_hours else HOUR_SECONDS
    known = np.flatnonzero(np.isfinite(seconds))
    steps = np.diff(seconds[known])
    wraps = np.concatenate([[0.0], np.cumsum(steps < -wrap / 2)])
    seconds[known] += wraps * wrap
    return seconds - (seconds[known[0]] if known.size else 0.0)
