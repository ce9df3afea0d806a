"""The matched filter on programs whose answer is known, and against sums without shortcuts."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import BLOCKS, RECORDINGS, ROWS, STEP_SECONDS, WINDOW, tiny_programs
from learning_data import tiny_split as split_of
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.baselines.baseline_input import BaselineInput
from gcodefp.evaluation.baselines.matched_filter import (
    CORRELATION,
    DISTANCE,
    FilterOptions,
    MatchedFilter,
    filter_predictions,
    fit_matched_filter,
    standardise,
    state_signals,
    tune_matched_filter,
)
from gcodefp.evaluation.names import FILTER, FILTER_WHOLE
from gcodefp.evaluation.window_lengths import decode_centre_rows
from gcodefp.model import hmm

FIRST = np.array([0, 7, 16])
CHANNELS = 3


def random_filter(score: str) -> MatchedFilter:
    random = np.random.default_rng(5)
    pattern = random.normal(size=(FIRST[-1], CHANNELS))
    options = FilterOptions(1, 0.0, None, score)
    return MatchedFilter(FIRST, pattern, (pattern**2).sum(1), options)


def fitted(train: Split, options: FilterOptions | None = None) -> MatchedFilter:
    options = options or FilterOptions()
    programs = tiny_programs(train)
    return fit_matched_filter(state_signals(train, programs, options.clip), programs, options)


@pytest.mark.parametrize("rows_at_once", [5, 10**6])
def test_window_scores_are_the_sums_over_their_rows(
    rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hmm, "MAX_CELLS", rows_at_once * int(FIRST[-1]))
    signals = np.random.default_rng(8).normal(size=(12, CHANNELS))
    normal = standardise(signals)
    for score in (CORRELATION, DISTANCE):
        matched = random_filter(score)
        for rows in (1, 4, 5, 12):
            expected = [best_states(matched, normal[i : i + rows]) for i in range(13 - rows)]
            np.testing.assert_array_equal(matched.window_states(signals, rows), expected)
            centres = [states[rows // 2] for states in expected]
            assert matched(signals, rows).tolist() == centres
        assert matched(signals, None).tolist() == best_states(matched, normal).tolist()


def best_states(matched: MatchedFilter, window: NDArray[np.float64]) -> NDArray[np.int64]:
    """The states of the best shift by a sum for each; every shift that overlaps a program."""
    scored = []
    for begin, end in ((0, 7), (7, 16)):
        for shift in range(begin - len(window) + 1, end):
            states = np.clip(np.arange(shift, shift + len(window)), begin, end - 1)
            pattern = matched.pattern[states]
            product, energy = (window * pattern).sum(), (pattern**2).sum()
            is_distance = matched.options.score == DISTANCE
            scored.append((product - energy / 2 if is_distance else product / energy**0.5, states))
    return max(scored, key=lambda pair: pair[0])[1]


@pytest.mark.parametrize("score", [CORRELATION, DISTANCE])
def test_a_planted_shift_is_found_and_edge_states_repeat(score: str) -> None:
    matched = fitted(split_of(RECORDINGS["train"], noise=0.1), FilterOptions(1, 1.0, None, score))
    test = split_of(["pocket_009"], noise=0.1)
    before, behind = 9, 6
    rows = np.clip(np.arange(-before, ROWS + behind), 0, ROWS - 1)
    states = matched(test.signals[rows], None)
    np.testing.assert_array_equal(states, ROWS + rows)
    # Inside, a window as long as two blocks has one best place; the middle of a block is certain.
    centres = decode_centre_rows(matched, test, 2 * WINDOW)
    assert np.abs(centres.state - test.state[centres.rows]).max() <= 1


def test_states_are_interpolated_and_clipped_rows_do_not_count() -> None:
    train = split_of(["face_001", "pocket_001"])
    state = np.clip(np.arange(ROWS) - 4.5, 0, ROWS - 1).astype(np.float32)
    train = replace(train, state=np.concatenate([state, ROWS + state]))
    aligned, other = state_signals(train, tiny_programs(train), None)
    states, aligned_signals = aligned
    assert states.tolist() == list(range(1, ROWS - 5))
    assert other[0].tolist() == list(range(ROWS + 1, 2 * ROWS - 5))
    signals = standardise(train.signals[:ROWS])
    between = (signals[5:-1] + signals[6:]) / 2
    np.testing.assert_allclose(aligned_signals, between[: len(states)])
    clipped = np.flatnonzero(state == 0)
    order = np.arange(2 * ROWS)
    order[clipped] = clipped[::-1]
    swapped = replace(train, signals=train.signals[order])
    again, _ = state_signals(swapped, tiny_programs(train), None)
    np.testing.assert_allclose(again[1], aligned_signals, atol=1e-6)
    # States that no recording passes have the template of the nearest one.
    matched = fitted(train, FilterOptions(1, 0.0, None, DISTANCE))
    np.testing.assert_allclose(matched.pattern[0], matched.pattern[1])
    np.testing.assert_allclose(matched.pattern[ROWS - 5], matched.pattern[ROWS - 6])


def test_channels_that_do_not_repeat_have_no_weight() -> None:
    train = split_of(RECORDINGS["train"], noise=0.1)
    signals = train.signals.copy()
    signals[:, 0] = np.random.default_rng(1).normal(size=len(signals))
    noisy = replace(train, signals=signals)
    weighted, unweighted = (
        np.abs(fitted(noisy, FilterOptions(1, exponent, None, DISTANCE)).pattern).max(0)
        for exponent in (1.0, 0.0)
    )
    ratio = weighted / unweighted
    assert ratio[0] < 0.01 * ratio[1 : len(BLOCKS)].min()


def test_options_are_those_that_are_best_on_val() -> None:
    train, val = split_of(RECORDINGS["train"], noise=1.5), split_of(RECORDINGS["val"], noise=1.5)
    programs = tiny_programs(train)
    default = tune_matched_filter(train, None, programs, WINDOW)
    assert (default.options, default.val_within_1s) == (FilterOptions(), None)
    tuned = tune_matched_filter(train, val, programs, WINDOW)
    shares = {}
    for options in (default.options, tuned.options):
        centres = decode_centre_rows(fitted(train, options), val, WINDOW)
        error = np.abs(centres.state - val.state[centres.rows]) * STEP_SECONDS
        shares[options] = float((error <= 1.0).mean())
    assert tuned.val_within_1s == pytest.approx(shares[tuned.options])
    assert shares[tuned.options] > shares[default.options]


def test_each_row_has_the_state_of_its_assigned_window() -> None:
    train, val, test = (split_of(RECORDINGS[name]) for name in ("train", "val", "test"))
    programs = tiny_programs(train)
    matched = tune_matched_filter(train, val, programs, WINDOW)
    rows = np.arange(len(test.block))
    predictions = filter_predictions(BaselineInput(train, test, rows, programs, WINDOW), matched)
    state, whole = (predictions[name].state for name in (FILTER, FILTER_WHOLE))
    assert state is not None
    assert whole is not None
    assert (np.abs(state - test.state) <= 4).mean() > 0.7
    assert (np.abs(whole - test.state) <= 4).mean() > 0.99
    for row in rows:
        own = np.flatnonzero(test.recording == test.recording[row])
        starts = test.window_start[(test.window_start <= row) & (row < test.window_start + WINDOW)]
        starts = starts[np.isin(starts, own)]
        distance = np.abs(row - starts - (WINDOW - 1) / 2)
        nearest = starts[distance == distance.min()]
        windows = matched.window_states(test.signals[own], WINDOW)
        assert state[row] in [windows[start - own[0], row - start] for start in nearest]
