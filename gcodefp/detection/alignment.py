"""Aligns a recording with the profile of a program: the state of each row, and insertions.

Viterbi's algorithm over these path states of a row: before the program, in one of its states, in an
insertion (a row of none: the program pauses, or runs on unobserved), and after it. From row to row
the program advances by one state; by none, by two, or by more (a jump) with a penalty.

Shapes: N rows, T states.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BEFORE, INSIDE, OTHER, AFTER = range(4)
LOG_LIKELIHOOD_PER_UNIT = 1.4
"""Below that of independent rows and sensors: neighbouring rows share samples, sensors noise."""
STEP_PENALTY = 3.0
"""Penalties are subtracted from log-likelihoods."""
JUMP_PENALTY = 25.0
OTHER_PENALTY = 8.0
MIN_GAIN = 5.0
"""With less, the path without jumps and OTHER rows is taken."""
END_PENALTY = 6.0
"""Of starting after the program's first state, and of ending before its last."""
NEVER = -1e12
NOT_STARTED, ENDED = -1, -2
"""In place of a live state: most probably the program has not started, or is at its end."""


class ViterbiPath(NamedTuple):
    """The most probable path.

    Attributes:
        path_state: (N,) BEFORE, INSIDE, OTHER or AFTER.
        state: (N,) of the program; the one that it left where it is OTHER, -1 where outside.
        jump_gain: log-likelihood above that of the best path without jumps and OTHER rows.
    """

    path_state: NDArray[np.int8]
    state: NDArray[np.int64]
    jump_gain: float


def best_path(matches: Array) -> ViterbiPath:
    """The path of at least one row, by the matches (N, T)."""
    with_jumps, without_jumps = (_viterbi_recursion(matches, jumps) for jumps in (True, False))
    jump_gain = with_jumps.final[2] - without_jumps.final[2]
    chosen = with_jumps if jump_gain > MIN_GAIN else without_jumps
    return ViterbiPath(*_backtrack(chosen.back, chosen.final[:2]), jump_gain)


def live_jump_gain(matches: Array) -> tuple[Array, NDArray[np.int64]]:
    """Of the first n rows alone, n = 1 to N: the gain of jumps, (N,), and `live_states`."""
    with_jumps, without_jumps = (_viterbi_recursion(matches, jumps) for jumps in (True, False))
    return with_jumps.best_scores - without_jumps.best_scores, without_jumps.state


def live_states(matches: Array) -> NDArray[np.int64]:
    """The most probable state of each row by the rows until it, without jumps."""
    return _viterbi_recursion(matches, allows_jumps=False).state


class _Backpointers(NamedTuple):
    """Where the best path to each path state comes from; -1: from BEFORE, or OTHER stays OTHER."""

    inside: NDArray[np.int32]
    from_other: NDArray[np.bool_]
    other: NDArray[np.int32]
    other_from_inside: NDArray[np.bool_]
    after: NDArray[np.int32]


class _Recursion(NamedTuple):
    """The result of the recursion over rows.

    Attributes:
        best_scores: (N,) of the first rows, where the program goes on, or has ended with its last
            state.
        state: (N,) that is most probable by the first rows.
        final: path state, state and score of the last row.
    """

    best_scores: Array
    state: NDArray[np.int64]
    final: tuple[int, int, float]
    back: _Backpointers


def _viterbi_recursion(matches: Array, allows_jumps: bool) -> _Recursion:
    scores = matches * LOG_LIKELIHOOD_PER_UNIT
    count, length = scores.shape
    state = np.arange(length)
    start, end = (np.where(edge, END_PENALTY, 0.0) for edge in (state > 0, state < length - 1))
    back = _Backpointers(
        np.full((count, length), -1, np.int32), np.zeros((count, length), bool),
        np.zeros((count, length), np.int32), np.zeros((count, length), bool),
        np.full(count, -1, np.int32),
    )  # fmt: skip
    inside, other, after = scores[0] - start, np.full(length, NEVER), NEVER
    best_scores, states = np.empty(count), np.full(count, NOT_STARTED)
    best_scores[0] = max(0.0, float(inside.max()))
    ended_score = NEVER
    for row in range(1, count):
        ended = inside - end
        value, source = _advance(inside, start, state, allows_jumps)
        if allows_jumps:
            resumed = _shift(other, 1)
            resumed, resumed_from = np.maximum(other, resumed), state - (resumed > other)
            better = resumed > value
            back.from_other[row] = better
            value, source = np.where(better, resumed, value), np.where(better, resumed_from, source)
            # OTHER begins; while it lasts, the program may run on.
            left = inside - OTHER_PENALTY
            back.other_from_inside[row] = left > resumed
            back.other[row] = np.where(left > resumed, state, resumed_from)
            other = np.maximum(left, resumed)
        last = int(ended.argmax())
        if ended[last] > after:
            after, back.after[row] = float(ended[last]), last
        back.inside[row] = source
        inside = value + scores[row]
        ended_score = max(ended_score, float(inside[-1]))
        likely = int(inside.argmax())
        best_scores[row] = max(0.0, ended_score, inside[likely], other.max())
        if inside[likely] >= max(0.0, ended_score):
            states[row] = likely
        elif ended_score > 0:
            states[row] = ENDED
    ends = (
        (AFTER, -1, after),
        (INSIDE, int((inside - end).argmax()), float((inside - end).max())),
        (OTHER, int(other.argmax()), float(other.max()) - END_PENALTY),
        (BEFORE, -1, 0.0),
    )
    return _Recursion(best_scores, states, max(ends, key=lambda final: final[2]), back)


def _advance(
    inside: Array, start: Array, state: NDArray[np.int64], allows_jumps: bool
) -> tuple[Array, NDArray[np.int64]]:
    """Scores of the states (T,) in the next row, and the state before each; -1: BEFORE.

    Ties go to the first: straight on, then no step, two steps, from BEFORE, a jump.
    """
    value, source = _shift(inside, 1), state - 1
    candidates = [
        (inside - STEP_PENALTY, state),
        (_shift(inside, 2) - STEP_PENALTY, state - 2),
        (-start, np.full(len(state), -1)),
    ]
    if allows_jumps:
        highest = np.maximum.accumulate(inside)
        origin = np.maximum.accumulate(np.where(inside >= highest, state, 0))
        jumped_from = origin[np.maximum(state - 3, 0)]
        candidates.append((_shift(highest, 3) - JUMP_PENALTY, jumped_from))
    for candidate, came_from in candidates:
        better = candidate > value
        value, source = np.where(better, candidate, value), np.where(better, came_from, source)
    return value, source


def _shift(values: Array, steps: int) -> Array:
    return np.concatenate([np.full(min(steps, len(values)), NEVER), values[:-steps]])


def _backtrack(
    back: _Backpointers, final: tuple[int, int]
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    count = len(back.after)
    path_states, states = np.zeros(count, np.int8), np.full(count, -1)
    path_state, state = final
    for row in range(count - 1, -1, -1):
        path_states[row], states[row] = path_state, state
        if path_state == AFTER:
            if back.after[row] >= 0:
                path_state, state = INSIDE, int(back.after[row])
        elif path_state == INSIDE:
            source = int(back.inside[row, state])
            if source < 0:
                path_state, state = BEFORE, -1
            else:
                path_state, state = (OTHER if back.from_other[row, state] else INSIDE), source
        elif path_state == OTHER:
            was_inside = back.other_from_inside[row, state]
            path_state, state = (INSIDE if was_inside else OTHER), int(back.other[row, state])
    return path_states, states
