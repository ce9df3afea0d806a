"""The ladder: which rows count, and what counts as right."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import ROWS, STEP_SECONDS, of_no_program, tiny_programs, tiny_split
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.evaluation.window_lengths import CentreStates, decode_centre_rows, evaluate_centres


class Oracle:
    """Decodes the true state, which the only channel has, and adds to it; keeps its calls."""

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.calls: list[tuple[int, int | None]] = []

    def __call__(self, signals: NDArray[np.float32], rows: int | None) -> NDArray[np.int64]:
        self.calls.append((len(signals), rows))
        states = (np.rint(signals[:, 0]).astype(np.int64) + self.shift) % (2 * ROWS)
        return states if rows is None else states[rows // 2 :][: len(signals) - rows + 1]


def visible(split: Split) -> Split:
    """The split with its states as the only channel."""
    return replace(split, signals=split.state[:, None].astype(np.float32))


def of_lengths(*lengths: int) -> Split:
    """Recordings of `face` of so many rows."""
    split = visible(tiny_split([f"face_{i}" for i in range(len(lengths))], rows=ROWS))
    kept = np.concatenate([np.arange(n) + ROWS * i for i, n in enumerate(lengths)])
    rows = {
        name: array[kept]
        for name, array in vars(split).items()
        if len(array) == len(lengths) * ROWS
    }
    return replace(split, **rows)


def test_short_recordings_are_decoded_as_a_whole_and_others_in_every_window() -> None:
    split, oracle = of_lengths(10, 16, 20), Oracle()
    centres = decode_centre_rows(oracle, split, 16)
    assert oracle.calls == [(10, None), (16, None), (20, 16)]
    # The third recording begins at row 26; its windows of 16 rows have the centres 8 to 12.
    assert centres.rows.tolist() == [*range(26), *range(34, 39)]
    assert centres.state.tolist() == split.state[centres.rows].tolist()
    assert len(decode_centre_rows(oracle, split, 8).rows) == 3 + 9 + 13
    assert decode_centre_rows(oracle, split, 16, stride=2).rows.tolist() == [*range(26), 34, 36, 38]
    assert decode_centre_rows(oracle, split, None).rows.tolist() == list(range(46))


@pytest.mark.parametrize(("shift", "share"), [(0, 1.0), (4, 1.0), (-4, 1.0), (5, 0.0)])
def test_a_second_is_near_enough(shift: int, share: float) -> None:
    split = visible(tiny_split(["face_1", "pocket_1"]))
    programs = tiny_programs(tiny_split(["face_1", "pocket_1"]))
    assert STEP_SECONDS * 4 == 1.0
    rows = np.r_[8:24, 40:56]
    centres = CentreStates(rows, np.rint(split.state[rows]).astype(np.int64) + shift)
    scores = evaluate_centres(centres, split, programs)
    assert scores["within_1s"][:1] == (share,)
    assert scores["program"] == (1.0, 1.0, 1.0, len(rows), 2)


def test_a_doubtful_lag_is_left_out_of_the_second_share() -> None:
    split = visible(tiny_split(["face_1", "pocket_1"]))
    programs = tiny_programs(tiny_split(["face_1", "pocket_1"]))
    state = np.rint(split.state).astype(np.int64)
    state[ROWS:] += np.where(np.arange(ROWS) < 10, 10, 0)
    centres = CentreStates(np.arange(2 * ROWS), state)
    for doubtful, share, count in ((["pocket_1"], 1.0, ROWS), ([], 1 - 10 / 64, 2 * ROWS)):
        scores = evaluate_centres(centres, split, programs, doubtful)
        assert scores["within_1s"].value == pytest.approx(1 - 10 / 64)
        assert scores["within_1s_certain"].value == pytest.approx(share)
        assert scores["within_1s_certain"].n == count
    nothing = evaluate_centres(centres, split, programs, ["face_1", "pocket_1"])[
        "within_1s_certain"
    ]
    assert (nothing.value, nothing.n) == (None, 0)


def test_another_or_an_unknown_program_is_wrong() -> None:
    train = tiny_split(["face_1", "pocket_1"])
    split, programs = visible(train), tiny_programs(train)
    # One state behind the last of face is the first of pocket: near in number, not in truth.
    centres = CentreStates(np.array([ROWS - 1, ROWS]), np.array([ROWS, ROWS]))
    scores = evaluate_centres(centres, split, programs)
    assert (scores["within_1s"].value, scores["program"].value) == (0.5, 0.5)
    unknown = evaluate_centres(centres, of_no_program(split), programs)
    assert (unknown["within_1s"].value, unknown["program"].value) == (0.0, 0.0)
