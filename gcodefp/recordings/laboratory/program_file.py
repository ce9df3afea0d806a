"""The text of an executed G-code file, and its lines by what a controller reports of them."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings.laboratory.sources import UNREADABLE, opened

MAX_BYTES = 500_000_000

_UNIT = re.compile(r"(?<![A-Z])G0*2([01])(?![\d.])", re.IGNORECASE | re.ASCII)
_COMMENT = re.compile(r"\([^)]*\)|;.*")
_N_WORD = re.compile(r"^\s*/?\d?\s*N\s*(\d+)", re.IGNORECASE | re.ASCII)


class ProgramLines(NamedTuple):
    """L lines of a file.

    Attributes:
        number: (L,) ascending: what the controller reports.
        text: (L,) the lines' text.
        unit: (L,) G20 or G21, the last one up to the line; None before the first.
        is_byte: whether it is the first byte of the line; a controller is anywhere in it.
    """

    number: NDArray[np.int64]
    text: NDArray[np.object_]
    unit: NDArray[np.object_]
    is_byte: bool = False

    def at(self, reported: pd.Series) -> tuple[pd.Series, pd.Series, pd.Series]:
        """Line numbers, blocks and units at N rows; no block where the file has no such line."""
        numbers = reported.to_numpy(np.float64)
        index = np.searchsorted(self.number, numbers, side="right") - 1
        inside = (index >= 0) & np.isfinite(numbers)
        index = np.where(inside, index, 0)
        if not self.is_byte:
            inside &= self.number[index] == numbers
        blocks = pd.Series(self.text[index], reported.index).where(inside)
        units = pd.Series(self.unit[index], reported.index).where(inside)
        lines = pd.Series(index + 1.0, reported.index).where(inside) if self.is_byte else reported
        return lines, blocks, units


def read_program(path: Path) -> str:
    """The text of a program file, compressed or not.

    Raises UserError: it cannot be read, is empty or no text.
    """
    return _decoded(_content(path))


def number_lines(path: Path, numbering: str) -> ProgramLines:
    """The lines of a program file by what the controller reports.

    Args:
        numbering: `file_line` (from 1), `n_word` or `byte`, of `layout.ProgramFile`.

    Raises UserError: it cannot be read, or N words are missing or appear twice.
    """
    content = _content(path)
    raw = content.splitlines(keepends=True)
    text = np.array([_decoded(line).strip() for line in raw], object)
    unit = _units(text)
    if numbering == "byte":
        starts = np.cumsum([0, *(len(line) for line in raw[:-1])])
        return ProgramLines(starts.astype(np.int64), text, unit, True)
    if numbering == "file_line":
        return ProgramLines(np.arange(1, len(raw) + 1), text, unit)
    return _by_n_word(path, text, unit)


def _content(path: Path) -> bytes:
    try:
        with opened(path) as stream:
            content: bytes = stream.read(MAX_BYTES + 1)
    except UNREADABLE as error:
        raise UserError(f"{path}: cannot be read as G-code: {error}") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"{path}: larger than {MAX_BYTES} bytes")
    if not content.strip():
        raise UserError(f"{path}: is empty; it has to be the G-code that was executed")
    if content[:4] == b"GCDE" or b"\0" in content[:4096]:
        raise UserError(f"{path}: is binary; export the program as text G-code")
    return content


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _units(text: NDArray[np.object_]) -> NDArray[np.object_]:
    """The modal unit at each line: its command takes no time, so that no row may report it."""
    codes = [_UNIT.findall(_COMMENT.sub("", line)) for line in text]
    last = pd.Series([f"G2{digits[-1]}" if digits else None for digits in codes], dtype=object)
    return last.ffill().to_numpy(object)


def _by_n_word(path: Path, text: NDArray[np.object_], unit: NDArray[np.object_]) -> ProgramLines:
    matches = [(i, match) for i, line in enumerate(text) if (match := _N_WORD.match(line))]
    numbers = np.array([int(match[1]) for _, match in matches], np.int64)
    values, counts = np.unique(numbers, return_counts=True)
    if not len(values):
        raise UserError(f"{path}: has no N words; set program.numbering to file_line or byte")
    if (counts > 1).any():
        raise UserError(f"{path}: N{values[counts > 1][0]} appears twice")
    order = np.argsort(numbers)
    rows = np.array([i for i, _ in matches])[order]
    return ProgramLines(numbers[order], text[rows], unit[rows])
