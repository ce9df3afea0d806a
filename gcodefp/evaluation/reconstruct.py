"""The program that a recording's rows spell out, and the path that a program draws."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.axis_errors import axis_numbers

DANGER = "DO NOT RUN THIS ON A MACHINE: it is reconstructed from sensors, and parts may be wrong"


def reconstructed_program(blocks: Sequence[str], recording: str, notes: Sequence[str]) -> str:
    """The G-code of a recording, one line for each of its blocks, below what to know of it."""
    head = (DANGER, f"reconstructed by gcodefp from {recording}", *notes)
    return "\n".join([*(comment(text) for text in head), *blocks]) + "\n"


def comment(text: str) -> str:
    """An RS-274 comment: one line of printable ASCII without brackets inside (section 3.3.4)."""
    return f"({re.sub(r'[()]|[^ -~]', '_', text)})"


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
