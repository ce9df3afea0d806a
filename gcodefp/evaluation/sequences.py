"""G-code error rate: how many blocks of a program are wrong, missing or too many.

It is to a program what the word error rate is to speech: the edits that turn the written sequence
of blocks into the true one, over the length of the true one. A block counts once however many rows
it lasts, so a long move weighs no more than a short one.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.table import UNKNOWN, Programs


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


def rows_of_segments(segment: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    """The rows of each of the S stretches, in order; none for an index that no row has."""
    ends = np.cumsum(np.bincount(segment))
    return np.split(np.argsort(segment, kind="stable"), ends)[:-1]


# The blocks that a stretch of rows executes, those too short for a row of their own included.
#
# A controller reports a few times a second. Of shorter blocks, every recording shows others, by
# chance. Line numbers tell that they were executed, and other recordings of the program what they
# were.


class ExecutedBlocks:
    """Fills in what lies between the lines of rows, from the train recordings' programs."""

    def __init__(self, programs: Programs) -> None:
        self._lines, self._blocks = [], []
        for program in range(len(programs.names)):
            of = programs.executed_program == program
            # A line that two sessions wrote differently counts once.
            lines, first = np.unique(programs.executed_line[of], return_index=True)
            self._lines.append(lines)
            self._blocks.append(programs.executed_block[of][first].tolist())

    def of_rows(
        self,
        program: NDArray[np.integer],
        line: NDArray[np.integer],
        blocks: NDArray[np.str_],
    ) -> list[str]:
        """The blocks executed over N rows in order, each once.

        Args:
            program: (N,) index, UNKNOWN where the train split has none of it.
            line: (N,) line numbers.
            blocks: (N,) their blocks.
        """
        return [block for block, _ in self.with_rows(program, line, blocks)]

    def with_rows(
        self,
        program: NDArray[np.integer],
        line: NDArray[np.integer],
        blocks: NDArray[np.str_],
    ) -> list[tuple[str, int | None]]:
        """The same, each with the row that it begins in; None if it has no row of its own."""
        new = np.ones(len(line), bool)
        new[1:] = (line[1:] != line[:-1]) | (program[1:] != program[:-1])
        rows = np.flatnonzero(new)
        told = list(
            zip(program[rows].tolist(), line[rows].tolist(), blocks[rows].tolist(), strict=True)
        )
        sequence: list[tuple[str, int | None]] = [(told[0][2], int(rows[0]))]
        for row, (before, after) in zip(rows[1:].tolist(), pairwise(told), strict=True):
            if before[0] == after[0] != UNKNOWN:
                filled = self._between(before[0], before[1], after[1])
                sequence += [(block, None) for block in filled]
            sequence.append((after[2], row))
        return sequence

    def _between(self, program: int, line: int, other: int) -> Sequence[str]:
        """Blocks of the lines that lie strictly between two."""
        low, high = np.searchsorted(self._lines[program], [line + 1, other])
        between: list[str] = self._blocks[program][low:high]
        return between
