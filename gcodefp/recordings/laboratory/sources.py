"""Reads the files of a layout's sources a chunk of rows at a time, whatever their length."""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from gcodefp.errors import UserError, shown
from gcodefp.recordings.laboratory.layout import Source, with_groups

OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""First bytes -> how a compressed file is opened, whatever its name."""
CHUNK_ROWS = 100_000
ROW_BYTES = 64
"""Of a CSV file, about."""
MAX_LINE_CHARACTERS = 1_000_000
WHITESPACE = "whitespace"
SEPARATORS = (",", ";", "\t", "|", WHITESPACE)
"""Likely ones."""
MISSING = ("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND",
           "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null")  # fmt: skip
"""Texts of a cell without a sample."""

UNREADABLE = (OSError, ValueError, EOFError, LookupError, csv.Error, zlib.error, lzma.LZMAError)

IsRead = Callable[[str], bool]


class LayoutError(UserError):
    """A key of a layout does not fit a file: the layout is to be corrected.

    Attributes:
        fix: the correct line of YAML; empty if it is not known.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(f"{message}: write {fix}" if fix else message)
        self.fix = fix


def read_chunks(
    path: Path,
    source: Source,
    is_read: IsRead,
    texts: Callable[[str], bool],
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[pd.DataFrame]:
    """The rows of a file in its order; the index counts them from 0.

    Args:
        is_read: whether a column is read, by its name in the file; asked once for each column.
        texts: whether a column is read as text. Others may be texts too, where they are no numbers.
        chunk_rows: rows of each table but the last.

    Raises:
        UserError: the file cannot be read in the source's format.
    """
    try:
        count = 0
        for chunk in _READERS[source.format](path, source, cache(is_read), texts, chunk_rows):
            chunk.index = pd.RangeIndex(count, count + len(chunk))
            count += len(chunk)
            yield chunk
    except UNREADABLE as error:
        message = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as {source.format}: {message}") from None


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, decompressed whatever its name is."""
    with path.open("rb") as handle:
        head = handle.read(6)
        handle.seek(0)
        opener = next((o for magic, o in OPENERS.items() if head.startswith(magic)), nullcontext)
        with opener(handle) as stream:
            yield stream


@contextmanager
def _opened_lines(path: Path, source: Source) -> Iterator[Iterator[str]]:
    """The lines of a text file, without those before its header, comments and blank ones."""
    with (
        opened(path) as stream,
        io.TextIOWrapper(stream, encoding=source.encoding, newline=None) as text,
    ):
        lines = islice(iter(lambda: text.readline(MAX_LINE_CHARACTERS), ""), source.skip_rows, None)
        stripped = (line.strip("\ufeff\n") for line in lines)
        yield (
            line
            for line in stripped
            if line.strip() and not (source.comment and line.startswith(source.comment))
        )


def _read_csv(
    path: Path, source: Source, is_read: IsRead, texts: Callable[[str], bool], chunk_rows: int
) -> Iterator[pd.DataFrame]:
    import pyarrow
    from pyarrow import csv as arrow_csv

    with _opened_csv(path, source, chunk_rows) as (header, separator, blocks):
        names = source.header or _fields(header, separator)
        if not names:
            raise ValueError("it is empty")
        if source.header is None:
            _check_separator(path, source, header, names)
        used = [name for name in dict.fromkeys(names) if is_read(name)]
        if not used:
            raise ValueError("it has none of the columns that the layout maps")
        if twice := [name for name in used if names.count(name) > 1]:
            raise ValueError(f"two columns are {twice[0]!r}; remove or rename one of them")
        # Arrow refuses rows with more or fewer fields than names.
        parsing = arrow_csv.ParseOptions(delimiter=separator)
        conversion = arrow_csv.ConvertOptions(
            column_types={n: "string" if texts(n) else "float64" for n in used},
            include_columns=used,
            null_values=list(MISSING),
            decimal_point=source.decimal,
        )
        count = 0
        for block in blocks:
            # A reader of the whole stream would read ahead, in a thread that may outlive Python.
            options = arrow_csv.ReadOptions(
                use_threads=False, block_size=len(block), column_names=names
            )
            try:
                table = arrow_csv.read_csv(
                    pyarrow.BufferReader(block), options, parsing, conversion
                )
            except pyarrow.ArrowInvalid as error:
                raise _csv_error(str(error), count, path, source, block) from None
            count += len(table)
            yield table.to_pandas()


def _fields(line: str, separator: str) -> list[str]:
    if separator == WHITESPACE:
        return line.split()
    return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]


def _check_separator(path: Path, source: Source, header: str, names: list[str]) -> None:
    """Raises LayoutError if another separator makes more of the layout's columns of a header."""
    clock = source.clock.column
    patterns = [re.compile(with_groups(key, r"\w+")) for key in source.columns]

    def rank(fields: list[str]) -> int:
        return sum(f == clock or any(p.fullmatch(f) for p in patterns) for f in fields)

    if clock in names or (clock is None and rank(names)):
        return
    likely = max(SEPARATORS, key=lambda separator: rank(_fields(header, separator)))
    if rank(_fields(header, likely)) > rank(names):
        raise _wrong_separator(path, source, header, likely)


def _wrong_separator(path: Path, source: Source, line: str, likely: str) -> LayoutError:
    return LayoutError(
        f"{source.where}.separator: {source.separator!r} does not divide {path} into the columns "
        f"of the layout, with {shown(line)} in its first line",
        f"separator: {json.dumps(likely)}",
    )


def _csv_error(message: str, count: int, path: Path, source: Source, block: bytes) -> Exception:
    """The error of Arrow in a block of a file that `count` rows precede."""
    width = re.search(r"Row #1: Expected \d+ columns, got (\d+)", message)
    if width and not count and source.header is not None:
        line = block.decode(errors="replace").strip().partition("\n")[0]
        for likely in SEPARATORS:
            # White space may be part of a field.
            is_likely = likely != WHITESPACE or width[1] == "1"
            if is_likely and len(_fields(line, likely)) == len(source.header) > 1:
                return _wrong_separator(path, source, line, likely)
        return _wrong_header(path, source, int(width[1]))
    message = re.sub(r"Row #(\d+)", lambda row: f"Row #{int(row[1]) + count}", message)
    mark = "." if source.decimal == "," else ","
    number = rf"invalid value '([-+]?\d*{re.escape(mark)}\d+(?:e[-+]?\d+)?)'"
    if value := re.search(number, message, re.I):
        wrong = f"{source.where}.decimal: {source.decimal!r} does not fit {path}: {message}"
        if re.fullmatch(r"[-+]?\d{1,3}\D\d{3}", value[1]):
            return LayoutError(f"{wrong}; {mark!r} is the decimal mark, or separates thousands")
        return LayoutError(
            f"{wrong}; if {mark!r} is the decimal mark", f"decimal: {json.dumps(mark)}"
        )
    return ValueError(message)


def _wrong_header(path: Path, source: Source, count: int) -> UserError:
    return LayoutError(
        f"{source.where}.header: {len(source.header or ())} names for the {count} columns of "
        f"{path}: name every column, in the order of the file (list those that are not needed "
        "under ignore), or remove header if the file names them itself"
    )


@contextmanager
def _opened_csv(
    path: Path, source: Source, chunk_rows: int
) -> Iterator[tuple[str, str, Iterator[bytes]]]:
    """The header's line, the separator, and blocks of about `chunk_rows` rows below it in UTF-8."""
    is_plain = source.encoding.casefold() in ("utf-8", "utf8") and source.comment is None
    if is_plain and not source.quoted_rows and source.separator != WHITESPACE:
        with opened(path) as stream:
            for _ in range(source.skip_rows):
                stream.readline(MAX_LINE_CHARACTERS)
            header = b""
            while source.header is None and not header.strip():
                if not (header := stream.readline(MAX_LINE_CHARACTERS)):
                    break
            size = chunk_rows * ROW_BYTES
            blocks = iter(lambda: stream.read(size) + stream.readline(MAX_LINE_CHARACTERS), b"")
            text = header.decode("utf-8-sig").strip("\r\n")
            yield text, source.separator, filter(bytes.strip, blocks)
        return
    with _opened_lines(path, source) as lines:
        if source.quoted_rows:
            lines = map(_unquoted, lines)
        if source.separator == WHITESPACE:
            lines = ("\t".join(line.split()) for line in lines)
        text = next(lines, "") if source.header is None else ""
        separator = "\t" if source.separator == WHITESPACE else source.separator
        rows = iter(lambda: [f"{line}\n" for line in islice(lines, chunk_rows)], [])
        yield text, separator, ("".join(batch).encode() for batch in rows)


def _unquoted(line: str) -> str:
    line = line.strip()
    is_quoted = len(line) > 1 and line[0] == line[-1] == '"'
    return line[1:-1].replace('""', '"') if is_quoted else line


def _read_lines(
    path: Path, source: Source, is_read: IsRead, texts: Callable[[str], bool], chunk_rows: int
) -> Iterator[pd.DataFrame]:
    pattern = re.compile(source.regex or "")
    names = [name for name in pattern.groupindex if is_read(name)]
    with _opened_lines(path, source) as lines:
        matches = (match for line in lines if (match := pattern.search(line)))
        while rows := [[m[name] for name in names] for m in islice(matches, chunk_rows)]:
            yield pd.DataFrame(rows, columns=names, dtype=object)


def _read_json_lines(
    path: Path, source: Source, is_read: IsRead, texts: Callable[[str], bool], chunk_rows: int
) -> Iterator[pd.DataFrame]:
    with _opened_lines(path, source) as lines:
        while batch := [json.loads(line) for line in islice(lines, chunk_rows)]:
            if not all(isinstance(row, dict) for row in batch):
                raise ValueError("a line is no object in braces")
            table = pd.json_normalize(batch)
            yield table[[name for name in table.columns if is_read(name)]]


def _read_parquet(
    path: Path, source: Source, is_read: IsRead, texts: Callable[[str], bool], chunk_rows: int
) -> Iterator[pd.DataFrame]:
    from pyarrow import ArrowException, parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if is_read(name)]
            for batch in file.iter_batches(chunk_rows, columns=names):
                yield batch.to_pandas()
    except ArrowException as error:
        raise ValueError(str(error)) from None


def _read_hdf5(
    path: Path, source: Source, is_read: IsRead, texts: Callable[[str], bool], chunk_rows: int
) -> Iterator[pd.DataFrame]:
    import h5py

    with h5py.File(path) as file:
        node = file[source.dataset]
        if isinstance(node, h5py.Dataset):
            if source.header is not None and node.shape[1:] != (len(source.header),):
                raise _wrong_header(path, source, node.shape[1] if node.ndim > 1 else 1)
            if source.header is None:
                raise ValueError(
                    f"{source.dataset} is a {node.shape} matrix; header has to name its columns"
                )
            names = [name for name in source.header if is_read(name)]
            indices = [source.header.index(name) for name in names]
            length, cut = len(node), lambda a, b: node[a:b][:, indices].T
        else:
            vectors = {n: d for n, d in node.items() if isinstance(d, h5py.Dataset) and d.ndim == 1}
            names = [name for name in vectors if is_read(name)]
            length = max((len(vectors[name]) for name in names), default=0)
            if short := [name for name in names if len(vectors[name]) != length]:
                raise ValueError(f"{short[0]} has another length than the other columns")
            cut = lambda a, b: [vectors[name][a:b] for name in names]  # noqa: E731
        for start in range(0, length, chunk_rows):
            arrays = cut(start, start + chunk_rows)
            table = pd.DataFrame(dict(zip(names, map(np.asarray, arrays), strict=True)))
            yield table.map(lambda v: v.decode() if isinstance(v, bytes) else v)


_READERS = {
    "csv": _read_csv,
    "lines": _read_lines,
    "json_lines": _read_json_lines,
    "parquet": _read_parquet,
    "hdf5": _read_hdf5,
}


def numbers(samples: pd.Series) -> pd.Series:
    """Samples as floats; missing ones are NaN.

    Raises ValueError: a sample is a text that is not a number.
    """
    if samples.dtype.kind in "iufb":
        return samples.astype(np.float64)
    missing = samples.isna() | samples.astype(str).str.strip().isin(MISSING)
    values = pd.to_numeric(samples.mask(missing), errors="coerce").astype(np.float64)
    if (invalid := (values.isna() & ~missing).to_numpy()).any():
        row = int(invalid.argmax())
        raise ValueError(
            f"column {samples.name!r}, data row {samples.index[row] + 1}: "
            f"{str(samples.iloc[row])[:60]!r} is not a number"
        )
    return values


def texts_of(samples: pd.Series) -> pd.Series:
    """Samples as texts; missing ones are NaN, and 17.0 is `17`."""
    if samples.dtype.kind in "iufb":
        return samples.map(lambda value: f"{value:.15g}", na_action="ignore").astype(object)
    texts = samples.astype(str).str.strip().astype(object)
    return texts.where(samples.notna() & ~texts.isin(MISSING), None)
