"""Dynamic time warping on recordings that are slower, faster, late or cut."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import RECORDINGS, ROWS, STEP_SECONDS, tiny_programs, tiny_split
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import window_starts
from gcodefp.evaluation import time_warping
from gcodefp.evaluation.time_warping import warp_recordings, warp_windows
from gcodefp.model.templates import Templates, fit_templates

WINDOW = 16
"""Rows; the two programs have no three neighbouring blocks in common, which any window has."""


def with_windows(split: Split) -> Split:
    starts = window_starts(split.recording, split.seconds, WINDOW, WINDOW // 2, 2.0)
    return replace(split, window_start=starts)


TRAIN = tiny_split(RECORDINGS["train"])
PROGRAMS = tiny_programs(TRAIN)
TEST = with_windows(tiny_split(RECORDINGS["test"]))


@pytest.fixture(scope="module")
def templates() -> Templates:
    return fit_templates(TRAIN, PROGRAMS)


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
    assert np.abs(warp_windows(templates, PROGRAMS, TEST, WINDOW) - TEST.state).max() <= 1
    rows = np.arange(3, len(TEST.block))
    assert np.abs(warp_recordings(templates, PROGRAMS, TEST, rows) - TEST.state[rows]).max() <= 1


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
    error = np.abs(warp_recordings(templates, PROGRAMS, test, np.arange(len(rows))) - test.state)
    assert error.max() <= 2
    assert (error <= 1).mean() > 0.85


def test_long_recordings_are_warped_by_means_of_their_rows(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_warping, "MAX_CELLS", ROWS * ROWS // 4)
    rows = np.arange(len(TEST.block))
    error = np.abs(warp_recordings(templates, PROGRAMS, TEST, rows) - TEST.state)
    assert error.max() <= 3
    assert (error <= 1).mean() > 0.85


def test_rows_outside_of_windows_and_other_rows_change_nothing(templates: Templates) -> None:
    only_last = replace(TEST, window_start=TEST.window_start[-1:])
    states = warp_windows(templates, PROGRAMS, only_last, WINDOW)
    assert not states[:-WINDOW].any()
    assert np.abs(states[-WINDOW:] - TEST.state[-WINDOW:]).max() <= 1
    # No recording has a part in another's states.
    loud = replace(TEST, signals=TEST.signals.copy())
    loud.signals[:ROWS] *= 100
    assert warp_windows(templates, PROGRAMS, loud, WINDOW)[ROWS:].tolist() == (
        warp_windows(templates, PROGRAMS, TEST, WINDOW)[ROWS:].tolist()
    )
