"""Guesses what a logger's file is from its first rows: format, separator, header, clock, units.

Guesses go into a report and into a layout that a person edits; nothing is read by them unseen.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings.clock import elapsed_seconds, iso_texts, median_period
from gcodefp.recordings.gcode import parse_block
from gcodefp.recordings.inspection.text_log import (
    guess_fields_regex,
    guess_regex,
    has_log_words,
    is_text_log,
    matching_rows,
)
from gcodefp.recordings.laboratory.layout import Source
from gcodefp.recordings.laboratory.sources import UNREADABLE, opened, read_chunks

HEAD_BYTES = 1 << 18
HEAD_LINES = 1000
STRUCTURE_LINES = 100
MAX_HEADER_LINES = 20
MIN_PROGRAM_SHARE = 0.25
SEPARATORS = (",", ";", "\t", "|", " ")
COMPRESSED = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)
PROGRAM_SUFFIXES = (".nc", ".gcode", ".ngc", ".gco", ".g", ".tap", ".cnc", ".mpf")
LAYOUT_SUFFIXES = (".yaml", ".yml")
HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
TABLES = ("table", "lines", "json_lines", "parquet", "hdf5")
"""Formats with columns."""
LOGS = {
    "status reports of GRBL": r"<(?:Idle|Run|Hold|Jog|Alarm|Door|Check|Home|Sleep)[:|]\S*>",
    "serial log of OctoPrint": r"^\d{4}-\d\d-\d\d[ T][\d:]+[,.]\d+ - .*\b(?:Send|Recv): ",
    "log of Klipper": r"^Stats \d+\.\d+: .*\bprint_time=\d",
    "updates of Moonraker": r'"notify_status_update"',
    "SHDR of an MTConnect adapter": r"^\d{4}-\d\d-\d\dT[\d:.]+Z?\|[^|]+\|",
}
"""Format of a log -> what its lines of interest look like."""
UNIX_SCALES = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
UNIX_YEARS = (8e8, 4e9)
"""Unix seconds of 1995 to 2096."""
MAX_BACKWARD_SHARE = 0.01
"""Of the periods of a clock; the reader says where."""
GRAVITY = {"g": 1.0, "mg": 1000.0, "m/s^2": 9.80665, "mm/s^2": 9806.65}
"""Unit of an acceleration -> what an accelerometer at rest measures."""
_TIME_NAME = re.compile(
    r"time|zeit|clock|stamp|^#?t$|^#?t[_\[( ]|seconds|millis|\bms\b", re.IGNORECASE
)
_DATE = re.compile(r"\s*(?:\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4})[ T]\d\d:\d\d")
_UNIT = re.compile(r"[\[(](.*?)[\])]")
_TIME_UNITS = ("s", "sec", "ms", "us", "µs", "ns", "utc")
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?(?:\s*[AP]M)?\s*$", re.IGNORECASE)


class GuessedClock(NamedTuple):
    """The column that tells the time.

    Attributes:
        keys: of the section `clock` of a layout; `sample` where the column only counts the rows.
        period_seconds: median period; NaN where only a rate given by a person tells it.
    """

    column: str
    keys: dict[str, Any]
    period_seconds: float


class SniffedFile(NamedTuple):
    """What a file seems to be.

    Attributes:
        format: one of TABLES or LOGS, `program`, `layout` or `unknown`.
        keys: that a layout needs to read a table: `separator`, `skip_rows` and others.
        has_header: of a table; without one, its columns are called 0, 1, ….
        table: the first rows, numbers where all of a column are.
        last_line: of a table in plain text.
    """

    path: Path
    format: str
    lines: list[str]
    keys: Mapping[str, Any] = MappingProxyType({})
    has_header: bool = True
    table: pd.DataFrame = pd.DataFrame()
    clock: GuessedClock | None = None
    last_line: str = ""


def sniff_file(path: Path) -> SniffedFile:
    """Looks at up to HEAD_LINES lines of a file's start and of its middle, compressed or not."""
    if path.suffix.lower() == ".parquet":
        return _sniff_columns(path, "parquet", [])
    if path.suffix.lower() in HDF5_SUFFIXES:
        return _sniff_hdf5(path)
    lines, encoding = _lines(path)
    suffix = Path(COMPRESSED.sub("", path.name)).suffix.lower()
    if suffix in LAYOUT_SUFFIXES:
        return SniffedFile(path, "layout", lines)
    for name, pattern in LOGS.items():
        if sum(bool(re.search(pattern, line)) for line in lines) >= max(1, len(lines) // 50):
            return SniffedFile(path, name, lines)
    if suffix in PROGRAM_SUFFIXES or block_share(lines) > MIN_PROGRAM_SHARE:
        return SniffedFile(path, "program", lines)
    if lines and lines[0].lstrip().startswith("{"):
        return _sniff_columns(path, "json_lines", lines)
    if is_text_log(lines):
        regex = guess_regex(lines) or guess_fields_regex(lines)
        return _sniff_text_log(path, lines, encoding, regex)
    table = _sniff_table(path, lines, encoding)
    if table.format == "table" and not table.has_header:
        if regex := guess_fields_regex(lines):
            return _sniff_text_log(path, lines, encoding, regex)
        separator = table.keys.get("separator", ",").replace("whitespace", "")
        # Words of a log, as many in each line, look like a table; so do commas in a position.
        if has_log_words(lines, separator):
            return SniffedFile(path, "unknown", lines)
    return table


def _sniff_text_log(path: Path, lines: list[str], encoding: str, regex: str) -> SniffedFile:
    keys = {} if encoding == "utf-8" else {"encoding": encoding}
    if not regex:
        return SniffedFile(path, "unknown", lines)
    table = matching_rows(regex, lines)
    keys |= {"format": "lines", "regex": regex}
    return SniffedFile(path, "lines", lines, keys, table=table, clock=guess_clock(table))


def _sniff_columns(path: Path, name: str, lines: list[str]) -> SniffedFile:
    """A file whose format names its columns, without those that hold lists or mappings."""
    source = Source.model_construct(format=name)
    try:
        table = next(read_chunks(path, source, lambda _: True, lambda _: False, HEAD_LINES))
    except (UserError, StopIteration):
        return SniffedFile(path, "unknown", lines)
    is_nested = table.map(lambda value: isinstance(value, list | dict)).any()
    table = table.loc[:, ~is_nested]
    return SniffedFile(path, name, lines, {"format": name}, table=table, clock=guess_clock(table))


def _sniff_hdf5(path: Path) -> SniffedFile:
    """The first group with vectors, or the first matrix, from the root down."""
    import h5py

    try:
        with h5py.File(path) as file:
            nodes: list[Any] = [file]
            file.visititems(lambda _, node: nodes.append(node))
            for node in nodes:
                is_matrix = isinstance(node, h5py.Dataset)
                if is_matrix and node.ndim != 2:
                    continue
                table = pd.DataFrame(node[:HEAD_LINES]) if is_matrix else _vectors(node)
                if not table.empty:
                    keys = {"format": "hdf5", "dataset": node.name}
                    table = table.rename(columns=str)
                    return SniffedFile(
                        path, "hdf5", [], keys, not is_matrix, table, guess_clock(table)
                    )
    except (OSError, ValueError, TypeError):
        pass
    return SniffedFile(path, "unknown", [])


def _vectors(group: Mapping[str, Any]) -> pd.DataFrame:
    """The vectors of an HDF5 group that are as long as most of them."""
    vectors = {name: node for name, node in group.items() if getattr(node, "ndim", 0) == 1}
    length = Counter(map(len, vectors.values())).most_common(1)[0][0] if vectors else 0
    table = pd.DataFrame({n: v[:HEAD_LINES] for n, v in vectors.items() if len(v) == length})
    return table.map(lambda value: value.decode() if isinstance(value, bytes) else value)


def _lines(path: Path) -> tuple[list[str], str]:
    """Lines of the file's start and, if it is long, of its middle, and its encoding.

    No lines if it is no text.
    """
    try:
        with opened(path) as stream:
            content, middle = stream.read(HEAD_BYTES), b""
        if len(content) == HEAD_BYTES < path.stat().st_size and not COMPRESSED.search(path.name):
            with path.open("rb") as handle:
                # At rest a machine tells little.
                handle.seek(path.stat().st_size // 2)
                middle = handle.read(HEAD_BYTES)
    except UNREADABLE:
        return [], "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace").splitlines()[:HEAD_LINES], "utf-16"
    if b"\0" in content[:1000]:
        return [], "utf-8"
    encoding = "utf-8"
    try:
        content.decode()
    except UnicodeDecodeError as error:
        # The cut may divide a letter.
        encoding = "utf-8" if error.start > len(content) - 4 else "cp1252"
    lines = content.decode(encoding, errors="replace").lstrip("\ufeff").splitlines()
    # The line at the cut is not whole.
    lines = lines[: HEAD_LINES if len(content) < HEAD_BYTES else min(HEAD_LINES, len(lines) - 1)]
    more = middle.decode(encoding, errors="replace").splitlines()[1:-1][:HEAD_LINES]
    return lines + more, encoding


def block_share(texts: Iterable[str]) -> float:
    """Share of texts that are blocks of G-code, less those that are none, such as table rows."""
    scores = list[int]()
    for text in texts:
        try:
            scores.append(bool(parse_block(text)))
        except ValueError:
            scores.append(-1)
    return sum(scores) / max(len(scores), 1)


def _sniff_table(path: Path, lines: list[str], encoding: str) -> SniffedFile:
    rows = [line for line in lines if line.strip()]
    keys: dict[str, Any] = {} if encoding == "utf-8" else {"encoding": encoding}
    if rows and all(re.fullmatch(r'"[^"]*"', row) for row in rows):
        rows, keys["quoted_rows"] = [row[1:-1] for row in rows], True
    structure = _structure(rows[:STRUCTURE_LINES])
    if structure is None:
        return SniffedFile(path, "unknown", lines)
    separator, first, width = structure
    if separator != ",":
        keys["separator"] = "whitespace" if separator == " " else separator
    header = _split(rows[first - 1], separator) if first else []
    has_header = len(header) == width
    names = header if has_header else [str(i) for i in range(width)]
    names = [name or f"column {i}" for i, name in enumerate(names)]
    counts = Counter(names)
    names = [f"{name}.{i}" if counts[name] > 1 else name for i, name in enumerate(names)]
    if skipped := first - has_header:
        keys["skip_rows"] = skipped
    whole = [row for row in rows[first:] if len(_split(row, separator)) == width]
    text = "\n".join(whole[:STRUCTURE_LINES])
    has_commas = len(re.findall(r"\d,\d", text)) > len(re.findall(r"\d\.\d", text))
    if separator != "," and has_commas:
        keys["decimal"] = ","
    table = pd.read_csv(
        io.StringIO("\n".join(whole)),
        sep=r"\s+" if separator == " " else separator,
        header=None,
        names=names,
        index_col=False,
        decimal=keys.get("decimal", "."),
        skipinitialspace=True,
        low_memory=False,
    )
    with path.open("rb") as handle:
        handle.seek(max(path.stat().st_size - 300, 0))
        last_line = handle.read().decode("utf-8", errors="replace").strip().rpartition("\n")[2]
    return SniffedFile(path, "table", lines, keys, has_header, table, guess_clock(table), last_line)


def _structure(rows: list[str]) -> tuple[str, int, int] | None:
    """Separator, index of the first row of samples, fields a row; None if it is no table."""
    best: tuple[int, str, int, int] | None = None
    for separator in SEPARATORS if rows else ():
        counts = [len(_split(row, separator)) for row in rows]
        width, agreeing = Counter(counts).most_common(1)[0]
        starts = (
            i
            for i, row in enumerate(islice(rows, MAX_HEADER_LINES + 1))
            if counts[i] == width and any(map(_is_sample, _split(row, separator)))
        )
        first = next(starts, None)
        if width > 1 and first is not None and agreeing > 0.8 * len(rows):
            rank = agreeing * 100 + min(width, 99)
            if best is None or rank > best[0]:
                best = rank, separator, first, width
    return best[1:] if best else None


def _split(row: str, separator: str) -> list[str]:
    if separator == " ":
        return row.split()
    return next(csv.reader(io.StringIO(row), delimiter=separator, skipinitialspace=True), [])


def _is_sample(text: str) -> bool:
    """Whether a field is a number or a time, as in no header."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return bool(_DATE.match(text) or _TIME_OF_DAY.match(text))
    return True


def guess_clock(table: pd.DataFrame) -> GuessedClock | None:
    """The most likely clock among the columns of a table's first rows."""
    candidates = [c for name in map(str, table.columns) for c in _clocks(name, table[name])]
    return min(candidates, key=lambda c: c[0])[1] if candidates else None


def _clocks(name: str, samples: pd.Series) -> Iterator[tuple[int, GuessedClock]]:
    """A column as a clock, if it may be one, and its rank, the best is 0."""
    samples, is_named = samples.dropna(), bool(_TIME_NAME.search(name))
    if len(samples) < 2:
        return
    if samples.dtype.kind not in "iuf":
        texts = samples.astype(str)
        for keys, pattern in (
            ({"format": "iso8601", "column": name, "timezone": "UTC"}, _DATE),
            ({"format": "time_of_day", "column": name}, _TIME_OF_DAY),
        ):
            if texts.str.match(pattern).mean() > 0.9:
                period = median_period(elapsed_seconds(iso_texts(texts)[0]))
                yield (0 if is_named else 1), GuessedClock(name, keys, period)
        return
    unit = _UNIT.search(name)
    if unit is not None and not is_named and unit[1].strip().casefold() not in _TIME_UNITS:
        return
    values = samples.to_numpy(np.float64)
    periods = np.diff(values)
    if (periods < 0).mean() > MAX_BACKWARD_SHARE or not (periods > 0).any():
        return
    for of_unix, scale in UNIX_SCALES.items():
        if UNIX_YEARS[0] * scale < values[0] < UNIX_YEARS[1] * scale:
            keys = {"format": "unix", "column": name, "unit": of_unix}
            yield (0 if is_named else 1), GuessedClock(name, keys, typical_period(periods) / scale)
            return
    median = np.median(periods)
    # As those of a clock and not of a position.
    is_even = median > 0 and (np.abs(periods - median) <= 0.5 * median).mean() > 0.95
    if (periods == 1).mean() > 0.99 and (values % 1 == 0).all():
        yield 3, GuessedClock(name, {"format": "sample"}, np.nan)
    elif is_named or is_even:
        in_ms = bool(re.search(r"\bms\b|milli|_ms$", name, re.IGNORECASE))
        keys = {"format": "seconds", "column": name, "unit": "ms" if in_ms else "s"}
        period = typical_period(periods) / (1e3 if in_ms else 1.0)
        yield (2 if is_named else 4), GuessedClock(name, keys, period)


def typical_period(periods: NDArray[np.float64]) -> float:
    """Of a clock, free of its rounding: the mean of those near the median; NaN without any."""
    typical = advancing = periods[periods > 0]
    if advancing.size:
        typical = advancing[np.abs(advancing / np.median(advancing) - 1) <= 0.5]
    return float(typical.mean()) if typical.size else float("nan")


def unit_by_gravity(norm: float) -> str | None:
    """The unit in which a mean acceleration is 1 g, as it is however a sensor is mounted.

    None if it is none within a tenth: raw counts, or gravity is filtered out.
    """
    return next((u for u, rest in GRAVITY.items() if abs(norm / rest - 1) < 0.1), None)
