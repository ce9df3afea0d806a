"""Dynamic time warping on recordings that are slower, faster, late or cut."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import RECORDINGS, ROWS, STEP_SECONDS, tiny_programs, tiny_split
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import window_starts
from gcodefp.evaluation.time_warping import (
    OFFSETS,
    Templates,
    features_of,
    fit_templates,
    normalise_recordings,
    warp_recordings,
    warp_windows,
)

WINDOW = 16
"""Rows; the two programs have no three neighbouring blocks in common, which any window has."""


def with_windows(split: Split) -> Split:
    starts = window_starts(split.recording, split.seconds, WINDOW, WINDOW // 2, 2.0)
    return replace(split, window_start=starts)


TRAIN = tiny_split(RECORDINGS["train"])
TEST = with_windows(tiny_split(RECORDINGS["test"]))


@pytest.fixture(scope="module")
def templates() -> Templates:
    return fit_templates(TRAIN, tiny_programs(TRAIN))


def played(rows: NDArray[np.int64]) -> Split:
    """One recording with these rows of the test split's second."""
    source = ROWS + rows
    return with_windows(
        replace(
            TEST,
            signals=TEST.signals[source],
            recording=np.zeros(len(rows), np.int16),
            seconds=np.arange(len(rows)) * STEP_SECONDS,
            state=TEST.state[source],
        )
    )


def test_windows_and_recordings_have_their_states(templates: Templates) -> None:
    assert np.abs(warp_windows(templates, TEST, WINDOW) - TEST.state).max() <= 1
    rows = np.arange(3, len(TEST.block))
    assert np.abs(warp_recordings(templates, TEST, rows) - TEST.state[rows]).max() <= 1


@pytest.mark.parametrize(
    "rows",
    [
        np.arange(9, 27),
        np.concatenate([np.arange(16), np.full(3, 16), np.arange(17, ROWS)]),
        np.delete(np.arange(ROWS), [13, 14]),
    ],
    ids=["begins late and ends early", "waits", "skips"],
)
def test_a_recording_may_be_cut_wait_or_skip(templates: Templates, rows: NDArray[np.int64]) -> None:
    test = played(rows)
    error = np.abs(warp_recordings(templates, test, np.arange(len(rows))) - test.state)
    assert error.max() <= 2
    assert (error <= 1).mean() > 0.85


def test_rows_outside_of_windows_and_other_rows_change_nothing(templates: Templates) -> None:
    only_last = replace(TEST, window_start=TEST.window_start[-1:])
    states = warp_windows(templates, only_last, WINDOW)
    assert not states[:-WINDOW].any()
    assert np.abs(states[-WINDOW:] - TEST.state[-WINDOW:]).max() <= 1
    # A recording is normalised by itself.
    loud = replace(TEST, signals=TEST.signals.copy())
    loud.signals[:ROWS] *= 100
    assert warp_windows(templates, loud, WINDOW)[ROWS:].tolist() == (
        warp_windows(templates, TEST, WINDOW)[ROWS:].tolist()
    )


def test_offset_and_gain_of_a_recording_do_not_count(templates: Templates) -> None:
    amplified = replace(TEST, signals=30 * TEST.signals + 7)
    error = np.abs(warp_windows(templates, amplified, WINDOW) - TEST.state)
    assert (error <= 1).all()


def test_a_constant_channel_stays_finite() -> None:
    dead = replace(TEST, signals=TEST.signals.copy())
    dead.signals[:, 0] = 0
    normalised = normalise_recordings(dead)
    assert not normalised[:, 0].any()
    assert normalised[:, 1:].std() > 0.5


def test_features_repeat_the_ends() -> None:
    features = features_of(np.arange(6.0)[:, None])
    assert features[:, OFFSETS.index(0)].tolist() == [0, 1, 2, 3, 4, 5]
    assert features[0].tolist() == [0, 0, 0, 2, 4]
    assert features[5].tolist() == [1, 3, 5, 5, 5]


def test_a_state_without_rows_has_the_mean_of_the_nearest(templates: Templates) -> None:
    # The first two states of the second program are not in any train recording.
    state = TRAIN.state.copy()
    is_second = TRAIN.program == 1
    state[is_second] = np.maximum(state[is_second], ROWS + 2)
    fitted = fit_templates(replace(TRAIN, state=state), tiny_programs(TRAIN))
    np.testing.assert_array_equal(fitted.states[ROWS], fitted.states[ROWS + 2])
    assert not np.array_equal(fitted.states[ROWS - 1], fitted.states[ROWS])
    assert templates.states.shape == fitted.states.shape
