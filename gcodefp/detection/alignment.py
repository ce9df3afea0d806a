"""Aligns a recording with a template: where in the program each row is, and what is not of it.

Viterbi's algorithm over these conditions of a row: before the program, in one of its states, in
something else (the program pauses there, or runs on unseen), and after it. From row to row the
program advances by one state; by none or two, or further, at a price. Prices are log-likelihoods.

Shapes: N rows, T states.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BEFORE, INSIDE, OTHER, AFTER = range(4)
FIT_WEIGHT = 1.4
"""Log-likelihood of a row that fits as those of good recordings do: neighbouring rows share
samples, and sensors noise."""
STEP_PRICE = 3.0
JUMP_PRICE = 25.0
OTHER_PRICE = 8.0
LEAST_GAIN = 5.0
"""With less, the alignment without jumps and OTHER rows is taken."""
END_PRICE = 6.0
"""Of starting after the program's first state, and of ending before its last."""
NEVER = -1e12
AWAITED, ENDED = -1, -2
"""In place of a state: most probably the program has not begun, or is at its end."""


class Path(NamedTuple):
    """The most probable alignment.

    Attributes:
        condition: (N,) BEFORE, INSIDE, OTHER or AFTER.
        state: (N,) of the program; the one that it left where it is OTHER, -1 where outside.
        gain: log-likelihood above that of the best alignment without jumps and OTHER rows.
    """

    condition: NDArray[np.int8]
    state: NDArray[np.int64]
    gain: float


def align(fits: Array) -> Path:
    """Aligns fits (N, T) of at least one row."""
    free, stiff = (_forward(fits * FIT_WEIGHT, is_stiff) for is_stiff in (False, True))
    gain = free.final[2] - stiff.final[2]
    taken = free if gain > LEAST_GAIN else stiff
    return Path(*_trace(taken.back, taken.final[:2]), gain)


def live_alignment(fits: Array) -> tuple[Array, NDArray[np.int64]]:
    """Of the first rows alone, for each number of rows: gain (N,), and state as `stiff_states`."""
    free, stiff = (_forward(fits * FIT_WEIGHT, is_stiff) for is_stiff in (False, True))
    return free.best - stiff.best, stiff.state


def stiff_states(fits: Array) -> NDArray[np.int64]:
    """The most probable state of each row by the rows until it, without jumps; AWAITED, ENDED."""
    return _forward(fits * FIT_WEIGHT, is_stiff=True).state


class _Back(NamedTuple):
    """Where the best path to each condition comes from; -1: from BEFORE, or OTHER stays OTHER."""

    inside: NDArray[np.int32]
    from_other: NDArray[np.bool_]
    other: NDArray[np.int32]
    other_from_inside: NDArray[np.bool_]
    after: NDArray[np.int32]


class _Forward(NamedTuple):
    """The forward pass.

    Attributes:
        best: score of the first rows, (N,), of a program that goes on, or has ended with its last
            state.
        state: (N,) that is most probable by the first rows.
        final: condition, state and score of the last row.
    """

    best: Array
    state: NDArray[np.int64]
    final: tuple[int, int, float]
    back: _Back


def _forward(scores: Array, is_stiff: bool) -> _Forward:
    count, length = scores.shape
    state = np.arange(length)
    start, end = END_PRICE * (state > 0), END_PRICE * (state < length - 1)
    back = _Back(
        np.full((count, length), -1, np.int32), np.zeros((count, length), bool),
        np.zeros((count, length), np.int32), np.zeros((count, length), bool),
        np.full(count, -1, np.int32),
    )  # fmt: skip
    inside, other, after = scores[0] - start, np.full(length, NEVER), NEVER
    best, states = np.empty(count), np.full(count, AWAITED)
    best[0] = max(0.0, float(inside.max()))
    finished = NEVER
    for row in range(1, count):
        ended = inside - end
        # Ties go to the first: straight on, then no step, two steps, a jump, back from OTHER.
        value, source = _shift(inside, 1), state - 1
        for candidate, origin in ((inside - STEP_PRICE, state),
                                  (_shift(inside, 2) - STEP_PRICE, state - 2)):  # fmt: skip
            better = candidate > value
            value, source = np.where(better, candidate, value), np.where(better, origin, source)
        begins = -start > value
        value, source = np.where(begins, -start, value), np.where(begins, -1, source)
        if not is_stiff:
            highest = np.maximum.accumulate(inside)
            origin = np.maximum.accumulate(np.where(inside >= highest, state, 0))
            jumped = _shift(highest, 3) - JUMP_PRICE
            better = jumped > value
            value = np.where(better, jumped, value)
            source = np.where(better, np.maximum(origin[np.maximum(state - 3, 0)], 0), source)
            resumed = _shift(other, 1)
            resumed, resumed_from = np.maximum(other, resumed), state - (resumed > other)
            better = resumed > value
            back.from_other[row] = better
            value, source = np.where(better, resumed, value), np.where(better, resumed_from, source)
            # OTHER begins; while it lasts, the program may run on.
            left = inside - OTHER_PRICE
            back.other_from_inside[row] = left > resumed
            back.other[row] = np.where(left > resumed, state, resumed_from)
            other = np.maximum(left, resumed)
        last = int(ended.argmax())
        if ended[last] > after:
            after, back.after[row] = float(ended[last]), last
        back.inside[row] = source
        inside = value + scores[row]
        finished = max(finished, float(inside[-1]))
        likely = int(inside.argmax())
        best[row] = max(0.0, finished, inside[likely], other.max())
        if inside[likely] >= max(0.0, finished):
            states[row] = likely
        elif finished > 0:
            states[row] = ENDED
    finals = (
        (AFTER, -1, after),
        (INSIDE, int((inside - end).argmax()), float((inside - end).max())),
        (OTHER, int(other.argmax()), float(other.max()) - END_PRICE),
        (BEFORE, -1, 0.0),
    )
    return _Forward(best, states, max(finals, key=lambda final: final[2]), back)


def _shift(values: Array, steps: int) -> Array:
    return np.concatenate([np.full(min(steps, len(values)), NEVER), values[:-steps]])


def _trace(back: _Back, final: tuple[int, int]) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    count = len(back.after)
    conditions, states = np.zeros(count, np.int8), np.full(count, -1)
    condition, state = final
    for row in range(count - 1, -1, -1):
        conditions[row], states[row] = condition, state
        if condition == AFTER:
            if back.after[row] >= 0:
                condition, state = INSIDE, int(back.after[row])
        elif condition == INSIDE:
            source = int(back.inside[row, state])
            if source < 0:
                condition, state = BEFORE, -1
            else:
                condition, state = (OTHER if back.from_other[row, state] else INSIDE), source
        elif condition == OTHER:
            was_inside = back.other_from_inside[row, state]
            condition, state = (INSIDE if was_inside else OTHER), int(back.other[row, state])
    return conditions, states
