"""Templates: the mean of each state of the programs in the space of linear discriminants.

A nearest-mean classifier of the states, from the train recordings. The features of a row are its
samples and those of near rows, each by tanh at three thresholds, so that the strength of a
vibration tells as much as its sign, and a spike no more than a high sample. Linear discriminant
analysis (Fisher 1936; Rao 1948) with the states as classes projects them onto the directions in
which states differ most, compared with how recordings differ in one state. The log-likelihood of a
state falls with the logarithm of the distance to the state's mean, as for a Cauchy distribution:
outliers cost little.

Nothing is trained by gradients: seconds are enough, and a program needs one recording.

Shapes: N rows, C channels, H thresholds, F features, D discriminants, P states, B windows of T
rows.
"""

from collections.abc import Sequence
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
THRESHOLDS = (-1.0, 0.0, 1.0)
"""Of standardised samples; a feature is tanh(sample - threshold)."""
DISCRIMINANTS = 32
"""More are better within a session and worse in another one."""
SHRINKAGE = 0.03
"""Share of the diagonal in the covariance within states (Friedman 1989)."""
RIDGE = 1e-4
"""Added to variances, in units of the train split's variance: a constant channel has none."""


class Templates(NamedTuple):
    """Emission model of the states."""

    projection: Tensor  # (F, D) of features onto discriminants; F = len(offsets) * H * C
    mean: Tensor  # (P, D) of each state
    # (D,) ratio of standard deviations between and within states, relative to the first one's
    weight: Tensor
    # rows before and behind a row whose samples are its features, ascending
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
        """Log-likelihoods (B, T, P), up to a constant, of the states at each row of (B, T, C).

        Features do not reach beyond a window's ends.
        """
        return self.log_prob(self.project(signals))

    def project_windows(self, signals: Tensor, rows: int) -> dict[tuple[int, int], Tensor]:
        """All rows of a recording (N, C), as they are anywhere in a window of `rows` rows.

        `window_cut` of a row of the window -> (N, D).
        """
        cuts = {self.window_cut(row, rows) for row in range(rows)}
        return {cut: self.project(signals[None], *cut)[0] for cut in cuts}

    def project(
        self, signals: Tensor, before: int | None = None, behind: int | None = None
    ) -> Tensor:
        """Signals (B, T, C) on the discriminants, (B, T, D).

        Features reach no more rows `before` and `behind`; None: all of their offsets.
        """
        before = self.reach if before is None else before
        behind = self.reach if behind is None else behind
        rows = torch.arange(signals.shape[1], device=signals.device)
        features = torch.cat([torch.tanh(signals - threshold) for threshold in THRESHOLDS], dim=2)
        parts = self.projection.split(features.shape[2])
        projected = [
            features[:, (rows + min(max(offset, -before), behind)).clamp(0, len(rows) - 1)] @ part
            for offset, part in zip(self.offsets, parts, strict=True)
        ]
        return torch.stack(projected).sum(0)

    def log_prob(self, projected: Tensor) -> Tensor:
        """Discriminants (..., D) to log-likelihoods of all states (..., P)."""
        total = projected.new_zeros(*projected.shape[:-1], len(self.mean))
        # One by one: a table of all differences would be as many times as large.
        for index, weight in enumerate(self.weight.tolist()):
            difference = projected[..., index, None] - self.mean[:, index]
            total -= difference.square_().log1p_().mul_(weight)
        return total

    def path_log_prob(self, projected: Tensor, path: Tensor) -> Tensor:
        """Discriminants (..., D) to the log-likelihood of one state each (...)."""
        return self.log_prob_at(projected, self.mean[path])

    def log_prob_at(self, projected: Tensor, mean: Tensor) -> Tensor:
        """Discriminants (..., D) to their log-likelihood (...) of states with these means."""
        total = projected.new_zeros(projected.shape[:-1])
        for index, weight in enumerate(self.weight.tolist()):
            difference = projected[..., index] - mean[..., index]
            total -= difference.square_().log1p_().mul_(weight)
        return total


def feature_offsets(step_seconds: float) -> tuple[int, ...]:
    """OFFSET_SECONDS in rows, no two of them the same."""
    behind = [rows_in(s, step_seconds, least) for least, s in enumerate(OFFSET_SECONDS[2:])]
    return (*(-rows for rows in behind[:0:-1]), *behind)


class LabelledRecording(NamedTuple):
    """A recording of a known program, with its lag-corrected states."""

    rows: NDArray[np.intp]  # (N,) of its split
    signals: NDArray[np.float32]  # (N, C)
    program: int  # its index
    states: NDArray[np.int64]  # (M,) ascending, each one more than the last
    state_rows: NDArray[np.float64]  # (M,) of these states among the N rows, with a fraction

    def features(self, offsets: Sequence[int]) -> NDArray[np.float64]:
        """In each state, (M, F); not kept, for they have many times the size of the signals."""
        rows = np.arange(len(self.signals))
        by_row = np.concatenate([np.tanh(self.signals - t) for t in THRESHOLDS], axis=1)
        parts = [by_row[np.clip(rows + offset, 0, len(rows) - 1)] for offset in offsets]
        return interpolate_rows(np.concatenate(parts, axis=1), self.state_rows)


def labelled_recordings(split: Split, programs: Programs) -> list[LabelledRecording]:
    """Of each recording of a split with two or more states, by its lag-corrected labels.

    Rows before and after the program, whose state is that of an end, do not count.
    """
    recordings = []
    for recording in np.unique(split.recording):
        rows = np.flatnonzero(split.recording == recording)
        program = int(split.program[rows[0]])
        if program == UNKNOWN:
            continue
        state = split.state[rows].astype(np.float64)
        first, last = programs.first[program], programs.first[program + 1] - 1
        inside = np.flatnonzero((state > first) & (state < last))
        if len(inside) < 2:
            continue
        states = np.arange(np.ceil(state[inside[0]]), np.floor(state[inside[-1]]) + 1)
        state_rows = np.interp(states, state[inside], inside)
        recordings.append(
            LabelledRecording(
                rows, split.signals[rows], program, states.astype(np.int64), state_rows
            )
        )
    return recordings


def fit_templates(train: Split, programs: Programs) -> Templates:
    """Fits templates to the recordings of a split and their lag-corrected states."""
    return fit_to_recordings(labelled_recordings(train, programs), programs, train.signals.shape[1])


def fit_to_recordings(
    recordings: Sequence[LabelledRecording], programs: Programs, channels: int
) -> Templates:
    """Fits templates to recordings with C channels."""
    offsets = feature_offsets(float(programs.step_seconds))
    count = np.zeros(len(programs))
    mean = np.zeros((len(programs), len(offsets) * len(THRESHOLDS) * channels))
    for recording in recordings:
        count[recording.states] += 1
        mean[recording.states] += recording.features(offsets)
    mean = fill_states(mean / np.maximum(count, 1)[:, None], count > 0, programs)
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
    largest = [max(0, len(shrunk) - DISCRIMINANTS), len(shrunk) - 1]
    ratio, vectors = eigh(centred.T @ centred / len(centred), shrunk, subset_by_index=largest)
    deviation, vectors = np.sqrt(ratio[::-1].clip(0)), vectors[:, ::-1]
    arrays = vectors, mean @ vectors, deviation / (deviation[0] or 1.0)
    projection, means, weight = (
        torch.as_tensor(array.copy(), dtype=torch.float32) for array in arrays
    )
    return Templates(projection, means, weight, offsets)


def fill_states(
    values: NDArray[np.float64], has_value: NDArray[np.bool_], programs: Programs
) -> NDArray[np.float64]:
    """Values (P, F) of states; those without one get that of the program's nearest state with one.

    Of two states as near it is the first; a program without any is left as it is.
    """
    filled = values.copy()
    for program in range(len(programs.names)):
        states = np.arange(*programs.first[program : program + 2])
        given = states[has_value[states]]
        if len(given):
            right = np.searchsorted(given, states).clip(1, max(1, len(given) - 1))
            left, right = given[right - 1], given[np.minimum(right, len(given) - 1)]
            filled[states] = values[np.where(states - left <= right - states, left, right)]
    return filled
