"""A prediction as plain arrays: what the files and the picture are made of."""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NEAR_SECONDS = 2.0
DOUBTFUL_BELOW = 0.5
"""A program that was never learnt is read as the most alike of those that were, perhaps as sure as
they are; the agreement tells. Three networks were trained on the real recordings but for those of
one program. The 35 of the first two had agreements of 0.18 to 0.48, from which this threshold is;
of the third, 15 of 16 were below it and one at 0.51. Of the programs that were learnt, every
recording above it was read as its program; below are also right ones, of what was learnt badly.
"""
MAX_ROWS_SHARE = 2.0
"""A recording with more rows than this times its program's holds more than the one program."""


class Candidate(NamedTuple):
    """A program or an operation, and how probable it is."""

    name: str
    probability: float


@dataclass(frozen=True)
class Predicted:
    """What is read from a recording of N rows.

    Attributes:
        row: (N,) data row in the file, from 0.
        line: (N,) line number that the controller would report.
        block: (N,) canonical text of the block at that line.
        position_mm: (N, 3) tool position; NaN where unknown.
        confidence: (N,) probability of the block, the controller's clock unknown.
        confidence_clock_known: (N,) the same, if the lag is known to be the program's median.
        agreement: share of rows that would be read at the same place, within NEAR_SECONDS, from
            the rows around them alone; low if the recording fits none of the programs.
        program_rows: how many rows the program takes.
        free_block: (N,) text that the network writes without knowing any program.
        programs, operations: all that the train split has, likeliest first.
    """

    name: str
    row: NDArray[np.int32]
    line: NDArray[np.int64]
    block: NDArray[np.str_]
    position_mm: NDArray[np.float64]
    confidence: NDArray[np.float64]
    confidence_clock_known: NDArray[np.float64]
    agreement: float
    program_rows: int
    free_block: NDArray[np.str_]
    programs: tuple[Candidate, ...]
    operations: tuple[Candidate, ...]

    @property
    def program(self) -> Candidate:
        return self.programs[0]

    @property
    def operation(self) -> Candidate:
        return self.operations[0]

    @property
    def mean_confidence(self) -> float:
        """Expected share of rows whose exact block is right."""
        return float(self.confidence.mean())

    @property
    def mean_clock_known(self) -> float:
        return float(self.confidence_clock_known.mean())

    @property
    def doubts(self) -> list[str]:
        """Why the prediction as a whole should not be trusted."""
        found = []
        if self.agreement < DOUBTFUL_BELOW:
            found.append(
                "DOUBTFUL: few rows agree on the program; it may be one never learnt (see --free)"
            )
        if len(self.row) > MAX_ROWS_SHARE * self.program_rows:
            found.append(
                f"DOUBTFUL: {len(self.row)} rows, the program has {self.program_rows}; does the "
                "file hold several logs?"
            )
        return found


class Stretch(NamedTuple):
    """Rows that execute one block; first and last are data rows in the file.

    Attributes:
        at: its first row among the N rows.
        position_mm: (3,) of the tool in the last row.
    """

    at: int
    first_row: int
    last_row: int
    line: int
    block: str
    confidence: float
    confidence_clock_known: float
    position_mm: NDArray[np.float64]


def stretches(predicted: Predicted) -> list[Stretch]:
    """The blocks in order, one for all neighbouring rows of the same line."""
    same = (np.diff(predicted.line) == 0) & (predicted.block[1:] == predicted.block[:-1])
    return [
        Stretch(
            first,
            int(predicted.row[first]),
            int(predicted.row[end - 1]),
            int(predicted.line[first]),
            str(predicted.block[first]),
            float(predicted.confidence[first:end].mean()),
            float(predicted.confidence_clock_known[first:end].mean()),
            predicted.position_mm[end - 1],
        )
        for first, end in bounds(same)
    ]


def bounds(same: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First row and end of each stretch; (N - 1,) whether a row belongs to the one before."""
    return list(pairwise([0, *(np.flatnonzero(~same) + 1).tolist(), len(same) + 1]))
