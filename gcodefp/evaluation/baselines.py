"""Baselines, whose predictions have the same form as the model's.

Majority and elapsed time use no sensor; others use the nearest train window, forests on window
statistics, or the matched filter. Shapes: N rows of the test split, C channels.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.neighbors import NearestNeighbors

from gcodefp.dataset.store import Split
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
)
from gcodefp.programs.table import Programs

SEED = 0
BINS = 8
"""Equal parts of a window, whose means are features."""
NEIGHBOUR_TRAIN_ROWS = 20_000
"""Most train rows for the neighbour search, evenly spread over the train split."""
TREE_TRAIN_ROWS = 10_000
"""Most train rows of a forest: neighbouring rows share nearly all of their windows."""
TREE_COUNT = 32
TREES_PER_FOREST = 8
"""Limits memory: a tree has 20 MB with 2,000 classes."""
MAX_FEATURES = 0.15
"""Share of the features that are considered for a split."""
ROWS_PER_LEAF = 10
ROWS_PER_CHUNK = 4096
"""Limits memory: each test row has a vote for every class."""


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
    """Fits all baselines to the train split and predicts rows of the test split.

    Args:
        val: for the choice of options; without it the defaults are used.
        rows: (N,) of the test split.
        window: rows per window.
        jobs: processor cores that forests may use.
    """
    matched = tune_matched_filter(train, val, programs, window)
    predictions = {
        **filter_predictions(matched, train, test, rows, programs, window),
        NEIGHBOUR: nearest_neighbour(train, test, rows, window),
        TREES: extra_trees(train, test, rows, window, SEED, jobs),
        MAJORITY: majority(train, rows),
        MAJORITY_PRIVILEGED: majority_of_operation(train, test, rows),
        ELAPSED: elapsed_time(train, test, rows),
    }
    if np.isfinite(train.environment).any() and np.isfinite(test.environment).any():
        predictions[ENVIRONMENT] = environment_only(train, test, rows, window, SEED, jobs)
    return Baselines(predictions, {FILTER: matched}, {FILTER: matched.tuned()})


def filter_predictions(
    matched: MatchedFilter,
    train: Split,
    test: Split,
    rows: NDArray[np.integer],
    programs: Programs,
    window: int,
) -> dict[str, RowPredictions]:
    """What the matched filter predicts from each row's window, and from the whole recording.

    The operation is the one that most train rows of the program have.
    """
    operation = np.zeros(len(programs.names), np.int64)
    for program in np.unique(train.program[train.program >= 0]):
        operation[program] = _most_common(train.operation[train.program == program])
    whole = np.zeros(len(test.recording), np.int64)
    heard = listen(matched, test, None)
    whole[heard.rows] = heard.state
    states = {FILTER: _states_in_windows(matched, test, window), FILTER_WHOLE: whole}
    program_of_state = programs.program_of_state()
    return {
        name: predict_at_states(programs, state[rows], operation[program_of_state[state[rows]]])
        for name, state in states.items()
    }


def _states_in_windows(matched: MatchedFilter, split: Split, window: int) -> NDArray[np.int64]:
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


def nearest_neighbour(
    train: Split, test: Split, rows: NDArray[np.integer], window: int
) -> RowPredictions:
    """Labels of the train row whose window is the most similar.

    Windows are compared by the means of BINS equal parts of the window around the row.
    """
    candidates = select_train_rows(train, window, NEIGHBOUR_TRAIN_ROWS)
    index = NearestNeighbors(n_neighbors=1, algorithm="brute")
    index.fit(_bin_means(train, window)[candidates])
    nearest = index.kneighbors(_bin_means(test, window)[rows], return_distance=False)[:, 0]
    neighbour = candidates[nearest]
    corrected = train.lag_corrected_row[neighbour]
    return RowPredictions(
        train.blocks[train.block[corrected]],
        train.operation[neighbour].astype(np.int64),
        train.program[neighbour].astype(np.int64),
        train.position_mm[corrected],
    )


def _bin_means(split: Split, window: int) -> NDArray[np.float32]:
    """Means of the parts of the window around each row of a split, (rows, parts * C)."""
    start = windows_around(split, window)
    return window_means(split.signals, start, window, BINS).astype(np.float32)


def select_train_rows(train: Split, window: int, max_rows: int) -> NDArray[np.int64]:
    """Rows in any train window, thinned evenly to at most max_rows, ascending."""
    # A leaky split also contains the rows of other splits' windows.
    rows = np.unique(train.window_start[:, None] + np.arange(window))
    return rows[:: max(1, -(-len(rows) // max_rows))]


def windows_around(split: Split, window: int) -> NDArray[np.int64]:
    """First row of the window around each row; shifted inwards near a recording's ends.

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
        values: (rows, C), finite.
        start: (M,) first row of each window.
        window: rows per window.
        parts: P, of each window; at most `window`.

    Returns:
        (M, P * C), part after part.
    """
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0, float)])
    bounds = np.linspace(0, window, min(parts, window) + 1).astype(int)
    means = [
        (sums[start + high] - sums[start + low]) / (high - low) for low, high in pairwise(bounds)
    ]
    return np.concatenate(means, axis=1)


def extra_trees(
    train: Split, test: Split, rows: NDArray[np.integer], window: int, seed: int, jobs: int
) -> RowPredictions:
    """Extremely randomised trees (Geurts et al. 2006) on the statistics of each row's window.

    The statistics are each channel's mean and standard deviation over the window and its mean in
    each of BINS equal parts. One forest predicts the block, another the operation.

    Args:
        seed: of the forests; the predictions do not depend on `jobs`.
        jobs: trees that are fitted in parallel.
    """
    train_rows = select_train_rows(train, window, TREE_TRAIN_ROWS)
    features = _statistics(train, train_rows, window), _statistics(test, rows, window)
    return _predict_with_forests(train, train_rows, *features, seed, jobs)


def environment_only(
    train: Split, test: Split, rows: NDArray[np.integer], window: int, seed: int, jobs: int
) -> RowPredictions:
    """The same forests on the window's mean pressure and temperature alone.

    Neither measures the motion. Their accuracy comes from the time of the recording, and shows how
    far operation and session are confounded. Rows without a value are skipped; a window without
    any value has the mean of the train split.
    """
    train_rows = select_train_rows(train, window, TREE_TRAIN_ROWS)
    values = train.environment[train_rows].astype(np.float64)
    valid = np.isfinite(values)
    train_mean = np.where(valid, values, 0.0).sum(0) / np.maximum(1, valid.sum(0))
    features = (
        _environment(train, train_rows, window, train_mean),
        _environment(test, rows, window, train_mean),
    )
    return _predict_with_forests(train, train_rows, *features, seed, jobs)


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


def _environment(
    split: Split, rows: NDArray[np.integer], window: int, train_mean: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(N, 2): mean pressure (kPa) and temperature (degC) of each window, minus the train means."""
    start = windows_around(split, window)[rows]
    difference = split.environment - train_mean
    valid = np.isfinite(difference)
    total = window_means(np.where(valid, difference, 0.0), start, window, 1)
    share = window_means(valid, start, window, 1)
    # Without a valid row the total is 0: the train mean.
    return (total / np.maximum(share, 1 / window)).astype(np.float32)


def _predict_with_forests(
    train: Split,
    train_rows: NDArray[np.integer],
    train_features: NDArray[np.float32],
    features: NDArray[np.float32],
    seed: int,
    jobs: int,
) -> RowPredictions:
    """A forest for the block and one for the operation.

    Args:
        train_rows: (M,) rows of the train split.
        train_features: (M, F).
        features: (N, F) of the rows to predict.
    """
    block, operation = (
        _classify(train_features, classes[train_rows], features, seed, jobs)
        for classes in (train.block, train.operation)
    )
    return RowPredictions(train.blocks[block], operation.astype(np.int64))


def _classify(
    train_features: NDArray[np.float32],
    train_classes: NDArray[np.integer],
    features: NDArray[np.float32],
    seed: int,
    jobs: int,
) -> NDArray[np.integer]:
    """The classes of N rows by a forest that is fitted to M rows."""
    classes = np.unique(train_classes)
    votes = np.zeros((len(features), len(classes)), np.float32)
    rng = np.random.RandomState(seed)
    for _ in range(0, TREE_COUNT, TREES_PER_FOREST):
        forest = _grow(train_features, train_classes, rng, jobs)
        for first in range(0, len(features), ROWS_PER_CHUNK):
            chunk = slice(first, first + ROWS_PER_CHUNK)
            votes[chunk] += forest.predict_proba(features[chunk])
    return classes[votes.argmax(axis=1)]


def _grow(
    features: NDArray[np.float32],
    classes: NDArray[np.integer],
    rng: np.random.RandomState,
    jobs: int,
) -> Any:
    """A forest of TREES_PER_FOREST trees that predicts in a single thread."""
    forest = ExtraTreesClassifier(
        n_estimators=TREES_PER_FOREST,
        min_samples_leaf=ROWS_PER_LEAF,
        max_features=MAX_FEATURES,
        random_state=rng,
        n_jobs=jobs,
    ).fit(features, classes)
    # Threads would add votes in random order, and rounding could then break ties.
    return forest.set_params(n_jobs=1)
