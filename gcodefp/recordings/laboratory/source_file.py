"""One file of a recording, by its layout: chunks of canonical columns, any clock in seconds."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError, did_you_mean
from gcodefp.recordings import columns
from gcodefp.recordings.clock import DAY_SECONDS, iso_texts, parse_time_of_day
from gcodefp.recordings.laboratory.layout import Clock, Source, placeholders, with_groups
from gcodefp.recordings.laboratory.quantities import Target
from gcodefp.recordings.laboratory.reader import RecordingExcluded
from gcodefp.recordings.laboratory.row_order import program_order
from gcodefp.recordings.laboratory.sources import CHUNK_ROWS, numbers, read_chunks, texts_of

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


EVERYTHING_ELSE = "*"
"""Among the patterns to ignore: all that no column of the layout matches."""
TRUE_TEXTS = ("1", "true", "yes", "on", "running")
"""Of a column that is `running`, in lower case, unless the layout says which."""


class MappedColumn(NamedTuple):
    """A column of a file that the layout maps."""

    name: str
    key: str
    target: Target


@dataclass
class SourceFile:
    """One file of a recording: chunks of canonical columns, with the clock in seconds.

    Attributes:
        mapped: columns that are being read.
        keys: of the layout's columns, those that the file has, once it is being read.
        unmapped: columns of the file that the layout neither maps nor ignores.
    """

    path: Path
    name: str
    source: Source
    offset_seconds: float = 0.0
    with_labels: bool = True
    mapped: dict[str, MappedColumn] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    unmapped: list[str] = field(default_factory=list)

    def chunks(
        self, is_wanted: Callable[[Target], bool] = lambda target: True, rows: int = CHUNK_ROWS
    ) -> Iterator[pd.DataFrame]:
        """Tables of CLOCK and the wanted columns; rows without a time are skipped.

        Raises:
            UserError: the file cannot be read, or a sample is not what the layout says.
            RecordingExcluded: the clock runs backwards.
        """
        clock = SourceClock(self.source.clock, self.offset_seconds)
        self.mapped, self.unmapped = {}, []
        clock_column, packets = self.source.clock.column, self.source.clock.packets
        needed = {clock_column, packets.column if packets else None}

        def is_read(name: str) -> bool:
            mapped = self._map(name)
            if mapped is not None:
                self._check_new(mapped)
                self.mapped[name] = mapped
            # Without a clock's column, any mapped one says how many rows there are.
            return name in needed or (
                mapped is not None and (clock_column is None or is_wanted(mapped.target))
            )

        def is_text(name: str) -> bool:
            if name == clock_column and clock.is_text:
                return True
            target = self.mapped[name].target if name in self.mapped else None
            return target is not None and (target.kind != "number" or target.column == columns.LINE)

        last = -np.inf
        for chunk in read_chunks(self.path, self.source, is_read, is_text, rows):
            table = self._converted(chunk, clock, is_wanted)
            seconds = table[columns.CLOCK].to_numpy()
            if backward := int((np.diff(seconds, prepend=last) < 0).sum()):
                raise RecordingExcluded(
                    f"the clock of {self.path.name} runs backwards {backward} times"
                )
            last = seconds[-1] if len(seconds) else last
            yield table

    def _converted(
        self, chunk: pd.DataFrame, clock: SourceClock, is_wanted: Callable[[Target], bool]
    ) -> pd.DataFrame:
        """The rows of a chunk that have a time, with CLOCK and the wanted columns."""
        clock_column, packets = self.source.clock.column, self.source.clock.packets
        if clock_column is not None and clock_column not in chunk:
            # Columns of JSON lines may come later; the clock is in every line.
            raise UserError(f"{self.path}: has no column {clock_column!r}, the clock")
        if packets and packets.column not in chunk:
            raise UserError(f"{self.path}: has no column {packets.column!r}, of clock.packets")
        try:
            table = {columns.CLOCK: clock.seconds(chunk)} | {
                m.target.column: self._convert(chunk[name], m)
                for name, m in self.mapped.items()
                if name in chunk and is_wanted(m.target)
            }
            if packets:
                table[columns.ROW_RANGE] = pd.Series(clock.packets(chunk), chunk.index)
        except ValueError as error:
            raise UserError(f"{self.path}: {error}") from None
        return pd.DataFrame(table, index=chunk.index)[np.isfinite(table[columns.CLOCK])]

    def _check_new(self, mapped: MappedColumn) -> None:
        for other in self.mapped.values():
            if other.target.column == mapped.target.column:
                raise UserError(
                    f"{self.path}: the layout makes {mapped.target.column!r} of both "
                    f"{other.name!r} and {mapped.name!r}; ignore one of them"
                )

    def _map(self, name: str) -> MappedColumn | None:
        """What the layout makes of a column; None if it is not read."""
        # `[mA]` in a name is a unit; in a pattern it is one of two letters.
        ignored = [p for p in self.source.ignore if p == name or fnmatchcase(name, p)]
        if match := self._match(name, not set(ignored) <= {EVERYTHING_ELSE}):
            key, fields = match
            self.keys.add(key)
            try:
                target = self.source.target(key, fields)
            except ValueError as error:
                raise UserError(f"{self.path}: column {name!r} as {key!r}: {error}") from None
            is_read = self.with_labels or not target.is_label
            return MappedColumn(name, key, target) if is_read else None
        packets = self.source.clock.packets
        is_clock = name == self.source.clock.column or (packets and name == packets.column)
        if not ignored and not is_clock:
            self.unmapped.append(name)
        return None

    def _match(self, name: str, is_ignored: bool) -> tuple[str, Mapping[str, str]] | None:
        """The key of a column: its own name, or the first one whose placeholders fit."""
        if name in self.source.columns:
            return name, {}
        if is_ignored or name == self.source.clock.column:
            return None
        for key in self.source.columns:
            if placeholders(key) and (match := re.fullmatch(with_groups(key, ".+?"), name)):
                return key, match.groupdict()
        return None

    def _convert(self, samples: pd.Series, mapped: MappedColumn) -> pd.Series:
        column, target = self.source.column(mapped.key), mapped.target
        if target.kind == "text":
            return texts_of(samples)
        if target.kind == "boolean":
            true = column.equals if column.equals is not None else TRUE_TEXTS
            texts = texts_of(samples)
            if column.equals is None:
                texts = texts.str.casefold()
            return texts.isin(true).astype(np.float64).where(texts.notna())
        if target.column == columns.LINE and samples.dtype.kind not in "iufb":
            # N words, N120, are numbers with a letter.
            samples = (
                samples.astype("string").str.strip().str.replace(r"^[Nn](?=\d)", "", regex=True)
            )
            samples = samples.str.replace(self.source.decimal, ".", regex=False).astype(object)
        values = numbers(samples)
        if column.missing is not None:
            values = values.mask(values.isin(column.missing))
        return values * (column.scale * target.scale) + target.offset

    def span(self, rows: int | None = None) -> tuple[float, float]:
        """First and last time of the file, or of its first chunk of `rows` rows with a time.

        Raises UserError: it has none.
        """
        first, last = np.nan, np.nan
        for chunk in self.chunks(lambda target: False, rows or CHUNK_ROWS):
            if len(chunk):
                times = chunk[columns.CLOCK].to_numpy()
                first, last = first if np.isfinite(first) else float(times[0]), float(times[-1])
                if rows:
                    break
        if np.isnan(first):
            raise UserError(f"{self.path}: has no row with a time")
        return first, last

    def labels(self) -> pd.DataFrame:
        """All rows, repaired and filled, with the columns that the controller reports."""
        return self._whole(lambda target: target.is_label)

    def whole(self) -> pd.DataFrame:
        """All rows, repaired and filled, with all columns.

        Raises UserError: it has none.
        """
        table = self._whole(lambda target: True)
        self.check_labels()
        return table

    def check_labels(self) -> None:
        """Raises UserError if a label that the layout maps is not in the file, once it is read."""
        for key in self.missing() if self.with_labels else ():
            if not placeholders(key) and self.source.target(key).is_label:
                hint = did_you_mean(key, [*self.unmapped, *self.keys])
                raise UserError(f"{self.path}: has no column {key!r}; {hint}")

    def missing(self) -> list[str]:
        """The layout's columns that the file, which has been read, does not have."""
        return [key for key in self.source.columns if key not in self.keys]

    def _whole(self, is_wanted: Callable[[Target], bool]) -> pd.DataFrame:
        chunks = [chunk for chunk in self.chunks(is_wanted) if len(chunk)]
        if not chunks:
            raise UserError(f"{self.path}: has no row with a time")
        table = pd.concat(chunks)
        if self.source.clock.packets and columns.LINE in table:
            table = program_order(table)
        for mapped in self.mapped.values():
            column, name = self.source.column(mapped.key), mapped.target.column
            if name not in table:
                continue
            if column.repair == "isolated":
                table[name] = repair_isolated(table[name])
            if column.fill == "hold":
                table[name] = table[name].ffill()
        return table


def repair_isolated(values: pd.Series) -> pd.Series:
    """Single rows that fall below both neighbours, which do not fall, take the row before.

    A controller that sends a wrong line number now and then: 23 23 2 23 25 becomes 23 23 23 23 25.
    """
    before, after = values.shift(), values.shift(-1)
    is_isolated = (values < before) & (after >= before)
    return values.mask(is_isolated, before)
