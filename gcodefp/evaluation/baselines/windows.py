"""Baselines that predict each row from the window around it: nearest neighbour and extra trees.

Shapes: N rows to predict, M train rows, C channels, F features, L trees.
"""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor
from sklearn.neighbors import NearestNeighbors

from gcodefp.dataset.store import Split
from gcodefp.evaluation.baselines.baseline_input import BaselineInput, Predictions
from gcodefp.evaluation.decode import predict_at_states
from gcodefp.evaluation.metrics import NEAR_SECONDS, RowPredictions
from gcodefp.evaluation.names import ENVIRONMENT, NEIGHBOUR, TREES, TREES_WHOLE
from gcodefp.programs.table import Programs
from gcodefp.recordings.clock import rows_in

NEIGHBOUR_BINS = 8
"""Equal parts of a window, whose means are compared with those of train windows."""
NEIGHBOUR_TRAIN_ROWS = 20_000
"""Most train rows for the neighbour search, evenly spread over the train split."""
TREE_BINS = 16
"""Equal parts of a window, whose means are features of the trees."""
TREE_TRAIN_ROWS = 10_000
"""Most train rows of a forest: neighbouring rows share nearly all of their windows."""
SEED = 0
CLASSIFIER = {"n_estimators": 32, "max_features": 0.15, "min_samples_leaf": 3}
REGRESSOR = {"n_estimators": 64, "max_features": 0.05, "min_samples_leaf": 1}
"""Options of the forests: trees, share of the features that are considered for a split, and least
train rows in a leaf (docs/experiments.md)."""


def nearest_neighbour(inputs: BaselineInput) -> Predictions:
    """Labels of the train row whose window is the most similar.

    Windows are compared by the means of NEIGHBOUR_BINS equal parts of the window around the row.
    """
    train = inputs.train
    candidates = select_train_rows(train, inputs.window, NEIGHBOUR_TRAIN_ROWS)
    index = NearestNeighbors(n_neighbors=1, algorithm="brute")
    index.fit(_bin_means(train, candidates, inputs.window))
    queries = _bin_means(inputs.test, inputs.rows, inputs.window)
    neighbour = candidates[index.kneighbors(queries, return_distance=False)[:, 0]]
    corrected = train.lag_corrected_row[neighbour]
    predictions = RowPredictions(
        train.blocks[train.block[corrected]],
        train.operation[neighbour].astype(np.int64),
        train.program[neighbour].astype(np.int64),
        train.position_mm[corrected],
        state=np.rint(train.state[neighbour]).astype(np.int64),
    )
    return {NEIGHBOUR: predictions}


def _bin_means(split: Split, rows: NDArray[np.integer], window: int) -> NDArray[np.float32]:
    """Means of the parts of the window around each row (N,), (N, parts * C)."""
    start = windows_around(split, window)[rows]
    return window_means(split.signals, start, window, NEIGHBOUR_BINS).astype(np.float32)


def select_train_rows(train: Split, window: int, max_rows: int) -> NDArray[np.int64]:
    """Rows in any train window, thinned evenly to at most max_rows, ascending."""
    # A leaky split also contains the rows of other splits' windows.
    rows = np.unique(train.window_start[:, None] + np.arange(window))
    return rows[:: max(1, -(-len(rows) // max_rows))]


def windows_around(split: Split, window: int) -> NDArray[np.int64]:
    """First row of the window around each row; shifted inwards near a recording's ends.

    No recording has fewer rows than a window.
    """
    edges = np.flatnonzero(np.diff(split.recording, prepend=-1, append=-1))
    first, end = edges[:-1], edges[1:]
    start = np.arange(len(split.recording)) - window // 2
    return np.clip(start, first[split.recording], end[split.recording] - window)


def window_means(
    values: NDArray[Any], start: NDArray[np.integer], window: int, parts: int
) -> NDArray[np.float64]:
    """The mean of each equal part of windows, (M, parts * C), part after part.

    Args:
        values: (rows, C), finite.
        start: (M,) first row of each window.
        window: rows per window; at least as many as parts, or each row is a part.
    """
    sums = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(0, float)])
    bounds = np.linspace(0, window, min(parts, window) + 1).astype(int)
    means = [
        (sums[start + high] - sums[start + low]) / (high - low) for low, high in pairwise(bounds)
    ]
    return np.concatenate(means, axis=1)


def extra_trees(inputs: BaselineInput) -> Predictions:
    """Extremely randomised trees (Geurts et al. 2006) on the statistics of each row's window.

    The statistics are each channel's mean and standard deviation over the window and its mean in
    each of TREE_BINS equal parts.
    """
    rows = select_train_rows(inputs.train, inputs.window, TREE_TRAIN_ROWS)
    forests = _fit(inputs, rows, _statistics(inputs.train, rows, inputs.window))
    features = _statistics(inputs.test, inputs.rows, inputs.window)
    whole = forests.predict_recordings(features, inputs.test.recording[inputs.rows])
    return {TREES: forests.predict_rows(features), TREES_WHOLE: whole}


def environment_only(inputs: BaselineInput) -> Predictions:
    """The same forests on the window's mean pressure and temperature alone.

    Neither measures the motion. Their accuracy comes from the time of the recording, and shows how
    far operation and session are confounded. Rows without a value are skipped; a window without
    any value has the mean of the train split.
    """
    rows = select_train_rows(inputs.train, inputs.window, TREE_TRAIN_ROWS)
    values = inputs.train.environment[rows].astype(np.float64)
    valid = np.isfinite(values)
    train_mean = np.where(valid, values, 0.0).sum(0) / np.maximum(1, valid.sum(0))
    forests = _fit(inputs, rows, _environment(inputs.train, rows, inputs.window, train_mean))
    features = _environment(inputs.test, inputs.rows, inputs.window, train_mean)
    return {ENVIRONMENT: forests.predict_rows(features)}


def _statistics(split: Split, rows: NDArray[np.integer], window: int) -> NDArray[np.float32]:
    """(N, (2 + parts) * C): mean, standard deviation and means of the parts of each channel."""
    start = windows_around(split, window)[rows]
    signals = split.signals.astype(np.float64)
    mean = window_means(signals, start, window, 1)
    variance = window_means(signals**2, start, window, 1) - mean**2
    # Rounding can leave a constant channel a variance just below 0.
    deviation = np.sqrt(np.maximum(variance, 0.0))
    parts = window_means(signals, start, window, TREE_BINS)
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


class Forests(NamedTuple):
    """The forests of one set of features, for programs, operations, and each program's states."""

    programs: Programs
    program: ExtraTreesClassifier
    operation: ExtraTreesClassifier
    state: dict[int, ExtraTreesRegressor]

    def predict_rows(self, features: NDArray[np.float32]) -> RowPredictions:
        """Predictions of rows with features (N, F), each by itself."""
        program = self.program.classes_[self.program.predict_proba(features).argmax(axis=1)]
        state = np.zeros(len(features), np.int64)
        for index in np.unique(program).tolist():
            members = np.flatnonzero(program == index)
            state[members] = self._voted_states(index, features[members])
        return self._at_states(state, features)

    def predict_recordings(
        self, features: NDArray[np.float32], recording: NDArray[np.integer]
    ) -> RowPredictions:
        """Predictions of rows with features (N, F) and indices of their recordings (N,).

        The program has the most votes of the recording's rows. Its states are one a row, at the
        median of the offsets that the rows predict.
        """
        votes = self.program.predict_proba(features)
        state = np.zeros(len(features), np.int64)
        for index in np.unique(recording):
            members = np.flatnonzero(recording == index)
            program = int(self.program.classes_[votes[members].sum(axis=0).argmax()])
            predicted = self._voted_states(program, features[members])
            row = np.arange(len(members))
            path = row + int(np.rint(np.median(predicted - row)))
            states = self.programs.state_slice(program)
            state[members] = np.clip(path, states.start, states.stop - 1)
        return self._at_states(state, features)

    def _voted_states(self, program: int, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The state that most trees predict, (N,)."""
        trees = self.state[program].estimators_
        votes = np.stack([np.rint(tree.predict(features)) for tree in trees]).astype(np.int64)
        return densest_votes(votes, rows_in(NEAR_SECONDS, float(self.programs.step_seconds)))

    def _at_states(self, state: NDArray[np.int64], features: NDArray[np.float32]) -> RowPredictions:
        operation = np.asarray(self.operation.predict(features), np.int64)
        return predict_at_states(self.programs, state, operation)


def densest_votes(votes: NDArray[np.int64], near_states: int) -> NDArray[np.int64]:
    """Of the trees' states (L, N) the one with the most others within `near_states`, (N,).

    Many moves look alike, and the mean of the votes for two of them is neither. Of equally
    supported votes it is the first tree's.
    """
    support = np.stack([(np.abs(votes - vote) <= near_states).sum(axis=0) for vote in votes])
    return np.take_along_axis(votes, support.argmax(axis=0)[None], axis=0)[0]


def _fit(
    inputs: BaselineInput, rows: NDArray[np.integer], features: NDArray[np.float32]
) -> Forests:
    """Forests of M rows of the train split with features (M, F), whatever the number of jobs."""
    train, options = inputs.train, {"random_state": SEED, "n_jobs": inputs.jobs}
    program, operation = (
        ExtraTreesClassifier(**CLASSIFIER, **options).fit(features, classes[rows])
        for classes in (train.program, train.operation)
    )
    state = {}
    for index in np.unique(train.program[rows]).tolist():
        own = train.program[rows] == index
        forest = ExtraTreesRegressor(**REGRESSOR, **options)
        state[index] = forest.fit(features[own], train.state[rows[own]])
    # Threads would add votes in random order, and rounding could then break ties.
    for classifier in (program, operation):
        classifier.set_params(n_jobs=1)
    return Forests(inputs.programs, program, operation, state)
