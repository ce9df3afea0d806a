"""How far written X, Y and Z words are from the true ones, in millimetres."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.gcode import parse_block

AXES = "XYZ"


class AxisErrors(NamedTuple):
    """Absolute errors of one axis, both (N,); rows without the word in both blocks count 0."""

    error_mm: NDArray[np.float64]
    counted: NDArray[np.int64]


def axis_errors(
    written: NDArray[np.str_], true: NDArray[np.str_], mm_per_unit: NDArray[np.floating]
) -> dict[str, AxisErrors]:
    """Compares the axis words that stand in both the written and the true block of a row.

    Args:
        written, true: (N,) blocks.
        mm_per_unit: (N,) millimetres per length unit of the row.
    """
    written_numbers, true_numbers = axis_numbers(written), axis_numbers(true)
    errors = np.abs(written_numbers - true_numbers) * mm_per_unit[:, None]
    known = np.isfinite(errors)
    return {
        axis: AxisErrors(np.where(known[:, i], errors[:, i], 0.0), known[:, i].astype(np.int64))
        for i, axis in enumerate(AXES)
    }


def axis_numbers(blocks: NDArray[np.str_]) -> NDArray[np.float64]:
    """X, Y and Z of each block, (N, 3); NaN where a block does not have the word."""
    texts, index = np.unique(blocks, return_inverse=True)
    numbers = np.full((len(texts), len(AXES)), np.nan)
    for row, text in zip(numbers, texts, strict=True):
        for word in parse_block(str(text)):
            if word.letter in AXES:
                row[AXES.index(word.letter)] = word.number
    return numbers[index]
