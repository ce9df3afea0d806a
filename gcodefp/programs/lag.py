"""How far the sensors' clock is behind the controller's: one constant for each recording.

Recordings of one program repeat the same motions, so their signals, laid over the program's clock
as the controller reports it, differ by the lag alone. Lags are those under which the recordings
agree best (cross-correlation of all pairs, maximised by turns). Slow drifts are taken out first:
they follow the time since the recording's start, and not the motion. Channels on which recordings
agree count more. What all recordings of a program lag alike cannot be seen so: lags are relative to
their median.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_LAG_SECONDS = 14.0
SMOOTHING_ROWS = 5
TREND_ROWS = 41
"""Slower changes than over so many rows are taken out; chosen by how well the lags of magnetometers
agree with those of the other sensors."""
WEIGHINGS = 2
SOFT_STD = 0.3
"""Added to a channel's deviation: one that hardly moves in a recording says little."""
MAX_HUBS = 24
"""All pairs of so many recordings are compared; any others are compared with these."""
MAX_TURNS = 30

Signals = NDArray[np.floating]


class JointLags(NamedTuple):
    """What recordings of one program agree on.

    Attributes:
        seconds: (R,) relative lag of each recording; their median is 0.
        weight: (C,) how much each channel counts: the root of its signal to noise ratio.
    """

    seconds: NDArray[np.float64]
    weight: NDArray[np.float64]


def joint_lags(signals: Sequence[Signals], step_seconds: float) -> JointLags:
    """Lags of recordings of one program, and the channels that tell them.

    Args:
        signals: of each recording (T, C), on the program's clock, one row each step_seconds.
    """
    weight = np.ones(signals[0].shape[1])
    if len(signals) == 1:
        return JointLags(np.zeros(1), weight)
    moving = [_moving(of) for of in signals]
    steps = _agreed(moving, weight, step_seconds)
    for _ in range(WEIGHINGS):
        weight = _reliability(moving, steps)
        steps = _agreed(moving, weight, step_seconds)
    return JointLags(steps * step_seconds, weight)


def lag_against(
    signals: Signals, template: Signals, weight: NDArray[np.floating], step_seconds: float
) -> float:
    """Lag of one recording relative to the template, in seconds; both (T, C), as above."""
    reach = _reach(step_seconds, len(template))
    expected, seen = (_spectrum(_moving(of) * weight) for of in (template, signals))
    curve = _correlation(expected, seen[None], reach)[0]
    if not curve.any():
        return 0.0
    return float((_peak(curve, int(curve.argmax())) - reach) * step_seconds)


def _agreed(
    moving: Sequence[Signals], weight: NDArray[np.floating], step_seconds: float
) -> NDArray[np.float64]:
    """Lags, in steps, under which the recordings agree best, (R,); their median is 0."""
    spectra = np.stack([_spectrum(of * weight) for of in moving])
    hubs = np.unique(np.linspace(0, len(moving) - 1, MAX_HUBS).astype(int))
    reach = _reach(step_seconds, len(moving[0]))
    likeness = np.stack([_correlation(spectra[hub], spectra, reach) for hub in hubs])
    starts = [likeness[hub].argmax(1) - reach for hub in range(len(hubs))]
    found = [_by_turns(likeness, hubs, start, reach) for start in starts]
    agreement = [_agreement(likeness, hubs, lags, reach) for lags in found]
    best = found[int(np.argmax(agreement))]
    curves = _curves(likeness, hubs, best, reach)
    peaks = [_peak(c, near=lag + reach) for c, lag in zip(curves, best, strict=True)]
    return np.array(peaks) - np.median(peaks)


def _reliability(moving: Sequence[Signals], steps: NDArray[np.floating]) -> NDArray[np.float64]:
    """Root of each channel's signal to noise ratio over recordings whose lags are out, (C,)."""
    laid = np.stack([delayed(of, -lag) for of, lag in zip(moving, steps, strict=True)])
    common = laid.mean(0)
    noise = ((laid - common) ** 2).mean((0, 1)) * len(laid) / (len(laid) - 1)
    signal = np.maximum((common**2).mean(0) - noise / len(laid), 0.0)
    return np.sqrt(signal / np.maximum(noise, 1e-9))


def delayed(signals: Signals, steps: float) -> NDArray[np.float64]:
    """Signals (T, C) that come so many steps later; what is beyond an end is as at the end."""
    at = np.clip(np.arange(len(signals)) - steps, 0, len(signals) - 1)
    low = np.minimum(at.astype(int), len(signals) - 2)
    share = (at - low)[:, None]
    moved: NDArray[np.float64] = signals[low] * (1 - share) + signals[low + 1] * share
    return moved


def _reach(step_seconds: float, length: int) -> int:
    return min(int(MAX_LAG_SECONDS / step_seconds), length - 1)


def _moving(signals: Signals) -> NDArray[np.float64]:
    """Signals without noise and trend, each channel scaled, (T, C)."""
    smooth = _average(signals, SMOOTHING_ROWS)
    smooth = smooth - _average(smooth, TREND_ROWS)
    scaled: NDArray[np.float64] = smooth / (smooth.std(0) + SOFT_STD)
    return scaled


def _average(signals: Signals, rows: int) -> NDArray[np.float64]:
    """Moving average over so many rows, fewer at the ends."""
    sums = np.cumsum(np.pad(signals.astype(np.float64), ((1, 0), (0, 0))), axis=0)
    row = np.arange(len(signals))
    first, end = np.maximum(row - rows // 2, 0), np.minimum(row + rows // 2 + 1, len(signals))
    mean: NDArray[np.float64] = (sums[end] - sums[first]) / (end - first)[:, None]
    return mean


def _spectrum(signals: Signals) -> NDArray[np.complexfloating]:
    """Fourier transform over time, padded to twice the length, (T + 1, C)."""
    return np.fft.rfft(signals, n=2 * len(signals), axis=0).astype(np.complex64)


def _correlation(
    one: NDArray[np.complexfloating], others: NDArray[np.complexfloating], reach: int
) -> NDArray[np.float64]:
    """How alike they are if the others (R, F, C) come 'lag' steps later, (R, 2 reach + 1)."""
    products = np.einsum("fc,rfc->rf", np.conj(one), others)
    around = np.fft.irfft(products, axis=1)
    return around[:, np.arange(-reach, reach + 1)]


def _by_turns(
    likeness: NDArray[np.float64], hubs: NDArray[np.intp], lags: NDArray[np.intp], reach: int
) -> NDArray[np.intp]:
    """Each recording takes the lag that suits the others best, until nothing changes."""
    lags = lags.copy()
    for _ in range(MAX_TURNS):
        before = lags.copy()
        for recording in range(len(lags)):
            curve = _curve(likeness, hubs, lags, reach, recording)
            # A recording without signals suits every lag alike.
            lags[recording] = int(curve.argmax()) - reach if curve.max() > 0 else 0
        if (lags == before).all():
            break
    return lags


def _curve(
    likeness: NDArray[np.float64],
    hubs: NDArray[np.intp],
    lags: NDArray[np.intp],
    reach: int,
    recording: int,
) -> NDArray[np.float64]:
    """How well each lag -reach..reach of a recording suits those of the hubs."""
    tried = np.arange(-reach, reach + 1)
    index = tried[None] - lags[hubs][:, None] + reach
    inside = (index >= 0) & (index <= 2 * reach) & (hubs != recording)[:, None]
    curves = likeness[np.arange(len(hubs))[:, None], recording, np.clip(index, 0, 2 * reach)]
    total: NDArray[np.float64] = np.where(inside, curves, 0.0).sum(0)
    return total


def _curves(
    likeness: NDArray[np.float64], hubs: NDArray[np.intp], lags: NDArray[np.intp], reach: int
) -> list[NDArray[np.float64]]:
    return [_curve(likeness, hubs, lags, reach, recording) for recording in range(len(lags))]


def _agreement(
    likeness: NDArray[np.float64], hubs: NDArray[np.intp], lags: NDArray[np.intp], reach: int
) -> float:
    curves = _curves(likeness, hubs, lags, reach)
    return float(
        sum(c[np.clip(lag + reach, 0, 2 * reach)] for c, lag in zip(curves, lags, strict=True))
    )


def _peak(curve: NDArray[np.float64], near: int) -> float:
    """Where the parabola through the samples around a maximum is highest."""
    if not 0 < near < len(curve) - 1:
        return float(near)
    left, middle, right = curve[near - 1 : near + 2]
    bend = left - 2 * middle + right
    return (
        near + float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else float(near)
    )
