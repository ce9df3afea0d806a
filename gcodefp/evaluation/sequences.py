"""Sequences of executed blocks, and their edit distance.

The block error rate is the word error rate of speech recognition with blocks as words: edits from
the predicted to the true sequence over the length of the true one. A block counts once, however
many rows it lasts.
"""

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from gcodefp.programs.table import UNKNOWN, Programs


def block_sequence(blocks: NDArray[np.str_]) -> list[str]:
    """The blocks of neighbouring rows, (N,), with consecutive duplicates merged."""
    return [block for block, _ in groupby(blocks.tolist())]


def edit_distance(predicted: Sequence[str], true: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions (Levenshtein 1966)."""
    return Levenshtein.distance(predicted, true)


def matching_segments(
    predicted: NDArray[np.str_], true: NDArray[np.str_], min_overlap: float
) -> tuple[int, int]:
    """Compares the segments of N rows as in action segmentation (F1@k of Lea et al. 2017).

    Args:
        predicted, true: (N,) blocks.
        min_overlap: intersection over union at which segments of one block match.

    Returns:
        the number of matching pairs; the number of predicted and true segments.
    """
    predicted_segments, true_segments = segments(predicted), segments(true)
    matching, is_free = 0, [True] * len(true_segments)
    for start, end, block in predicted_segments:
        overlaps = [
            (min(end, true_end) - max(start, true_start))
            / (max(end, true_end) - min(start, true_start))
            if block == true_block
            else 0.0
            for true_start, true_end, true_block in true_segments
        ]
        best = int(np.argmax(overlaps))
        if overlaps[best] >= min_overlap and is_free[best]:
            matching += 1
            is_free[best] = False
    return matching, len(predicted_segments) + len(true_segments)


def segments(values: NDArray[Any]) -> list[tuple[int, int, Any]]:
    """First row, end and value of each segment of equal values in N rows, at least one."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [(first, end, values[first]) for first, end in pairwise(edges)]


def align_sequences(
    predicted: Sequence[str], true: Sequence[str]
) -> list[tuple[int | None, int | None]]:
    """Pairs of indices of corresponding blocks, by a shortest edit script.

    Returns:
        Index into both sequences; None where a block is inserted or deleted. A block that is
        substituted is paired with its substitute.
    """
    pairs: list[tuple[int | None, int | None]] = []
    for edit in Levenshtein.opcodes(predicted, true):
        predicted_range = range(edit.src_start, edit.src_end)
        true_range = range(edit.dest_start, edit.dest_end)
        if edit.tag == "delete":
            pairs += [(i, None) for i in predicted_range]
        elif edit.tag == "insert":
            pairs += [(None, j) for j in true_range]
        else:
            pairs += zip(predicted_range, true_range, strict=True)
    return pairs


def rows_of_sequences(sequence: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """The rows of each sequence, in order, from the sequence of each row (N,)."""
    ends = np.cumsum(np.bincount(sequence))
    return np.split(np.argsort(sequence, kind="stable"), ends)[:-1]


def executed_blocks(
    programs: Programs,
    program: NDArray[np.integer],
    line: NDArray[np.integer],
    blocks: NDArray[np.str_],
) -> list[tuple[str, int | None]]:
    """The blocks executed over N rows in order, each once, with its first row; None has no row.

    A controller reports a few times a second, so a recording misses short blocks at random. Line
    numbers show that such a block was executed; other recordings of the program have its text.

    Args:
        program: (N,) index, UNKNOWN where it is not in the train split.
        line: (N,) line numbers.
        blocks: (N,) their blocks.
    """
    is_new = np.append(True, (line[1:] != line[:-1]) | (program[1:] != program[:-1]))
    rows = np.flatnonzero(is_new).tolist()
    indices = np.unique(program[program != UNKNOWN]).tolist()
    executed = {index: _lines_of(programs, index) for index in indices}
    sequence: list[tuple[str, int | None]] = [(str(blocks[0]), rows[0])]
    for previous, row in pairwise(rows):
        if program[previous] == program[row] != UNKNOWN:
            lines, texts = executed[program[row]]
            begin, end = np.searchsorted(lines, [line[previous] + 1, line[row]])
            sequence += [(block, None) for block in texts[begin:end].tolist()]
        sequence.append((str(blocks[row]), row))
    return sequence


def _lines_of(programs: Programs, index: int) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """The executed lines of a program, ascending, and their blocks."""
    own = programs.executed_program == index
    # A line with different blocks in two sessions counts once.
    lines, first = np.unique(programs.executed_line[own], return_index=True)
    return lines, programs.executed_block[own][first]
