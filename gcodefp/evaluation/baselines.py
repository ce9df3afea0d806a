"""What gcodefp or a baseline says of rows, in one form, so that all are scored by one rule."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import NearestNeighbors

from gcodefp.dataset.store import Split
from gcodefp.evaluation.names import (
    ELAPSED,
    ENVIRONMENT,
    MAJORITY,
    MAJORITY_PRIVILEGED,
    NEIGHBOUR,
    TREES,
)
from gcodefp.programs.table import Programs


class RowPredictions(NamedTuple):
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

    def take(self, chosen: NDArray[np.integer]) -> "RowPredictions":
        """The answers of some of the rows, in another order if so wanted."""
        return RowPredictions(
            self.blocks[chosen],
            self.operation[chosen],
            None if self.program is None else self.program[chosen],
            None if self.position_mm is None else self.position_mm[chosen],
            None if self.line is None else self.line[chosen],
        )


def at_states(
    programs: Programs,
    path: NDArray[np.integer],
    operation: NDArray[np.int64],
    lag_seconds: NDArray[np.floating] | float = 0.0,
) -> RowPredictions:
    """What the controller reports when the sensors see the places of a path (N,).

    Args:
        lag_seconds: () or (N,) of the sensors, relative to the program's median. The median is the
            best guess of those who do not know the controller's clock.
    """
    program = programs.program_of_state()[path]
    reported = np.rint(path + np.nan_to_num(lag_seconds) / float(programs.step_seconds))
    state = np.clip(reported, programs.first[program], programs.first[program + 1] - 1).astype(int)
    return RowPredictions(
        programs.block[state],
        operation,
        program,
        programs.position_mm[state],
        programs.line[state],
    )


# What a prediction has to beat: no sensors at all, and the most alike train window.
#
# Forests on the statistics of a window are in `trees`.

BINS = 8
TRAIN_ROWS = 20_000
"""The neighbour is sought among at most so many rows, evenly spread over the train split."""


def majority(train: Split, rows: NDArray[np.integer]) -> RowPredictions:
    """The most common block and operation of the train split, for every row."""
    block = train.blocks[_most_common(train.block)]
    operation = _most_common(train.operation)
    return RowPredictions(np.full(len(rows), block), np.full(len(rows), operation, np.int64))


def majority_given_operation(
    train: Split, test: Split, rows: NDArray[np.integer]
) -> RowPredictions:
    """The most common train block of each row's true operation: generous, for it is told that.

    Where the train split has none of the operation, it is the most common block of all.

    Args:
        rows: (N,) rows of the test split.
    """
    told = test.operation[rows]
    block = np.full(len(rows), _most_common(train.block))
    for operation in np.unique(train.operation):
        block[told == operation] = _most_common(train.block[train.operation == operation])
    return RowPredictions(train.blocks[block], told.astype(np.int64))


def elapsed_time(train: Split, test: Split, rows: NDArray[np.integer]) -> RowPredictions:
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
    return RowPredictions(train.blocks[block], told.astype(np.int64))


def nearest_neighbour(
    train: Split, test: Split, rows: NDArray[np.integer], window: int
) -> RowPredictions:
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
    seen = train.lag_corrected_row[neighbour]
    return RowPredictions(
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


TREE_TRAIN_ROWS = 10_000
"""Forests are grown on at most so many rows: neighbours share nearly all of their windows."""
TREE_COUNT = 32
TREES_AT_A_TIME = 8
"""A tree keeps a number for every class in every node: 20 MB with 2,000 classes."""
FEATURES_TRIED = 0.15
"""Share of the features that a node may split by."""
ROWS_PER_LEAF = 10
ROWS_AT_A_TIME = 4096
"""Of the test split; each has a number for every class."""


def extra_trees(
    train: Split, test: Split, rows: NDArray[np.integer], window: int, seed: int, jobs: int
) -> RowPredictions:
    """Extremely randomised trees on the statistics of the window around each row.

    The statistics are each channel's mean and standard deviation over the window and its mean in
    each of BINS equal parts. One forest tells the block, another the operation.

    Args:
        rows: (N,) rows of the test split.
        window: rows per window.
        seed: of the forests; the answers do not depend on `jobs`.
        jobs: trees that grow at the same time.
    """
    known = known_rows(train, window, TREE_TRAIN_ROWS)
    return _ask_forests(
        train,
        known,
        _statistics(train, known, window),
        _statistics(test, rows, window),
        seed,
        jobs,
    )


def environment_only(
    train: Split, test: Split, rows: NDArray[np.integer], window: int, seed: int, jobs: int
) -> RowPredictions:
    """The same forests on nothing but the window's mean pressure and temperature.

    Neither can tell what a mill does. What this gets right is known from the day and hour of the
    recording, and so shows how far operation and session are confounded.

    Args:
        rows: (N,) rows of the test split.
        window: rows per window; the mean is over its rows with a value, and where none has one, it
            is the mean of the train split.
        seed: of the forests; the answers do not depend on `jobs`.
        jobs: trees that grow at the same time.
    """
    known = known_rows(train, window, TREE_TRAIN_ROWS)
    seen = train.environment[known].astype(np.float64)
    valid = np.isfinite(seen)
    typical = np.where(valid, seen, 0.0).sum(0) / np.maximum(1, valid.sum(0))
    return _ask_forests(
        train,
        known,
        _weather(train, known, window, typical),
        _weather(test, rows, window, typical),
        seed,
        jobs,
    )


def _statistics(split: Split, rows: NDArray[np.integer], window: int) -> NDArray[np.float32]:
    """(N, (2 + parts) * C): mean, standard deviation and means of the parts of each channel."""
    start = windows_around(split, window)[rows]
    signals = split.signals.astype(np.float64)
    mean = window_means(signals, start, window, 1)
    variance = window_means(signals**2, start, window, 1) - mean**2
    # Rounding can leave a constant channel a variance just below 0.
    deviation = np.sqrt(np.maximum(variance, 0.0))
    parts = window_means(signals, start, window, BINS)
    return np.concatenate([mean, deviation, parts], axis=1).astype(np.float32)


def _weather(
    split: Split, rows: NDArray[np.integer], window: int, typical: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(N, 2): mean pressure (kPa) and temperature (degC) of each window, less the typical ones."""
    start = windows_around(split, window)[rows]
    difference = split.environment - typical
    valid = np.isfinite(difference)
    total = window_means(np.where(valid, difference, 0.0), start, window, 1)
    share = window_means(valid, start, window, 1)
    # With no valid row the total is 0, and so is the difference to the typical.
    return (total / np.maximum(share, 1 / window)).astype(np.float32)


def _ask_forests(
    train: Split,
    known: NDArray[np.integer],
    known_features: NDArray[np.float32],
    features: NDArray[np.float32],
    seed: int,
    jobs: int,
) -> RowPredictions:
    """Grows a forest for the block and one for the operation, and asks both.

    Args:
        known: (M,) rows of the train split.
        known_features: (M, F).
        features: (N, F) of the rows to answer for.
    """
    block, operation = (
        _classify(known_features, classes[known], features, seed, jobs)
        for classes in (train.block, train.operation)
    )
    return RowPredictions(train.blocks[block], operation.astype(np.int64))


def _classify(
    known_features: NDArray[np.float32],
    known_classes: NDArray[np.integer],
    features: NDArray[np.float32],
    seed: int,
    jobs: int,
) -> NDArray[np.integer]:
    """The likeliest class of N rows, learnt from M rows.

    Args:
        known_features: (M, F).
        known_classes: (M,).
        features: (N, F).
    """
    classes = np.unique(known_classes)
    votes = np.zeros((len(features), len(classes)), np.float32)
    random = np.random.RandomState(seed)
    for _ in range(0, TREE_COUNT, TREES_AT_A_TIME):
        forest = _grow(known_features, known_classes, random, jobs)
        for first in range(0, len(features), ROWS_AT_A_TIME):
            chunk = slice(first, first + ROWS_AT_A_TIME)
            votes[chunk] += forest.predict_proba(features[chunk])
    return classes[votes.argmax(axis=1)]


def _grow(
    features: NDArray[np.float32],
    classes: NDArray[np.integer],
    random: np.random.RandomState,
    jobs: int,
) -> Any:
    """A forest of TREES_AT_A_TIME trees that answers in a single thread."""
    forest = ExtraTreesClassifier(
        n_estimators=TREES_AT_A_TIME,
        min_samples_leaf=ROWS_PER_LEAF,
        max_features=FEATURES_TRIED,
        random_state=random,
        n_jobs=jobs,
    ).fit(features, classes)
    # Threads would add the trees' answers up in any order, and rounding could then break ties.
    return forest.set_params(n_jobs=1)


SEED = 0


def run_baselines(
    train: Split, test: Split, rows: NDArray[np.integer], window: int, jobs: int
) -> dict[str, RowPredictions]:
    """Answers of each baseline, by name.

    Args:
        rows: (N,) rows of the test split.
        window: rows per window.
        jobs: processor cores that forests may use.
    """
    answers = {
        NEIGHBOUR: nearest_neighbour(train, test, rows, window),
        TREES: extra_trees(train, test, rows, window, SEED, jobs),
        MAJORITY: majority(train, rows),
        MAJORITY_PRIVILEGED: majority_given_operation(train, test, rows),
        ELAPSED: elapsed_time(train, test, rows),
    }
    if np.isfinite(train.environment).any() and np.isfinite(test.environment).any():
        answers[ENVIRONMENT] = environment_only(train, test, rows, window, SEED, jobs)
    return answers
