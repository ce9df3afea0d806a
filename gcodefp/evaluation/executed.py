"""The blocks that a stretch of rows executes, those too short for a row of their own included.

A controller reports a few times a second. Of shorter blocks, every recording shows others, by
chance. Line numbers tell that they were executed, and other recordings of the program what they
were.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.table import UNKNOWN, Programs


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
