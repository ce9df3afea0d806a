"""What sensors measure of a planned motion: a regression from the motion to the channels.

A planner (programs/motion.py) says where the tool is at each time of a program. What a sensor
measures follows, in part, from that motion: a ridge regression from motion features (position,
velocity, acceleration, at rest or not) to the channels is fitted to recordings of one program
together with the start of each, in turns, as in expectation maximisation.

Shapes: N rows of a recording, M rows of a program's motion, C channels, F features.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.lag import band_pass
from gcodefp.programs.motion import MachineLimits, Move, Trajectory, plan

TREND_SECONDS = 21.0
"""Slower changes follow the day and not the motion."""
SAMPLES_PER_ROW = 4
"""Of the motion, whose mean over a row counts."""
RIDGE = 0.01
STANDSTILL_MM_S = 1e-3
STD_OFFSET = 0.1
SHRINKAGE = 0.2
"""Of the residuals' covariance towards its diagonal."""
MIN_VARIANCE = 1e-3
MIN_OVERLAP = 0.9
"""Share of the program, or of a shorter recording, that lies within the recording."""
ITERATIONS = 5
MAX_CANDIDATES = 6
"""Recordings from whose own best start the iterations begin; the best outcome counts."""
MAX_SHIFT_SECONDS = 4.0
"""Of all recordings together: what one follows from the motion is known up to such a shift."""
RESAMPLES = 200
MIN_FACTOR = 1.15
"""The search for the machine's limits ends at this precision."""

Array = NDArray[np.float64]


class MotionModel(NamedTuple):
    """What the channels measure during one program.

    Attributes:
        coefficients: (F, C) of the regression.
        precision: (C, C) inverse covariance of the residuals.
        log_ratio: log-likelihood ratio, per row and channel, of the model and of a constant.
    """

    coefficients: Array
    precision: Array
    log_ratio: float


class Motion(NamedTuple):
    """A program's motion at a row every `step_seconds`, with rest before and after.

    Attributes:
        features: (M, F), filtered as the signals are.
        first_row: row of the program's start within them.
    """

    features: Array
    first_row: int
    step_seconds: float


def sample_motion(trajectory: Trajectory, step_seconds: float, speed: float = 1.0) -> Motion:
    """The motion features of a program that runs at a factor of its planned speed."""
    padding = round(TREND_SECONDS / step_seconds)
    count = int(trajectory.seconds / speed / step_seconds) + 1 + 2 * padding
    middle = (SAMPLES_PER_ROW - 1) / 2
    rows = (np.arange(SAMPLES_PER_ROW * count) - middle) / SAMPLES_PER_ROW - padding
    state = trajectory.kinematics_at(rows * step_seconds * speed)
    velocity = state.velocity_mm_s
    rate = np.linalg.norm(velocity, axis=1, keepdims=True)
    position = state.position_mm - state.position_mm.mean(0)
    strength = np.linalg.norm(state.acceleration_mm_s2, axis=1, keepdims=True)
    columns = [
        position,
        position**2,
        velocity,
        np.abs(velocity),
        rate,
        rate > STANDSTILL_MM_S,
        strength,
    ]
    means = np.concatenate(columns, axis=1).reshape(count, SAMPLES_PER_ROW, -1).mean(1)
    features = band_pass(means, step_seconds, TREND_SECONDS)
    return Motion(features / (features.std(0) + 1e-9), padding, step_seconds)


def filter_signals(signals: NDArray[np.floating], step_seconds: float) -> Array:
    """Signals (N, C) without noise and trend, each channel scaled; 0 where they are NaN.

    Rows without any sample are all 0: `measured_rows`.
    """
    valid = np.isfinite(signals)
    mean = np.where(valid, signals, 0.0).sum(0) / np.maximum(valid.sum(0), 1)
    centred = np.where(valid, signals - mean, 0.0)
    deviation = centred.std(0)
    filtered = band_pass(
        centred / np.where(deviation > 0, deviation, 1.0), step_seconds, TREND_SECONDS
    )
    result: Array = filtered / (filtered.std(0) + STD_OFFSET)
    result[~valid.any(1)] = 0.0
    return result


def measured_rows(signals: Array) -> NDArray[np.bool_]:
    """Which rows of filtered signals (N, C) have a sample; others say nothing of the motion."""
    measured: NDArray[np.bool_] = (signals != 0).any(1)
    return measured


def fit_motion_model(
    recordings: Sequence[Array], motion: Motion, max_candidates: int = MAX_CANDIDATES
) -> tuple[MotionModel, float]:
    """The model of one program that runs at its planned speed, and its total log-likelihood ratio.

    Args:
        recordings: filtered signals of each, (N, C).
    """
    references = np.linspace(0, len(recordings) - 1, max_candidates).astype(int)
    outcomes = []
    for reference in np.unique(references):
        own = recordings[reference]
        model, log_ratio = _regress([own], [_first_guess(own, motion)], motion), -np.inf
        for _ in range(ITERATIONS):
            curves = [start_log_ratios(signals, motion, model) for signals in recordings]
            starts = [int(curve.argmax()) - len(motion.features) + 1 for curve in curves]
            log_ratio = sum(float(curve.max()) for curve in curves)
            model = _regress(recordings, starts, motion)
        outcomes.append((log_ratio, model, starts))
    log_ratio, _, starts = max(outcomes, key=lambda outcome: outcome[0])
    limit = round(MAX_SHIFT_SECONDS / motion.step_seconds)
    shifted = [
        _regress(recordings, [start + shift for start in starts], motion)
        for shift in range(-limit, limit + 1)
    ]
    return max(shifted, key=lambda model: model.log_ratio), log_ratio


def shift_uncertainty_seconds(
    recordings: Sequence[Array], motion: Motion, model: MotionModel
) -> float:
    """Standard deviation of the shift that labels of all recordings of a program share.

    By a bootstrap over recordings of the shift with the highest ratio; one alone tells little.

    Args:
        recordings: filtered signals of each, (N, C).
    """
    limit = round(MAX_SHIFT_SECONDS / motion.step_seconds)
    shifts, count = range(-limit, limit + 1), len(recordings)
    if count < 2:
        return MAX_SHIFT_SECONDS / 2
    log_ratios = np.empty((count, len(shifts)))
    for own, signals in zip(log_ratios, recordings, strict=True):
        start = int(start_log_ratios(signals, motion, model).argmax()) - len(motion.features) + 1
        own[:] = [_regress([signals], [start + shift], motion).log_ratio for shift in shifts]
    chosen = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    best = log_ratios[chosen].sum(1).argmax(1)
    return float(best.std() * motion.step_seconds * np.sqrt(count / (count - 1)))


def start_log_ratios(signals: Array, motion: Motion, model: MotionModel) -> Array:
    """Log-likelihood ratio of each start and of no motion at all, (N + M - 1,).

    Args:
        signals: filtered, (N, C).

    Returns:
        index i: the motion's first row is at row i - (M - 1); -inf with too little overlap.
    """
    expected = motion.features @ model.coefficients
    weighted = expected @ model.precision
    correlation = _correlate(signals, weighted)
    is_measured = measured_rows(signals)[:, None].astype(np.float64)
    energy = _correlate(is_measured, (weighted * expected).sum(1, keepdims=True))
    return _with_overlap(correlation - energy / 2, len(signals), motion)


def _first_guess(signals: Array, motion: Motion) -> int:
    """The start at which a regression on this recording alone explains most."""
    features = motion.features
    whitened = features @ np.linalg.inv(np.linalg.cholesky(_gram(features))).T
    length = len(signals) + len(features) - 1
    spectra = np.fft.rfft(signals, length, axis=0)
    explained = np.zeros(length)
    for feature in whitened[::-1].T:
        products = spectra * np.fft.rfft(feature, length)[:, None]
        explained += (np.fft.irfft(products, length, axis=0) ** 2).sum(1)
    explained = _with_overlap(explained, len(signals), motion)
    return int(explained.argmax()) - len(features) + 1


def _correlate(signals: Array, expected: Array) -> Array:
    """Sum over channels of the cross-correlation at each start, (N + M - 1,)."""
    length = len(signals) + len(expected) - 1
    spectra = (np.fft.rfft(samples, length, axis=0) for samples in (signals, expected[::-1]))
    products = np.einsum("fc,fc->f", *spectra)
    return np.fft.irfft(products, length)


def _with_overlap(scores: Array, rows: int, motion: Motion) -> Array:
    """Scores of starts, -inf where too little of the program lies within the recording."""
    length = len(motion.features) - 2 * motion.first_row
    start = np.arange(len(scores)) - len(motion.features) + 1 + motion.first_row
    overlap = np.minimum(start + length, rows) - np.maximum(start, 0)
    return np.where(overlap >= MIN_OVERLAP * min(rows, length), scores, -np.inf)


def _regress(recordings: Sequence[Array], starts: Sequence[int], motion: Motion) -> MotionModel:
    features, samples = [], []
    for signals, start in zip(recordings, starts, strict=True):
        first, end = max(start, 0), min(start + len(motion.features), len(signals))
        features.append(motion.features[first - start : end - start])
        samples.append(signals[first:end])
    return fit_regression(np.concatenate(features), np.concatenate(samples))


def fit_regression(features: Array, samples: Array) -> MotionModel:
    """The model of rows of motion features (N, F) and filtered signals (N, C)."""
    coefficients = np.linalg.solve(_gram(features), features.T @ samples)
    residuals = samples - features @ coefficients
    covariance = residuals.T @ residuals / len(residuals)
    variance = np.diag(covariance) + MIN_VARIANCE
    shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(variance)
    precision = np.linalg.inv(shrunk + MIN_VARIANCE * np.eye(len(shrunk)))
    total = (samples**2).mean(0) + MIN_VARIANCE
    log_ratio = float(np.log(total / variance).mean()) / 2
    return MotionModel(coefficients.astype(np.float64), precision.astype(np.float64), log_ratio)


def _gram(features: Array) -> Array:
    result: Array = features.T @ features + len(features) * RIDGE * np.eye(features.shape[1])
    return result


def fit_limits(
    programs: Sequence[tuple[Sequence[Move], Sequence[Array]]], step_seconds: float
) -> MachineLimits:
    """Acceleration and rates of the machine under which the motion explains most.

    A pattern search over factors of the default limits.

    Args:
        programs: moves of each program, and filtered signals of some of its recordings.
    """
    default, log_ratios = MachineLimits(), dict[tuple[float, float], float]()

    def limits(factors: tuple[float, float]) -> MachineLimits:
        x, y, z = (rate * factors[1] for rate in default.axis_rate_mm_min)
        acceleration = default.acceleration_mm_s2 * factors[0]
        return MachineLimits(acceleration, default.junction_deviation_mm, (x, y, z))

    def total_log_ratio(factors: tuple[float, float]) -> float:
        if factors not in log_ratios:
            total = 0.0
            for moves, signals in programs:
                motion = sample_motion(plan(moves, limits(factors)), step_seconds)
                total += fit_motion_model(signals, motion, max_candidates=2)[1]
            log_ratios[factors] = total
        return log_ratios[factors]

    best, step = (1.0, 1.0), 2.0
    while step > MIN_FACTOR:
        neighbours = ((step, 1.0), (1 / step, 1.0), (1.0, step), (1.0, 1 / step))
        moved = [(best[0] * x, best[1] * y) for x, y in neighbours]
        candidate = max(moved, key=total_log_ratio)
        if total_log_ratio(candidate) > total_log_ratio(best):
            best = candidate
        else:
            step **= 0.5
    return limits(best)
