"""What forests on the statistics of a window, and on the weather, have to answer."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from lettered_splits import WINDOW, every_row, split_of
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation import baselines as trees
from gcodefp.evaluation.baselines import environment_only, extra_trees

STRETCH = 24
"""Rows of one block."""


def sensed(recordings: list[tuple[int, str]], seed: int) -> Split:
    """Channel of each block: 2 while it runs. The last: alternates, wider for operation 1."""
    letters = "".join(blocks for _, blocks in recordings)
    operation = np.repeat([o for o, _ in recordings], [len(blocks) for _, blocks in recordings])
    signals = 0.1 * np.random.default_rng(seed).normal(size=(len(letters), 4))
    signals[np.arange(len(letters)), ["abc".index(letter) for letter in letters]] += 2
    signals[:, 3] += np.tile([1, -1], len(letters))[: len(letters)] * (1 + 2 * operation)
    return split_of(recordings, signals=signals.astype(np.float32))


def segments(*orders: str) -> list[tuple[int, str]]:
    """Recordings, in turn of operation 0 and 1, with STRETCH rows of each letter."""
    return [(i % 2, "".join(x * STRETCH for x in order)) for i, order in enumerate(orders)]


TRAIN = segments("abc", "abc", "cab", "cab", "bca", "bca", "acb", "acb")
TEST = segments("bac", "cba")


@pytest.fixture(scope="module")
def pair() -> tuple[Split, Split]:
    return sensed(TRAIN, 0), sensed(TEST, 1)


def test_trees_tell_blocks_by_means_and_operations_by_deviations(pair: tuple[Split, Split]) -> None:
    train, test = pair
    rows = every_row(test)
    answers = extra_trees(train, test, rows, WINDOW, seed=0, jobs=1)
    assert answers.operation.tolist() == test.operation.tolist()
    right = answers.blocks == test.blocks[test.block]
    # Where a window lies wholly in a stretch, or half a window has passed, there is no doubt.
    middle = np.abs(rows % STRETCH - STRETCH / 2) <= STRETCH / 4
    assert right[middle].all()
    assert right.mean() > 0.85


def test_trees_answer_the_same_with_more_jobs_and_smaller_chunks(
    pair: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = pair
    rows = every_row(test)
    once = extra_trees(train, test, rows, WINDOW, seed=3, jobs=1)
    monkeypatch.setattr(trees, "ROWS_AT_A_TIME", 7)
    again = extra_trees(train, test, rows[::-1], WINDOW, seed=3, jobs=2)
    assert again.blocks[::-1].tolist() == once.blocks.tolist()
    assert again.operation[::-1].tolist() == once.operation.tolist()


def test_trees_know_only_what_a_train_window_shows(pair: tuple[Split, Split]) -> None:
    train, test = pair
    leaky = SimpleNamespace(**vars(train))
    leaky.window_start = np.arange(0, 2 * STRETCH - WINDOW + 1)
    answers = extra_trees(cast(Split, leaky), test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(answers.blocks.tolist()) == {"a", "b"}
    assert set(answers.operation.tolist()) == {0}


def test_a_large_train_split_is_thinned_out(
    pair: tuple[Split, Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = pair
    monkeypatch.setattr(trees, "TREE_TRAIN_ROWS", len(train.block) // 3)
    grown_on: list[int] = []
    grow = trees._grow

    def watched(features: NDArray[np.float32], *arguments: Any) -> Any:
        grown_on.append(len(features))
        return grow(features, *arguments)

    monkeypatch.setattr(trees, "_grow", watched)
    extra_trees(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(grown_on) == {len(train.block) // 3}


# The weather: these splits have no signals at all


def weathered(recordings: list[tuple[int, str]], kilopascal: tuple[float, float]) -> Split:
    """A pressure of each operation, with a little noise, and no temperature in operation 1."""
    split = split_of(recordings)
    random = np.random.default_rng(len(recordings))
    pressure = np.array(kilopascal)[split.operation] + 0.01 * random.normal(size=len(split.block))
    split.environment = np.stack([pressure, np.full(len(pressure), 30.0)], 1).astype(np.float32)
    split.environment[split.operation == 1, 1] = np.nan
    return split


def test_pressure_tells_the_operation_and_not_the_block() -> None:
    train, test = weathered(TRAIN, (100.0, 101.0)), weathered(TEST, (100.1, 100.9))
    answers = environment_only(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert answers.operation.tolist() == test.operation.tolist()
    assert (answers.blocks == test.blocks[test.block]).mean() < 0.6
    again = environment_only(train, test, every_row(test), WINDOW, seed=0, jobs=2)
    assert again.blocks.tolist() == answers.blocks.tolist()


def test_a_window_goes_by_the_rows_that_have_a_value() -> None:
    train, test = weathered(TRAIN, (100.0, 101.0)), weathered(TEST, (100.0, 101.0))
    # The train mean, 100.5 kPa, in three of four rows must not drown the others.
    test.environment[np.arange(len(test.block)) % 4 != 0] = np.nan
    answers = environment_only(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert answers.operation.tolist() == test.operation.tolist()


def test_without_a_value_the_weather_is_that_of_the_train_mean() -> None:
    # Operation 2 had the mean weather of the other two.
    recordings = [*TRAIN, *[(2, blocks) for _, blocks in TRAIN]]
    train = weathered(TRAIN, (100.0, 101.0))
    both = split_of(recordings)
    both.environment = np.tile(train.environment, (2, 1))
    both.environment[both.operation == 2] = 100.5, 30.0
    test = split_of(TEST)
    test.environment = np.full((len(test.block), 2), np.nan, np.float32)
    answers = environment_only(both, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(answers.operation.tolist()) == {2}


def test_no_weather_at_all_leaves_the_majority() -> None:
    train = split_of([(1, "a" * 40), (0, "b" * 60)])
    test = split_of([(1, "a" * 20)])
    for split in (train, test):
        split.environment = np.full((len(split.block), 2), np.nan, np.float32)
    answers = environment_only(train, test, every_row(test), WINDOW, seed=0, jobs=1)
    assert set(answers.blocks.tolist()) == {"b"}
    assert set(answers.operation.tolist()) == {0}
