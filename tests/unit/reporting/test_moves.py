"""The toolpaths that pictures show: pieces from row to row, and what is said of each."""

from pathlib import Path

import numpy as np
import pytest
from result_documents import ROWS_PER_BLOCK
from result_files import results_of, spoilt, true_blocks, write_results

from gcodefp.reporting.executed_paths import (
    State,
    Toolpath,
    block_pieces,
    distance_mm,
    joined,
    middle,
    straight_pieces,
    toolpaths,
)

SQUARE = [np.array(side, float) for side in (
    [[0, 0], [10, 0]], [[10, 0], [10, 10]], [[10, 10], [0, 10]], [[0, 10], [0, 0]],
)]  # fmt: skip


def paths_of(folder: Path, written: np.ndarray, reported: bool) -> list[Toolpath]:
    options = write_results(folder, written, true_blocks(), reported=reported)
    return toolpaths(results_of(options).predictions)


@pytest.mark.parametrize("reported", [True, False])
def test_a_perfect_reading_is_right_everywhere(tmp_path: Path, reported: bool) -> None:
    for path in paths_of(tmp_path, true_blocks(), reported):
        assert path.accuracy == 1.0
        assert (path.state == State.RIGHT).all()
        assert path.rapid.tolist() == [True] * 3 + [False] * 12 + [True] * 3
        for true, read in zip(path.true_pieces, path.read_pieces, strict=True):
            np.testing.assert_array_equal(true, read)
        assert [len(piece) > 0 for piece in path.true_pieces] == [False] + [True] * 17


@pytest.mark.parametrize("reported", [True, False])
def test_a_wrong_block_leads_astray_and_so_does_the_way_back(
    tmp_path: Path, reported: bool
) -> None:
    blocks = true_blocks()
    first = 2 * ROWS_PER_BLOCK
    blocks[first : first + ROWS_PER_BLOCK] = "Y2"
    path = paths_of(tmp_path, blocks, reported)[-1]
    assert path.name == "face<b>_001"
    off = path.state == State.OFF
    assert np.flatnonzero(off).tolist() == list(range(first, first + ROWS_PER_BLOCK + 1))
    assert (path.state[~off] == State.RIGHT).all()


@pytest.mark.parametrize("reported", [True, False])
def test_a_late_reading_is_on_the_path_at_another_time(tmp_path: Path, reported: bool) -> None:
    parts = np.split(true_blocks(), 4)
    late = np.concatenate([np.concatenate([part[:1], part[:-1]]) for part in parts])
    for path in paths_of(tmp_path, late, reported):
        assert path.accuracy == pytest.approx(13 / 18)
        assert (path.state != State.OFF).all()
        assert ((path.state == State.RIGHT) == path.right).all()


def test_positions_count_only_where_both_sides_have_them(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    file = tmp_path / "evaluation" / "predictions.npz"
    arrays = dict(np.load(file))
    arrays["position_mm"] += 1000.0
    arrays["whole_position_mm"] += np.nan
    np.savez(file, **arrays)
    for path in toolpaths(results_of(options).predictions):
        assert np.nanmax(path.true_mm) < 100
        assert (path.state == State.RIGHT).all()


def test_an_arc_keeps_its_radius(tmp_path: Path) -> None:
    arc = middle(paths_of(tmp_path, true_blocks(), False)).true_pieces[3 * ROWS_PER_BLOCK]
    # G2 from (1, 1) to (2, 0) inch with a radius of 1 inch: a clockwise quarter about (1, 0).
    np.testing.assert_allclose(np.hypot(*(arc - [25.4, 0.0]).T), 25.4)
    np.testing.assert_allclose(arc[[0, -1]], [[25.4, 25.4], [50.8, 0.0]])


def test_an_impossible_radius_is_a_straight_line() -> None:
    ends = np.array([[0.0, 0.0, 0.0], [10.0, 0.0, 0.0]])
    pieces = block_pieces(np.array(["G1 X0 Y0", "G3 X10 R1"]), ends, np.ones(2))
    np.testing.assert_array_equal(pieces[1], ends[:, :2])


def test_paths_are_ranked_best_first(tmp_path: Path) -> None:
    ranking = paths_of(tmp_path, spoilt(0.4), True)
    assert [p.accuracy for p in ranking] == sorted((p.accuracy for p in ranking), reverse=True)
    assert middle(ranking) is ranking[2]


def test_a_row_that_is_nowhere_has_no_piece() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [np.nan, 0, 0], [3, 0, 0], [4, 0, 0]], float)
    assert [len(piece) for piece in straight_pieces(points)] == [0, 2, 0, 0, 2]


def test_pieces_of_one_state_are_one_line() -> None:
    nothing = np.empty((0, 2))
    pieces = [nothing, *SQUARE[:3], nothing, SQUARE[3]]
    lines = joined(pieces, np.array([1, 1, 1, 0, 0, 0]))
    assert [(state, line.tolist()) for state, line in lines] == [
        (1, [[0, 0], [10, 0], [10, 10]]), (0, [[10, 10], [0, 10]]), (0, [[0, 10], [0, 0]]),
    ]  # fmt: skip


def test_distances_are_to_the_nearest_point_of_any_piece() -> None:
    points = np.array([[5, 1], [5, 5], [13, 14], [10, 10], [-2, 5]], float)
    np.testing.assert_allclose(distance_mm(points, SQUARE), [1, 5, 5, 0, 2])
    many = np.tile(points, (200, 1))
    np.testing.assert_allclose(distance_mm(many, SQUARE), np.tile([1, 5, 5, 0, 2], 200))
    standing = [np.array([[1.0, 1.0], [1.0, 1.0]])]
    np.testing.assert_allclose(distance_mm(points[:1], standing), [4])
    assert np.isinf(distance_mm(points, [np.empty((0, 2))])).all()
