"""The clock of a recording: times of day or dates with times become seconds since the first row."""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HOUR_SECONDS = 3600.0
DAY_SECONDS = 86400.0
COARSE_SHARE = 0.4
"""A clock with this share of rows at the time of the row before is coarser than the rows."""

DOTTED_DATE = re.compile(r"^(\d\d)\.(\d\d)\.(\d{4})[ T]+")
"""05.03.2024: of dates with points the day is always first."""
_TIME = re.compile(
    r"^\s*(?:([01]?\d|2[0-3]):)?([0-5]?\d):([0-5]?\d(?:[.,]\d*)?)(?:\s*([AP])\.?M\.?)?\s*$",
    re.ASCII | re.IGNORECASE,
)


def elapsed_seconds(clock: pd.Series) -> NDArray[np.float64]:
    """Seconds since the first row, from `HH:MM:SS.mmm`, `HH:MM:SS PM`, `MM:SS.s` or ISO 8601.

    A decrease by more than half the format's range is the wrap at midnight or at the full hour;
    smaller decreases stay. If some rows have hours, or an offset from UTC, rows without are NaN.
    `10:15` is a time only if another row has a fraction: else it may be hours and minutes.

    Args:
        clock: (N,) texts; or seconds, which a layout has made of them.

    Returns:
        (N,); NaN where the text is not a time.
    """
    if clock.dtype.kind == "f":
        numbers = clock.to_numpy(np.float64)
        return numbers - (numbers[np.isfinite(numbers)][0] if np.isfinite(numbers).any() else 0.0)
    clock = clock.astype("string")
    if sum(text.strip()[4:5] == "-" for text in clock.dropna()) > len(clock) / 2:
        texts, has_offset = iso_texts(clock)
        if has_offset.any():
            # Without one, the others cannot be compared with them.
            texts = texts.where(has_offset)
        times = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
        seconds = (times - times.min()).dt.total_seconds().to_numpy(np.float64, na_value=np.nan)
        wrap = np.inf
    else:
        seconds, wrap = _times_of_day(clock)
    valid = np.flatnonzero(np.isfinite(seconds))
    wraps = np.concatenate([[0.0], np.cumsum(np.diff(seconds[valid]) < -wrap / 2)])
    if wraps.any():
        seconds[valid] += wraps * wrap
    return seconds - (seconds[valid[0]] if valid.size else 0.0)


def iso_texts(clock: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Dates with times that pandas reads as ISO 8601, and whether each has an offset from UTC."""
    texts = clock.astype("string").str.strip().str.replace(",", ".")
    texts = texts.str.replace(DOTTED_DATE, r"\3-\2-\1 ", regex=True)
    has_offset = texts.str.contains(r"[\d.] ?(?:Z|[+-]\d\d(?::?\d\d)?)$").fillna(False)
    return texts, has_offset & (texts.str.len() > len("2024-03-05"))


def parse_time_of_day(clock: pd.Series) -> NDArray[np.float64]:
    """Seconds since midnight of texts with hours, minutes and seconds, (N,); NaN for others."""
    seconds, wrap = _times_of_day(clock.astype("string"))
    return seconds if wrap == DAY_SECONDS else np.full(len(clock), np.nan)


def _times_of_day(clock: pd.Series) -> tuple[NDArray[np.float64], float]:
    """Seconds since midnight or since the full hour, (N,), and the format's range."""
    fields = clock.str.extract(_TIME)
    halves = fields[3]
    fields[2] = fields[2].str.replace(",", ".")
    hours, minutes, second_field = (
        fields[[0, 1, 2]].astype("Float64").to_numpy(float, na_value=np.nan).T
    )
    has_hours = bool(np.isfinite(hours).any())
    if halves.notna().any():
        # 12 AM is midnight, 12 PM is noon; 0 and 13 exist on no such clock.
        is_valid = halves.notna().to_numpy() & (hours >= 1) & (hours <= 12)
        afternoon = (halves.str.upper() == "P").fillna(False).to_numpy(bool)
        hours = np.where(is_valid, hours % 12 + 12 * afternoon, np.nan)
    if not has_hours and not fields[2].str.contains(".", regex=False).any():
        minutes = np.full(len(clock), np.nan)
    seconds = (hours * HOUR_SECONDS if has_hours else 0.0) + minutes * 60.0 + second_field
    return seconds, DAY_SECONDS if has_hours else HOUR_SECONDS


def rows_in(seconds: float, period_seconds: float, least: int = 1) -> int:
    """How many rows a time has at a row period, at least `least`."""
    return max(least, round(seconds / period_seconds))


def odd_rows_in(seconds: float, period_seconds: float) -> int:
    """The same as an odd number, for a moving average that has a middle row."""
    return 2 * round((seconds / period_seconds - 1) / 2) + 1 if seconds > period_seconds else 1


def median_period(seconds: NDArray[np.float64]) -> float:
    """Median of the seconds from one row to the next; NaN where the clock never advances."""
    periods = np.diff(seconds)
    advancing = periods[periods > 0]
    return float(np.median(advancing)) if advancing.size else np.nan


def spread_coarse_clock(seconds: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Spreads the rows of each time evenly up to the next time, if the clock is coarse.

    A clock of whole seconds at four rows a second has four rows of each time.

    Args:
        seconds: (N,); returned as they are where they decrease.

    Returns:
        (N,) and a note for the user, if they were spread.
    """
    periods = np.diff(seconds)
    if not 0 < (periods == 0).sum() < len(periods) or (periods == 0).mean() < COARSE_SHARE:
        return seconds, []
    if (periods < 0).any():
        return seconds, []
    times, first, count = np.unique(seconds, return_index=True, return_counts=True)
    # The last time lasts as long as one usually does.
    lengths = np.append(np.diff(times), np.median(np.diff(times)))
    rank = np.arange(len(seconds)) - np.repeat(first, count)
    # A gap is no reason to spread rows into it.
    spacing = np.minimum(lengths, np.median(lengths)) / count
    note = (
        f"the clock has {len(times)} times for {len(seconds)} rows: the rows of a time are taken "
        "as evenly spaced"
    )
    return np.repeat(times, count) + rank * np.repeat(spacing, count), [note]


def row_period(seconds: NDArray[np.float64]) -> float:
    """Seconds from one row to the next; infinite where the clock stands, which is an error."""
    period = median_period(spread_coarse_clock(seconds)[0])
    return period if period > 0 else np.inf
