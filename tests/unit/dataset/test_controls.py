"""The changed splits that the controls are made of."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from learning_data import OPERATIONS, RECORDINGS, WINDOW, tiny_split

from gcodefp.dataset.controls import (
    CONTROLS,
    LABELS_SHUFFLED,
    PRESENCE_ONLY,
    SENSORS_PERMUTED,
    apply_control,
)
from gcodefp.dataset.store import Split

LAG_ROWS = 3
LABELS = (
    "block",
    "operation",
    "position_mm",
    "mm_per_unit",
    "program",
    "state",
    "lag_corrected_row",
)
SENSED = ("signals", "valid", "environment")


@pytest.fixture
def split() -> Split:
    """Sensors that lag behind their labels, some of whose samples are missing."""
    made = tiny_split(RECORDINGS["train"])
    rows = np.arange(len(made.block))
    missing = np.random.default_rng(1).random(made.valid.shape) < 0.3
    return replace(
        made, lag_corrected_row=np.maximum(rows - LAG_ROWS, 0).astype(np.int32), valid=~missing
    )


def changed(split: Split, control: str, name: str = "train") -> Split:
    return apply_control(split, name, control, WINDOW)


def labels(split: Split) -> list[tuple]:
    """All that is said of each row, as what the sensors see at it."""
    seen = split.lag_corrected_row
    columns = (
        split.block[seen],
        *split.position_mm[seen].T,
        *(
            getattr(split, name)
            for name in LABELS
            if name not in ("position_mm", "lag_corrected_row")
        ),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def fields(split: Split, *without: str) -> dict[str, np.ndarray]:
    return {name: array for name, array in vars(split).items() if name not in without}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_shuffled_labels_stay_together_and_leave_their_sensors(split: Split) -> None:
    mixed = changed(split, LABELS_SHUFFLED)
    assert Counter(labels(mixed)) == Counter(labels(split))
    assert_same(fields(mixed, *LABELS), fields(split, *LABELS))
    # What a row is told is as often right as chance has it.
    block, true = mixed.block[mixed.lag_corrected_row], split.block[split.lag_corrected_row]
    chance = (np.bincount(true) ** 2).sum() / len(true) ** 2
    assert np.mean(block == true) == pytest.approx(chance, abs=0.12)
    assert np.mean(mixed.operation == split.operation) == pytest.approx(0.5, abs=0.12)
    assert np.unique(mixed.recording[mixed.operation == 0]).size == len(mixed.recordings)


def test_permuted_sensors_stay_in_their_operation_and_leave_their_moment(split: Split) -> None:
    test = tiny_split(RECORDINGS["test"])
    mixed = changed(test, SENSORS_PERMUTED, "test")
    assert_same(fields(mixed, "signals", "valid"), fields(test, "signals", "valid"))
    for operation in range(len(OPERATIONS)):
        rows = test.operation == operation
        before, after = (np.sort(s.signals[rows], axis=0) for s in (test, mixed))
        np.testing.assert_array_equal(before, after)
    assert (mixed.signals != test.signals).any(axis=1).all(), "no row keeps its samples"
    # Most rows have the neighbour that they had: the samples move in stretches, not one by one.
    source = {row.tobytes(): index for index, row in enumerate(test.signals)}
    came_from = np.array([source[row.tobytes()] for row in mixed.signals])
    assert np.mean(np.diff(came_from) == 1) >= 1 - 1.5 / WINDOW


def test_samples_and_whether_they_are_valid_move_together(split: Split) -> None:
    marked = replace(split, signals=split.valid.astype(np.float32))
    mixed = changed(marked, SENSORS_PERMUTED, "test")
    np.testing.assert_array_equal(mixed.signals == 1, mixed.valid)
    assert (mixed.valid != marked.valid).any()


def test_even_an_operation_of_one_short_recording_is_permuted() -> None:
    one = tiny_split(["face_009"], rows=WINDOW)
    assert (changed(one, SENSORS_PERMUTED, "test").signals != one.signals).any(axis=1).all()


def test_presence_says_nothing_but_what_is_there(split: Split) -> None:
    bare = changed(split, PRESENCE_ONLY)
    np.testing.assert_array_equal(bare.signals, split.valid)
    assert bare.signals.dtype == np.float32
    assert_same(fields(bare, "signals"), fields(split, "signals"))


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_changes_its_splits_always_in_the_same_way(control: str, split: Split) -> None:
    before = {name: array.copy() for name, array in vars(split).items()}
    for name in ("train", "val", "test"):
        made = changed(split, control, name)
        assert (made is not split) == (name in CONTROLS[control].splits)
        assert_same(fields(made), fields(changed(split, control, name)))
    assert_same(fields(split), before)


def test_without_a_control_nothing_changes(split: Split) -> None:
    assert apply_control(split, "train", None, WINDOW) is split


def test_the_test_keeps_its_true_labels() -> None:
    for control in CONTROLS:
        test = tiny_split(RECORDINGS["test"])
        made = changed(test, control, "test")
        for name in set(vars(test)) - set(SENSED):
            np.testing.assert_array_equal(getattr(made, name), getattr(test, name))
