"""Labels rows from a program's file and the sensors alone, where no controller reports lines.

A planner (programs/motion.py) says where the tool is at each time of the program. What a sensor
measures follows, in part, from that motion: a ridge regression from motion features (position,
velocity, acceleration, at rest or not) to the channels is fitted to the train recordings of one
program together with each recording's start, in turns, as in expectation maximisation. Then a
forward and a backward pass over deviations from a constant speed follow pauses and other speeds,
and say how certain the program's time is at each row.

Shapes: N rows of a recording, M rows of a program's motion, C channels, F features, D deviations.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special

from gcodefp.programs.lag import interpolate_rows, moving_average
from gcodefp.programs.motion import MachineLimits, Move, Trajectory, plan

SMOOTHING_SECONDS = 1.3
TREND_SECONDS = 21.0
"""Slower changes follow the day and not the motion."""
RIDGE = 0.01
STD_OFFSET = 0.1
SHRINKAGE = 0.2
"""Of the residuals' covariance towards its diagonal."""
MIN_OVERLAP = 0.9
"""Share of the program, or of a shorter recording, that lies within the recording."""
ITERATIONS = 5
MAX_CANDIDATES = 6
"""Recordings from whose own best start the alternation begins; the best outcome counts."""
MAX_UNCERTAINTY_SECONDS = 1.0
"""Rows that are less certain have no label."""
CHANGE_PROBABILITY = 0.005
"""Of running a row ahead of, or behind, the constant speed from one row to the next."""

PAUSE_PROBABILITY = 0.001
RESUME_PROBABILITY = 0.05
"""Of beginning and of ending a pause, from one row to the next."""
SPEEDS = tuple(float(factor) for factor in np.geomspace(0.4, 2.5, 81))
"""Factors of the planned speed: a feed override, or a machine that is faster than planned."""
MAX_DEVIATION_SECONDS = 30.0
"""Of pauses, and of other speeds in parts of a program."""

Array = NDArray[np.float64]


class MotionModel(NamedTuple):
    """What the channels measure over one program.

    Attributes:
        coefficients: (F, C) of the regression.
        precision: (C, C) inverse covariance of the residuals.
        explained: (C,) share of each channel's variance that the motion explains.
    """

    coefficients: Array
    precision: Array
    explained: Array


class RowLabels(NamedTuple):
    """The program's time at N rows.

    Attributes:
        program_seconds: (N,) since the program's start; negative before, beyond its end after.
        uncertainty_seconds: (N,) standard deviation.
    """

    program_seconds: Array
    uncertainty_seconds: Array


class Timeline(NamedTuple):
    """A program's motion at a row every `step_seconds`, with some rest before and after.

    Attributes:
        features: (M, F), filtered as the signals are.
        first_row: row of the program's start within them.
    """

    features: Array
    first_row: int
    step_seconds: float


def timeline(trajectory: Trajectory, step_seconds: float, speed: float = 1.0) -> Timeline:
    """The motion features of a program that runs at a factor of its planned speed."""
    padding = round(TREND_SECONDS / step_seconds)
    count = int(trajectory.seconds / speed / step_seconds) + 1
    # The mean over a row's interval, not a sample of a fast motion.
    fine = (np.arange(4 * (count + 2 * padding)) - 1.5) / 4 - padding
    state = trajectory.state_at(fine * step_seconds * speed)
    velocity, acceleration = state.velocity_mm_s * speed, state.acceleration_mm_s2
    rate = np.linalg.norm(velocity, axis=1, keepdims=True)
    position = state.position_mm - state.position_mm.mean(0)
    strength = np.linalg.norm(acceleration, axis=1, keepdims=True)
    columns = [position, position**2, velocity, np.abs(velocity), rate, rate > 0, strength]
    features = np.concatenate(columns, axis=1).reshape(count + 2 * padding, 4, -1).mean(1)
    filtered = _filter(features, step_seconds)
    return Timeline(filtered / (filtered.std(0) + 1e-9), padding, step_seconds)


def filter_signals(signals: NDArray[np.floating], step_seconds: float) -> Array:
    """Signals (N, C) without noise and trend, each channel scaled."""
    deviation = signals.std(0)
    scaled = (signals - signals.mean(0)) / np.where(deviation > 0, deviation, 1.0)
    filtered = _filter(scaled.astype(np.float64), step_seconds)
    result: Array = filtered / (filtered.std(0) + STD_OFFSET)
    return result


def _filter(samples: Array, step_seconds: float) -> Array:
    smooth = moving_average(samples, round(SMOOTHING_SECONDS / step_seconds) | 1)
    trend = moving_average(smooth, round(TREND_SECONDS / step_seconds) | 1)
    difference: Array = smooth - trend
    return difference


def fit_motion_model(
    recordings: Sequence[Array], motion: Timeline
) -> tuple[MotionModel, list[int], float]:
    """The model of one program, the start of each recording, in rows, and the total score.

    Args:
        recordings: filtered signals of each, (N, C).
    """
    references = np.unique(np.linspace(0, len(recordings) - 1, MAX_CANDIDATES).astype(int))
    outcomes = []
    for reference in references:
        own = recordings[reference]
        model = _regress([own], [_first_guess(own, motion)], motion)
        starts, score = [], -np.inf
        for _ in range(ITERATIONS):
            curves = [start_scores(signals, motion, model) for signals in recordings]
            starts = [int(curve.argmax()) - len(motion.features) + 1 for curve in curves]
            score = sum(float(curve.max()) for curve in curves)
            model = _regress(recordings, starts, motion)
        outcomes.append((score, model, starts))
    score, model, starts = max(outcomes, key=lambda outcome: outcome[0])
    return model, starts, score


def start_scores(signals: Array, motion: Timeline, model: MotionModel) -> Array:
    """Log-likelihood ratio of each start against no motion at all, (N + M - 1,).

    Args:
        signals: filtered, (N, C).

    Returns:
        index i: the motion's first row is at row i - (M - 1); -inf with too little overlap.
    """
    expected = motion.features @ model.coefficients
    weighted = expected @ model.precision
    gain = _correlate(signals, weighted)
    energy = signal.correlate(np.ones(len(signals)), (weighted * expected).sum(1), method="fft")
    return _with_overlap(gain - energy / 2, len(signals), motion)


def _first_guess(signals: Array, motion: Timeline) -> int:
    """The start where a regression on this recording alone explains most."""
    features = motion.features
    gram = features.T @ features + len(features) * RIDGE * np.eye(features.shape[1])
    whitened = features @ np.linalg.inv(np.linalg.cholesky(gram)).T
    explained = np.zeros(len(signals) + len(features) - 1)
    for channel in signals.T:
        for feature in whitened.T:
            explained += signal.correlate(channel, feature, method="fft") ** 2
    return int(_with_overlap(explained, len(signals), motion).argmax()) - len(features) + 1


def _correlate(signals: Array, expected: Array) -> Array:
    pairs = zip(signals.T, expected.T, strict=True)
    total: Array = sum(signal.correlate(own, other, method="fft") for own, other in pairs)
    return total


def _with_overlap(scores: Array, rows: int, motion: Timeline) -> Array:
    """Scores of starts, -inf where too little of the program lies within the recording."""
    length = len(motion.features) - 2 * motion.first_row
    start = np.arange(len(scores)) - len(motion.features) + 1 + motion.first_row
    overlap = np.minimum(start + length, rows) - np.maximum(start, 0)
    return np.where(overlap >= MIN_OVERLAP * min(rows, length), scores, -np.inf)


def _regress(recordings: Sequence[Array], starts: Sequence[int], motion: Timeline) -> MotionModel:
    pairs = [_overlapping(*pair, motion) for pair in zip(recordings, starts, strict=True)]
    features, samples = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    return _fit_regression(features, samples)


def _fit_regression(features: Array, samples: Array) -> MotionModel:
    gram = features.T @ features + len(features) * RIDGE * np.eye(features.shape[1])
    coefficients = np.linalg.solve(gram, features.T @ samples)
    residuals = samples - features @ coefficients
    covariance = residuals.T @ residuals / len(residuals)
    variance = np.diag(covariance) + 1e-3
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(variance) + 1e-3 * np.eye(len(variance))
    explained = 1 - variance / ((samples**2).mean(0) + 1e-3)
    return MotionModel(coefficients, np.linalg.inv(shrunk), explained)


def refit(
    recordings: Sequence[Array], motion: Timeline, labels: Sequence[RowLabels]
) -> MotionModel:
    """The model fitted to labelled rows, which may have run at other speeds or paused."""
    features, samples = [], []
    for signals, rows in zip(recordings, labels, strict=True):
        index = rows.program_seconds / motion.step_seconds + motion.first_row
        inside = (index >= 0) & (index <= len(motion.features) - 1)
        inside &= rows.uncertainty_seconds <= MAX_UNCERTAINTY_SECONDS
        features.append(interpolate_rows(motion.features, index[inside]))
        samples.append(signals[inside])
    return _fit_regression(np.concatenate(features), np.concatenate(samples))


def _overlapping(signals: Array, start: int, motion: Timeline) -> tuple[Array, Array]:
    """The rows of features and signals that coincide."""
    first, end = max(start, 0), min(start + len(motion.features), len(signals))
    return motion.features[first - start : end - start], signals[first:end]


def fit_limits(
    programs: Sequence[tuple[Sequence[Move], Sequence[Array]]], step_seconds: float
) -> MachineLimits:
    """Acceleration and rates of the machine under which the motion explains most.

    A pattern search over factors of the default limits, halved until they are below a tenth.

    Args:
        programs: moves and filtered signals of some recordings of each program.
    """
    best, factors, step = -np.inf, np.ones(2), 2.0
    default = MachineLimits()
    scores: dict[tuple[float, float], float] = {}

    def limits(factors: Array) -> MachineLimits:
        x, y, z = (rate * float(factors[1]) for rate in default.axis_rate_mm_min)
        acceleration = default.acceleration_mm_s2 * float(factors[0])
        return MachineLimits(acceleration, default.junction_deviation_mm, (x, y, z))

    def score(factors: Array) -> float:
        key = (round(float(factors[0]), 4), round(float(factors[1]), 4))
        if key not in scores:
            planned = [(plan(moves, limits(factors)), signals) for moves, signals in programs]
            scores[key] = sum(
                fit_motion_model(signals, timeline(trajectory, step_seconds))[2]
                for trajectory, signals in planned
            )
        return scores[key]

    while step > 1.1:
        moves = [factors * np.array(m) for m in ((1, 1), (step, 1), (1 / step, 1), (1, step), (1, 1 / step))]
        best_move = max(moves, key=score)
        if np.array_equal(best_move, factors):
            step = step**0.5
        factors = best_move
    return limits(factors)


def label_rows(
    signals: Array,
    trajectory: Trajectory,
    model: MotionModel,
    step_seconds: float,
    speeds: Sequence[float] = SPEEDS,
    max_deviation_seconds: float = MAX_DEVIATION_SECONDS,
) -> RowLabels:
    """The program's time at each row.

    The recording's own speed and start are searched first; then the program may pause, and run
    ahead of or behind this constant speed.

    Args:
        signals: filtered, (N, C).
        speeds: factors of the planned speed that are searched.
        max_deviation_seconds: from the constant speed.
    """
    candidates = []
    for speed in speeds:
        motion = timeline(trajectory, step_seconds, speed)
        scores = start_scores(signals, motion, model)
        candidates.append((float(scores.max()), speed, motion, int(scores.argmax())))
    _, speed, motion, best = max(candidates, key=lambda candidate: candidate[0])
    start = best - len(motion.features) + 1
    limit = round(max_deviation_seconds / motion.step_seconds)
    deviations = np.arange(-limit, limit + 1)
    expected = np.pad(motion.features @ model.coefficients, ((1, 1), (0, 0)))
    weighted = expected @ model.precision
    energy = (weighted * expected).sum(1) / 2
    index = np.arange(len(signals))[:, None] - start + deviations + 1
    index = np.clip(index, 0, len(expected) - 1)
    smoothing_rows = round(SMOOTHING_SECONDS / motion.step_seconds) | 1
    emissions = np.empty(index.shape)
    for deviation in range(len(deviations)):
        rows = index[:, deviation]
        emissions[:, deviation] = (signals * weighted[rows]).sum(1) - energy[rows]
    posterior = _posterior(emissions / smoothing_rows)
    mean = posterior @ deviations
    spread = np.sqrt(np.maximum(posterior @ deviations**2 - mean**2, 0.0))
    row = np.arange(len(signals)) - start - motion.first_row + mean
    return RowLabels(row * step_seconds * speed, spread * step_seconds * speed)


def _posterior(emissions: Array) -> Array:
    """Probability of each deviation at each row, (N, D), by a forward and a backward pass.

    The machine runs, or pauses: then the deviation falls by one a row, and nothing is expected of
    the signals.

    Args:
        emissions: (N, D) log-likelihood ratios of running against no motion.
    """
    stay = np.log(1 - 2 * CHANGE_PROBABILITY - PAUSE_PROBABILITY)
    change, pause = np.log(CHANGE_PROBABILITY), np.log(PAUSE_PROBABILITY)
    remain, resume = np.log(1 - RESUME_PROBABILITY), np.log(RESUME_PROBABILITY)
    nothing = np.full(emissions.shape[1], -np.inf)

    def best(*terms: Array) -> Array:
        total: Array = np.logaddexp.reduce(terms)
        return total

    running, paused = [emissions[0]], [nothing]
    for emission in emissions[1:]:
        last, rest = running[-1], paused[-1]
        moved = (last + stay, _above(last) + change, _below(last) + change, rest + resume)
        running.append(best(*moved) + emission)
        paused.append(best(_above(last) + pause, _above(rest) + remain))
    after, after_pause = [np.zeros_like(nothing)], [np.zeros_like(nothing)]
    for emission in emissions[:0:-1]:
        ahead, rest = after[-1] + emission, after_pause[-1]
        moved = (ahead + stay, _above(ahead) + change, _below(ahead) + change, _below(rest) + pause)
        after.append(best(*moved))
        after_pause.append(best(ahead + resume, _below(rest) + remain))
    joint = [np.array(running) + after[::-1], np.array(paused) + after_pause[::-1]]
    posterior: Array = special.softmax(np.logaddexp(*joint), axis=1)
    return posterior


def _above(scores: Array) -> Array:
    """Scores of the deviation one row above each, (D,)."""
    return np.append(scores[1:], -np.inf)


def _below(scores: Array) -> Array:
    return np.append(-np.inf, scores[:-1])
