"""Executed and predicted toolpaths: segments from row to row, and the state of each."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from result_documents import ROWS_PER_BLOCK
from result_files import results_of, true_blocks, write_results

from gcodefp.evaluation.names import WHOLE
from gcodefp.reporting.executed_paths import (
    SegmentMatch,
    Toolpath,
    distance_mm,
    is_known,
    join_segments,
    straight_segments,
    toolpaths,
)

CORNERS = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
SQUARE = np.stack([CORNERS, np.roll(CORNERS, -1, axis=0)], axis=1)


def paths_of(folder: Path, written: np.ndarray, reported: bool) -> list[Toolpath]:
    options = write_results(folder, written, true_blocks(), reported=reported)
    return toolpaths(results_of(options).predictions)


@pytest.mark.parametrize("reported", [True, False])
def test_perfect_predictions_are_right_everywhere(tmp_path: Path, reported: bool) -> None:
    for path in paths_of(tmp_path, true_blocks(), reported):
        assert path.accuracy == 1.0
        assert (path.match == SegmentMatch.CORRECT).all()
        np.testing.assert_array_equal(path.true_segments, path.predicted_segments)
        assert is_known(path.true_segments).tolist() == [False] + [True] * 17


@pytest.mark.parametrize("reported", [True, False])
def test_a_wrong_block_and_the_way_back_are_off_the_path(tmp_path: Path, reported: bool) -> None:
    blocks = true_blocks()
    first = 2 * ROWS_PER_BLOCK
    blocks[first : first + ROWS_PER_BLOCK] = "Y2"
    path = paths_of(tmp_path, blocks, reported)[-1]
    assert path.name == "face<b>_001"
    is_off = path.match == SegmentMatch.OFF
    assert np.flatnonzero(is_off).tolist() == list(range(first, first + ROWS_PER_BLOCK + 1))
    assert (path.match[~is_off] == SegmentMatch.CORRECT).all()


def test_late_predictions_are_on_the_path_at_another_time(tmp_path: Path) -> None:
    parts = np.split(true_blocks(), 4)
    late = np.concatenate([np.concatenate([part[:1], part[:-1]]) for part in parts])
    for path in paths_of(tmp_path, late, reported=True):
        assert path.accuracy == pytest.approx(13 / 18)
        assert (path.match != SegmentMatch.OFF).all()
        assert ((path.match == SegmentMatch.CORRECT) == path.is_correct).all()


def test_positions_count_only_where_both_sides_have_them(tmp_path: Path) -> None:
    results = results_of(write_results(tmp_path, true_blocks(), true_blocks()))
    predictions = replace(
        results.predictions,
        position_mm=results.predictions.position_mm + 1000.0,
        predicted_mm={WHOLE: results.predictions.predicted_mm[WHOLE] + np.nan},
    )
    for path in toolpaths(predictions):
        assert np.nanmax(path.true_mm) < 100
        assert (path.match == SegmentMatch.CORRECT).all()


def test_adjoining_segments_of_one_state_are_one_line() -> None:
    points = np.array([[0, 0, 0], [1, 0, 0], [np.nan, 0, 0], [3, 0, 0], [4, 0, 0]], float)
    assert is_known(straight_segments(points)).tolist() == [False, True, False, False, True]
    nothing = np.full((1, 2, 2), np.nan)
    segments = np.concatenate([nothing, SQUARE[:3], nothing, SQUARE[3:]])
    lines = join_segments(segments, np.array([1, 1, 1, 0, 0, 0]))
    assert [(state, line.tolist()) for state, line in lines] == [
        (1, [[0, 0], [10, 0], [10, 10]]), (0, [[10, 10], [0, 10]]), (0, [[0, 10], [0, 0]]),
    ]  # fmt: skip
    assert join_segments(nothing, np.ones(1, int)) == []


def test_distances_are_to_the_nearest_point_of_any_segment() -> None:
    points = np.array([[5, 1], [5, 5], [13, 14], [10, 10], [-2, 5]], float)
    many = np.tile(points, (200, 1))
    np.testing.assert_allclose(distance_mm(many, SQUARE), np.tile([1, 5, 5, 0, 2], 200))
    np.testing.assert_allclose(distance_mm(points[:1], np.ones((1, 2, 2))), [4])
    assert np.isinf(distance_mm(points, np.full((3, 2, 2), np.nan))).all()
