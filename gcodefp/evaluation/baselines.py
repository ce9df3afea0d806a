"""What a prediction has to beat: no sensors at all, and the most alike train window.

Forests on the statistics of a window are in `trees`.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from gcodefp.dataset.store import Split
from gcodefp.evaluation.answers import Answers

BINS = 8
TRAIN_ROWS = 20_000
"""The neighbour is sought among at most so many rows, evenly spread over the train split."""


def majority(train: Split, rows: NDArray[np.integer]) -> Answers:
    """The most common block and operation of the train split, for every row."""
    block = train.blocks[_most_common(train.block)]
    operation = _most_common(train.operation)
    return Answers(np.full(len(rows), block), np.full(len(rows), operation, np.int64))


def majority_given_operation(train: Split, test: Split, rows: NDArray[np.integer]) -> Answers:
    """The most common train block of each row's true operation: generous, for it is told that.

    Where the train split has none of the operation, it is the most common block of all.

    Args:
        rows: (N,) rows of the test split.
    """
    told = test.operation[rows]
    block = np.full(len(rows), _most_common(train.block))
    for operation in np.unique(train.operation):
        block[told == operation] = _most_common(train.block[train.operation == operation])
    return Answers(train.blocks[block], told.astype(np.int64))


def elapsed_time(train: Split, test: Split, rows: NDArray[np.integer]) -> Answers:
    """What most train recordings of the true operation execute at the same time since their start.

    It looks at no sensor. Recordings of one operation replay the same few programs at the same
    speed, so a clock alone knows most of the answer; whoever uses the time has to beat this.
    Of equally common blocks it is the first in `train.blocks`. Where the train split has none of
    the operation, it is the most common block of all.

    Args:
        rows: (N,) rows of the test split.
    """
    told = test.operation[rows]
    block = np.full(len(rows), _most_common(train.block))
    for operation in np.unique(train.operation):
        asked = np.flatnonzero(told == operation)
        seconds = test.seconds[rows[asked]]
        replays = np.unique(train.recording[train.operation == operation])
        votes = np.stack([_blocks_at(train, replay, seconds) for replay in replays], axis=1)
        block[asked] = [_most_common(of_row) for of_row in votes]
    return Answers(train.blocks[block], told.astype(np.int64))


def nearest_neighbour(train: Split, test: Split, rows: NDArray[np.integer], window: int) -> Answers:
    """The block and operation of the train row whose surroundings are most alike.

    The surroundings of a row are the window around it, in BINS equal parts, averaged.

    Args:
        rows: (N,) rows of the test split.
        window: rows per window.
    """
    known = known_rows(train, window, TRAIN_ROWS)
    index = NearestNeighbors(n_neighbors=1, algorithm="brute")
    index.fit(_surroundings(train, window)[known])
    found = index.kneighbors(_surroundings(test, window)[rows], return_distance=False)[:, 0]
    neighbour = known[found]
    seen = train.sensed_row[neighbour]
    return Answers(
        train.blocks[train.block[seen]],
        train.operation[neighbour].astype(np.int64),
        train.program[neighbour].astype(np.int64),
        train.position_mm[seen],
    )


def known_rows(train: Split, window: int, at_most: int) -> NDArray[np.int64]:
    """Rows that a train window shows, thinned out evenly to at most so many, ascending."""
    # Only rows that a train window shows: a leaky split holds all rows of all recordings.
    shown = np.unique(train.window_start[:, None] + np.arange(window))
    return shown[:: max(1, -(-len(shown) // at_most))]


def windows_around(split: Split, window: int) -> NDArray[np.int64]:
    """First row of the window around each row, (N,); it is moved inwards near a recording's ends.

    Args:
        window: rows per window; no recording has fewer.
    """
    edges = np.flatnonzero(np.diff(split.recording, prepend=-1, append=-1))
    first, end = edges[:-1], edges[1:]
    start = np.arange(len(split.recording)) - window // 2
    return np.clip(start, first[split.recording], end[split.recording] - window)


def window_means(
    values: NDArray[Any], start: NDArray[np.integer], window: int, parts: int
) -> NDArray[np.float64]:
    """The mean of each equal part of windows.

    Args:
        values: (N, C), finite.
        start: (M,) first row of each window.
        window: rows per window.
        parts: P, of each window; as many as it has rows, if those are fewer.

    Returns:
        (M, P * C), part after part.
    """
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0, float)])
    bounds = np.linspace(0, window, min(parts, window) + 1).astype(int)
    means = [
        (sums[start + high] - sums[start + low]) / (high - low) for low, high in pairwise(bounds)
    ]
    return np.concatenate(means, axis=1)


def _surroundings(split: Split, window: int) -> NDArray[np.float32]:
    """What nearest_neighbour compares, (N, bins * channels)."""
    start = windows_around(split, window)
    return window_means(split.signals, start, window, BINS).astype(np.float32)


def _most_common(classes: NDArray[np.integer]) -> int:
    """Of equally common classes the first."""
    return int(np.bincount(classes).argmax())


def _blocks_at(split: Split, recording: int, seconds: NDArray[np.floating]) -> NDArray[np.int32]:
    """What one recording executes at times (N,) since its first row, after its end the last."""
    its = np.flatnonzero(split.recording == recording)
    latest = np.searchsorted(split.seconds[its], seconds, side="right") - 1
    return split.block[its[np.maximum(latest, 0)]]
