"""The clocks of a layout's sources: any format becomes seconds, chunk after chunk."""

from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings.clock import DAY_SECONDS, iso_texts, parse_time_of_day
from gcodefp.recordings.layout import Clock
from gcodefp.recordings.sources import numbers

UNIT_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
CLOCK_CHANGE = (
    "when clocks change an hour is missing or comes twice; exclude the recording, or write times "
    "with their offset, such as +02:00"
)
ABSOLUTE = ("iso8601", "unix")


class SourceClock:
    """Converts the clock of one file, whose rows come in chunks.

    Times are seconds since 1970 (iso8601, unix), since the midnight before the first row
    (time_of_day; a decrease by more than half a day is midnight), or since the start that the
    sources share (seconds, sample).
    """

    def __init__(self, clock: Clock, offset_seconds: float = 0.0) -> None:
        self._clock, self._offset = clock, clock.offset_seconds + offset_seconds
        self._last, self._days, self._rows = np.nan, 0.0, 0
        self._packet, self._is_start = 0, False

    @property
    def is_text(self) -> bool:
        """Whether the clock's column is read as text."""
        return self._clock.format in ("time_of_day", "iso8601")

    def seconds(self, chunk: pd.DataFrame) -> NDArray[np.float64]:
        """Time of each row, (N,); NaN where there is none.

        Raises ValueError: a text is not a time.
        """
        clock = self._clock
        first, self._rows = self._rows, self._rows + len(chunk)
        if clock.format == "sample":
            assert clock.rate_hz is not None
            return np.arange(first, self._rows) / clock.rate_hz + self._offset
        samples = chunk[str(clock.column)]
        if clock.format == "iso8601":
            times = _iso8601(samples, clock.timezone)
        elif clock.format == "time_of_day":
            times = self._unwrapped(parse_time_of_day(samples))
        else:
            times = numbers(samples).to_numpy() * UNIT_SECONDS[clock.unit]
        missing = samples.isna().to_numpy()
        if (invalid := np.isnan(times) & ~missing).any():
            row = int(invalid.argmax())
            raise ValueError(
                f"clock {clock.column!r}, data row {first + row + 1}: "
                f"{str(samples.iloc[row])[:60]!r} is not a time in the format {clock.format}"
                + (f", or not one time of {clock.timezone}: {CLOCK_CHANGE}")
                * (clock.format == "iso8601")
            )
        return times + self._offset

    def packets(self, chunk: pd.DataFrame) -> NDArray[np.int64]:
        """Number of each row's packet, (N,)."""
        assert self._clock.packets is not None
        marks = numbers(chunk[self._clock.packets.column]).to_numpy()
        is_start = marks == self._clock.packets.starts
        packet = self._packet + np.cumsum(is_start & ~np.r_[self._is_start, is_start[:-1]])
        self._packet, self._is_start = int(packet[-1]), bool(is_start[-1])
        return packet

    def _unwrapped(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        valid = np.flatnonzero(np.isfinite(times))
        if not valid.size:
            return times
        before = self._last if np.isfinite(self._last) else times[valid[0]]
        steps = np.diff(times[valid], prepend=before)
        days = self._days + np.cumsum(steps < -DAY_SECONDS / 2) * DAY_SECONDS
        # A row that was logged late, from before midnight.
        days -= np.cumsum(steps > DAY_SECONDS / 2) * DAY_SECONDS
        self._last, self._days = times[valid[-1]], days[-1]
        unwrapped = times.copy()
        unwrapped[valid] += days
        return unwrapped


def _iso8601(samples: pd.Series, timezone: str) -> NDArray[np.float64]:
    texts, has_offset = iso_texts(samples)
    absolute = pd.to_datetime(texts.where(has_offset), format="ISO8601", errors="coerce", utc=True)
    naive = pd.to_datetime(texts.where(~has_offset), format="ISO8601", errors="coerce")
    local = naive.dt.tz_localize(timezone, ambiguous="NaT", nonexistent="NaT")
    return np.where(has_offset, _since_1970(absolute), _since_1970(local))


def _since_1970(times: pd.Series) -> NDArray[np.float64]:
    seconds = (times - pd.Timestamp("1970-01-01", tz="UTC")).dt.total_seconds()
    return np.asarray(seconds.to_numpy(na_value=np.nan), np.float64)


def local_midnight(seconds: float, timezone: str) -> float:
    """Seconds since 1970 at which a clock on the wall, as it goes at some time, was at 0:00.

    On a day when clocks change, this is an hour beside the midnight of that day.

    Raises ValueError, OverflowError, OSError: no calendar has the time.
    """
    offset = datetime.fromtimestamp(seconds, ZoneInfo(timezone)).utcoffset()
    assert offset is not None
    ahead = offset.total_seconds()
    return (seconds + ahead) // DAY_SECONDS * DAY_SECONDS - ahead
