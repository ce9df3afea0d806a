"""Baselines, whose predictions have the same form as the model's.

Majority and elapsed time use no sensor; the others search for windows, or for whole recordings, in
the train split. Shapes: N rows of the test split.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split, join_splits
from gcodefp.dataset.windows import row_to_window_mask
from gcodefp.evaluation.decode import predict_at_states
from gcodefp.evaluation.ladder import Listener, listen
from gcodefp.evaluation.matched_filter import MatchedFilter, tune_matched_filter
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import (
    ELAPSED,
    ENVIRONMENT,
    FILTER,
    FILTER_WHOLE,
    MAJORITY,
    MAJORITY_PRIVILEGED,
    NEIGHBOUR,
    TREES,
    TREES_WHOLE,
    WARPING,
    WARPING_WHOLE,
)
from gcodefp.evaluation.time_warping import warp_recordings, warp_windows
from gcodefp.evaluation.window_baselines import environment_only, extra_trees, nearest_neighbour
from gcodefp.model.templates import fit_templates
from gcodefp.programs.table import Programs

SEED = 0


class Baselines(NamedTuple):
    """What the baselines predict, and how they were tuned.

    Attributes:
        predictions: name -> predictions of N rows.
        listeners: name -> listener of the ladder.
        tuned: name -> the options chosen on the val split, for metrics.json.
    """

    predictions: dict[str, RowPredictions]
    listeners: dict[str, Listener]
    tuned: dict[str, dict[str, Any]]


def run_baselines(
    train: Split,
    val: Split | None,
    test: Split,
    rows: NDArray[np.integer],
    programs: Programs,
    window: int,
    jobs: int,
) -> Baselines:
    """Fits all baselines and predicts rows of the test split.

    Args:
        val: options are chosen on it; then all are fitted to train and val, as the templates of
            the decoder are. Without it the defaults are used.
        rows: (N,) of the test split.
        window: rows per window.
        jobs: processor cores that forests may use.
    """
    matched = tune_matched_filter(train, val, programs, window)
    train = train if val is None else join_splits(train, val)
    trees, trees_whole = extra_trees(train, test, rows, programs, window, SEED, jobs)
    by_states = {
        **filter_states(matched, test, rows, window),
        **warping_states(train, test, rows, programs, window),
    }
    predictions = {
        **{
            name: _predict_with_operation(train, programs, state)
            for name, state in by_states.items()
        },
        NEIGHBOUR: nearest_neighbour(train, test, rows, window),
        TREES: trees,
        TREES_WHOLE: trees_whole,
        MAJORITY: majority(train, rows),
        MAJORITY_PRIVILEGED: majority_of_operation(train, test, rows),
        ELAPSED: elapsed_time(train, test, rows),
    }
    if np.isfinite(train.environment).any() and np.isfinite(test.environment).any():
        predictions[ENVIRONMENT] = environment_only(train, test, rows, programs, window, SEED, jobs)
    return Baselines(predictions, {FILTER: matched}, {FILTER: matched.tuned()})


def _predict_with_operation(
    train: Split, programs: Programs, state: NDArray[np.int64]
) -> RowPredictions:
    """What is executed in states (N,); the operation is that of most train rows of the program."""
    operation = np.zeros(len(programs.names), np.int64)
    for program in np.unique(train.program[train.program >= 0]):
        operation[program] = _most_common(train.operation[train.program == program])
    return predict_at_states(programs, state, operation[programs.program_of_state()[state]])


def filter_states(
    matched: MatchedFilter, test: Split, rows: NDArray[np.integer], window: int
) -> dict[str, NDArray[np.int64]]:
    """States (N,) by the matched filter, from each row's window and from the whole recording."""
    whole = np.zeros(len(test.recording), np.int64)
    heard = listen(matched, test, None)
    whole[heard.rows] = heard.state
    return {
        FILTER: _filter_windows(matched, test, window)[rows],
        FILTER_WHOLE: whole[rows],
    }


def _filter_windows(matched: MatchedFilter, split: Split, window: int) -> NDArray[np.int64]:
    """The state of each row of a split from its assigned window, (rows,); 0 outside of windows."""
    states = np.zeros(len(split.recording), np.int64)
    assigned = row_to_window_mask(split.window_start, window)
    for recording in np.unique(split.recording[split.window_start]):
        own = np.flatnonzero(split.recording == recording)
        chosen = np.flatnonzero(split.recording[split.window_start] == recording)
        starts, mask = split.window_start[chosen], assigned[chosen]
        predicted = matched.window_states(split.signals[own], window)[starts - own[0]]
        states[(starts[:, None] + np.arange(window))[mask]] = predicted[mask]
    return states


def warping_states(
    train: Split, test: Split, rows: NDArray[np.integer], programs: Programs, window: int
) -> dict[str, NDArray[np.int64]]:
    """States (N,) by dynamic time warping of windows and of whole recordings."""
    templates = fit_templates(train, programs)
    return {
        WARPING: warp_windows(templates, programs, test, window)[rows],
        WARPING_WHOLE: warp_recordings(templates, programs, test, rows),
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
