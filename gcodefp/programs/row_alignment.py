"""Aligns the rows of a recording with a program that may pause, or run at other speeds.

A forward and a backward pass over offsets from a constant speed, as of a hidden Markov model,
say at which time of the program each row is, and how certain that is.

Shapes: N rows of a recording, C channels, D offsets of the program's row.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gcodefp.programs.lag import SMOOTHING_SECONDS
from gcodefp.programs.sensed_motion import (
    Array,
    Motion,
    MotionModel,
    measured_rows,
    start_log_ratios,
)
from gcodefp.recordings.clock import odd_rows_in

MAX_OFFSET_SECONDS = 30.0
"""Of pauses, and of other speeds in parts of a program: at least."""
MIN_PAUSE_RATIO = 1.5
"""Of the log-likelihoods with and without a pause, where the program may have run twice."""
MAX_ALIGNED = 6_000_000
"""Rows times offsets: more of them, as a long pause needs, are not aligned."""
CHANGE_PROBABILITY = 0.005
"""Of running a row ahead of, or behind, the constant speed from one row to the next."""
PAUSE_PROBABILITY = 0.001
RESUME_PROBABILITY = 0.05
"""Of beginning and of ending a pause, from one row to the next."""
MIN_SCALE = 0.1
"""Of a channel in a program, of its standard deviation in the whole recording."""


class RowLabels(NamedTuple):
    """The time in the program at N rows.

    Attributes:
        program_seconds: (N,) since the program's start; negative before, beyond its end after.
        uncertainty_seconds: (N,) standard deviation.
        log_ratio: log-likelihood ratio, per row, of the program and of no motion, at the best
            constant speed.
    """

    program_seconds: Array
    uncertainty_seconds: Array
    log_ratio: float


def label_rows(signals: Array, motions: Mapping[float, Motion], model: MotionModel) -> RowLabels:
    """The time in the program at each row.

    The recording's own constant speed and start are searched first.

    Args:
        signals: filtered, (N, C).
        motions: speed, as a factor of the planned one -> the program's motion at it.
    """
    log_ratios = {
        speed: start_log_ratios(signals, motion, model) for speed, motion in motions.items()
    }
    best_speed = max(log_ratios, key=lambda speed: float(log_ratios[speed].max()))
    length = len(motions[best_speed].features)
    if len(signals) > 2 * length:
        # Idle hours are quieter than the program, whose signals were scaled with them.
        start = int(log_ratios[best_speed].argmax()) - length + 1
        running = signals[max(start, 0) : start + length]
        signals = signals / np.maximum(running.std(0), MIN_SCALE)
        log_ratios = {
            speed: start_log_ratios(signals, motion, model) for speed, motion in motions.items()
        }
    # A pause looks like a lower speed, until the rows are aligned.
    candidates = [
        (_align(signals, motions[speed], int(log_ratios[speed].argmax()), model), speed)
        for speed in dict.fromkeys((best_speed, 1.0))
    ]
    (_, row, spread), speed = max(candidates, key=lambda candidate: candidate[0][0])
    scale = motions[speed].step_seconds * speed
    best = motions[best_speed]
    length = len(best.features) - 2 * best.first_row
    log_ratio = float(log_ratios[best_speed].max()) / min(len(signals), length)
    return RowLabels(row * scale, spread * scale, log_ratio)


def _align(
    signals: Array, motion: Motion, best: int, model: MotionModel
) -> tuple[float, Array, Array]:
    """What `_align_within` returns; long pauses are followed where the recording has time for them.

    There may be time for another run of the program, too, which may look like the end of the first
    one: then a pause has to explain much more.
    """
    count, length = len(signals), len(motion.features) - 2 * motion.first_row
    least = round(MAX_OFFSET_SECONDS / motion.step_seconds)
    aligned = _align_within(least, signals, motion, best, model)
    spare = min(count - length, MAX_ALIGNED // (2 * count))
    if spare > least:
        longer = _align_within(spare, signals, motion, best, model)
        if longer[0] > aligned[0] * (MIN_PAUSE_RATIO if spare > length else 1.0):
            return longer
    return aligned


def _align_within(
    limit: int, signals: Array, motion: Motion, best: int, model: MotionModel
) -> tuple[float, Array, Array]:
    """Log-likelihood, and mean and standard deviation of the program's row at each row, (N,).

    Args:
        limit: the longest offset, in rows.
        best: index of the start in `start_log_ratios`.
    """
    start, step_seconds = best - len(motion.features) + 1, motion.step_seconds
    offsets = np.arange(-limit, limit + 1)
    expected = np.pad(motion.features @ model.coefficients, ((1, 1), (0, 0)))
    weighted = expected @ model.precision
    energy = (weighted * expected).sum(1) / 2
    is_measured = measured_rows(signals)
    emissions = np.empty((len(signals), len(offsets)))
    for column, offset in enumerate(offsets):
        rows = np.clip(np.arange(len(signals)) - start + offset + 1, 0, len(expected) - 1)
        emissions[:, column] = (signals * weighted[rows]).sum(1) - energy[rows] * is_measured
    # Neighbouring rows share samples.
    likelihood, posterior, is_paused = _posterior(
        emissions / odd_rows_in(SMOOTHING_SECONDS, step_seconds)
    )
    mean = posterior @ offsets
    spread = np.sqrt(np.maximum(posterior @ offsets**2 - mean**2, 0.0))
    # A machine that stands still does not tell in which block.
    spread = np.where(is_paused, limit, spread)
    return likelihood, np.arange(len(signals)) - start - motion.first_row + mean, spread


def _posterior(emissions: Array) -> tuple[float, Array, NDArray[np.bool_]]:
    """Log-likelihood, probability of each offset at each row (N, D), and paused rows (N,).

    By a forward and a backward pass.

    The machine runs, or pauses: then the offset falls by one a row, and nothing is expected of
    the signals.

    Args:
        emissions: (N, D) log-likelihoods of running above those of no motion.
    """
    stay = np.log(1 - 2 * CHANGE_PROBABILITY - PAUSE_PROBABILITY)
    change, pause = np.log(CHANGE_PROBABILITY), np.log(PAUSE_PROBABILITY)
    remain, resume = np.log(1 - RESUME_PROBABILITY), np.log(RESUME_PROBABILITY)
    nothing = np.full(emissions.shape[1], -np.inf)

    def add(*terms: Array) -> Array:
        total: Array = np.logaddexp.reduce(terms)
        return total

    running, paused = [emissions[0]], [nothing]
    for emission in emissions[1:]:
        last, rest = running[-1], paused[-1]
        moved = (last + stay, _above(last) + change, _below(last) + change, rest + resume)
        running.append(add(*moved) + emission)
        paused.append(add(_above(last) + pause, _above(rest) + remain))
    after, after_pause = [np.zeros_like(nothing)], [np.zeros_like(nothing)]
    for emission in emissions[:0:-1]:
        ahead, rest = after[-1] + emission, after_pause[-1]
        moved = (ahead + stay, _above(ahead) + change, _below(ahead) + change, _below(rest) + pause)
        after.append(add(*moved))
        after_pause.append(add(ahead + resume, _below(rest) + remain))
    joint = np.array(running) + after[::-1], np.array(paused) + after_pause[::-1]
    either = np.logaddexp(*joint)
    likelihood = float(special.logsumexp(either[0]))
    is_paused = special.logsumexp(joint[1], axis=1) > likelihood + np.log(0.5)
    return likelihood, special.softmax(either, axis=1), is_paused


def _above(log_ratios: Array) -> Array:
    """Scores of the offset one row above each, (D,)."""
    return np.append(log_ratios[1:], -np.inf)


def _below(log_ratios: Array) -> Array:
    return np.append(-np.inf, log_ratios[:-1])
