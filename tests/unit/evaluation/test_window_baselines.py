"""Nearest neighbour and extra trees on small splits where the right prediction is known."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import (
    CHANNELS,
    OPERATIONS,
    RECORDINGS,
    ROWS,
    WINDOW,
    tiny_programs,
    tiny_split,
)
from lettered_splits import WINDOW as LETTERED_WINDOW
from lettered_splits import split_of
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation import window_baselines
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.window_baselines import (
    TreePredictions,
    densest_votes,
    environment_only,
    extra_trees,
    nearest_neighbour,
    select_train_rows,
    window_means,
    windows_around,
)

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
    split = tiny_split(RECORDINGS["test"])
    before = window_baselines._bin_means(split, window)
    assert before.shape == (3 * ROWS, min(window, window_baselines.NEIGHBOUR_BINS) * CHANNELS)
    middle = split.recording == 1
    loud = replace(split, signals=split.signals + 100 * ~middle[:, None])
    after = window_baselines._bin_means(loud, window)
    np.testing.assert_allclose(after[middle], before[middle], atol=1e-4)


# Nearest neighbour


def named_rows(split: Split) -> Split:
    """Each row with a block of its own, its number."""
    names = np.array([f"X{i}" for i in range(len(split.block))])
    return replace(split, blocks=names, block=np.arange(len(names), dtype=np.int32))


def neighbours(train: Split, test: Split, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    blocks = nearest_neighbour(named_rows(train), test, rows, WINDOW).blocks
    return np.array([int(block[1:]) for block in blocks])


def test_neighbour_of_a_train_row_is_that_row() -> None:
    train = tiny_split(RECORDINGS["train"])
    test = tiny_split([RECORDINGS["train"][i] for i in (4, 1)])
    rows = np.array([0, 5, 31, 32, 40, 63])
    expected = np.where(rows < ROWS, rows + 4 * ROWS, rows)
    nearest = neighbours(train, test, rows)
    # At the ends of a recording rows share one window, and any of them is right.
    assert nearest[[1, 4]].tolist() == expected[[1, 4]].tolist()
    assert (np.abs(nearest - expected) <= WINDOW // 2).all()


def test_neighbour_uses_no_test_label(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = tiny_split(RECORDINGS["train"]), tiny_split(RECORDINGS["test"])
    rows = np.arange(len(test.block))
    predictions = nearest_neighbour(train, test, rows, WINDOW)
    blind = replace(test, blocks=np.array(["M5"]), block=np.zeros_like(test.block))
    again = nearest_neighbour(train, blind, rows, WINDOW)
    assert np.array_equal(again.blocks, predictions.blocks)
    assert np.mean(predictions.blocks == test.blocks[test.block]) > 0.5
    assert np.mean(predictions.operation == test.operation) > 0.95
    # Operations are programs, and there is no lag.
    assert predictions.state is not None
    assert np.mean(np.abs(predictions.state - test.state) <= 2) > 0.8
    monkeypatch.setattr(window_baselines, "NEIGHBOUR_TRAIN_ROWS", 50)
    thinned = neighbours(train, test, rows)
    assert set(thinned % 4) == {0}
    assert thinned.max() > 4 * ROWS


# Extra trees


TRAIN, TEST = tiny_split(RECORDINGS["train"]), tiny_split(RECORDINGS["test"])
EVERY_ROW = np.arange(len(TEST.block))


def trees(
    train: Split = TRAIN, test: Split = TEST, rows: NDArray[np.int64] = EVERY_ROW, jobs: int = 1
) -> TreePredictions:
    return extra_trees(train, test, rows, tiny_programs(TRAIN), WINDOW, seed=3, jobs=jobs)


def state_of(predictions: RowPredictions) -> NDArray[np.int64]:
    assert predictions.state is not None
    return predictions.state


def test_trees_predict_program_state_and_operation_of_windows() -> None:
    predictions, programs = trees().windows, tiny_programs(TRAIN)
    assert predictions.program is not None
    assert predictions.program.tolist() == TEST.program.tolist()
    assert predictions.operation.tolist() == TEST.operation.tolist()
    state = state_of(predictions)
    assert (np.abs(state - TEST.state) <= 2).mean() > 0.8
    assert predictions.blocks.tolist() == programs.block[state].tolist()
    np.testing.assert_array_equal(predictions.position_mm, programs.position_mm[state])


def test_trees_lay_a_recording_over_its_program_as_a_whole() -> None:
    # Three states are missing at the start of each recording, as if it had been started late.
    late = TEST.state % ROWS >= 3
    test = tiny_split(RECORDINGS["test"])
    rows = np.flatnonzero(late)
    assert np.abs(state_of(trees(test=test, rows=rows).recordings) - test.state[rows]).max() <= 1
    # Rows that the sensors do not tell apart follow from the others.
    silent = test.signals.copy()
    silent[np.isin(test.state % ROWS, [10, 11, 12, 13])] = 0
    predictions = trees(test=replace(test, signals=silent)).recordings
    assert np.abs(state_of(predictions) - test.state).max() <= 1
    assert predictions.program is not None
    assert predictions.program.tolist() == test.program.tolist()


def test_path_of_a_recording_stays_in_its_program() -> None:
    # The recording goes on for twice as many rows as its program has states.
    long = tiny_split(["face_006"], rows=2 * ROWS)
    state = state_of(trees(test=long, rows=np.arange(2 * ROWS)).recordings)
    assert set(np.diff(state)) <= {0, 1}
    assert (state.min() >= 0, state.max()) == (True, ROWS - 1)


def test_jobs_do_not_change_the_predictions() -> None:
    for one, two in zip(trees(), trees(rows=EVERY_ROW[::-1].copy(), jobs=2), strict=True):
        assert one.operation.tolist() == two.operation[::-1].tolist()
    for one, two in zip(trees(), trees(jobs=2), strict=True):
        for name, values in one._asdict().items():
            np.testing.assert_array_equal(values, getattr(two, name))


def test_trees_use_no_test_label() -> None:
    blind = replace(
        TEST,
        block=np.zeros_like(TEST.block),
        operation=np.zeros_like(TEST.operation),
        program=np.zeros_like(TEST.program),
        state=np.zeros_like(TEST.state),
    )
    for predictions, again in zip(trees(), trees(test=blind), strict=True):
        assert state_of(predictions).tolist() == state_of(again).tolist()


def test_trees_are_grown_on_rows_of_train_windows() -> None:
    leaky = replace(TRAIN, window_start=np.arange(0, ROWS - WINDOW + 1, dtype=np.int32))
    predictions = trees(train=leaky).windows
    assert set(predictions.operation.tolist()) == {OPERATIONS.index("face")}
    assert state_of(predictions).max() < ROWS


def test_trees_need_no_more_than_their_most_train_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_baselines, "TREE_TRAIN_ROWS", len(TRAIN.block) // 4)
    # Every fourth row is left, and only its state can be voted for; rows at the ends of a recording
    # share one window.
    state = state_of(trees().windows)
    inside = state[np.abs(state % ROWS - ROWS / 2) < ROWS / 2 - WINDOW]
    assert set((inside % 4).tolist()) == {0}


def test_densest_votes_are_votes_and_no_means() -> None:
    votes = np.array([[0, 10], [100, 10], [3, 50], [99, 52], [101, 54]])
    assert densest_votes(votes, 4).tolist() == [100, 50]
    # Equally supported: the first tree's.
    assert densest_votes(np.array([[7], [70]]), 4).tolist() == [7]


# Pressure and temperature


def environment(train: Split, test: Split, rows: NDArray[np.int64] = EVERY_ROW) -> RowPredictions:
    return environment_only(train, test, rows, tiny_programs(TRAIN), WINDOW, seed=0, jobs=1)


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
    third = tiny_split(("face_007", "pocket_007"))
    values = np.concatenate([TRAIN.environment, np.full_like(third.environment, np.nan)])
    values[len(TRAIN.environment) :] = TRAIN.environment.mean(0)
    joined = tiny_split((*RECORDINGS["train"], "face_007", "pocket_007"))
    operation = joined.operation.copy()
    operation[len(TRAIN.block) :] = 2
    train = replace(joined, environment=values, operation=operation)
    test = replace(TEST, environment=np.full_like(TEST.environment, np.nan))
    assert set(environment(train, test).operation.tolist()) == {2}


def test_no_environment_at_all_leaves_the_majority() -> None:
    train = tiny_split(("face_001", "pocket_001", "pocket_002"))
    train, test = (
        replace(split, environment=np.full_like(split.environment, np.nan))
        for split in (train, TEST)
    )
    predictions = environment(train, test)
    assert set(predictions.operation.tolist()) == {OPERATIONS.index("pocket")}
    assert predictions.program is not None
    assert set(predictions.program.tolist()) == {1}
