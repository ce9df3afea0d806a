"""The G-code that was read from a recording beside the one that was executed, line by line."""

import math
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

import numpy as np

from gcodefp.evaluation.block_sequences import alignment
from gcodefp.findings.predictions import Sequences

KEPT = 2
"""Of a long stretch of equal lines, so many are shown at either end."""


class Mark(StrEnum):
    """What became of a line: EXTRA ones were read and not executed, FOLDED ones are not shown."""

    EQUAL = "="
    REPLACED = "\N{NOT EQUAL TO}"
    MISSING = "\N{MINUS SIGN}"
    EXTRA = "+"
    FOLDED = "\N{HORIZONTAL ELLIPSIS}"


class DiffLine(NamedTuple):
    """An executed line and the one read in its place.

    Attributes:
        seconds: when the executed line begins; None where there is none, or it has no row of its
            own.
        true, read: texts; empty where there is none.
        lines: how many lines it stands for: 1, or those that are folded.
    """

    mark: Mark
    seconds: float | None
    true: str
    read: str
    lines: int = 1


def diff(sequences: Sequences, recording: int) -> list[DiffLine]:
    """Both sequences of a recording, aligned with the fewest edits, as for the G-code error rate.

    Args:
        recording: its index.
    """
    executed = sequences.executed_recording == recording
    true = sequences.executed_block[executed].tolist()
    seconds = sequences.executed_seconds[executed].tolist()
    read = sequences.reconstructed_block[sequences.reconstructed_recording == recording].tolist()
    found = []
    for at_read, at_true in alignment(read, true):
        said = "" if at_read is None else read[at_read]
        if at_true is None:
            found.append(DiffLine(Mark.EXTRA, None, "", said))
        else:
            begins = None if math.isnan(seconds[at_true]) else seconds[at_true]
            mark = _mark_of(true[at_true], said)
            found.append(DiffLine(mark, begins, true[at_true], said))
    return found


def counts(lines: Sequence[DiffLine]) -> Counter[Mark]:
    """How many lines have each mark; folded ones are equal."""
    total: Counter[Mark] = Counter()
    for line in lines:
        total[Mark.EQUAL if line.mark is Mark.FOLDED else line.mark] += line.lines
    return total


def folded(lines: Sequence[DiffLine]) -> list[DiffLine]:
    """The same with the middle of each long stretch of equal lines as one."""
    short: list[DiffLine] = []
    for equal, group in groupby(lines, lambda line: line.mark is Mark.EQUAL):
        stretch = list(group)
        middle = stretch[KEPT:-KEPT]
        if equal and len(middle) > 1:
            fold = DiffLine(Mark.FOLDED, middle[0].seconds, "", "", len(middle))
            stretch = [*stretch[:KEPT], fold, *stretch[-KEPT:]]
        short += stretch
    return short


def excerpt(lines: Sequence[DiffLine], most: int) -> slice:
    """Neighbouring lines, at most so many, whose marks are shared out most like those of all.

    The first of several such stretches.
    """
    if len(lines) <= most:
        return slice(0, len(lines))
    marks = [mark for mark in Mark if mark is not Mark.FOLDED]
    tallies = np.array([[counts([line])[mark] for mark in marks] for line in lines])
    before = np.concatenate([np.zeros((1, len(marks)), np.int64), tallies.cumsum(0)])
    within = before[most:] - before[:-most]
    shares = within / within.sum(1, keepdims=True)
    apart = np.abs(shares - before[-1] / before[-1].sum()).sum(1)
    first = int(np.argmin(np.round(apart, 9)))
    return slice(first, first + most)


def _mark_of(executed: str, read: str) -> Mark:
    if not read:
        return Mark.MISSING
    return Mark.EQUAL if read == executed else Mark.REPLACED
