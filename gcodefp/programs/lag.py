"""Estimates the lag of the sensors behind the controller: one constant for each recording.

Recordings of one program repeat the same motions, so their signals, over the program's time as the
controller reports it, differ by the lag alone. The lags maximise the sum of the cross-correlations
of all pairs of recordings, by coordinate ascent. Slow drifts, which follow the time since the
recording's start and not the motion, are subtracted first. The channels are whitened (Turin 1960)
by the covariance, across channels, of what differs between recordings in one state of a program. A
lag that all recordings of a program share is not observable: lags are relative to their median.

Groups of sensors are a check on each other: where the lag by one group alone differs, as by a pass
of a program that repeats its motions, the lag is doubtful.

Shapes: T times of a program, C channels, R recordings, H reference
recordings, F frequencies; correlations are over lags of -max_lag to max_lag, L = 2 max_lag + 1.
"""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.clock import odd_rows_in

logger = logging.getLogger("gcodefp.dataset")

MAX_LAG_SECONDS = 14.0
"""Of lags that are searched, by default."""
TOLERANCE_SECONDS = 1.0
"""A lag is doubtful if that by one group of sensors differs by more."""
MIN_AGREEING_SHARE = 0.8
"""Share of val recordings in which a group has to agree within the tolerance, to be a check."""
SMOOTHING_SECONDS = 1.25
TREND_SECONDS = 10.5
"""The moving average over this time is subtracted; chosen so that magnetometers give the same lags
as the other sensors."""
REWEIGHTINGS = 2
STD_OFFSET = 0.3
"""Added to a channel's standard deviation: a nearly constant channel has little information."""
MIN_SHRINKAGE = 0.03
"""Least share of the diagonal in the covariance of the noise (Friedman 1989). It is the number of
channels by that of independent rows, if that is more: a covariance that follows single rows
confirms the lags that it was measured with."""
RIDGE = 1e-3
"""Added to variances of the noise, in squares of a channel's scale: a constant channel has none."""
MIN_CHANGE = 1e-9
"""Least range of a channel that varies, in its scale."""
MAX_REFERENCES = 24
"""Of up to this many recordings all pairs are compared; others with these reference recordings."""
MAX_ROUNDS = 30

Signals = NDArray[np.floating]


class Lag(NamedTuple):
    """The lag of one recording.

    Attributes:
        seconds: by all channels; NaN if unknown.
        by_group: group of channels -> the lag by these channels alone; only groups that have
            signals.
    """

    seconds: float
    by_group: Mapping[str, float]

    def uncertainty_seconds(self, groups: Collection[str]) -> float | None:
        """The largest difference of one of these groups; None if fewer than two have signals."""
        lags = [self.by_group[group] for group in groups if group in self.by_group]
        if len(lags) < 2 or not np.isfinite(self.seconds):
            return None
        return max(abs(lag - self.seconds) for lag in lags)


def reliable_groups(val: Sequence[Lag]) -> list[str]:
    """The groups that find the lags of val recordings by themselves.

    Train recordings say less: each is a part of the mean signals, with its noise.
    """
    lags = [lag for lag in val if np.isfinite(lag.seconds)]
    groups = dict.fromkeys(group for lag in lags for group in lag.by_group)

    def agreeing_share(group: str) -> float:
        own = [lag for lag in lags if group in lag.by_group]
        near = [abs(lag.by_group[group] - lag.seconds) <= TOLERANCE_SECONDS for lag in own]
        return sum(near) / len(near)

    return [group for group in groups if agreeing_share(group) >= MIN_AGREEING_SHARE]


def is_doubtful(uncertainty_seconds: float | None) -> bool:
    """Whether a lag is more uncertain than the tolerance; one without a check is not."""
    return (uncertainty_seconds or 0.0) > TOLERANCE_SECONDS


def log_doubtful(lags: Mapping[str, Lag], groups: Collection[str]) -> list[str]:
    """The names of the recordings whose lag is doubtful, in order; each is logged as a warning."""
    doubtful = [n for n, lag in lags.items() if is_doubtful(lag.uncertainty_seconds(groups))]
    for name in doubtful:
        own = {group: lags[name].by_group.get(group) for group in groups}
        texts = [f"{lag:+.1f} s by {group}" for group, lag in own.items() if lag is not None]
        logger.warning(
            "%s: its lag is doubtful: %+.1f s by all channels, %s",
            *(name, lags[name].seconds, ", ".join(texts)),
        )
    return sorted(doubtful)


class JointLags(NamedTuple):
    """Lags of recordings of several programs, estimated jointly with the noise of the channels.

    Attributes:
        seconds: of each program, (R,) relative lag of each recording; their median is 0.
        noise: (C, C) shrunk covariance of recordings in one state.
    """

    seconds: list[NDArray[np.float64]]
    noise: NDArray[np.float64]


def estimate_joint_lags(
    programs: Iterable[Sequence[Signals]],
    step_seconds: float,
    max_lag_seconds: float = MAX_LAG_SECONDS,
) -> JointLags:
    """Lags of the recordings of each program, and the noise of the channels in all of them.

    Args:
        programs: the signals of each recording of each program, (T, C), on the program's clock, one
            row each step_seconds.
        max_lag_seconds: of the search; 0: the clocks are synchronised, and no recording lags.
    """
    detrended = [[_detrend(samples, step_seconds) for samples in program] for program in programs]
    noise = np.eye(detrended[0][0].shape[1])
    for _ in range(1 + REWEIGHTINGS):
        steps = [
            _best_lags(program, noise, _max_lag(max_lag_seconds, step_seconds, len(program[0])))
            for program in detrended
        ]
        noise = _noise(detrended, steps, odd_rows_in(SMOOTHING_SECONDS, step_seconds))
    return JointLags([lags * step_seconds for lags in steps], noise)


def estimate_lag(
    signals: Signals,
    mean_signals: Signals,
    noise: NDArray[np.floating],
    step_seconds: float,
    groups: Mapping[str, NDArray[np.bool_]],
    max_lag_seconds: float = MAX_LAG_SECONDS,
) -> Lag:
    """Lag of one recording relative to the mean signals; both (T, C), as above.

    Args:
        noise: (C, C) shrunk covariance of recordings in one state.
        groups: group -> (C,) whether a channel belongs to it.
    """
    max_lag = _max_lag(max_lag_seconds, step_seconds, len(mean_signals))
    expected, measured = (_detrend(samples, step_seconds) for samples in (mean_signals, signals))
    varying, spectrum = _varying_channels(measured), _spectrum(measured)

    def lag_by(channels: NDArray[np.bool_]) -> float | None:
        matched = expected @ _precision(noise, channels & varying)
        curve = _correlation(_spectrum(matched), spectrum[None], max_lag)[0]
        if not curve.any():
            return None
        return float((_peak(curve, int(curve.argmax())) - max_lag) * step_seconds)

    by_group = {name: lag_by(mask) for name, mask in groups.items()}
    with_signals = {name: lag for name, lag in by_group.items() if lag is not None}
    return Lag(lag_by(np.ones(len(noise), bool)) or 0.0, with_signals)


def interpolate_rows(signals: Signals, rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Signals (N, C) at M row numbers with fractions, within 0 and N - 1, (M, C)."""
    low = np.minimum(rows.astype(int), len(signals) - 2)
    fraction = (rows - low)[:, None]
    interpolated: NDArray[np.float64] = signals[low] * (1 - fraction) + signals[low + 1] * fraction
    return interpolated


def _best_lags(
    detrended: Sequence[Signals], noise: NDArray[np.floating], max_lag: int
) -> NDArray[np.float64]:
    """Lags, in steps, of the highest total correlation, (R,); their median is 0."""
    spectra = np.stack([_spectrum(samples) for samples in detrended])
    varying = np.stack([_varying_channels(samples) for samples in detrended])
    # Recordings that lack the same nodes are compared at once.
    patterns, pattern = np.unique(varying, axis=0, return_inverse=True)
    references = np.unique(np.linspace(0, len(detrended) - 1, MAX_REFERENCES).astype(int))
    correlations = np.zeros((len(references), len(detrended), 2 * max_lag + 1))
    for index, reference in enumerate(references):
        for number, channels in enumerate(patterns):
            own = pattern.ravel() == number
            precision = _precision(noise, channels & varying[reference]).astype(np.float32)
            matched = spectra[reference] @ precision
            correlations[index, own] = _correlation(matched, spectra[own], max_lag)
    pairs = _ReferenceCorrelations(correlations, references, max_lag)
    candidates = [pairs.coordinate_ascent(lags - max_lag) for lags in correlations.argmax(2)]
    best = max(candidates, key=pairs.total_correlation)
    peaks = [_peak(pairs.curve(best, r), index=lag + max_lag) for r, lag in enumerate(best)]
    return np.array(peaks) - np.median(peaks)


class _ReferenceCorrelations(NamedTuple):
    """Cross-correlations of recordings with the reference recordings among them.

    Attributes:
        correlations: (H, R, L) of each reference with each recording.
        references: (H,) numbers of recordings.
    """

    correlations: NDArray[np.float64]
    references: NDArray[np.intp]
    max_lag: int

    def coordinate_ascent(self, lags: NDArray[np.intp]) -> NDArray[np.intp]:
        """Sets each recording's lag in turn to the best one, all others fixed, until none changes.

        Args:
            lags: (R,) initial lags, in steps.
        """
        lags = lags.copy()
        for _ in range(MAX_ROUNDS):
            previous = lags.copy()
            for recording in range(len(lags)):
                curve = self.curve(lags, recording)
                # A recording without signals correlates with nothing.
                lags[recording] = int(curve.argmax()) - self.max_lag if curve.max() > 0 else 0
            if (lags == previous).all():
                break
        return lags

    def curve(self, lags: NDArray[np.intp], recording: int) -> NDArray[np.float64]:
        """Correlation of a recording with the lagged references, for each lag of its own, (L,)."""
        lag = np.arange(-self.max_lag, self.max_lag + 1)
        index = lag[None] - lags[self.references][:, None] + self.max_lag
        inside = (
            (index >= 0) & (index <= 2 * self.max_lag) & (self.references != recording)[:, None]
        )
        reference = np.arange(len(self.references))[:, None]
        curves = self.correlations[reference, recording, np.clip(index, 0, 2 * self.max_lag)]
        total: NDArray[np.float64] = np.where(inside, curves, 0.0).sum(0)
        return total

    def total_correlation(self, lags: NDArray[np.intp]) -> float:
        """Sum of all correlations under these lags."""
        index = np.clip(lags + self.max_lag, 0, 2 * self.max_lag)
        return float(sum(self.curve(lags, r)[index[r]] for r in range(len(lags))))


def _noise(
    programs: Sequence[Sequence[Signals]],
    steps: Sequence[NDArray[np.floating]],
    smoothed_rows: int,
) -> NDArray[np.float64]:
    """Shrunk covariance of recordings without their lags about their program's mean, (C, C).

    Args:
        smoothed_rows: as many neighbouring rows count as one independent row.
    """
    channels = programs[0][0].shape[1]
    total, freedom = np.zeros((channels, channels)), np.zeros(channels)
    for program, lags in zip(programs, steps, strict=True):
        last = len(program[0]) - 1
        # Rows beyond an end repeat the last row.
        rows = [np.clip(np.arange(last + 1) + lag, 0, last) for lag in lags]
        aligned = np.stack([interpolate_rows(s, row) for s, row in zip(program, rows, strict=True)])
        # A constant channel is 0: it does not count.
        varying = np.stack([_varying_channels(samples) for samples in program])
        aligned -= aligned.sum(0) / np.maximum(varying.sum(0), 1)
        for deviation, counts in zip(aligned, varying, strict=True):
            deviation *= counts
            total += deviation.T @ deviation
        freedom += np.maximum(varying.sum(0) - 1, 0) * (last + 1)
    if not freedom.any():
        return np.eye(channels)
    # One scale for each channel: another for each pair could make a covariance that is none.
    scale = np.sqrt(np.maximum(freedom, 1))
    covariance = total / np.outer(scale, scale) + np.diag((freedom == 0).astype(float))
    shrinkage = min(1.0, max(MIN_SHRINKAGE, channels * smoothed_rows / float(freedom.max())))
    diagonal = shrinkage * np.diag(covariance) + RIDGE
    return np.asarray((1 - shrinkage) * covariance + np.diag(diagonal))


def _varying_channels(detrended: Signals) -> NDArray[np.bool_]:
    """The channels that change at all, (C,); others have no samples in this recording."""
    is_live: NDArray[np.bool_] = np.ptp(detrended, axis=0) > MIN_CHANGE
    return is_live


def _precision(noise: NDArray[np.floating], channels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The inverse of the noise of some channels (C,), 0 for all others, (C, C)."""
    precision, both = np.zeros(noise.shape), np.ix_(channels, channels)
    precision[both] = np.linalg.inv(noise[both])
    return precision


def _max_lag(max_lag_seconds: float, step_seconds: float, length: int) -> int:
    """The longest lag of the search, in steps."""
    return min(int(max_lag_seconds / step_seconds), length - 1)


def _detrend(signals: Signals, step_seconds: float) -> NDArray[np.float64]:
    """Signals without noise and trend, each channel scaled, (T, C)."""
    smooth = band_pass(signals, step_seconds, TREND_SECONDS)
    scaled: NDArray[np.float64] = smooth / (smooth.std(0) + STD_OFFSET)
    return scaled


def band_pass(signals: Signals, step_seconds: float, trend_seconds: float) -> NDArray[np.float64]:
    """Signals (N, C) without noise faster than SMOOTHING_SECONDS, and without slower trends."""
    smooth = moving_average(signals, odd_rows_in(SMOOTHING_SECONDS, step_seconds))
    return smooth - moving_average(smooth, odd_rows_in(trend_seconds, step_seconds))


def moving_average(signals: Signals, rows: int) -> NDArray[np.float64]:
    """Moving average over `rows` rows, fewer at the ends."""
    sums = np.cumsum(np.pad(signals.astype(np.float64), ((1, 0), (0, 0))), axis=0)
    row = np.arange(len(signals))
    first, end = np.maximum(row - rows // 2, 0), np.minimum(row + rows // 2 + 1, len(signals))
    mean: NDArray[np.float64] = (sums[end] - sums[first]) / (end - first)[:, None]
    return mean


def _spectrum(signals: Signals) -> NDArray[np.complexfloating]:
    """Fourier transform over time, padded to twice the length, (F, C)."""
    return np.fft.rfft(signals, n=2 * len(signals), axis=0).astype(np.complex64)


def _correlation(
    spectrum: NDArray[np.complexfloating], recordings: NDArray[np.complexfloating], max_lag: int
) -> NDArray[np.float64]:
    """Cross-correlation of one recording (F, C) with recordings (R, F, C) at each lag, (R, L)."""
    products = np.einsum("fc,rfc->rf", np.conj(spectrum), recordings)
    correlation = np.fft.irfft(products, axis=1)
    return correlation[:, np.arange(-max_lag, max_lag + 1)]


def _peak(curve: NDArray[np.float64], index: int) -> float:
    """Fractional index of the vertex of the parabola through the samples around `index`."""
    if not 0 < index < len(curve) - 1:
        return float(index)
    left, middle, right = curve[index - 1 : index + 2]
    curvature = left - 2 * middle + right
    return (
        index + float(np.clip(0.5 * (left - right) / curvature, -0.5, 0.5))
        if curvature < 0
        else index
    )
