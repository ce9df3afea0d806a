"""The changed splits of the negative controls."""

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
LABELS = ("operation", "mm_per_unit", "program", "state")
MOVED = (*LABELS, "block", "position_mm", "lag_corrected_row")
SENSED = ("signals", "valid")


@pytest.fixture
def split() -> Split:
    """Sensors that lag behind their labels, some of whose samples are missing."""
    tiny = tiny_split(RECORDINGS["train"])
    rows = np.arange(len(tiny.block))
    missing = np.random.default_rng(1).random(tiny.valid.shape) < 0.3
    corrected = np.maximum(rows - LAG_ROWS, 0).astype(np.int32)
    return replace(tiny, lag_corrected_row=corrected, valid=~missing)


def changed(split: Split, control: str, name: str = "train") -> Split:
    return apply_control(split, name, control, WINDOW)


def labels(split: Split) -> list[tuple]:
    """All labels of each row, of the time at which its sensors measured."""
    row = split.lag_corrected_row
    columns = [split.block[row], *split.position_mm[row].T, *(getattr(split, n) for n in LABELS)]
    return list(zip(*(column.tolist() for column in columns), strict=True))


def assert_same(split: Split, other: Split, *without: str) -> None:
    for name in vars(split).keys() - set(without):
        np.testing.assert_array_equal(getattr(split, name), getattr(other, name), err_msg=name)


def test_shuffled_labels_stay_together_and_leave_their_sensors(split: Split) -> None:
    shuffled = changed(split, LABELS_SHUFFLED)
    assert Counter(labels(shuffled)) == Counter(labels(split))
    assert_same(shuffled, split, *MOVED)
    # Labels are correct as often as chance has it.
    block, true = shuffled.block[shuffled.lag_corrected_row], split.block[split.lag_corrected_row]
    chance = (np.bincount(true) ** 2).sum() / len(true) ** 2
    assert np.mean(block == true) == pytest.approx(chance, abs=0.12)
    assert np.mean(shuffled.operation == split.operation) == pytest.approx(0.5, abs=0.12)
    of_face = shuffled.recording[shuffled.operation == 0]
    assert np.unique(of_face).size == len(shuffled.recordings)


def test_permuted_sensors_stay_in_their_operation_and_leave_their_moment() -> None:
    test = tiny_split(RECORDINGS["test"])
    permuted = changed(test, SENSORS_PERMUTED, "test")
    for operation in range(len(OPERATIONS)):
        rows = test.operation == operation
        before, after = (np.sort(s.signals[rows], axis=0) for s in (test, permuted))
        np.testing.assert_array_equal(before, after)
    assert (permuted.signals != test.signals).any(axis=1).all(), "no row keeps its samples"
    # Most rows have the neighbour that they had: the samples move in segments, not one by one.
    source = {row.tobytes(): index for index, row in enumerate(test.signals)}
    origin = np.array([source[row.tobytes()] for row in permuted.signals])
    assert np.mean(np.diff(origin) == 1) >= 1 - 1.5 / WINDOW
    short = tiny_split(["face_009"], rows=WINDOW)
    assert (changed(short, SENSORS_PERMUTED, "test").signals != short.signals).any(axis=1).all()


def test_presence_only_keeps_nothing_but_the_validity(split: Split) -> None:
    bare = changed(split, PRESENCE_ONLY)
    np.testing.assert_array_equal(bare.signals, split.valid)
    assert bare.signals.dtype == np.float32
    assert_same(bare, split, "signals")


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_always_changes_its_splits_in_the_same_way(control: str, split: Split) -> None:
    before = replace(split, **{name: array.copy() for name, array in vars(split).items()})
    for name in ("train", "val", "test"):
        made = changed(split, control, name)
        assert (made is not split) == (name in CONTROLS[control].splits)
        assert_same(made, changed(split, control, name))
        if name == "test":
            assert_same(made, split, *SENSED)
    assert_same(split, before)
    assert apply_control(split, "train", None, WINDOW) is split
