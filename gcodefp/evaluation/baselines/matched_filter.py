"""The matched filter: the mean signals of each program, compared with a window at every shift.

The filter has a pattern of C channels for each state of the programs. A window's score at a shift
sums, over its rows, the product of the row and the pattern of its state; the shift with the highest
score is predicted. No network is trained.

Signals are standardised and clipped within their own recording. The moving average smooths the
pattern twice, and not the signals: that has the same sum as smoothing both, and no
window uses a row outside of it. Channels are weighted by their signal-to-noise ratio.

Shapes: N rows of a recording, T rows of a window, C channels, K programs, P states, A states that
one train recording passes, W states with edge states repeated.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split, join_splits
from gcodefp.evaluation.baselines.baseline_input import (
    BaselineInput,
    Predictions,
    at_states,
    states_by_window,
)
from gcodefp.evaluation.names import FILTER, FILTER_WHOLE
from gcodefp.evaluation.window_lengths import decode_centre_rows, evaluate_centres
from gcodefp.model.hmm import rows_at_once
from gcodefp.model.templates import fill_states, labelled_recordings
from gcodefp.programs.lag import interpolate_rows, moving_average
from gcodefp.programs.table import Programs
from gcodefp.recordings.clock import odd_rows_in

CORRELATION, DISTANCE = "correlation", "squared distance"
SMOOTHING_SECONDS = (1.25, 0.0, 2.25)
WEIGHT_EXPONENTS = (1.0, 0.5, 0.0)
CLIPS = (1.0, None)
MEASURES = (CORRELATION, DISTANCE)
STD_OFFSET = 0.1
"""Added to a recording's standard deviations: a nearly constant channel has little information."""
MIN_NOISE = 1e-6
"""Least variance of a channel between recordings."""
MIN_ENERGY = 1e-3
"""Least energy of a window's mean signals that divides its correlation, by the median."""

StateSignals = tuple[NDArray[np.int64], NDArray[np.float64]]
"""The states (A,) that a train recording passes, and its standardised signals there, (A, C)."""


class FilterOptions(NamedTuple):
    """What is tuned on the val split; of equally good options the first is kept."""

    smoothing_rows: int = 5  # of the moving average; odd
    # of each channel's signal-to-noise ratio, which is its weight
    weight_exponent: float = WEIGHT_EXPONENTS[0]
    # largest absolute value of the standardised signals, standard deviations; None: any
    clip: float | None = CLIPS[0]
    # CORRELATION, the product over the mean signals' norm, or the negative squared DISTANCE
    score: str = MEASURES[0]


@dataclass(frozen=True)
class MatchedFilter:
    """A fitted filter; a `CentreDecoder`."""

    first: NDArray[np.int64]  # (K + 1,) first state of each program, and P
    pattern: NDArray[np.float64]  # (P, C) weighted and smoothed mean signals
    energy: NDArray[np.float64]  # (P,) weighted sum of squares of each state's mean signals
    options: FilterOptions  # that it was fitted with
    # share of the val split's centre rows within 1 s; None without a val split
    val_within_1s: float | None = None

    def tuned(self) -> dict[str, Any]:
        """The options and how they were chosen, for metrics.json."""
        return {**self.options._asdict(), "val_within_1s": self.val_within_1s}

    def __call__(self, signals: NDArray[np.floating], rows: int | None) -> NDArray[np.int64]:
        """States of the centre rows of all windows, (N - T + 1,), or of all rows, (N,)."""
        if rows is None:
            return self.window_states(signals, len(signals))[0]
        return self.repeat_edges(rows)[self.best_shifts(signals, rows) + rows // 2]

    def window_states(self, signals: NDArray[np.floating], rows: int) -> NDArray[np.int64]:
        """States of all rows of the windows that begin at each row, (N - T + 1, T)."""
        shifts = self.best_shifts(signals, rows)
        return self.repeat_edges(rows)[shifts[:, None] + np.arange(rows)]

    def repeat_edges(self, rows: int) -> NDArray[np.int64]:
        """All states, the first and the last of each program repeated T - 1 times more, (W,)."""
        parts = [
            np.clip(np.arange(first - rows + 1, end + rows - 1), first, end - 1)
            for first, end in pairwise(self.first.tolist())
        ]
        return np.concatenate(parts)

    def best_shifts(self, signals: NDArray[np.floating], rows: int) -> NDArray[np.intp]:
        """Index into `repeat_edges` of the first row of each window, at the best shift.

        Args:
            signals: (N, C) of a recording; a window begins at each row.
            rows: T, at most N.

        Returns:
            (N - T + 1,).
        """
        factor, offset = self._window_energy(rows)
        states, count = self.repeat_edges(rows), len(signals)
        # A window moves along a diagonal of the matrix of rows and repeated states. Each diagonal
        # has its sum, which the last row enters and the row before the window leaves.
        total = np.zeros(count - 1 + len(states))
        best = np.zeros(count - rows + 1, np.intp)
        in_window: deque[NDArray[np.float64]] = deque()
        for row, scores in enumerate(self._row_scores(signals)):
            begin = count - 1 - row
            total[begin : begin + len(states)] += scores[states]
            if rows < count:
                in_window.append(scores)
            if row >= rows:
                left = slice(begin + rows, begin + rows + len(states))
                total[left] -= in_window.popleft()[states]
            if row >= rows - 1:
                end = (total[begin : begin + len(states)] * factor - offset).argmax()
                best[row - rows + 1] = end - rows + 1
        return best

    def _row_scores(self, signals: NDArray[np.floating]) -> Iterator[NDArray[np.float64]]:
        """The product of each row with all patterns, (P,)."""
        values = standardise(signals, self.options.clip)
        size = rows_at_once(len(self.pattern), len(values))
        for first in range(0, len(values), size):
            yield from values[first : first + size] @ self.pattern.T

    def _window_energy(self, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The factor and the offset of the product of windows that end at a state, both (W,).

        The offset is infinite where the window would begin before the program's repeated states.
        """
        lengths = np.diff(self.first) + 2 * (rows - 1)
        is_end = np.concatenate([np.arange(length) >= rows - 1 for length in lengths])
        sums = np.concatenate([[0.0], self.energy[self.repeat_edges(rows)].cumsum()])
        energy = np.zeros(len(is_end))
        energy[rows - 1 :] = sums[rows:] - sums[:-rows]
        if self.options.score == DISTANCE:
            return np.ones(len(is_end)), np.where(is_end, energy / 2, np.inf)
        least = max(MIN_ENERGY * float(np.median(energy[is_end])), MIN_NOISE)
        return 1 / np.sqrt(np.maximum(energy, least)), np.where(is_end, 0.0, np.inf)


def filter_predictions(inputs: BaselineInput, matched: MatchedFilter) -> Predictions:
    """What a fitted filter predicts from windows, and from whole recordings."""
    by_window = states_by_window(
        inputs, lambda signals, starts: matched.window_states(signals, inputs.window)[starts]
    )
    whole = np.zeros(len(inputs.test.recording), np.int64)
    centres = decode_centre_rows(matched, inputs.test, None)
    whole[centres.rows] = centres.state
    whole = whole[inputs.rows]
    return {FILTER: at_states(inputs, by_window), FILTER_WHOLE: at_states(inputs, whole)}


def tune_matched_filter(
    train: Split, val: Split | None, programs: Programs, window: int
) -> MatchedFilter:
    """The filter with the options that are best on the val split, then fitted to both splits.

    Args:
        val: None: the first of all options are taken.
        window: rows per window, in which options are compared.
    """
    every_smoothing = [odd_rows_in(s, float(programs.step_seconds)) for s in SMOOTHING_SECONDS]
    fitted = []
    for clip in CLIPS:
        aligned = state_signals(train, programs, clip)
        for smoothing, exponent, score in product(every_smoothing, WEIGHT_EXPONENTS, MEASURES):
            options = FilterOptions(smoothing, exponent, clip, score)
            matched = fit_matched_filter(aligned, programs, options)
            if val is None:
                return matched
            scores = evaluate_centres(decode_centre_rows(matched, val, window), val, programs)
            fitted.append(replace(matched, val_within_1s=scores["within_1s"].value))
    assert val is not None, "without it the first options were taken"
    best = max(fitted, key=lambda matched: matched.val_within_1s or 0.0)
    aligned = state_signals(join_splits(train, val), programs, best.options.clip)
    final = fit_matched_filter(aligned, programs, best.options)
    return replace(final, val_within_1s=best.val_within_1s)


def state_signals(train: Split, programs: Programs, clip: float | None) -> list[StateSignals]:
    """The train recordings on the states that their sensors measure, between rows interpolated."""
    return [
        (passed.states, interpolate_rows(standardise(passed.signals, clip), passed.state_rows))
        for passed in labelled_recordings(train, programs)
    ]


def standardise(signals: NDArray[np.floating], clip: float | None = None) -> NDArray[np.float64]:
    """Signals (N, C) of a recording, minus their mean, over their standard deviation, clipped."""
    values = signals.astype(np.float64)
    values = (values - values.mean(0)) / (values.std(0) + STD_OFFSET)
    return values if clip is None else np.clip(values, -clip, clip)


def fit_matched_filter(
    aligned: Sequence[StateSignals], programs: Programs, options: FilterOptions
) -> MatchedFilter:
    """The filter of aligned train recordings."""
    smoothed = [(s, moving_average(signals, options.smoothing_rows)) for s, signals in aligned]
    total, count = np.zeros((len(programs), aligned[0][1].shape[1])), np.zeros(len(programs), int)
    for states, signals in smoothed:
        total[states] += signals
        count[states] += 1
    mean_signals = total / np.maximum(count, 1)[:, None]
    weight = _signal_to_noise(smoothed, mean_signals, count) ** options.weight_exponent
    mean_signals = fill_states(mean_signals, count > 0, programs)
    pattern = [
        moving_average(mean_signals[programs.state_slice(index)], options.smoothing_rows)
        for index in range(len(programs.names))
    ]
    first, energy = programs.first.astype(np.int64), mean_signals**2 @ weight
    return MatchedFilter(first, np.concatenate(pattern) * weight, energy, options)


def _signal_to_noise(
    aligned: Sequence[StateSignals], mean_signals: NDArray[np.float64], count: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The variance of each channel's mean over states, over that between recordings, (C,).

    The share of the noise in the mean's variance is subtracted. 1 where no state is passed twice.
    """
    squares, freedom = np.zeros(mean_signals.shape[1]), int(np.maximum(count - 1, 0).sum())
    for states, signals in aligned:
        squares += ((signals - mean_signals[states]) ** 2).sum(0)
    if not freedom:
        return np.ones(mean_signals.shape[1])
    noise = np.maximum(squares / freedom, MIN_NOISE)
    passed = count > 0
    signal = mean_signals[passed].var(0) - noise * (1 / count[passed]).mean()
    return np.asarray(np.maximum(signal, 0.0) / noise)
