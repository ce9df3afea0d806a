"""Axis words, toolpaths and their distance, and the text of a reconstructed program."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.sequences import rows_of_segments
from gcodefp.recordings.gcode import parse_block

AXES = "XYZ"


def axis_errors_mm(
    predicted: NDArray[np.str_], true: NDArray[np.str_], mm_per_unit: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Absolute errors of the axis words, (N, 3); NaN where either block lacks the word.

    Args:
        predicted, true: (N,) blocks.
        mm_per_unit: (N,) millimetres per length unit of the row.
    """
    return np.abs(axis_numbers(predicted) - axis_numbers(true)) * mm_per_unit[:, None]


def axis_numbers(blocks: NDArray[np.str_]) -> NDArray[np.float64]:
    """X, Y and Z of each block, (N, 3); NaN where a block does not have the word."""
    texts, index = np.unique(blocks, return_inverse=True)
    numbers = np.full((len(texts), len(AXES)), np.nan)
    for row, text in zip(numbers, texts, strict=True):
        for word in parse_block(str(text)):
            if word.letter in AXES:
                row[AXES.index(word.letter)] = word.number
    return numbers[index]


def endpoints_mm(
    blocks: NDArray[np.str_], mm_per_unit: NDArray[np.floating]
) -> NDArray[np.float64]:
    """End of each row's block, (N, 3) in mm; an axis without a word keeps its value.

    Before its first word an axis is NaN.
    """
    targets = axis_numbers(blocks) * mm_per_unit[:, None]
    for axis in range(targets.shape[1]):
        column = targets[:, axis]
        row_of_word = np.where(np.isfinite(column), np.arange(len(column)), -1)
        latest = np.maximum.accumulate(row_of_word)
        targets[:, axis] = np.where(latest >= 0, column[latest], np.nan)
    return targets


def segment_distances(
    predicted_mm: NDArray[np.floating], true_mm: NDArray[np.floating], segment: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Discrete Fréchet distance of the two paths of each of S segments, (S,) in mm.

    Rows on which either path lacks an axis are skipped. A segment without other rows is NaN.

    Args:
        predicted_mm, true_mm: (N, 3).
        segment: (N,) segment of each row, 0 to S - 1; the rows of a segment are contiguous and in
            order.
    """
    finite = np.isfinite(predicted_mm).all(1) & np.isfinite(true_mm).all(1)
    distances = []
    for rows in rows_of_segments(segment):
        finite_rows = rows[finite[rows]]
        paths = predicted_mm[finite_rows], true_mm[finite_rows]
        distances.append(discrete_frechet(*paths) if len(finite_rows) else np.nan)
    return np.array(distances, np.float64)


def discrete_frechet(path: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Discrete Fréchet distance of two paths, in mm.

    Eiter and Mannila (1994), with the recursion vectorised over anti-diagonals: cells
    (i, k - i) depend on diagonals k - 1 and k - 2 only.

    Args:
        path, other: (n, 3) and (m, 3) points in mm.

    Raises:
        ValueError: a path has no points, or a point is not finite.
    """
    # Coordinates first, and one path reversed, so that a diagonal is two slices.
    forward = _distinct_points(path, "path").T
    backward = _distinct_points(other, "other")[::-1].T
    n, m = forward.shape[1], backward.shape[1]
    # Squared distances have the same order. Cell i of a diagonal is at index i + 1; index 0 is the
    # border of the table, which is infinite except before the first cell.
    older, newer = np.full(n + 1, np.inf), np.full(n + 1, np.inf)
    older[0] = -np.inf
    for k in range(n + m - 1):
        first, end = max(0, k - m + 1), min(k + 1, n)
        shift = m - 1 - k
        squares = ((forward[:, first:end] - backward[:, first + shift : end + shift]) ** 2).sum(0)
        smallest = np.minimum(newer[first:end], newer[first + 1 : end + 1])
        smallest = np.minimum(smallest, older[first:end])
        older, newer = newer, np.full(n + 1, np.inf)
        newer[first + 1 : end + 1] = np.maximum(smallest, squares)
    return float(np.sqrt(newer[n]))


def _distinct_points(path: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    """The path without consecutive duplicates, which never change the distance."""
    points = np.asarray(path, np.float64)
    if not len(points):
        raise ValueError(f"{name}: the path has no points")
    invalid = np.flatnonzero(~np.isfinite(points).all(1))
    if len(invalid):
        raise ValueError(f"{name}: point {invalid[0]} is not finite: {points[invalid[0]]}")
    is_distinct = (np.diff(points, axis=0) != 0).any(1)
    return points[np.r_[True, is_distinct]]


SAFETY_WARNING = (
    "DO NOT RUN THIS ON A MACHINE: it is reconstructed from sensors, and parts may be wrong"
)


def reconstructed_program(blocks: Sequence[str], recording: str, notes: Sequence[str]) -> str:
    """The G-code of a recording, one line per block, after comments with the notes."""
    head = (SAFETY_WARNING, f"reconstructed by gcodefp from {recording}", *notes)
    return "\n".join([*(comment(text) for text in head), *blocks]) + "\n"


def comment(text: str) -> str:
    """An RS-274 comment: printable ASCII without nested parentheses (section 3.3.4)."""
    return f"({re.sub(r'[()]|[^ -~]', '_', text)})"
