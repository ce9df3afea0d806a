"""The moves of a reconstruction, and the verdict on it."""

from pathlib import Path

import numpy as np
import pytest
from result_files import ROWS_PER_BLOCK, results_of, spoilt, true_blocks, write_results

from gcodefp.findings.moves import middle, toolpaths
from gcodefp.findings.verdict import BEATS, FAILS, UNDECIDED, verdict


def test_a_perfect_reconstruction_has_no_wrong_move(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    for path in toolpaths(results_of(options).predictions):
        assert path.accuracy == 1.0
        assert len(path.written) == len(path.true) == 5
        assert all(move.on_path and move.right for move in path.written)


def test_a_wrong_block_leads_astray_and_so_does_the_way_back(tmp_path: Path) -> None:
    blocks = true_blocks()
    blocks[2 * ROWS_PER_BLOCK : 3 * ROWS_PER_BLOCK] = "Y0"
    options = write_results(tmp_path, blocks, true_blocks())
    path = toolpaths(results_of(options).predictions)[-1]
    assert [move.right for move in path.written] == [True, False, True, True, True]
    assert [move.on_path for move in path.written] == [True, False, False, True, True]


def test_an_arc_keeps_its_radius(tmp_path: Path) -> None:
    options = write_results(tmp_path, true_blocks(), true_blocks())
    arc = middle(toolpaths(results_of(options).predictions)).true[2].points_mm
    # G2 from (1, 1) to (2, 0) inch with a radius of 1 inch: a clockwise quarter about (1, 0).
    np.testing.assert_allclose(np.hypot(*(arc - [25.4, 0.0]).T), 25.4)
    np.testing.assert_allclose(arc[[0, -1]], [[25.4, 25.4], [50.8, 0.0]])


@pytest.mark.parametrize(
    ("written", "neighbour", "kind", "words"),
    [(0.0, 0.5, BEATS, "beats"), (0.5, 0.0, FAILS, "does not beat"),
     (0.5, 0.52, UNDECIDED, "does not beat")],
)  # fmt: skip
def test_the_verdict_says_what_the_numbers_say(
    tmp_path: Path, written: float, neighbour: float, kind: str, words: str
) -> None:
    options = write_results(tmp_path, spoilt(written), spoilt(neighbour, seed=2))
    found = verdict(results_of(options))
    assert found.kind == kind
    assert words in found.headline
    assert "never seen in training" in found.sentence
