"""Reads a CSV or Parquet file into a table of canonical columns.

Parquet files are what a layout has made of a laboratory's files: a row per row of the recording, a
column per canonical column, whose unit is in the field's metadata; operation, session and machine
are in the attributes that pandas stores.
"""

import csv
import io
import lzma
import re
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.recordings import columns
from gcodefp.recordings.laboratory.quantities import RUNNING
from gcodefp.recordings.laboratory.sources import MISSING, opened

FIX = "repair the file, or name it under recordings.exclude in the configuration"
MAX_TEXT_BYTES = 64_000_000
"""Uncompressed; the largest real recording has 3 MB. A compressed file can be a bomb."""
MAX_ROWS = 200_000
"""14 hours of reports; the longest real recording has 3,500."""
MAX_HEADER_CHARACTERS = 100_000
MAX_LINES_BEFORE_HEADER, MIN_HEADER_NAMES = 20, 2
SEPARATORS = (",", ";", "\t", "|")
Texts = NDArray[np.object_]


class RecordingExcluded(Exception):
    """A rule excludes the recording; the message names the rule."""


def read_native(path: Path, groups: Collection[str]) -> pd.DataFrame:
    """Reads controller columns, environment and channel groups, and skips all other columns.

    Args:
        groups: channel groups, of `columns.GROUPS`.

    Returns:
        one row per line of the file; channels are float, in the file's order.

    Raises:
        UserError: the file is truncated, empty or not CSV, or lacks a required column.
    """
    if path.suffix == ".parquet":
        return select_groups(read_canonical(path), groups)
    labels = {*columns.REQUIRED, columns.UNIT, *columns.POSITION}
    read = {*groups, "environment"}  # Only a baseline uses it: it may be missing or invalid.
    table = read_columns(
        path,
        lambda column: column in labels or columns.channel_group(column) in read,
        FIX,
        lambda column: columns.channel_group(column) in read - set(groups),
    )
    for column in columns.REQUIRED:
        if column not in table:
            raise UserError(f"{path}: column {column!r} is missing; {FIX}")
    if table.empty:
        raise UserError(f"{path}: has no row below its header; {FIX}")
    return table


def read_columns(
    path: Path,
    is_read: Callable[[str], bool],
    fix: str,
    is_optional: Callable[[str], bool] = lambda column: False,
) -> pd.DataFrame:
    """Reads some columns of a CSV file: the one way from any file to a table.

    Nothing is guessed about samples: a row with more or fewer fields than the header, an open quote
    or a second header is an error, since every sample after it might be in the wrong column.

    Args:
        is_read: whether a column, by its canonical name, is read.
        is_optional: columns in which a text that is not a number counts as missing.

    Returns:
        one row per row of the file; the columns `columns.TEXTS` as text, all others as numbers.

    Raises:
        UserError: the file is truncated or not CSV, two columns have one name, a column is in
            another unit, or a sample is not a number; the message ends with `fix`.
    """
    try:
        separator, headers, body = _split_header(_read_text(path))
        rows = _rows(body, separator, headers)
        fields = list(zip(*rows, strict=True)) or [()] * len(headers)
        names = _positions(headers, is_read)
        texts = {name: np.array(fields[index], object) for index, name in names.items()}
        table, invalid = _numbers(texts, is_optional)
        if invalid is not None:
            table, problem = _numbers(texts, is_optional, decimal=",")
            if problem is not None or _may_be_thousands(texts):
                raise ValueError(invalid)
    except (OSError, EOFError, ValueError, csv.Error, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}; {fix}") from None
    return table


def _read_text(path: Path) -> str:
    if not path.is_file():
        raise ValueError("it is not a regular file")
    with opened(path) as stream:
        content = stream.read(MAX_TEXT_BYTES + 1)
    if content.startswith(b"PK\x03\x04"):
        raise ValueError("it is a zip archive")
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"it has over {MAX_TEXT_BYTES // 10**6} MB of text")
    encoding = "utf-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise ValueError(f"it is not UTF-16: {error}") from None
        # All that is read is ASCII, whatever Windows code page a comment or a unit is in.
        text = content.decode("cp1252", errors="replace")
    if (offset := text.find("\0")) >= 0:
        raise ValueError(f"it has a NUL character at {offset}; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _split_header(text: str) -> tuple[str, list[str], str]:
    """Separator, fields of the header, and the text below it.

    The header is the first of the first lines with two known names; else the first line.
    """
    best, best_rank, end = None, -1, 0
    for _ in range(MAX_LINES_BEFORE_HEADER):
        start, end = end, text.find("\n", end) + 1 or len(text)
        line = text[start : min(end, start + MAX_HEADER_CHARACTERS)]
        for separator in SEPARATORS if line.strip() and best_rank < MIN_HEADER_NAMES else ():
            try:
                (names,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
            except (csv.Error, ValueError):
                continue
            rank = sum(columns.is_recording_column(columns.canonical_column(n)[0]) for n in names)
            if rank > best_rank:
                best, best_rank = (separator, names, start, end), rank
    if best is None:
        raise ValueError("it is empty")
    separator, names, start, end = best
    if f"\n{text[start:end].rstrip()}\n" in f"\n{text[end:]}":
        raise ValueError("its header appears twice: several logs in one file")
    return separator, names, text[end:]


def _rows(body: str, separator: str, headers: list[str]) -> list[list[str]]:
    """The fields of each row that is not blank.

    Raises ValueError: a row has more or fewer fields than the header, or is one column off.
    """
    if body.count("\n") > MAX_ROWS:
        raise ValueError(f"it has over {MAX_ROWS:,} rows")
    lines = io.StringIO(body, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        rows = [row for row in reader if row not in ([], [""])]
    except csv.Error as error:
        is_open = "end of data" in str(error)
        where = f"{error}, in line {reader.line_num} below the header"
        raise ValueError('a quote " is not closed' if is_open else where) from None
    for number, row in enumerate(rows, 1):
        if len(row) != len(headers):
            raise ValueError(
                f"data row {number} has {len(row)} fields, the header {len(headers)}, separated by "
                f"{separator!r} (one at the end of a row counts, too)"
            )
    names = [columns.canonical_column(header)[0] for header in headers]
    clock = names.index(columns.CLOCK) if columns.CLOCK in names else -1
    is_timed = sum(bool(re.search(r"\d:\d\d", row[clock])) for row in rows) > len(rows) / 2
    is_last_empty = not any(row[-1].strip() for row in rows)
    if rows and not headers[0].strip() and is_last_empty and not is_timed:
        raise ValueError(
            "its first column has no name and its last one is empty: are all fields one column "
            "off? Remove the separators at the ends of the rows, or the empty column"
        )
    return rows


def _positions(headers: list[str], is_read: Callable[[str], bool]) -> dict[int, str]:
    """Index of each field that is read -> its canonical name."""
    names: dict[int, str] = {}
    seen: set[str] = set()
    present = {columns.canonical_column(header)[0].casefold() for header in headers}
    for index, header in enumerate(headers):
        column, unit = columns.canonical_column(header)
        # pandas calls the second of two columns NAME.1.
        original = columns.canonical_column(re.sub(r"\.\d+$", "", column))[0]
        is_renamed = original != column and is_read(original) and original.casefold() in present
        if column.casefold() in seen or is_renamed:
            raise ValueError(f"two columns are {original!r}; remove or rename one of them")
        if is_read(column):
            columns.check_unit(column, unit)
            names[index] = column
            seen.add(column.casefold())
    return names


def _numbers(
    texts: Mapping[str, Texts], is_optional: Callable[[str], bool], decimal: str = "."
) -> tuple[pd.DataFrame, str | None]:
    """The table, and where its first text is that is not a number, if there is one."""
    table, invalid = dict[str, Any](), None
    for column, samples in texts.items():
        if column in columns.TEXTS:
            cells = pd.Series(samples)
            table[column] = cells.mask(cells.isin(MISSING)).astype("str")
            continue
        written = samples
        if decimal == ",":
            written = np.array(["" if "." in s else s.replace(",", ".") for s in samples], object)
        table[column] = pd.to_numeric(written, errors="coerce")
        missing = np.isnan(table[column])
        if invalid is None and missing.any() and not is_optional(column):
            rows = np.flatnonzero(missing & ~np.isin(samples, MISSING))
            if len(rows):
                text = samples[rows[0]]
                invalid = f"column {column!r}, data row {rows[0] + 1}: {text!r} is not a number"
    return pd.DataFrame(table), invalid


def _may_be_thousands(texts: Mapping[str, Texts]) -> bool:
    """Whether all numbers with a comma are such as `1,185`, which may be 1185 or 1.185."""
    pattern = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
    samples = chain.from_iterable(texts[name] for name in texts if name not in columns.TEXTS)
    return all(pattern.fullmatch(sample) for sample in samples if "," in sample)


FORMAT = b"gcodefp-recording-1"
ATTRIBUTES = ("operation", "session", "machine", "preamble", "program", "notes", "periods")
"""Of a canonical table, in its `attrs`."""


def write_canonical(path: Path, table: pd.DataFrame) -> None:
    """Writes a table whole or not at all."""
    import pyarrow
    from pyarrow import parquet

    stored = table.copy(deep=False)
    stored.attrs = {key: table.attrs[key] for key in ATTRIBUTES if key in table.attrs}
    arrow = pyarrow.Table.from_pandas(stored)
    fields = [field.with_metadata({"unit": _unit(field.name)}) for field in arrow.schema]
    schema = pyarrow.schema(fields, {**(arrow.schema.metadata or {}), b"format": FORMAT})
    with replacing(path) as temporary:
        parquet.write_table(arrow.cast(schema), temporary, compression="zstd")


def read_canonical(path: Path) -> pd.DataFrame:
    """Reads what `write_canonical` wrote.

    Raises UserError: it is no such file.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        arrow = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet: {error}") from None
    if (arrow.schema.metadata or {}).get(b"format") != FORMAT:
        raise UserError(
            f"{path}: is no recording that gcodefp wrote; a layout says what its columns mean: set "
            "recordings.layout"
        )
    return arrow.to_pandas()


def select_groups(table: pd.DataFrame, groups: Collection[str]) -> pd.DataFrame:
    """The columns of a canonical table that cleaning reads, with the channels of some groups."""
    always = {*columns.REQUIRED, columns.UNIT, columns.ROW_RANGE, *columns.POSITION_MM, RUNNING}
    read = (*groups, "environment")  # A baseline uses it.
    names = [c for c in table.columns if c in always or columns.channel_group(c) in read]
    return table[names]


def _unit(column: str) -> str:
    if column == columns.CLOCK:
        return "s"
    return columns.channel_unit(column) if columns.channel_group(column) else ""
