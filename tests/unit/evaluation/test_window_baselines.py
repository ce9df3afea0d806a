"""Nearest neighbour and extra trees on small splits where the right prediction is known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from learning_data import CHANNELS, OPERATIONS, RECORDINGS, ROWS, WINDOW, tiny_programs, tiny_split
from lettered_splits import WINDOW as LETTERED_WINDOW
from lettered_splits import split_of
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.baselines import windows
from gcodefp.evaluation.baselines.baseline_input import BaselineInput
from gcodefp.evaluation.baselines.windows import (
    densest_votes,
    environment_only,
    extra_trees,
    nearest_neighbour,
    select_train_rows,
    window_means,
    windows_around,
)
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import ENVIRONMENT, NEIGHBOUR, TREES, TREES_WHOLE

TRAIN, TEST = tiny_split(RECORDINGS["train"]), tiny_split(RECORDINGS["test"])
EVERY_ROW = np.arange(len(TEST.block))
TASK = BaselineInput(TRAIN, TEST, EVERY_ROW, tiny_programs(TRAIN), WINDOW)


def state_of(predictions: RowPredictions) -> NDArray[np.int64]:
    assert predictions.state is not None
    return predictions.state


# Windows


def test_windows_are_averaged_in_equal_parts_and_stay_in_their_recording() -> None:
    values = np.arange(12.0).reshape(6, 2)
    start = np.array([0, 2])
    np.testing.assert_allclose(window_means(values, start, 4, 2), [[1, 2, 5, 6], [5, 6, 9, 10]])
    assert window_means(values, start, 4, 8).shape == (2, 4 * 2)
    split = split_of([(0, "aaaaaa"), (0, "aaaa")])
    assert windows_around(split, 4).tolist() == [0, 0, 0, 1, 2, 2, 6, 6, 6, 6]


def test_only_rows_in_train_windows_are_candidates_thinned_out_evenly() -> None:
    split = split_of([(0, "a" * 40), (0, "b" * 10)])
    assert select_train_rows(split, LETTERED_WINDOW, 100).tolist() == list(range(40))
    assert select_train_rows(split, LETTERED_WINDOW, 39).tolist() == list(range(0, 40, 2))


@pytest.mark.parametrize("window", [1, WINDOW + 1, ROWS])
def test_compared_windows_do_not_cross_recordings(window: int) -> None:
    before = windows._bin_means(TEST, EVERY_ROW, window)
    assert before.shape == (3 * ROWS, min(window, windows.NEIGHBOUR_BINS) * CHANNELS)
    middle = TEST.recording == 1
    loud = replace(TEST, signals=TEST.signals + 100 * ~middle[:, None])
    after = windows._bin_means(loud, EVERY_ROW, window)
    np.testing.assert_allclose(after[middle], before[middle], atol=1e-4)


# Nearest neighbour


def neighbours(**changed: Any) -> NDArray[np.int64]:
    """The train row that is nearest to each row: each has a block of its own, its number."""
    names = np.array([f"X{i}" for i in range(len(TRAIN.block))])
    train = replace(TRAIN, blocks=names, block=np.arange(len(names), dtype=np.int32))
    blocks = nearest_neighbour(TASK._replace(train=train, **changed))[NEIGHBOUR].blocks
    return np.array([int(block[1:]) for block in blocks])


def test_neighbour_of_a_train_row_is_that_row() -> None:
    test = tiny_split([RECORDINGS["train"][i] for i in (4, 1)])
    rows = np.array([0, 5, 31, 32, 40, 63])
    expected = np.where(rows < ROWS, rows + 4 * ROWS, rows)
    nearest = neighbours(test=test, rows=rows)
    # At the ends of a recording rows share one window, and any of them is right.
    assert nearest[[1, 4]].tolist() == expected[[1, 4]].tolist()
    assert (np.abs(nearest - expected) <= WINDOW // 2).all()


def test_neighbours_are_right_and_among_few_train_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = nearest_neighbour(TASK)[NEIGHBOUR]
    assert np.mean(predictions.blocks == TEST.blocks[TEST.block]) > 0.5
    assert np.mean(np.abs(state_of(predictions) - TEST.state) <= 2) > 0.8
    monkeypatch.setattr(windows, "NEIGHBOUR_TRAIN_ROWS", 50)
    thinned = neighbours()
    assert set(thinned % 4) == {0}
    assert thinned.max() > 4 * ROWS


# Extra trees


def trees(name: str = TREES, **changed: Any) -> RowPredictions:
    return extra_trees(TASK._replace(**changed))[name]


def test_trees_predict_program_state_and_operation_of_windows() -> None:
    predictions = trees()
    assert predictions.program is not None
    assert predictions.program.tolist() == TEST.program.tolist()
    assert predictions.operation.tolist() == TEST.operation.tolist()
    state = state_of(predictions)
    assert (np.abs(state - TEST.state) <= 3).mean() > 0.8
    assert predictions.blocks.tolist() == TASK.programs.block[state].tolist()
    np.testing.assert_array_equal(predictions.position_mm, TASK.programs.position_mm[state])


def test_trees_lay_a_recording_over_its_program_as_a_whole() -> None:
    # Three states are missing at the start of each recording, as if it had been started late.
    rows = np.flatnonzero(TEST.state % ROWS >= 3)
    assert np.abs(state_of(trees(TREES_WHOLE, rows=rows)) - TEST.state[rows]).max() <= 1
    # Rows that the sensors do not tell apart follow from the others.
    silent = TEST.signals.copy()
    silent[np.isin(TEST.state % ROWS, [10, 11, 12, 13])] = 0
    predictions = trees(TREES_WHOLE, test=replace(TEST, signals=silent))
    assert np.abs(state_of(predictions) - TEST.state).max() <= 1
    # The recording goes on for twice as many rows as its program has states.
    long = tiny_split(["face_006"], rows=2 * ROWS)
    state = state_of(trees(TREES_WHOLE, test=long, rows=np.arange(2 * ROWS)))
    assert set(np.diff(state)) <= {0, 1}
    assert (state.min() >= 0, state.max()) == (True, ROWS - 1)


def test_jobs_and_the_order_of_rows_do_not_change_the_predictions() -> None:
    one = extra_trees(TASK)
    two, turned = (extra_trees(TASK._replace(jobs=2, rows=r)) for r in (EVERY_ROW, EVERY_ROW[::-1]))
    for name, predictions in one.items():
        for field, values in predictions._asdict().items():
            np.testing.assert_array_equal(values, getattr(two[name], field))
        assert predictions.operation.tolist() == turned[name].operation[::-1].tolist()


def test_trees_are_grown_on_few_rows_of_train_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    leaky = replace(TRAIN, window_start=np.arange(0, ROWS - WINDOW + 1, dtype=np.int32))
    predictions = trees(train=leaky)
    assert set(predictions.operation.tolist()) == {OPERATIONS.index("face")}
    assert state_of(predictions).max() < ROWS
    monkeypatch.setattr(windows, "TREE_TRAIN_ROWS", len(TRAIN.block) // 4)
    # Every fourth row is left, and only its state can be voted for; rows at the ends of a recording
    # share one window.
    state = state_of(trees())
    inside = state[np.abs(state % ROWS - ROWS / 2) < ROWS / 2 - WINDOW]
    assert set((inside % 4).tolist()) == {0}


def test_densest_votes_are_votes_and_no_means() -> None:
    votes = np.array([[0, 10], [100, 10], [3, 50], [99, 52], [101, 54]])
    assert densest_votes(votes, 4).tolist() == [100, 50]
    # Equally supported: the first tree's.
    assert densest_votes(np.array([[7], [70]]), 4).tolist() == [7]


# Pressure and temperature


def environment(train: Split, test: Split) -> RowPredictions:
    return environment_only(TASK._replace(train=train, test=test))[ENVIRONMENT]


@pytest.mark.parametrize("gaps", [False, True])
def test_pressure_predicts_the_operation_and_not_the_time(gaps: bool) -> None:
    values = TEST.environment.copy()
    values[:, 0] += 0.1
    if gaps:  # The train mean in three of four rows must not drown the others.
        values[np.arange(len(values)) % 4 != 0] = np.nan
    predictions = environment(TRAIN, replace(TEST, environment=values))
    assert predictions.operation.tolist() == TEST.operation.tolist()
    assert (np.abs(state_of(predictions) - TEST.state) <= 2).mean() < 0.4


def test_missing_environment_is_that_of_the_train_mean() -> None:
    # A third operation has the mean of the other two.
    joined = tiny_split((*RECORDINGS["train"], "face_007", "pocket_007"))
    is_third = joined.recording >= len(RECORDINGS["train"])
    values = np.where(is_third[:, None], TRAIN.environment.mean(0), joined.environment)
    operation = np.where(is_third, 2, joined.operation)
    test = replace(TEST, environment=np.full_like(TEST.environment, np.nan))
    train = replace(joined, environment=values, operation=operation)
    assert set(environment(train, test).operation.tolist()) == {2}
    # Without any value the majority is left.
    train = tiny_split(("face_001", "pocket_001", "pocket_002"))
    train = replace(train, environment=np.full_like(train.environment, np.nan))
    predictions = environment(train, test)
    assert set(predictions.operation.tolist()) == {OPERATIONS.index("pocket")}
