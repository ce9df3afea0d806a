"""What the sensors measure in a program when all is well: mean and spread, from good recordings.

Every recording is standardised by itself, so that gains and mountings of a session do not count,
and smoothed. The match of a row to a state of the program is a log-likelihood ratio of normal
distributions: the profile's against the channel's own over the whole program. A sensor of a node
(its accelerometer, its microphone) has a ratio that is clipped, and so has each group of sensors
over all nodes: a loud room or a loose node is no deviation of the machine. The unit is the
information that good recordings have on average: a row that matches as theirs do has 1.

Shapes: N rows of a recording, C channels, T states of one program, one each step of its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.lag import interpolate_rows, moving_average
from gcodefp.recordings.clock import odd_rows_in
from gcodefp.recordings.columns import channel_group, node_or_channel

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

SMOOTHING_SECONDS = 1.25
VARIANCE_SECONDS = 3.75
"""Variances are pooled over as many states, and with the channel's own, of weight PRIOR_STATES."""
PRIOR_STATES = 8.0
MIN_VARIANCE = 0.02
STD_OFFSET = 0.02
CLIP = 4.0
"""Largest standardised sample, standard deviations."""
SENSOR_LIMIT, GROUP_LIMIT = 2.0, 1.0
"""Least log-likelihood ratio of a sensor and of a group, in units of its mean information; the
largest one is twice as large. Chosen on good real recordings, as the penalties in `alignment`."""


class RecordingSignals(NamedTuple):
    """The signals of a recording.

    Attributes:
        name: of the recording.
        signals: (N, C) standardised, as a dataset has them.
        valid: (N, C) whether a sample is valid.
    """

    name: str
    signals: NDArray[np.floating]
    valid: Mask

    @property
    def standardised(self) -> Array:
        """Without each channel's mean and standard deviation, clipped, 0 where invalid, (N, C)."""
        values = np.where(self.valid, self.signals, 0.0).astype(np.float64)
        count = np.maximum(self.valid.sum(0), 1)
        centred = np.where(self.valid, values - values.sum(0) / count, 0.0)
        std = np.sqrt((centred**2).sum(0) / count)
        return np.clip(centred / (std + STD_OFFSET), -CLIP, CLIP)


@dataclass(frozen=True)
class Profile:
    """The profile of one program.

    Attributes:
        mean, variance: (T, C) of smoothed, standardised signals in each state.
        background: (C,) mean square of a channel over the whole program.
        sensors: (C,) number of the sensor that a channel is of.
        groups: (C,) number of the sensor's group.
        step_seconds: from one state to the next.
        expected: (T,) match of good recordings in each state; empty until they are aligned.
    """

    mean: Array
    variance: Array
    background: Array
    sensors: NDArray[np.int64]
    groups: NDArray[np.int64]
    step_seconds: float
    expected: Array = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.mean)

    def smooth(self, signals: Array) -> Array:
        """Moving average of signals (N, C), as in the profile."""
        return moving_average(signals, odd_rows_in(SMOOTHING_SECONDS, self.step_seconds))

    def row_matches(self, recording: RecordingSignals) -> Array:
        """How well each row matches each state, (N, T); about 1 where the recording is good."""
        valid_share = recording.valid.mean(0)
        return self.matches(self.smooth(recording.standardised), recording.valid, valid_share)

    def matches(self, smoothed: Array, valid: Mask, valid_share: Array) -> Array:
        """The same for smoothed signals (N, C), of which a share (C,) is valid."""
        ratio = self.variance / self.background
        shape = np.log(ratio) + 1 - ratio - self.mean**2 / self.background
        information = -0.5 * shape.mean(0) * valid_share
        # Half the time of double precision; a match needs no more digits.
        total = np.zeros((len(smoothed), len(self)), np.float32)
        for group in np.unique(self.groups):
            own = np.zeros_like(total)
            for sensor in np.unique(self.sensors[self.groups == group]):
                channels = self.sensors == sensor
                unit = SENSOR_LIMIT * information[channels].sum()
                ratios = self._ratios(smoothed, valid, channels)
                own += np.clip(ratios, -unit, 2 * unit, out=ratios)
            unit = GROUP_LIMIT * information[self.groups == group].sum()
            total += np.clip(own, -unit, 2 * unit, out=own)
        return total.astype(np.float64) / max(float(information.sum()), 1e-9)

    def _ratios(self, smoothed: Array, valid: Mask, channels: Mask) -> NDArray[np.float32]:
        """Log-likelihood ratios of some channels, (N, T)."""
        measured = valid[:, channels].astype(np.float32)
        values = smoothed[:, channels].astype(np.float32) * measured
        mean, variance = self.mean[:, channels], self.variance[:, channels]
        background = self.background[channels]
        constant = 0.5 * (np.log(background / variance) - mean**2 / variance)
        square = 0.5 * (1 / background - 1 / variance)
        weights = np.concatenate([constant, mean / variance, square], axis=1).astype(np.float32)
        ratios: NDArray[np.float32] = np.concatenate([measured, values, values**2], 1) @ weights.T
        return ratios


class LabelledSignals(NamedTuple):
    """A good recording with the row of each state, from lag-corrected labels.

    Attributes:
        program: its index.
        state_rows: (T,) row of each state, with a fraction; NaN where the recording has none.
    """

    recording: RecordingSignals
    program: int
    state_rows: Array


def sensor_numbers(channels: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the sensors and of their groups, both (C,), of channels by their names."""
    groups = [channel_group(name) or "" for name in channels]
    sensors = [
        f"{node_or_channel(name) if '.' in name else ''} {group}"
        for name, group in zip(channels, groups, strict=True)
    ]
    numbers = (np.unique(texts, return_inverse=True)[1] for texts in (sensors, groups))
    first, second = numbers
    return first.astype(np.int64), second.astype(np.int64)


class StateSamples(NamedTuple):
    """A good recording on the states of its program.

    Attributes:
        states: (M,) that it passes.
        values: (M, C) standardised and smoothed.
        valid: (M, C).
    """

    states: NDArray[np.int64]
    values: Array
    valid: Mask


def state_samples(labelled: LabelledSignals, step_seconds: float) -> StateSamples:
    """The signals of a recording in the states of its program."""
    recording, state_rows = labelled.recording, labelled.state_rows
    states = np.flatnonzero(np.isfinite(state_rows))
    at = np.clip(state_rows[states], 0, len(recording.signals) - 1)
    rows = odd_rows_in(SMOOTHING_SECONDS, step_seconds)
    values = interpolate_rows(moving_average(recording.standardised, rows), at)
    return StateSamples(states, values, recording.valid[np.rint(at).astype(int)])


def fit_profile(
    parts: Sequence[StateSamples], length: int, channels: Sequence[str], step_seconds: float
) -> Profile:
    """The profile of two or more recordings of a program with `length` states."""
    count, total, squares, freedom = (np.zeros((length, len(channels))) for _ in range(4))
    for states, values, valid in parts:
        count[states] += valid
        total[states] += values * valid
    mean = total / np.maximum(count, 1)
    for states, values, valid in parts:
        n = count[states]
        # Unbiased: the mean of n recordings is nearer to each of them than the true one.
        several = valid & (n > 1)
        squares[states] += (values - mean[states]) ** 2 * several * n / np.maximum(n - 1, 1)
        freedom[states] += several
    own = squares.sum(0) / np.maximum(freedom.sum(0), 1) + MIN_VARIANCE
    near = odd_rows_in(VARIANCE_SECONDS, step_seconds)
    squares, freedom = moving_average(squares, near), moving_average(freedom, near)
    variance = (squares + PRIOR_STATES * own) / (freedom + PRIOR_STATES)
    background = (mean**2).mean(0) + own
    return Profile(mean, variance, background, *sensor_numbers(channels), step_seconds)
