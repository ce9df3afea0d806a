"""What a baseline is given, and how states become its predictions.

A baseline is a function of a BaselineInput: it fits itself to the train split and returns the
predictions of rows of the test split, which have the same form as gcodefp's, by name.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import row_to_window_mask
from gcodefp.evaluation.decode import predict_at_states
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.programs.table import Programs


class BaselineInput(NamedTuple):
    """Predict N rows of the test split."""

    train: Split
    test: Split
    rows: NDArray[np.integer]  # (N,) of the test split
    programs: Programs
    window: int  # rows per window
    jobs: int = 1  # processor cores that forests may use


Predictions = dict[str, RowPredictions]
"""Name of a baseline -> what it predicts for the rows of its input."""


def most_common(classes: NDArray[np.integer]) -> int:
    """The most common class; of ties the first."""
    return int(np.bincount(classes).argmax())


def at_states(inputs: BaselineInput, state: NDArray[np.int64]) -> RowPredictions:
    """What is executed in states (N,); the operation is that of most train rows of the program."""
    train, programs = inputs.train, inputs.programs
    operation = np.zeros(len(programs.names), np.int64)
    for program in np.unique(train.program[train.program >= 0]):
        operation[program] = most_common(train.operation[train.program == program])
    return predict_at_states(programs, state, operation[programs.program_of_state()[state]])


def states_by_window(
    inputs: BaselineInput,
    decode: Callable[[NDArray[np.float32], NDArray[np.integer]], NDArray[np.int64]],
) -> NDArray[np.int64]:
    """The state of each row of the input by its assigned window, (N,); 0 outside of windows.

    Args:
        decode: signals (M, C) of a recording, first rows (W,) of its windows of T rows -> the
            states of these windows, (W, T).
    """
    split = inputs.test
    states = np.zeros(len(split.recording), np.int64)
    is_assigned = row_to_window_mask(split.window_start, inputs.window)
    rows = split.window_start[:, None] + np.arange(inputs.window)
    recording = split.recording[split.window_start]
    for index in np.unique(recording):
        own, windows = np.flatnonzero(split.recording == index), np.flatnonzero(recording == index)
        predicted = decode(split.signals[own], split.window_start[windows] - own[0])
        mask = is_assigned[windows]
        states[rows[windows][mask]] = predicted[mask]
    return states[inputs.rows]
