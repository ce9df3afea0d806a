"""Baselines that are forests: on the statistics of a window, and on nothing but the weather."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesClassifier

from gcodefp.dataset.store import Split
from gcodefp.evaluation.answers import Answers
from gcodefp.evaluation.baselines import BINS, known_rows, window_means, windows_around

TRAIN_ROWS = 10_000
"""Forests are grown on at most so many rows: neighbours share nearly all of their windows."""
TREES = 32
TREES_AT_A_TIME = 8
"""A tree keeps a number for every class in every node: 20 MB with 2,000 classes."""
FEATURES_TRIED = 0.15
"""Share of the features that a node may split by."""
ROWS_PER_LEAF = 10
ROWS_AT_A_TIME = 4096
"""Of the test split; each has a number for every class."""


def extra_trees(
    train: Split, test: Split, rows: NDArray[np.integer], window: int, seed: int, jobs: int
) -> Answers:
    """Extremely randomised trees on the statistics of the window around each row.

    The statistics are each channel's mean and standard deviation over the window and its mean in
    each of BINS equal parts. One forest tells the block, another the operation.

    Args:
        rows: (N,) rows of the test split.
        window: rows per window.
        seed: of the forests; the answers do not depend on `jobs`.
        jobs: trees that grow at the same time.
    """
    known = known_rows(train, window, TRAIN_ROWS)
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
) -> Answers:
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
    known = known_rows(train, window, TRAIN_ROWS)
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
) -> Answers:
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
    return Answers(train.blocks[block], operation.astype(np.int64))


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
    for _ in range(0, TREES, TREES_AT_A_TIME):
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
