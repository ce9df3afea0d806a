"""Dynamic time warping: finds windows or whole recordings in the mean signals of each program.

Subsequence search (Müller, *Information Retrieval for Music and Motion*, 2007, chapter 4), computed
by dtaidistance: all rows of a query are aligned with some states of a program, at the least sum of
distances and penalties. Signals are normalised within their recording, and projected on the
directions that differ most between states and least between recordings (linear discriminants).

Shapes: N rows, T rows of a query, C channels, F features (C at each of OFFSETS), D components, P
states, K programs.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from dtaidistance import dtw, dtw_ndim
from numpy.typing import NDArray
from scipy.linalg import eigh

from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import row_to_window_mask
from gcodefp.programs.table import Programs

COMPONENTS = 10
OFFSETS = (-4, -2, 0, 2, 4)
"""Rows whose signals are the features of a row."""
PENALTY = 15.0
"""Cost of a row that stays in its state, or of a state that is skipped; a unit is the standard
deviation of a component between recordings."""
STD_OFFSET = 0.1
"""Added to a recording's standard deviations: a nearly constant channel has little information."""
SHRINKAGE = 0.1
"""Share of the covariance between recordings that is replaced by its diagonal."""
MIN_VARIANCE = 1e-4
"""Added to the variance of each feature between recordings."""


class Templates(NamedTuple):
    """Mean signals of the programs.

    Attributes:
        first: (K + 1,) first state of each program, and P.
        projection: (F, D).
        states: (P, D) projected mean features of the train rows of each state.
    """

    first: NDArray[np.int32]
    projection: NDArray[np.float64]
    states: NDArray[np.float64]


def fit_templates(train: Split, programs: Programs) -> Templates:
    """The templates of the train recordings, by their lag-corrected states."""
    signals = normalise_recordings(train)
    features = np.concatenate(
        [features_of(signals[train.recording == r]) for r in np.unique(train.recording)]
    )
    state = np.rint(train.state).astype(np.int64)
    mean = _mean_of_states(features, state, programs.first)
    residual = features - mean[state]
    covariance = residual.T @ residual / len(residual)
    variance = np.diag(np.diag(covariance))
    noise = (1 - SHRINKAGE) * covariance + SHRINKAGE * variance
    noise += MIN_VARIANCE * np.eye(len(noise))
    # Eigenvalues ascend; a component has the variance 1 between recordings.
    projection = eigh(np.cov(mean.T), noise)[1][:, ::-1][:, :COMPONENTS]
    return Templates(programs.first, projection, mean @ projection)


def normalise_recordings(split: Split) -> NDArray[np.float64]:
    """Signals (N, C) minus the mean of their recording, over its standard deviation."""
    signals = split.signals.astype(np.float64)
    for recording in np.unique(split.recording):
        own = split.recording == recording
        values = signals[own]
        signals[own] = (values - values.mean(0)) / (values.std(0) + STD_OFFSET)
    return signals


def features_of(signals: NDArray[np.float64]) -> NDArray[np.float64]:
    """The features of the rows of a query, (T, C) to (T, F); its end rows are repeated."""
    last = len(signals) - 1
    rows = np.arange(len(signals))
    return np.concatenate([signals[np.clip(rows + o, 0, last)] for o in OFFSETS], axis=1)


def _mean_of_states(
    features: NDArray[np.float64], state: NDArray[np.int64], first: NDArray[np.int32]
) -> NDArray[np.float64]:
    """Mean features of each state, (P, F); a state without rows has those of the nearest state.

    The nearest state of the same program, of equally near ones the earlier.
    """
    count = np.bincount(state, minlength=int(first[-1]))
    total = np.zeros((len(count), features.shape[1]))
    np.add.at(total, state, features)
    mean = total / np.maximum(count, 1)[:, None]
    for begin, end in pairwise(first.tolist()):
        states = np.arange(begin, end)
        counted = states[count[states] > 0]
        if len(counted):
            mean[states] = mean[counted[np.abs(states[:, None] - counted).argmin(axis=1)]]
    return mean


def warp_windows(templates: Templates, split: Split, window: int) -> NDArray[np.int64]:
    """The state of each row of a split, by its assigned window, (N,); 0 outside of windows."""
    signals = normalise_recordings(split)
    states = np.zeros(len(signals), np.int64)
    row_mask = row_to_window_mask(split.window_start, window)
    for start, is_assigned in zip(split.window_start.tolist(), row_mask, strict=True):
        rows = np.arange(start, start + window)
        states[rows[is_assigned]] = warp(templates, signals[rows])[is_assigned]
    return states


def warp_recordings(
    templates: Templates, split: Split, rows: NDArray[np.integer]
) -> NDArray[np.int64]:
    """The states of rows (M,) of a split, each recording's rows as one query, (M,)."""
    signals = normalise_recordings(split)[rows]
    recording = split.recording[rows]
    states = np.zeros(len(rows), np.int64)
    for index in np.unique(recording):
        states[recording == index] = warp(templates, signals[recording == index])
    return states


def warp(templates: Templates, signals: NDArray[np.float64]) -> NDArray[np.int64]:
    """The states of a query's rows, (T, C) to (T,), in the program with the least cost."""
    query = np.ascontiguousarray(features_of(signals) @ templates.projection)
    costs = [
        _path_costs(query, templates.states[begin:end])
        for begin, end in pairwise(templates.first.tolist())
    ]
    program = int(np.argmin([cost[-1].min() for cost in costs]))
    cost = costs[program]
    path = np.array(dtw.best_path(cost, col=int(cost[-1].argmin()), penalty=PENALTY))
    # A row that is aligned with several states has their middle.
    sums, counts = np.bincount(path[:, 0], path[:, 1]), np.bincount(path[:, 0])
    return int(templates.first[program]) + np.rint(sums / counts).astype(np.int64)


def _path_costs(query: NDArray[np.float64], states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least cost of a path to each pair of a row and a state, (T + 1, states + 1).

    A path begins with the first row, at any state. Row 0 and column 0 lie before the first ones.
    """
    count = len(states)
    _, costs = dtw_ndim.warping_paths_fast(
        query,
        np.ascontiguousarray(states),
        penalty=PENALTY,
        psi=[0, 0, count, count],
        psi_neg=False,
        keep_int_repr=True,
        inner_dist="euclidean",
    )
    return np.asarray(costs)
