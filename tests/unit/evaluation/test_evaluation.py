import math
from dataclasses import replace

import numpy as np
import pytest
from learning_data import BLOCKS, CHANNELS, OPERATIONS, RECORDINGS, ROWS, WINDOW, tiny_split

from gcodefp.evaluation import baselines
from gcodefp.evaluation.baselines import majority, nearest_neighbour
from gcodefp.evaluation.bootstrap import Estimate, estimate
from gcodefp.evaluation.toolpaths import (
    DANGER,
    axis_errors,
    axis_numbers,
    endpoints_mm,
    reconstructed_program,
)

# Intervals


def test_the_value_is_a_ratio_of_sums_and_not_a_mean_of_ratios() -> None:
    correct, total = np.array([1, 1, 0, 9]), np.array([1, 2, 3, 10])
    found = estimate(correct, total, np.array([0, 0, 1, 2]))
    assert found.value == pytest.approx(11 / 16)
    assert (found.n, found.recordings) == (16, 3)
    assert found.low is not None
    assert found.high is not None
    # The worst and the best that three draws can give.
    assert 0 <= found.low < 11 / 16 < found.high <= 9 / 10


def test_one_recording_gives_no_width() -> None:
    found = estimate(np.array([1, 0, 1]), np.array([1, 1, 2]), np.zeros(3, int))
    assert found == Estimate(0.5, 0.5, 0.5, 4, 1)


def test_nothing_to_count_gives_no_value() -> None:
    nothing = np.zeros(3)
    assert estimate(nothing, nothing, np.array([0, 1, 1])) == Estimate(None, None, None, 0, 0)


def test_recordings_with_nothing_to_count_are_left_out() -> None:
    correct, total = np.array([1, 3, 0, 0]), np.array([2, 4, 0, 0])
    alone = estimate(correct[:2], total[:2], np.array([0, 1]))
    assert estimate(correct, total, np.array([0, 3, 1, 2])) == alone
    assert alone.recordings == 2


def test_the_interval_holds_the_truth_about_95_times_in_100() -> None:
    """Recordings of unlike length and difficulty, with rows that are alike within each."""
    random = np.random.default_rng(5)
    truth, times, rows_inside, inside = 0.7, 300, 0, 0
    for _ in range(times):
        lengths = random.integers(20, 60, 40)
        chance = random.beta(7, 3, 40).repeat(lengths)
        correct = random.random(len(chance)) < chance
        ones = np.ones(len(correct))
        found = estimate(correct, ones, np.arange(40).repeat(lengths))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= truth <= found.high
        width = 1.96 * math.sqrt(correct.mean() * (1 - correct.mean()) / len(correct))
        rows_inside += abs(correct.mean() - truth) <= width
    assert 0.90 <= inside / times <= 0.985
    # Taken for independent, the rows would promise far more than they hold.
    assert rows_inside / times < 0.75


# Axis errors


def test_axis_errors_are_in_millimetres() -> None:
    written = np.array(["G1 X1.5 Y2", "X1", "G1 Z-0.1", "M3", "X1"])
    true = np.array(["G1 X1 Y4", "G1 X3", "G1 Z0.1", "G1 X1", "G1 Y1"])
    errors = axis_errors(written, true, np.array([1.0, 25.4, 25.4, 1.0, 1.0]))
    assert tuple(errors) == ("X", "Y", "Z")
    assert errors["X"].error_mm.tolist() == pytest.approx([0.5, 2 * 25.4, 0, 0, 0])
    assert errors["X"].counted.tolist() == [1, 1, 0, 0, 0]
    assert errors["Y"].error_mm.tolist() == pytest.approx([2, 0, 0, 0, 0])
    assert errors["Y"].counted.tolist() == [1, 0, 0, 0, 0]
    assert errors["Z"].error_mm.tolist() == pytest.approx([0, 0, 0.2 * 25.4, 0, 0])
    assert errors["Z"].counted.tolist() == [0, 0, 1, 0, 0]


def test_a_row_of_unknown_unit_does_not_count() -> None:
    errors = axis_errors(np.array(["X1"]), np.array(["X2"]), np.array([np.nan]))
    assert (errors["X"].error_mm.tolist(), errors["X"].counted.tolist()) == ([0.0], [0])


def test_axis_numbers_are_those_of_the_row() -> None:
    numbers = axis_numbers(np.array(["X2 Y-1", "M3", "Z.5 F9", "X2 Y-1"]))
    nan = math.nan
    expected = [[2, -1, nan], [nan] * 3, [nan, nan, 0.5], [2, -1, nan]]
    np.testing.assert_array_equal(numbers, expected)


# Programs


def test_an_axis_stays_where_it_was_until_it_is_named() -> None:
    blocks = np.array(["M3", "G0 X1", "Y2", "X3", "M5", "Z-1 X0"])
    ends = endpoints_mm(blocks, np.array([1.0, 25.4, 25.4, 1.0, 1.0, 1.0]))
    nan, inch = math.nan, 25.4
    expected = [
        [nan, nan, nan],
        [inch, nan, nan],
        [inch, 2 * inch, nan],
        [3, 2 * inch, nan],
        [3, 2 * inch, nan],
        [0, 2 * inch, -1],
    ]
    np.testing.assert_allclose(ends, expected)


def test_a_program_begins_with_what_has_to_be_known_of_it() -> None:
    blocks = ["G1 X1", "X2", "X2", "M3"]
    text = reconstructed_program(blocks, "face (1)", ["leaky"])
    head = [f"({DANGER})", "(reconstructed by gcodefp from face _1_)", "(leaky)"]
    assert text == "\n".join([*head, *blocks]) + "\n"


# Baselines


def test_the_majority_is_that_of_the_train_rows() -> None:
    train = tiny_split(RECORDINGS["train"])
    count = len(train.block)
    block = np.where(np.arange(count) < count * 0.4, 3, train.block).astype(np.int32)
    pocket = np.where(np.arange(count) < count * 0.4, 0, 1).astype(np.int16)
    answers = majority(replace(train, block=block, operation=pocket), np.arange(7))
    assert answers.blocks.tolist() == [BLOCKS[3]] * 7
    assert answers.operation.tolist() == [1] * 7


def test_the_neighbour_of_a_train_stretch_is_that_stretch() -> None:
    train = tiny_split(RECORDINGS["train"])
    test = tiny_split([RECORDINGS["train"][i] for i in (4, 1)])
    rows = np.array([0, 5, 31, 32, 40, 63])
    # Without hints in the labels: each train row is given a block of its own.
    names = np.array([f"X{i}" for i in range(len(train.block))])
    train = replace(train, blocks=names, block=np.arange(len(names), dtype=np.int32))
    answers = nearest_neighbour(train, test, rows, WINDOW)
    wanted = np.where(rows < ROWS, rows + 4 * ROWS, rows - ROWS + 1 * ROWS)
    # At the ends of a recording rows share one window, and any of them is right.
    found = np.array([int(name[1:]) for name in answers.blocks])
    moved = [0, ROWS - 1, ROWS, 2 * ROWS - 1]
    inner = ~np.isin(rows, moved)
    assert found[inner].tolist() == wanted[inner].tolist()
    assert (np.abs(found - wanted) <= WINDOW // 2).all()
    assert answers.operation.tolist() == train.operation[wanted].tolist()


def test_a_neighbour_s_labels_are_train_s_and_never_test_s() -> None:
    train, test = tiny_split(RECORDINGS["train"]), tiny_split(RECORDINGS["test"])
    rows = np.arange(len(test.block))
    answers = nearest_neighbour(train, test, rows, WINDOW)
    blind = replace(test, blocks=np.array(["M5"]), block=np.zeros_like(test.block))
    assert np.array_equal(nearest_neighbour(train, blind, rows, WINDOW).blocks, answers.blocks)
    true = test.blocks[test.block]
    assert np.mean(answers.blocks == true) > 0.5
    assert np.mean(answers.operation == test.operation) > 0.95


@pytest.mark.parametrize("window", [1, 3, WINDOW, WINDOW + 1, ROWS - 1, ROWS])
def test_surroundings_do_not_cross_recordings(window: int) -> None:
    split = tiny_split(RECORDINGS["test"])
    before = baselines._surroundings(split, window)
    assert before.shape == (3 * ROWS, min(window, baselines.BINS) * CHANNELS)
    assert np.isfinite(before).all()
    middle = split.recording == 1
    loud = replace(split, signals=split.signals + 100 * ~middle[:, None])
    np.testing.assert_allclose(
        baselines._surroundings(loud, window)[middle], before[middle], atol=1e-4
    )
    # The means of equal parts are those of the window around the row.
    row = ROWS + ROWS // 2
    first = min(row - window // 2, 2 * ROWS - window)
    if window % baselines.BINS == 0:
        mean = before[row].reshape(baselines.BINS, CHANNELS).mean(0)
        expected = split.signals[max(first, ROWS) :][:window].mean(0)
        np.testing.assert_allclose(mean, expected, atol=1e-5)


def test_recordings_as_long_as_a_window_have_one_neighbourhood_each() -> None:
    train = tiny_split(RECORDINGS["train"], rows=WINDOW)
    test = tiny_split(RECORDINGS["test"], rows=WINDOW)
    assert len(train.window_start) == len(RECORDINGS["train"])
    answers = nearest_neighbour(train, test, np.arange(len(test.block)), WINDOW)
    operations = [OPERATIONS[i] for i in answers.operation[::WINDOW]]
    assert operations == [name.partition("_")[0] for name in RECORDINGS["test"]]


def test_a_large_train_split_is_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = tiny_split(RECORDINGS["train"]), tiny_split(RECORDINGS["test"])
    names = np.array([f"X{i}" for i in range(len(train.block))])
    train = replace(train, blocks=names, block=np.arange(len(names), dtype=np.int32))
    monkeypatch.setattr(baselines, "TRAIN_ROWS", 50)
    answers = nearest_neighbour(train, test, np.arange(len(test.block)), WINDOW)
    found = {int(name[1:]) for name in answers.blocks}
    assert {row % 4 for row in found} == {0}
    assert max(found) > 4 * ROWS
