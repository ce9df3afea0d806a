"""Baselines that use no sensor: the majority, and the time since the recording's start."""

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.baselines.baseline_input import BaselineInput, Predictions, most_common
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import ELAPSED, MAJORITY, MAJORITY_PRIVILEGED


def majority(inputs: BaselineInput) -> Predictions:
    """The most common block and operation of the train split, for every row."""
    train, count = inputs.train, len(inputs.rows)
    operation = np.full(count, most_common(train.operation), np.int64)
    block = train.blocks[most_common(train.block)]
    return {MAJORITY: RowPredictions(np.full(count, block), operation)}


def majority_of_operation(inputs: BaselineInput) -> Predictions:
    """The most common train block of each row's provided (true) operation.

    Where the operation is not in the train split, it is the most common block of all.
    """
    train, true_operation = inputs.train, inputs.test.operation[inputs.rows]
    block = np.full(len(inputs.rows), most_common(train.block))
    for operation in np.unique(train.operation):
        block[true_operation == operation] = most_common(train.block[train.operation == operation])
    predictions = RowPredictions(train.blocks[block], true_operation.astype(np.int64))
    return {MAJORITY_PRIVILEGED: predictions}


def elapsed_time(inputs: BaselineInput) -> Predictions:
    """What most train recordings of the true operation execute at the same time since their start.

    Operation and start are provided. Recordings of one operation repeat the same few programs at
    the same speed, so elapsed time alone predicts most blocks; a model that can infer the time has
    to beat this. Of equally common blocks it is the first in `train.blocks`. Where the operation is
    not in the train split, it is the most common block of all.
    """
    train, true_operation = inputs.train, inputs.test.operation[inputs.rows]
    block = np.full(len(inputs.rows), most_common(train.block))
    for operation in np.unique(train.operation):
        members = np.flatnonzero(true_operation == operation)
        seconds = inputs.test.seconds[inputs.rows[members]]
        recordings = np.unique(train.recording[train.operation == operation])
        votes = np.stack([_blocks_at(train, index, seconds) for index in recordings], axis=1)
        block[members] = [most_common(row_votes) for row_votes in votes]
    return {ELAPSED: RowPredictions(train.blocks[block], true_operation.astype(np.int64))}


def _blocks_at(split: Split, recording: int, seconds: NDArray[np.floating]) -> NDArray[np.int32]:
    """Blocks of one recording at times (N,) since its first row; after its end the last block."""
    rows = np.flatnonzero(split.recording == recording)
    latest = np.searchsorted(split.seconds[rows], seconds, side="right") - 1
    return split.block[rows[np.maximum(latest, 0)]]
