"""G-code error rate: how many blocks of a program are wrong, missing or too many.

It is to a program what the word error rate is to speech: the edits that turn the written sequence
of blocks into the true one, over the length of the true one. A block counts once however many rows
it lasts, so a long move weighs no more than a short one.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray


def block_sequence(blocks: NDArray[np.str_]) -> list[str]:
    """The blocks of neighbouring rows, (N,), with each run of equal ones as one."""
    return [block for block, _ in groupby(blocks.tolist())]


def edit_distance(written: Sequence[str], true: Sequence[str]) -> int:
    """Fewest insertions, deletions and replacements between the two (Levenshtein 1966).

    The table of Wagner and Fischer (1974), a row at a time.
    """
    codes: dict[str, int] = {}
    written_codes, true_codes = (
        np.array([codes.setdefault(block, len(codes)) for block in blocks], np.int64)
        for blocks in (written, true)
    )
    steps = np.arange(len(true_codes) + 1)
    row = steps
    for code in written_codes:
        above = row + 1
        above[1:] = np.minimum(above[1:], row[:-1] + (true_codes != code))
        # Each step to the right costs 1: less the steps, that is a running minimum.
        row = np.minimum.accumulate(above - steps) + steps
    return int(row[-1])


def rows_of_stretches(stretch: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """The rows of each of the S stretches, in order; none for an index that no row has."""
    ends = np.cumsum(np.bincount(stretch))
    return np.split(np.argsort(stretch, kind="stable"), ends)[:-1]
