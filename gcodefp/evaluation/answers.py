"""What gcodefp or a baseline says of rows, in one form, so that all are scored by one rule."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.table import Programs


class Answers(NamedTuple):
    """What is said of N rows.

    Attributes:
        blocks: (N,) text of each block.
        operation: (N,) class of the operation.
        program: (N,) index of the program; None if nothing is said of it.
        position_mm: (N, 3) tool position; None if nothing is said of it.
        line: (N,) line number in the program; None if nothing is said of it.
    """

    blocks: NDArray[np.str_]
    operation: NDArray[np.int64]
    program: NDArray[np.int64] | None = None
    position_mm: NDArray[np.float32] | None = None
    line: NDArray[np.int64] | None = None

    def take(self, chosen: NDArray[np.integer]) -> "Answers":
        """The answers of some of the rows, in another order if so wanted."""
        return Answers(
            self.blocks[chosen],
            self.operation[chosen],
            None if self.program is None else self.program[chosen],
            None if self.position_mm is None else self.position_mm[chosen],
            None if self.line is None else self.line[chosen],
        )


def at_places(
    programs: Programs,
    path: NDArray[np.integer],
    operation: NDArray[np.int64],
    lag_seconds: NDArray[np.floating] | float = 0.0,
) -> Answers:
    """What the controller reports when the sensors see the places of a path (N,).

    Args:
        lag_seconds: () or (N,) of the sensors, relative to the program's median. The median is the
            best guess of those who do not know the controller's clock.
    """
    program = programs.of_place()[path]
    reported = np.rint(path + np.nan_to_num(lag_seconds) / float(programs.step_seconds))
    place = np.clip(reported, programs.first[program], programs.first[program + 1] - 1).astype(int)
    return Answers(
        programs.block[place],
        operation,
        program,
        programs.position_mm[place],
        programs.line[place],
    )
