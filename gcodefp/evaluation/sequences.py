"""The lines that whole recordings executed, and those that were read from them, in order.

Lines too short for a row of their own are filled in, as for the G-code error rate.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split
from gcodefp.evaluation.executed import ExecutedBlocks
from gcodefp.evaluation.files import WHOLE
from gcodefp.evaluation.reading import Reading


class Sequences(NamedTuple):
    """Of one recording.

    Attributes:
        executed: each line, and the row of the split that it begins in; None if it has none.
        read: each line.
    """

    executed: list[tuple[str, int | None]]
    read: list[str]


def sequences_of(reading: Reading, test: Split, description: Description) -> dict[int, Sequences]:
    """Index of each recording that was read as a whole -> its lines."""
    filling = ExecutedBlocks(description.programs)
    stretches, answers = reading.of_stretches[WHOLE]
    recording = test.recording[stretches.rows]
    found = {}
    for index in np.unique(recording).tolist():
        own = np.flatnonzero(recording == index)
        rows, of = stretches.rows[own], answers.take(own)
        assert of.program is not None, "places are of programs"
        assert of.line is not None, "places have lines"
        true_blocks = test.blocks[test.block[rows]]
        executed = filling.with_rows(test.program[rows], test.line[rows], true_blocks)
        found[index] = Sequences(
            [(block, None if row is None else int(rows[row])) for block, row in executed],
            filling.of_rows(of.program, of.line, of.blocks),
        )
    return found


def sequence_arrays(
    reading: Reading, test: Split, description: Description
) -> dict[str, NDArray[Any]]:
    """The arrays `executed_...` and `reconstructed_...` of predictions.npz."""
    of = sequences_of(reading, test, description)
    executed = [(i, block, row) for i, found in of.items() for block, row in found.executed]
    read = [(i, block) for i, found in of.items() for block in found.read]
    seconds = [np.nan if row is None else test.seconds[row] for _, _, row in executed]
    return {
        "executed_recording": np.array([i for i, _, _ in executed], test.recording.dtype),
        "executed_block": np.array([block for _, block, _ in executed]),
        "executed_seconds": np.array(seconds, np.float64),
        "reconstructed_recording": np.array([i for i, _ in read], test.recording.dtype),
        "reconstructed_block": np.array([block for _, block in read]),
    }
