"""Baselines on small splits where the right prediction is known; all of them together."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import RECORDINGS, ROWS, STEP_SECONDS, of_no_program, tiny_programs, tiny_split
from lettered_splits import task_of
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.windows import window_starts
from gcodefp.evaluation.baselines import time_warping as warping
from gcodefp.evaluation.baselines.baseline_input import BaselineInput
from gcodefp.evaluation.baselines.lookups import elapsed_time, majority_of_operation
from gcodefp.evaluation.baselines.suite import run_baselines
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import (
    BASELINE,
    ELAPSED,
    MAJORITY_PRIVILEGED,
    PREDICTORS,
    PRIVILEGED,
    WARPING,
    WARPING_WHOLE,
)

WINDOW = 16
"""Rows; the two programs have no three neighbouring blocks in common, which any window has."""


def blocks_of(predictions: RowPredictions) -> str:
    return "".join(predictions.blocks.tolist())


# Without sensors


def test_majority_of_the_true_operation() -> None:
    task = task_of([(0, "aab"), (1, "cccc"), (0, "bba")], [(0, "cd"), (1, "a"), (-1, "a")])
    predictions = majority_of_operation(task)[MAJORITY_PRIVILEGED]
    # Operation 0 has a and b equally often; -1 gets the majority of all rows.
    assert blocks_of(predictions) == "aacc"
    assert predictions.operation.tolist() == [0, 0, 1, -1]
    task = task._replace(rows=np.array([2, 0]))
    assert blocks_of(majority_of_operation(task)[MAJORITY_PRIVILEGED]) == "ca"


def test_elapsed_time_goes_by_seconds_and_counts_recordings() -> None:
    programs = [(0, "aabbbc"), (1, "ccbadddd")]
    predictions = elapsed_time(task_of(programs * 3, programs[::-1]))[ELAPSED]
    assert blocks_of(predictions) == "ccbaddddaabbbc"
    assert predictions.operation.tolist() == [1] * 8 + [0] * 6
    # Between two rows the earlier one holds, and after the end the last of all.
    task = task_of([(0, "abcd")], [(0, "xxxxxxxxxx")], (0.5, 0.25))
    assert blocks_of(elapsed_time(task)[ELAPSED]) == "aabbccdddd"
    train = [(0, "ab"), (0, "bcc"), (0, "bcdd"), (1, "eeeeeeeeee")]
    task = task_of(train, [(0, "xxxxx"), (-1, "xx"), (1, "xx")])
    # From the third row on: b of the recording that ended, c, d: of equals the first.
    assert blocks_of(elapsed_time(task)[ELAPSED]) == "bcbbb" + "ee" + "ee"


# All baselines


def with_windows(split: Split) -> Split:
    starts = window_starts(split.recording, split.seconds, WINDOW, WINDOW // 2, 2.0)
    return replace(split, window_start=starts)


TRAIN, VAL, TEST = (with_windows(tiny_split(RECORDINGS[n])) for n in ("train", "val", "test"))
PROGRAMS = tiny_programs(TRAIN)
EVERY_ROW = np.arange(len(TEST.block))


def task_over(test: Split, rows: NDArray[np.int64] | None = None) -> BaselineInput:
    rows = np.arange(len(test.recording)) if rows is None else rows
    return BaselineInput(TRAIN, test, rows, PROGRAMS, WINDOW)


def test_every_baseline_predicts_every_row_and_sensors_tell_the_program() -> None:
    task = task_over(TEST, EVERY_ROW[3:-3])
    predictions = run_baselines(task, None).predictions
    kinds = {name: predictor.kind for name, predictor in PREDICTORS.items()}
    assert set(predictions) == {n for n, kind in kinds.items() if kind in (BASELINE, PRIVILEGED)}
    for name, predicted in predictions.items():
        assert len(predicted.blocks) == len(predicted.operation) == len(task.rows)
        if predicted.state is None:
            assert name.startswith(("majority", "elapsed"))
            continue
        assert (predicted.program == TEST.program[task.rows]).mean() > 0.95, name
        assert (PROGRAMS.program_of_state()[predicted.state] == predicted.program).all()
        assert (PROGRAMS.block[predicted.state] == predicted.blocks).mean() > 0.95
        assert (predicted.operation == TEST.operation[task.rows]).mean() > 0.95


def test_predictions_use_no_label_of_the_test_split() -> None:
    nothing = dict.fromkeys(("block", "operation", "line", "lag_corrected_row"), 0 * TEST.block)
    blind = replace(of_no_program(TEST), **nothing)
    seen, unseen = (run_baselines(task_over(split), VAL) for split in (TEST, blind))
    assert seen.tuned == unseen.tuned
    for name, predicted in seen.predictions.items():
        if PREDICTORS[name].kind == PRIVILEGED:
            continue
        for field, values in predicted._asdict().items():
            np.testing.assert_array_equal(values, getattr(unseen.predictions[name], field))


# Dynamic time warping


def errors(test: Split) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the states of windows and of whole recordings, in states."""
    predictions = warping.time_warping(task_over(test))
    by_window, whole = (predictions[name].state for name in (WARPING, WARPING_WHOLE))
    assert by_window is not None
    assert whole is not None
    return np.abs(by_window - test.state), np.abs(whole - test.state)


@pytest.mark.parametrize(
    "rows",
    [
        np.arange(9, 27),
        np.concatenate([np.arange(16), np.full(3, 16), np.arange(17, ROWS)]),
        np.delete(np.arange(ROWS), [13, 14]),
    ],
    ids=["begins late and ends early", "waits", "skips"],
)
def test_a_recording_may_be_cut_wait_or_skip(rows: NDArray[np.int64]) -> None:
    # One recording with these rows of the test split's second.
    changed = {
        "signals": TEST.signals[ROWS + rows],
        "recording": np.zeros(len(rows), np.int16),
        "seconds": np.arange(len(rows)) * STEP_SECONDS,
        "state": TEST.state[ROWS + rows],
    }
    _, error = errors(with_windows(replace(TEST, **changed)))
    assert error.max() <= 2
    assert (error <= 1).mean() > 0.85


def test_long_recordings_are_warped_by_means_of_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert max(error.max() for error in errors(TEST)) <= 1
    monkeypatch.setattr(warping, "MAX_CELLS", ROWS * ROWS // 4)
    _, error = errors(TEST)
    assert error.max() <= 3
    assert (error <= 1).mean() > 0.85


def test_rows_outside_of_windows_and_other_recordings_change_nothing() -> None:
    def states(test: Split) -> NDArray[np.int64]:
        state = warping.time_warping(task_over(test))[WARPING].state
        assert state is not None
        return state

    only_last = states(replace(TEST, window_start=TEST.window_start[-1:]))
    assert not only_last[:-WINDOW].any()
    assert np.abs(only_last[-WINDOW:] - TEST.state[-WINDOW:]).max() <= 1
    loud = replace(TEST, signals=TEST.signals.copy())
    loud.signals[:ROWS] *= 100
    assert states(loud)[ROWS:].tolist() == states(TEST)[ROWS:].tolist()
