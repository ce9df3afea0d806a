"""Dynamic time warping: finds windows or whole recordings in the mean signals of each program.

Subsequence search (Müller, *Information Retrieval for Music and Motion*, 2007, chapter 4), computed
by dtaidistance: all rows of a query are aligned with some states of a program, at the least sum of
distances and penalties, between the first discriminants of the templates.

Shapes: N rows, T rows of a query, C channels, D components.
"""

from itertools import pairwise
from math import ceil, sqrt

import numpy as np
import torch
from dtaidistance import dtw, dtw_ndim
from numpy.typing import NDArray

from gcodefp.evaluation.baselines.baseline_input import (
    BaselineInput,
    Predictions,
    at_states,
    states_by_window,
)
from gcodefp.evaluation.names import WARPING, WARPING_WHOLE
from gcodefp.model.hmm import MAX_CELLS
from gcodefp.model.templates import Templates, fit_templates
from gcodefp.programs.table import Programs

COMPONENTS = 10
PENALTY = 15.0
"""Cost of a row that stays in its state, or of a state that is skipped; a unit is the standard
deviation of a component between recordings."""


def time_warping(inputs: BaselineInput) -> Predictions:
    """Warps windows, and the rows of whole recordings."""
    programs, templates = inputs.programs, fit_templates(inputs.train, inputs.programs)
    by_window = states_by_window(
        inputs,
        lambda signals, starts: np.stack(
            [warp(templates, programs, signals[start : start + inputs.window]) for start in starts]
        ),
    )
    recording, whole = inputs.test.recording[inputs.rows], np.zeros(len(inputs.rows), np.int64)
    for index in np.unique(recording):
        own = recording == index
        whole[own] = warp(templates, programs, inputs.test.signals[inputs.rows[own]])
    return {WARPING: at_states(inputs, by_window), WARPING_WHOLE: at_states(inputs, whole)}


def warp(
    templates: Templates, programs: Programs, signals: NDArray[np.float32]
) -> NDArray[np.int64]:
    """The states of a query's rows, (T, C) to (T,), in the program with the least cost.

    At most MAX_CELLS pairs of a row and a state of one program are aligned, of a longer query the
    means of neighbouring rows and states.
    """
    projected = templates.project(torch.as_tensor(signals)[None])[0]
    query, mean = (array[:, :COMPONENTS].double().numpy() for array in (projected, templates.mean))
    longest = int(np.diff(programs.first).max())
    step = ceil(sqrt(len(query) * longest / MAX_CELLS))
    program, cost = 0, np.full((1, 1), np.inf)
    for index, (begin, end) in enumerate(pairwise(programs.first.tolist())):
        own = _path_costs(_means(query, step), _means(mean[begin:end], step))
        if own[-1].min() < cost[-1].min():
            program, cost = index, own
    path = np.array(dtw.best_path(cost, col=int(cost[-1].argmin()), penalty=PENALTY))
    # A row that is aligned with several states has their middle.
    sums, counts = np.bincount(path[:, 0], path[:, 1]), np.bincount(path[:, 0])
    middle = np.arange(len(sums)) * step + (step - 1) / 2
    state = np.interp(np.arange(len(query)), middle, sums / counts * step + (step - 1) / 2)
    last = programs.first[program + 1] - programs.first[program] - 1
    return int(programs.first[program]) + np.rint(state.clip(0, last)).astype(np.int64)


def _means(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Means of every `rows` rows of (N, D)."""
    first = np.arange(0, len(values), rows)
    count = np.diff(first, append=len(values))
    return np.asarray(np.add.reduceat(values, first, axis=0) / count[:, None])


def _path_costs(query: NDArray[np.float64], states: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least cost of a path to each pair of a row and a state, (T + 1, states + 1).

    A path begins with the first row, at any state. Row 0 and column 0 lie before the first ones.
    """
    ends = [0, 0, len(states), len(states)]
    _, costs = dtw_ndim.warping_paths_fast(
        query, np.ascontiguousarray(states), penalty=PENALTY, psi=ends, psi_neg=False,
        keep_int_repr=True, inner_dist="euclidean",
    )  # fmt: skip
    return np.asarray(costs)
