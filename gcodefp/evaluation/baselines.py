"""Baselines, whose predictions have the same form as the model's.

Majority and elapsed time use no sensor; the others search for windows, or for whole recordings, in
the train split. Shapes: N rows of the test split.
"""

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.decode import predict_at_states
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import (
    ELAPSED,
    ENVIRONMENT,
    MAJORITY,
    MAJORITY_PRIVILEGED,
    NEIGHBOUR,
    TREES,
    TREES_WHOLE,
    WARPING,
    WARPING_WHOLE,
)
from gcodefp.evaluation.time_warping import fit_templates, warp_recordings, warp_windows
from gcodefp.evaluation.window_baselines import environment_only, extra_trees, nearest_neighbour
from gcodefp.programs.table import Programs

SEED = 0


def run_baselines(
    train: Split,
    test: Split,
    rows: NDArray[np.integer],
    programs: Programs,
    window: int,
    jobs: int,
) -> dict[str, RowPredictions]:
    """Predictions of each baseline, by name.

    Args:
        rows: (N,) of the test split.
        window: rows per window.
        jobs: processor cores that forests may use.
    """
    trees, trees_whole = extra_trees(train, test, rows, programs, window, SEED, jobs)
    predictions = {
        NEIGHBOUR: nearest_neighbour(train, test, rows, window),
        TREES: trees,
        TREES_WHOLE: trees_whole,
        **time_warping(train, test, rows, programs, window),
        MAJORITY: majority(train, rows),
        MAJORITY_PRIVILEGED: majority_of_operation(train, test, rows),
        ELAPSED: elapsed_time(train, test, rows),
    }
    if np.isfinite(train.environment).any() and np.isfinite(test.environment).any():
        predictions[ENVIRONMENT] = environment_only(train, test, rows, programs, window, SEED, jobs)
    return predictions


def time_warping(
    train: Split, test: Split, rows: NDArray[np.integer], programs: Programs, window: int
) -> dict[str, RowPredictions]:
    """Dynamic time warping of windows and of whole recordings, by name.

    The operation is the one that most train rows of the program have.
    """
    templates = fit_templates(train, programs)
    states = {
        WARPING: warp_windows(templates, test, window)[rows],
        WARPING_WHOLE: warp_recordings(templates, test, rows),
    }
    operation = np.zeros(len(programs.names), np.int64)
    for program in np.unique(train.program):
        operation[program] = _most_common(train.operation[train.program == program])
    program_of_state = programs.program_of_state()
    return {
        name: predict_at_states(programs, state, operation[program_of_state[state]])
        for name, state in states.items()
    }


def majority(train: Split, rows: NDArray[np.integer]) -> RowPredictions:
    """The most common block and operation of the train split, for every row."""
    block = train.blocks[_most_common(train.block)]
    operation = _most_common(train.operation)
    return RowPredictions(np.full(len(rows), block), np.full(len(rows), operation, np.int64))


def majority_of_operation(train: Split, test: Split, rows: NDArray[np.integer]) -> RowPredictions:
    """The most common train block of each row's provided (true) operation.

    Where the operation is not in the train split, it is the most common block of all.
    """
    true_operation = test.operation[rows]
    block = np.full(len(rows), _most_common(train.block))
    for operation in np.unique(train.operation):
        block[true_operation == operation] = _most_common(train.block[train.operation == operation])
    return RowPredictions(train.blocks[block], true_operation.astype(np.int64))


def elapsed_time(train: Split, test: Split, rows: NDArray[np.integer]) -> RowPredictions:
    """What most train recordings of the true operation execute at the same time since their start.

    Operation and start are provided, no sensor is used. Recordings of one operation repeat the same
    few programs at the same speed, so elapsed time alone predicts most blocks; a model that can
    infer the time has to beat this. Of equally common blocks it is the first in `train.blocks`.
    Where the operation is not in the train split, it is the most common block of all.
    """
    true_operation = test.operation[rows]
    block = np.full(len(rows), _most_common(train.block))
    for operation in np.unique(train.operation):
        members = np.flatnonzero(true_operation == operation)
        seconds = test.seconds[rows[members]]
        recordings = np.unique(train.recording[train.operation == operation])
        votes = np.stack(
            [_blocks_at(train, recording, seconds) for recording in recordings], axis=1
        )
        block[members] = [_most_common(row_votes) for row_votes in votes]
    return RowPredictions(train.blocks[block], true_operation.astype(np.int64))


def _most_common(classes: NDArray[np.integer]) -> int:
    """The most common class; of ties the first."""
    return int(np.bincount(classes).argmax())


def _blocks_at(split: Split, recording: int, seconds: NDArray[np.floating]) -> NDArray[np.int32]:
    """Blocks of one recording at times (N,) since its first row; after its end the last block."""
    recording_rows = np.flatnonzero(split.recording == recording)
    latest = np.searchsorted(split.seconds[recording_rows], seconds, side="right") - 1
    return split.block[recording_rows[np.maximum(latest, 0)]]
