"""Templates: what the sensors measure in each state of the programs, from the train recordings.

A matched filter in the space of linear discriminants. The features of a row are its samples and
those of near rows. Linear discriminant analysis (Fisher 1936; Rao 1948) with the states as classes
projects them onto the directions in which states differ most, compared with how recordings differ
in one state. The log-likelihood of a state falls with the logarithm of the distance to the state's
mean, as for a Cauchy distribution: outliers cost little.

Nothing is trained by gradients: a second is enough, and a program needs one recording.

Shapes: N rows, C channels, F features, D discriminants, P states, B windows of T rows.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh
from torch import Tensor

from gcodefp.dataset.store import Split
from gcodefp.programs.lag import interpolate_rows
from gcodefp.programs.table import UNKNOWN, Programs
from gcodefp.recordings.clock import rows_in

OFFSET_SECONDS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Before and behind a row, whose samples there are its features."""
DISCRIMINANTS = 10
"""More are better within a session and worse elsewhere; chosen on val splits."""
SHRINKAGE = 0.1
"""Share of the diagonal in the covariance within states (Friedman 1989)."""
RIDGE = 1e-4
"""Added to variances, in units of the train split's variance: a dead channel has none."""


class Templates(NamedTuple):
    """Emission model of the states.

    Attributes:
        projection: (F, D) of features onto discriminants; F = len(offsets) * C.
        mean: (P, D) of each state.
        weight: (D,) of each discriminant: its share of the variance between states.
        offsets: rows before and behind a row whose samples are its features, ascending.
    """

    projection: Tensor
    mean: Tensor
    weight: Tensor
    offsets: tuple[int, ...]

    def to(self, device: torch.device) -> "Templates":
        """The same on another device."""
        projection, mean, weight = (tensor.to(device) for tensor in self[:3])
        return Templates(projection, mean, weight, self.offsets)

    @property
    def reach(self) -> int:
        """Rows before and behind a row that its features reach."""
        return max(self.offsets)

    def window_cut(self, row: int, rows: int) -> tuple[int, int]:
        """Rows before and behind a row of a window that its features reach."""
        return min(row, self.reach), min(rows - 1 - row, self.reach)

    def log_likelihood(self, signals: Tensor) -> Tensor:
        """Log-likelihood of the states at each row, up to a constant, (B, T, P).

        Args:
            signals: (B, T, C) of windows; features do not reach beyond a window's ends.
        """
        return self.compare(self.project(signals))

    def project_windows(self, signals: Tensor, rows: int) -> dict[tuple[int, int], Tensor]:
        """All rows of a recording, as they are anywhere in a window of `rows` rows.

        Args:
            signals: (N, C) of one recording.

        Returns:
            `window_cut` of a row of the window -> (N, D).
        """
        cuts = {self.window_cut(row, rows) for row in range(rows)}
        return {cut: self.project(signals[None], *cut)[0] for cut in cuts}

    def project(
        self, signals: Tensor, before: int | None = None, behind: int | None = None
    ) -> Tensor:
        """Signals (B, T, C) on the discriminants, (B, T, D).

        Args:
            before, behind: rows that features may reach; None: all of their offsets.
        """
        before = self.reach if before is None else before
        behind = self.reach if behind is None else behind
        rows = torch.arange(signals.shape[1], device=signals.device)
        parts = self.projection.split(signals.shape[2])
        projected = [
            signals[:, (rows + min(max(offset, -before), behind)).clamp(0, len(rows) - 1)] @ part
            for offset, part in zip(self.offsets, parts, strict=True)
        ]
        return torch.stack(projected).sum(0)

    def compare(self, projected: Tensor) -> Tensor:
        """Discriminants (..., D) to log-likelihoods of all states (..., P)."""
        total = projected.new_zeros(*projected.shape[:-1], len(self.mean))
        # One by one: a table of all differences would be twenty times as large.
        for index, weight in enumerate(self.weight.tolist()):
            difference = projected[..., index, None] - self.mean[:, index]
            total -= difference.square_().log1p_().mul_(weight)
        return total

    def compare_path(self, projected: Tensor, path: Tensor) -> Tensor:
        """Discriminants (..., D) to the log-likelihood of one state each (...)."""
        total = projected.new_zeros(path.shape)
        for index, weight in enumerate(self.weight.tolist()):
            difference = projected[..., index] - self.mean[path, index]
            total -= difference.square_().log1p_().mul_(weight)
        return total


def feature_offsets(step_seconds: float) -> tuple[int, ...]:
    """OFFSET_SECONDS in rows, no two of them the same."""
    behind = [rows_in(s, step_seconds, least) for least, s in enumerate(OFFSET_SECONDS[2:])]
    return (*(-rows for rows in behind[:0:-1]), *behind)


class RecordingFeatures(NamedTuple):
    """What templates are fitted to, of one recording.

    Attributes:
        signals: (N, C).
        program: its index.
        states: (M,) that its sensors measure.
        position: (M,) of each of these states among the N rows, with a fraction.
    """

    signals: NDArray[np.float32]
    program: int
    states: NDArray[np.int64]
    position: NDArray[np.float64]

    def features(self, offsets: Sequence[int]) -> NDArray[np.float64]:
        """In each state, (M, F); not kept, for they have many times the size of the signals."""
        features = _features(self.signals.astype(np.float64), offsets)
        return interpolate_rows(features, self.position)


def recording_features(split: Split, programs: Programs) -> list[RecordingFeatures]:
    """Of each recording of a known program, in the states of its lag-corrected labels."""
    recordings = []
    for rows, states, position in passed_states(split, programs):
        program = int(split.program[rows[0]])
        recordings.append(RecordingFeatures(split.signals[rows], program, states, position))
    return recordings


def fit_templates(train: Split, programs: Programs) -> Templates:
    """Fits templates to the recordings of a split and their lag-corrected states."""
    channels = train.signals.shape[1]
    return fit_to_features(recording_features(train, programs), programs, channels)


def fit_to_features(
    recordings: Sequence[RecordingFeatures], programs: Programs, channels: int
) -> Templates:
    """Fits templates to the features of recordings with C channels."""
    offsets = feature_offsets(float(programs.step_seconds))
    count = np.zeros(len(programs))
    mean = np.zeros((len(programs), len(offsets) * channels))
    for recording in recordings:
        count[recording.states] += 1
        mean[recording.states] += recording.features(offsets)
    mean = _fill(mean / np.maximum(count, 1)[:, None], count > 0, programs)
    within, freedom = np.zeros((mean.shape[1], mean.shape[1])), 0
    for recording in recordings:
        # Unbiased: the mean of n recordings is nearer to each of them than the true one.
        n = count[recording.states]
        scale = np.sqrt(np.where(n > 1, n / np.maximum(n - 1, 1), 0.0))
        difference = (recording.features(offsets) - mean[recording.states]) * scale[:, None]
        within += difference.T @ difference
        freedom += int((n > 1).sum())
    within /= max(1, freedom)
    shrunk = (1 - SHRINKAGE) * within + np.diag(SHRINKAGE * np.diag(within) + RIDGE)
    centred = mean - mean.mean(0)
    # Ascending eigenvalues: the ratio of the variance between states to that within them.
    ratio, vectors = eigh(centred.T @ centred / len(centred), shrunk)
    ratio, vectors = ratio[::-1][:DISCRIMINANTS], vectors[:, ::-1][:, :DISCRIMINANTS]
    arrays = vectors, mean @ vectors, ratio / (1 + ratio)
    projection, means, weight = (
        torch.as_tensor(array.copy(), dtype=torch.float32) for array in arrays
    )
    return Templates(projection, means, weight, offsets)


class PassedStates(NamedTuple):
    """The states that the sensors of one recording measure.

    Attributes:
        rows: (N,) of the recording, in its split.
        states: (M,) ascending, each one more than the last.
        position: (M,) of each state among the N rows, with a fraction.
    """

    rows: NDArray[np.intp]
    states: NDArray[np.int64]
    position: NDArray[np.float64]


def passed_states(train: Split, programs: Programs) -> Iterator[PassedStates]:
    """Of each train recording with two or more of them.

    Rows before and after the program, whose state is that of an end, do not count.
    """
    for recording in np.unique(train.recording):
        rows = np.flatnonzero(train.recording == recording)
        program = int(train.program[rows[0]])
        if program == UNKNOWN:
            continue
        state = train.state[rows].astype(np.float64)
        first, last = programs.first[program], programs.first[program + 1] - 1
        inside = np.flatnonzero((state > first) & (state < last))
        if len(inside) < 2:
            continue
        states = np.arange(np.ceil(state[inside[0]]), np.floor(state[inside[-1]]) + 1)
        position = np.interp(states, state[inside], inside)
        yield PassedStates(rows, states.astype(np.int64), position)


def _features(signals: NDArray[np.float64], offsets: Sequence[int]) -> NDArray[np.float64]:
    """Features (N, F) of the rows of a recording (N, C)."""
    rows = np.arange(len(signals))
    parts = [signals[np.clip(rows + offset, 0, len(signals) - 1)] for offset in offsets]
    return np.concatenate(parts, axis=1)


def _fill(
    mean: NDArray[np.float64], has_samples: NDArray[np.bool_], programs: Programs
) -> NDArray[np.float64]:
    """Gives states that no train recording's sensors measure the mean of the nearest such state."""
    filled = mean.copy()
    for program in range(len(programs.names)):
        states = np.arange(*programs.first[program : program + 2])
        sampled = states[has_samples[states]]
        if len(sampled):
            filled[states] = mean[nearest_states(states, sampled)]
    return filled


def nearest_states(states: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each state the nearest of others, which ascend; of two as near the first one."""
    right = np.searchsorted(among, states).clip(1, max(1, len(among) - 1))
    left, right = among[right - 1], among[np.minimum(right, len(among) - 1)]
    return np.where(states - left <= right - states, left, right)
