"""The text of a CSV file and its structure: encoding, separator, header, fields of each row.

Nothing is guessed about samples: a row with more or fewer fields than the header, an open quote or
a second header is an error, since every sample after it might be in the wrong column.
"""

import bz2
import codecs
import csv
import gzip
import lzma
import re
import stat
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
"""First bytes -> how a compressed file is opened, whatever its name."""
MAX_TEXT_BYTES = 64_000_000
"""Uncompressed; the largest real recording has 3 MB. A compressed file can be a bomb."""
MAX_ROWS = 200_000
"""14 hours of reports; the longest real recording has 3,500."""
MAX_HEADER_CHARACTERS = 100_000
MAX_LINES_BEFORE_HEADER = 20
MIN_HEADER_NAMES = 2
"""Known names that make a line the header."""
QUOTED = "\0"
"""Stands for a field in quotes while separators are counted; no file has this character."""
SEPARATORS = (",", ";", "\t", "|")
ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order mark -> encoding; UTF-32's begins with UTF-16's."""


class CsvText(NamedTuple):
    """A checked CSV file: each row has as many fields as there are names.

    Attributes:
        names: the header's fields, as they stand there.
        body: the text below the header.
        has_trailing_separators: whether each row ends with a separator more.
    """

    names: list[str]
    body: str
    separator: str
    has_trailing_separators: bool


def read_csv_text(path: Path, is_known: Callable[[str], bool]) -> CsvText:
    """Reads a CSV file and checks its structure.

    Args:
        is_known: whether a header's field names a column; the line and the separator with most of
            them are the header's.

    Raises:
        ValueError, OSError: the file cannot be read, or its structure is broken.
    """
    text = _decode(_read_bytes(path))
    separator, names, start, end = _find_header(text, is_known)
    body = text[end:]
    has_trailing_separators = _check_fields(body, separator, len(names))
    if f"\n{text[start:end].rstrip()}\n" in f"\n{body}":
        raise ValueError("its header appears twice: several logs in one file")
    return CsvText(names, body, separator, has_trailing_separators)


def _read_bytes(path: Path) -> bytes:
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is not a regular file")
    with path.open("rb") as handle:
        head = handle.read(6)
        handle.seek(0)
        if head.startswith(b"PK\x03\x04"):
            raise ValueError("it is a zip archive")
        opener = next((o for magic, o in OPENERS.items() if head.startswith(magic)), nullcontext)
        try:
            with opener(handle) as stream:
                content: bytes = stream.read(MAX_TEXT_BYTES + 1)
        except (EOFError, zlib.error, lzma.LZMAError) as error:
            raise ValueError(str(error)) from None
    if len(content) > MAX_TEXT_BYTES:
        raise ValueError(f"it has over {MAX_TEXT_BYTES // 10**6} MB of text")
    return content


def _decode(content: bytes) -> str:
    encoding = next((e for mark, e in ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(f"it is not {encoding.upper()}: {error}") from None
        # All that is read is ASCII, whatever Windows code page a comment or a unit is in.
        text = content.decode("cp1252", errors="replace")
    if (offset := text.find("\0")) >= 0:
        raise ValueError(f"it has a NUL character at {offset}; save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _find_header(text: str, is_known: Callable[[str], bool]) -> tuple[str, list[str], int, int]:
    """Separator, fields, start and end of the header; the first line's if none has a known name."""
    best, best_rank, end = None, -1, 0
    for _ in range(MAX_LINES_BEFORE_HEADER):
        start, end = end, text.find("\n", end) + 1 or len(text)
        line = text[start : min(end, start + MAX_HEADER_CHARACTERS)]
        for separator in SEPARATORS if line.strip() and best_rank < MIN_HEADER_NAMES else ():
            try:
                (names,) = csv.reader([line], delimiter=separator, skipinitialspace=True)
            except (csv.Error, ValueError):
                continue
            rank = sum(map(is_known, names))
            if rank > best_rank:
                best, best_rank = (separator, names, start, end), rank
    if best is None:
        raise ValueError("it is empty")
    return best


def _check_fields(body: str, separator: str, fields: int) -> bool:
    """Whether each row ends with a separator more.

    Raises:
        ValueError: a row has more or fewer fields than the header, or the field without a name may
            be the first one, a row number.
    """
    if body.count("\n") > MAX_ROWS:
        raise ValueError(f"it has over {MAX_ROWS:,} rows")
    plain = "\n" + body
    if ' "' in body:
        plain = re.sub(rf'([{separator}\n]) +"', r'\1"', plain)
    # A quote elsewhere in a field is a character. The look-behinds come second: so it is fast.
    plain = re.sub(rf'"(?<=[{separator}\n]")[^"]*+(?:""[^"]*+)*+"', QUOTED, plain)
    if re.search(rf'"(?<=[{separator}\n]")', plain):
        raise ValueError('a quote " is not closed')
    rows = [row for row in plain.split("\n") if row.strip(" ")]
    counts = np.array([row.count(separator) + 1 for row in rows], np.int64)
    if (
        (counts == fields + 1).all()
        and all(r.endswith(separator) and not r.startswith((QUOTED, separator)) for r in rows)
        and not _is_monotonic([row.partition(separator)[0] for row in rows])
    ):
        return bool(rows)
    if (counts != fields).any():
        row = int((counts != fields).argmax())
        raise ValueError(
            f"data row {row + 1} has {counts[row]} fields, the header {fields}, separated by "
            f"{separator!r}"
        )
    return False


def _is_monotonic(texts: list[str]) -> bool:
    """Whether the texts are numbers that increase, or decrease, from row to row."""
    try:
        steps = np.diff([float(text) for text in texts])
        return bool((steps > 0).all() or (steps < 0).all())
    except (ValueError, OverflowError):
        return False
