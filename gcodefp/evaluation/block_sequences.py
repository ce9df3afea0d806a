"""G-code error rate: how many blocks of a program are wrong, missing or too many.

It is to a program what the word error rate is to speech: the edits that turn the written sequence
of blocks into the true one, over the length of the true one. A block counts once however many rows
it lasts, so a long move weighs no more than a short one.
"""

from collections.abc import Iterator, Sequence
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
    *_, last = _edits(written, true)
    return int(last[-1])


def alignment(written: Sequence[str], true: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """One of the shortest ways from the one to the other, read back from the end of the table.

    Returns:
        Which blocks stand beside each other, as indices into both; None where a block has nothing
        beside it. Blocks that are replaced stand beside each other.
    """
    table = np.array(list(_edits(written, true)))
    i, j = len(written), len(true)
    pairs: list[tuple[int | None, int | None]] = []
    while i or j:
        if i and j and table[i, j] == table[i - 1, j - 1] + (written[i - 1] != true[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and table[i, j] == table[i - 1, j] + 1:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


def _edits(written: Sequence[str], true: Sequence[str]) -> Iterator[NDArray[np.int64]]:
    """Edits from the first blocks of `written`, none to all, to those of `true` (T + 1,)."""
    codes: dict[str, int] = {}
    written_codes, true_codes = (
        np.array([codes.setdefault(block, len(codes)) for block in blocks], np.int64)
        for blocks in (written, true)
    )
    steps = np.arange(len(true_codes) + 1)
    row = steps
    yield row
    for code in written_codes:
        above = row + 1
        above[1:] = np.minimum(above[1:], row[:-1] + (true_codes != code))
        # Each step to the right costs 1: less the steps, that is a running minimum.
        row = np.minimum.accumulate(above - steps) + steps
        yield row


def rows_of_stretches(stretch: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """The rows of each of the S stretches, in order; none for an index that no row has."""
    ends = np.cumsum(np.bincount(stretch))
    return np.split(np.argsort(stretch, kind="stable"), ends)[:-1]
