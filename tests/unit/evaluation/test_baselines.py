"""What the baselines without sensors have to answer, and the windows that the others look at."""

import numpy as np
from lettered_splits import WINDOW, every_row, split_of
from numpy.typing import NDArray

from gcodefp.evaluation.baselines import (
    elapsed_time,
    known_rows,
    majority_given_operation,
    window_means,
    windows_around,
)


def text(blocks: NDArray[np.str_]) -> str:
    return "".join(blocks.tolist())


# No sensors


def test_the_majority_is_that_of_the_true_operation() -> None:
    train = split_of([(0, "aab"), (1, "cccc"), (0, "bba")])
    test = split_of([(0, "cd"), (1, "a"), (-1, "a")])
    answers = majority_given_operation(train, test, every_row(test))
    # Operation 0 has a and b equally often; -1 gets the majority of everything.
    assert text(answers.blocks) == "aacc"
    assert answers.operation.tolist() == [0, 0, 1, -1]
    assert text(majority_given_operation(train, test, np.array([2, 0])).blocks) == "ca"


def test_the_clock_is_always_right_on_identical_replays() -> None:
    programs = [(0, "aabbbc"), (1, "ccbadddd")]
    train, test = split_of(programs * 3), split_of(programs[::-1])
    answers = elapsed_time(train, test, every_row(test))
    assert text(answers.blocks) == "ccbaddddaabbbc"
    assert answers.operation.tolist() == test.operation.tolist()
    assert text(elapsed_time(train, test, np.array([9, 0])).blocks) == "ac"


def test_the_clock_goes_by_seconds_and_not_by_rows() -> None:
    train, test = split_of([(0, "abcd")], 0.5), split_of([(0, "xxxxxxxxxx")], 0.25)
    # Between two rows the last one holds, and after the end the last of all.
    assert text(elapsed_time(train, test, every_row(test)).blocks) == "aabbccdddd"


def test_the_clock_counts_votes_of_recordings() -> None:
    train = split_of([(0, "ab"), (0, "bcc"), (0, "bcdd"), (1, "eeeeeeeeee")])
    test = split_of([(0, "xxxxx"), (-1, "xx"), (1, "xx")])
    # Third row on: b of the recording that ended, c, d: of equals the first.
    assert text(elapsed_time(train, test, every_row(test)).blocks) == "bcbbb" + "ee" + "ee"


# Windows


def test_a_window_is_averaged_in_equal_parts() -> None:
    values = np.arange(12.0).reshape(6, 2)
    start = np.array([0, 2])
    np.testing.assert_allclose(window_means(values, start, 4, 2), [[1, 2, 5, 6], [5, 6, 9, 10]])
    assert window_means(values, start, 4, 8).shape == (2, 4 * 2)


def test_windows_are_moved_inwards_at_the_ends_of_a_recording() -> None:
    split = split_of([(0, "aaaaaa"), (0, "aaaa")])
    assert windows_around(split, 4).tolist() == [0, 0, 0, 1, 2, 2, 6, 6, 6, 6]


def test_rows_that_no_window_shows_are_unknown() -> None:
    split = split_of([(0, "a" * 40), (0, "b" * 10)])
    assert known_rows(split, WINDOW, 100).tolist() == list(range(40))
    assert known_rows(split, WINDOW, 39).tolist() == list(range(0, 40, 2))
