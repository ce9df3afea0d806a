"""Axis words, toolpaths, and the text of a reconstructed program."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings.gcode import parse_block

AXES = "XYZ"


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
    return pd.DataFrame(targets).ffill().to_numpy(copy=True)


SAFETY_WARNING = (
    "DO NOT RUN THIS ON A MACHINE: it is reconstructed from sensors, and parts may be wrong"
)


def reconstructed_program(blocks: Sequence[str], recording: str, notes: Sequence[str]) -> str:
    """The G-code of a recording, one line per block, after comments with the notes."""
    header = (SAFETY_WARNING, f"reconstructed by gcodefp from {recording}", *notes)
    return "\n".join([*(comment(text) for text in header), *blocks]) + "\n"


def comment(text: str) -> str:
    """An RS-274 comment: printable ASCII without nested parentheses (section 3.3.4)."""
    return f"({re.sub(r'[()]|[^ -~]', '_', text)})"
