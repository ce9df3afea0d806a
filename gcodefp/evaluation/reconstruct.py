"""The program that a recording's rows spell out, and the path that a program draws."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.axis_errors import axis_numbers


def reconstructed_program(blocks: Sequence[str], recording: str, note: str) -> str:
    """The G-code of a recording; a block that comes several times in a row stands there once."""
    lines = [f"(reconstructed by gcodefp from the sensors of {recording})"]
    lines += [f"({note})"] if note else []
    return "\n".join([*lines, *(block for block, _ in groupby(blocks))]) + "\n"


def endpoints_mm(
    blocks: NDArray[np.str_], mm_per_unit: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Where each row's block ends, (N, 3) in mm; an axis that it does not name stays where it was.

    Axes that were never named are NaN.
    """
    targets = axis_numbers(blocks) * mm_per_unit[:, None]
    for axis in range(targets.shape[1]):
        column = targets[:, axis]
        named = np.where(np.isfinite(column), np.arange(len(column)), -1)
        last = np.maximum.accumulate(named)
        targets[:, axis] = np.where(last >= 0, column[last], np.nan)
    return targets
