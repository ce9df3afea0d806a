"""Guesses what a logger's file is from its first rows: format, separator, header, clock, units.

Guesses go into a report and into a layout that a person edits; nothing is read by them unseen.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings.csv_text import OPENERS
from gcodefp.recordings.gcode import parse_block

HEAD_BYTES = 1 << 18
HEAD_LINES = 1000
STRUCTURE_LINES = 100
DECIMAL_COMMA = "decimal comma"
MAX_HEADER_LINES = 20
MIN_PROGRAM_SHARE = 0.25
SEPARATORS = (",", ";", "\t", "|", " ")
PROGRAM_SUFFIXES = (".nc", ".gcode", ".ngc", ".gco", ".g", ".tap", ".cnc", ".mpf")
LAYOUT_SUFFIXES = (".yaml", ".yml")
LINE_FORMATS = {
    "grbl": re.compile(r"<(?:Idle|Run|Hold|Jog|Alarm|Door|Check|Home|Sleep)[:|]\S*>"),
    "octoprint": re.compile(r"^\d{4}-\d\d-\d\d[ T][\d:]+[,.]\d+ - .*\b(?:Send|Recv): "),
    "klippy": re.compile(r"^Stats \d+\.\d+: .*\bprint_time=\d"),
    "moonraker": re.compile(r'"notify_status_update"'),
    "shdr": re.compile(r"^\d{4}-\d\d-\d\dT[\d:.]+Z?\|[^|]+\|"),
}
"""Format of a log -> what its lines of interest look like."""
UNIX_SCALES = {"unix s": 1.0, "unix ms": 1e3, "unix us": 1e6, "unix ns": 1e9}
MAX_BACKWARD_SHARE = 0.01
"""Of the steps of a clock; the reader says where."""
UNIX_YEARS = (8e8, 4e9)
"""Unix seconds of 1995 to 2096."""
GRAVITY = {"g": 1.0, "mg": 1000.0, "m/s^2": 9.80665, "mm/s^2": 9806.65}
"""Unit of an acceleration -> what an accelerometer at rest measures."""
_TIME_NAME = re.compile(
    r"time|zeit|clock|stamp|^#?t$|^#?t[_\[( ]|seconds|millis|\bms\b", re.IGNORECASE
)
_DATE = re.compile(r"\s*(?:\d{4}-\d\d-\d\d|\d\d\.\d\d\.\d{4})[ T]\d\d:\d\d")
_UNIT = re.compile(r"[\[(](.*?)[\])]")
_TIME_UNITS = ("s", "sec", "ms", "us", "µs", "ns", "utc")
_TIME_OF_DAY = re.compile(r"\s*\d{1,2}:\d\d(?::\d\d)?(?:[.,]\d+)?(?:\s*[AP]M)?\s*$", re.IGNORECASE)


class Clock(NamedTuple):
    """The column that tells the time.

    Attributes:
        kind: `date`, `time of day`, `unix s`, `unix ms`, …, `s`, `ms`, or `sample`, a row number.
        period_seconds: median step; NaN where only a rate given by a person tells it.
    """

    column: str
    kind: str
    period_seconds: float


class Sketch(NamedTuple):
    """What a file seems to be.

    Attributes:
        format: `table`, `json_lines`, `parquet`, one of LINE_FORMATS, `program`, `layout` or
            `unknown`.
        separator: of a table; `"` in front: each row is one quoted text.
        has_header: of a table; without one, its columns are called 0, 1, ….
        lines_before_header: that are no rows, or before the first row if there is no header.
        table: the first rows, numbers where all of a column are.
        last_line: of a table in plain text.
        notes: what a person has to know.
    """

    path: Path
    format: str
    lines: list[str]
    separator: str = ""
    has_header: bool = False
    lines_before_header: int = 0
    table: pd.DataFrame = pd.DataFrame()
    clock: Clock | None = None
    last_line: str = ""
    notes: tuple[str, ...] = ()
    encoding: str = "utf-8"


def sketch_file(path: Path) -> Sketch:
    """Looks at up to HEAD_LINES lines of a file's start and of its middle, compressed or not."""
    if path.suffix.lower() == ".parquet":
        return _sketch_parquet(path)
    lines, encoding = _lines(path)
    suffix = Path(re.sub(r"\.(gz|bz2|xz)$", "", path.name, flags=re.I)).suffix.lower()
    if suffix in LAYOUT_SUFFIXES:
        return Sketch(path, "layout", lines)
    for name, pattern in LINE_FORMATS.items():
        if sum(map(bool, map(pattern.search, lines))) >= max(1, len(lines) // 50):
            return Sketch(path, name, lines)
    if suffix in PROGRAM_SUFFIXES or block_share(lines) > MIN_PROGRAM_SHARE:
        return Sketch(path, "program", lines)
    if lines and lines[0].lstrip().startswith("{"):
        return _sketch_json_lines(path, lines)
    return _sketch_table(path, lines)._replace(encoding=encoding)


def _sketch_parquet(path: Path) -> Sketch:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            table = next(file.iter_batches(HEAD_LINES)).to_pandas()
    except (ArrowException, OSError, StopIteration):
        return Sketch(path, "unknown", [])
    return Sketch(path, "parquet", [], "", True, 0, table, guess_clock(table))


def _sketch_json_lines(path: Path, lines: list[str]) -> Sketch:
    try:
        rows = [json.loads(line) for line in lines if line.strip()]
        table = pd.json_normalize(rows)
    except (ValueError, NotImplementedError, AttributeError):
        return Sketch(path, "unknown", lines)
    samples = [c for c in table if not table[c].map(lambda v: isinstance(v, list | dict)).any()]
    table = table[samples]
    return Sketch(path, "json_lines", lines, "", True, 0, table, guess_clock(table))


def _lines(path: Path) -> tuple[list[str], str]:
    """Lines of the file's start and, if it is long, of its middle, and its encoding.

    No lines if it is no text.
    """
    with path.open("rb") as handle:
        magic = handle.read(6)
        handle.seek(0)
        opener = next((o for start, o in OPENERS.items() if magic.startswith(start)), None)
        try:
            content: bytes = (opener(handle) if opener else handle).read(HEAD_BYTES)
            middle = b""
            if opener is None and len(content) == HEAD_BYTES:
                # At rest a machine tells little.
                handle.seek(path.stat().st_size // 2)
                middle = handle.read(HEAD_BYTES)
        except (OSError, EOFError):
            return [], "utf-8"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace").splitlines()[:HEAD_LINES], "utf-16"
    if b"\0" in content[:1000]:
        return [], "utf-8"
    encoding = "utf-8" if _is_utf8(content) else "cp1252"
    lines = content.decode(encoding, errors="replace").lstrip("\ufeff").splitlines()
    # The line at the cut is not whole.
    lines = lines[: HEAD_LINES if len(content) < HEAD_BYTES else min(HEAD_LINES, len(lines) - 1)]
    more = middle.decode(encoding, errors="replace").splitlines()[1:-1][:HEAD_LINES]
    return lines + more, encoding


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(content) - 4  # A letter that the cut divides.
    return True


def block_share(texts: Iterable[str]) -> float:
    """Share of texts that are blocks of G-code, less those that are none, such as table rows."""
    scores = list[int]()
    for text in texts:
        try:
            scores.append(bool(parse_block(text)))
        except ValueError:
            scores.append(-1)
    return sum(scores) / max(len(scores), 1)


def _sketch_table(path: Path, lines: list[str]) -> Sketch:
    rows = [line for line in lines if line.strip()]
    quoted = [line[1:-1] for line in rows if len(line) > 1 and line[0] == line[-1] == '"']
    notes: list[str] = []
    mark = ""
    if len(quoted) == len(rows) and all('"' not in row for row in quoted):
        rows, mark = quoted, '"'
        notes.append("each row is one quoted text")
    structure = _structure(rows[:STRUCTURE_LINES])
    if structure is None:
        return Sketch(path, "unknown", lines)
    separator, first, width = structure
    fields = [_split(row, separator) for row in rows]
    header = first - 1 if first and len(fields[first - 1]) == width else None
    names = fields[header] if header is not None else [str(i) for i in range(width)]
    names = [name or f"column {i}" for i, name in enumerate(names)]
    skipped = header if header is not None else first
    if ragged := sum(len(row) != width for row in fields[first:]):
        notes.append(
            f"{ragged} rows do not have {width} fields, such as {_odd(fields[first:], width)!r}"
        )
    if doubles := [n for n, count in Counter(names).items() if count > 1]:
        notes.append(f"two columns are called {doubles[0]!r}")
        names = [f"{name}.{i}" if name in doubles else name for i, name in enumerate(names)]
    whole = [
        row
        for row, values in zip(rows[first:], fields[first:], strict=True)
        if len(values) == width
    ]
    decimal = "," if separator != "," and _has_decimal_commas(whole) else "."
    if decimal == ",":
        notes.append(DECIMAL_COMMA)
    table = pd.read_csv(
        io.StringIO("\n".join(whole)),
        sep=r"\s+" if separator == " " else separator,
        header=None,
        names=names,
        index_col=False,
        decimal=decimal,
        skipinitialspace=True,
        low_memory=False,
    )
    clock = guess_clock(table)
    mark += separator
    has_header = header is not None
    last, remarks = _last_line(path), tuple(notes)
    return Sketch(path, "table", lines, mark, has_header, skipped, table, clock, last, remarks)


def _last_line(path: Path) -> str:
    with path.open("rb") as handle:
        handle.seek(max(path.stat().st_size - 300, 0))
        lines = handle.read().decode("utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _structure(rows: list[str]) -> tuple[str, int, int] | None:
    """Separator, index of the first row of samples, fields a row; None if it is no table."""
    best: tuple[int, str, int, int] | None = None
    for separator in SEPARATORS:
        counts = [len(_split(row, separator)) for row in rows]
        if not counts:
            return None
        width = Counter(counts).most_common(1)[0][0]
        first = next(
            (
                i
                for i, row in enumerate(rows[: MAX_HEADER_LINES + 1])
                if counts[i] == width and _has_samples(_split(row, separator))
            ),
            None,
        )
        agreeing = sum(count == width for count in counts)
        if width > 1 and first is not None and agreeing > 0.8 * len(rows):
            rank = agreeing * 100 + min(width, 99)
            if best is None or rank > best[0]:
                best = rank, separator, first, width
    return best[1:] if best else None


def _split(row: str, separator: str) -> list[str]:
    if separator == " ":
        return row.split()
    return next(csv.reader(io.StringIO(row), delimiter=separator, skipinitialspace=True), [])


def _has_samples(fields: list[str]) -> bool:
    """Whether a field is a number or a time, as in no header."""
    return any(_is_sample(field) for field in fields if field.strip())


def _is_sample(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return bool(_DATE.match(text) or _TIME_OF_DAY.match(text))
    return True


def _odd(fields: list[list[str]], width: int) -> str:
    return " ".join(next(row for row in fields if len(row) != width))[:40]


def _has_decimal_commas(rows: list[str]) -> bool:
    text = "\n".join(rows[:STRUCTURE_LINES])
    return len(re.findall(r"\d,\d", text)) > len(re.findall(r"\d\.\d", text))


def guess_clock(table: pd.DataFrame) -> Clock | None:
    """The most likely clock among the columns of a table's first rows."""
    ranked = sorted(_clocks(table), key=lambda candidate: candidate[0])
    return ranked[0][1] if ranked and len(table) > 1 else None


def _clocks(table: pd.DataFrame) -> Iterator[tuple[int, Clock]]:
    """Candidates and their rank, the best is 0."""
    for name in map(str, table.columns):
        samples = table[name].dropna()
        if len(samples) < 2:
            continue
        is_named = bool(_TIME_NAME.search(name))
        if samples.dtype.kind not in "iuf":
            texts = samples.astype(str)
            for kind, pattern in (("date", _DATE), ("time of day", _TIME_OF_DAY)):
                if texts.map(lambda text, p=pattern: bool(p.match(text))).mean() > 0.9:
                    yield 0 if is_named else 1, Clock(name, kind, _text_period(texts, kind))
            continue
        unit = _UNIT.search(name)
        if unit is not None and not is_named and unit[1].strip().casefold() not in _TIME_UNITS:
            continue
        values = samples.to_numpy(np.float64)
        steps = np.diff(values)
        if (steps < 0).mean() > MAX_BACKWARD_SHARE or not (steps > 0).any():
            continue
        for kind, scale in UNIX_SCALES.items():
            if UNIX_YEARS[0] * scale < values[0] < UNIX_YEARS[1] * scale:
                yield 0 if is_named else 1, Clock(name, kind, usual_step(steps) / scale)
                break
        else:
            if (steps == 1).mean() > 0.99 and (values % 1 == 0).all():
                yield 3, Clock(name, "sample", np.nan)
            elif is_named or _are_even(steps):
                scale = 1e3 if re.search(r"\bms\b|milli|_ms$", name, re.IGNORECASE) else 1.0
                kind = "ms" if scale > 1 else "s"
                yield 2 if is_named else 4, Clock(name, kind, usual_step(steps) / scale)


def _are_even(steps: NDArray[np.float64]) -> bool:
    """Whether nearly all are near their median, as those of a clock and not of a position."""
    median = np.median(steps)
    return bool(median > 0 and (np.abs(steps - median) <= 0.5 * median).mean() > 0.95)


def usual_step(steps: NDArray[np.float64]) -> float:
    """Of a clock, free of its rounding: the mean of the steps near the median; NaN without any."""
    near = advancing = steps[steps > 0]
    if advancing.size:
        near = advancing[np.abs(advancing / np.median(advancing) - 1) <= 0.5]
    return float(near.mean()) if near.size else float("nan")


def _text_period(texts: pd.Series, kind: str) -> float:
    from gcodefp.recordings.clock import elapsed_seconds, median_period
    from gcodefp.recordings.source_clock import DOTTED_DATE

    iso = texts.str.strip().str.replace(DOTTED_DATE, r"\3-\2-\1 ", regex=True)
    return median_period(elapsed_seconds(iso if kind == "date" else texts))


def guess_acceleration_unit(samples: NDArray[np.float64]) -> str | None:
    """The unit of (N, 3) samples of one accelerometer, by gravity."""
    return unit_by_gravity(float(np.linalg.norm(np.nanmean(samples, axis=0))))


def unit_by_gravity(norm: float) -> str | None:
    """The unit in which a mean acceleration is 1 g, as it is however a sensor is mounted.

    None if it is none within a tenth: raw counts, or gravity is filtered out.
    """
    return next((u for u, rest in GRAVITY.items() if abs(norm / rest - 1) < 0.1), None)
