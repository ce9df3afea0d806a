"""Baselines on small splits where the right prediction is known."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from learning_data import CHANNELS, RECORDINGS, ROWS, tiny_split
from learning_data import WINDOW as TINY_WINDOW
from lettered_splits import WINDOW, every_row, split_of
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation import baselines
from gcodefp.evaluation.baselines import (
    elapsed_time,
    environment_only,
    extra_trees,
    majority_of_operation,
    nearest_neighbour,
    select_train_rows,
    window_means,
    windows_around,
)

BLOCK_ROWS = 24


def text(blocks: NDArray[np.str_]) -> str:
    return "".join(blocks.tolist())


# Without sensors


def test_majority_of_the_true_operation() -> None:
    train = split_of([(0, "aab"), (1, "cccc"), (0, "bba")])
    test = split_of([(0, "cd"), (1, "a"), (-1, "a")])
    predictions = majority_of_operation(train, test, every_row(test))
    # Operation 0 has a and b equally often; -1 gets the majority of all rows.
    assert text(predictions.blocks) == "aacc"
    assert predictions.operation.tolist() == [0, 0, 1, -1]
    assert text(majority_of_operation(train, test, np.array([2, 0])).blocks) == "ca"


def test_elapsed_time_is_always_right_on_identical_replays() -> None:
    programs = [(0, "aabbbc"), (1, "ccbadddd")]
    train, test = split_of(programs * 3), split_of(programs[::-1])
    predictions = elapsed_time(train, test, every_row(test))
    assert text(predictions.blocks) == "ccbaddddaabbbc"
    assert predictions.operation.tolist() == test.operation.tolist()
    assert text(elapsed_time(train, test, np.array([9, 0])).blocks) == "ac"


def test_elapsed_time_goes_by_seconds_and_counts_recordings() -> None:
    train, test = split_of([(0, "abcd")], 0.5), split_of([(0, "xxxxxxxxxx")], 0.25)
    # Between two rows the earlier one holds, and after the end the last of all.
    assert text(elapsed_time(train, test, every_row(test)).blocks) == "aabbccdddd"
    train = split_of([(0, "ab"), (0, "bcc"), (0, "bcdd"), (1, "eeeeeeeeee")])
    test = split_of([(0, "xxxxx"), (-1, "xx"), (1, "xx")])
    # From the third row on: b of the recording that ended, c, d: of equals the first.
    assert text(elapsed_time(train, test, every_row(test)).blocks) == "bcbbb" + "ee" + "ee"


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
    assert select_train_rows(split, WINDOW, 100).tolist() == list(range(40))
    assert select_train_rows(split, WINDOW, 39).tolist() == list(range(0, 40, 2))


@pytest.mark.parametrize("window", [1, TINY_WINDOW + 1, ROWS])
def test_compared_windows_do_not_cross_recordings(window: int) -> None:
    split = tiny_split(RECORDINGS["test"])
    before = baselines._bin_means(split, window)
    assert before.shape == (3 * ROWS, min(window, baselines.BINS) * CHANNELS)
    middle = split.recording == 1
    loud = replace(split, signals=split.signals + 100 * ~middle[:, None])
    after = baselines._bin_means(loud, window)
    np.testing.assert_allclose(after[middle], before[middle], atol=1e-4)


# Nearest neighbour


def named_rows(split: Split) -> Split:
    """Each row with a block of its own, its number."""
    names = np.array([f"X{i}" for i in range(len(split.block))])
    return replace(split, blocks=names, block=np.arange(len(names), dtype=np.int32))


def neighbours(train: Split, test: Split, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    blocks = nearest_neighbour(named_rows(train), test, rows, TINY_WINDOW).blocks
    return np.array([int(block[1:]) for block in blocks])


def test_neighbour_of_a_train_row_is_that_row() -> None:
    train = tiny_split(RECORDINGS["train"])
    test = tiny_split([RECORDINGS["train"][i] for i in (4, 1)])
    rows = np.array([0, 5, 31, 32, 40, 63])
    expected = np.where(rows < ROWS, rows + 4 * ROWS, rows)
    nearest = neighbours(train, test, rows)
    # At the ends of a recording rows share one window, and any of them is right.
    assert nearest[[1, 4]].tolist() == expected[[1, 4]].tolist()
    assert (np.abs(nearest - expected) <= TINY_WINDOW // 2).all()


def test_neighbour_uses_no_test_label(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = tiny_split(RECORDINGS["train"]), tiny_split(RECORDINGS["test"])
    rows = np.arange(len(test.block))
    predictions = nearest_neighbour(train, test, rows, TINY_WINDOW)
    blind = replace(test, blocks=np.array(["M5"]), block=np.zeros_like(test.block))
    again = nearest_neighbour(train, blind, rows, TINY_WINDOW)
    assert np.array_equal(again.blocks, predictions.blocks)
    assert np.mean(predictions.blocks == test.blocks[test.block]) > 0.5
    assert np.mean(predictions.operation == test.operation) > 0.95
    monkeypatch.setattr(baselines, "NEIGHBOUR_TRAIN_ROWS", 50)
    thinned = neighbours(train, test, rows)
    assert set(thinned % 4) == {0}
    assert thinned.max() > 4 * ROWS


# Forests


def orders(*letters: str) -> list[tuple[int, str]]:
    """Recordings, in turn of operation 0 and 1, with BLOCK_ROWS rows of each letter."""
    return [(i % 2, "".join(x * BLOCK_ROWS for x in order)) for i, order in enumerate(letters)]


TRAIN = orders("abc", "abc", "cab", "cab", "bca", "bca", "acb", "acb")
TEST = orders("bac", "cba")


def sensed(recordings: list[tuple[int, str]], seed: int) -> Split:
    """A channel for each block: 2 while it runs. The last alternates, wider in operation 1."""
    letters = "".join(blocks for _, blocks in recordings)
    operation = np.repeat([o for o, _ in recordings], [len(blocks) for _, blocks in recordings])
    signals = 0.1 * np.random.default_rng(seed).normal(size=(len(letters), 4))
    signals[np.arange(len(letters)), ["abc".index(letter) for letter in letters]] += 2
    signals[:, 3] += np.tile([1, -1], len(letters))[: len(letters)] * (1 + 2 * operation)
    return split_of(recordings, signals=signals.astype(np.float32))


@pytest.fixture(scope="module")
def pair() -> tuple[Split, Split]:
    return sensed(TRAIN, 0), sensed(TEST, 1)


def test_trees_predict_blocks_by_means_and_operations_by_deviations(
    pair: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = pair
    rows = every_row(test)
    predictions = extra_trees(train, test, rows, WINDOW, seed=3, jobs=1)
    assert predictions.operation.tolist() == test.operation.tolist()
    correct = predictions.blocks == test.blocks[test.block]
    # Where at least half of a window lies on the block, there is no doubt.
    assert correct[np.abs(rows % BLOCK_ROWS - BLOCK_ROWS / 2) <= BLOCK_ROWS / 4].all()
    assert correct.mean() > 0.85
    # Jobs and chunks change nothing.
    monkeypatch.setattr(baselines, "ROWS_PER_CHUNK", 7)
    again = extra_trees(train, test, rows[::-1], WINDOW, seed=3, jobs=2)
    assert again.blocks[::-1].tolist() == predictions.blocks.tolist()
    assert again.operation[::-1].tolist() == predictions.operation.tolist()


def test_trees_are_grown_on_rows_of_train_windows(
    pair: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = pair
    leaky = SimpleNamespace(**vars(train))
    leaky.window_start = np.arange(0, 2 * BLOCK_ROWS - WINDOW + 1)
    predictions = extra_trees(cast(Split, leaky), test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(predictions.blocks.tolist()) == {"a", "b"}
    assert set(predictions.operation.tolist()) == {0}
    monkeypatch.setattr(baselines, "TREE_TRAIN_ROWS", len(train.block) // 3)
    grown_on: list[int] = []
    grow = baselines._grow

    def watched(features: NDArray[np.float32], *arguments: Any) -> Any:
        grown_on.append(len(features))
        return grow(features, *arguments)

    monkeypatch.setattr(baselines, "_grow", watched)
    extra_trees(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(grown_on) == {len(train.block) // 3}


# Pressure and temperature: these splits have no signals at all


def with_environment(
    recordings: list[tuple[int, str]], kilopascal: tuple[float, float] = (100.0, 101.0)
) -> Split:
    """A pressure of each operation, with a little noise, and no temperature in operation 1."""
    split = split_of(recordings)
    random = np.random.default_rng(len(recordings))
    pressure = np.array(kilopascal)[split.operation] + 0.01 * random.normal(size=len(split.block))
    split.environment = np.stack([pressure, np.full(len(pressure), 30.0)], 1).astype(np.float32)
    split.environment[split.operation == 1, 1] = np.nan
    return split


@pytest.mark.parametrize("gaps", [False, True])
def test_pressure_predicts_the_operation_and_not_the_block(gaps: bool) -> None:
    train, test = with_environment(TRAIN), with_environment(TEST, (100.1, 100.9))
    if gaps:  # The train mean, 100.5 kPa, in three of four rows must not drown the others.
        test.environment[np.arange(len(test.block)) % 4 != 0] = np.nan
    predictions = environment_only(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert predictions.operation.tolist() == test.operation.tolist()
    assert (predictions.blocks == test.blocks[test.block]).mean() < 0.6


def test_missing_environment_is_that_of_the_train_mean() -> None:
    # Operation 2 has the mean of the other two.
    train = split_of([*TRAIN, *[(2, blocks) for _, blocks in TRAIN]])
    train.environment = np.tile(with_environment(TRAIN).environment, (2, 1))
    train.environment[train.operation == 2] = 100.5, 30.0
    test = split_of(TEST)
    test.environment = np.full((len(test.block), 2), np.nan, np.float32)
    predictions = environment_only(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(predictions.operation.tolist()) == {2}


def test_no_environment_at_all_leaves_the_majority() -> None:
    train, test = split_of([(1, "a" * 40), (0, "b" * 60)]), split_of([(1, "a" * 20)])
    for split in (train, test):
        split.environment = np.full((len(split.block), 2), np.nan, np.float32)
    predictions = environment_only(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(predictions.blocks.tolist()) == {"b"}
    assert set(predictions.operation.tolist()) == {0}
