"""The predicted G-code of a recording beside the executed one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_figures import drawn, one_recording, texts
from result_documents import PROGRAM, RECORDINGS
from result_files import results_of, true_blocks, write_results

from gcodefp.reporting.figures import gcode_diff
from gcodefp.reporting.figures.gcode_diff import DiffLine, Edit, collapse_equal, count_edits, diff

ROWS = 18


LINES = [
    DiffLine(Edit.EQUAL, 0.0, "G0 X0 Y0", "G0 X0 Y0"),
    DiffLine(Edit.EQUAL, 0.75, "G1 X1", "G1 X1"),
    DiffLine(Edit.MISSING, 1.5, "Y1", ""),
    DiffLine(Edit.EQUAL, 2.25, "G2 X2 Y0 R1", "G2 X2 Y0 R1"),
    DiffLine(Edit.REPLACED, 3.0, "G1 X0", "G1 X2"),
    DiffLine(Edit.EQUAL, 3.75, "G53 G0 Z0", "G53 G0 Z0"),
    DiffLine(Edit.EXTRA, None, "", "M5"),
]
"""Of the first recording: three rows of a quarter of a second a line."""


def test_lines_are_aligned_marked_and_drawn(tmp_path: Path) -> None:
    """In the first recording Y1 is missing, G1 X0 is another line, and an extra one ends it."""
    written = true_blocks()
    first = written[:ROWS]
    first[first == "Y1"] = "G1 X1"
    first[first == "G1 X0"] = "G1 X2"
    first[-1] = "M5"
    results = results_of(write_results(tmp_path, written, true_blocks()))
    predictions = results.predictions
    assert diff(predictions, 0) == LINES
    assert count_edits(LINES) == {Edit.EQUAL: 4, Edit.MISSING: 1, Edit.REPLACED: 1, Edit.EXTRA: 1}
    assert count_edits(diff(predictions, 1)) == {Edit.EQUAL: 6}
    # The third line has no row of its own.
    seconds = np.where(predictions.executed_block == "Y1", np.nan, predictions.executed_seconds)
    lines = diff(replace(predictions, executed_seconds=seconds), 0)
    assert lines == [*LINES[:2], LINES[2]._replace(seconds=None), *LINES[3:]]
    shown = texts(drawn("gcode_diff", one_recording(results, 0)))
    title = f"G-code of {RECORDINGS[0]}: 4 of 6 executed blocks are predicted (67 %), 1 too many"
    assert title in shown
    for block in PROGRAM:
        count = sum((line.true, line.predicted).count(block) for line in LINES)
        assert shown.count(block) == count
    assert [shown.count(edit) for edit in Edit] == [4, 1, 1, 1, 0]


def test_only_the_middle_of_long_equal_segments_is_folded() -> None:
    lines = [DiffLine(Edit(edit), 0.0, "", "") for edit in "=====+======+"]
    folded = collapse_equal(lines)
    # Of five equal lines one could be folded, which saves nothing; of six, two.
    assert [line.edit for line in folded] == list("=====+==\N{HORIZONTAL ELLIPSIS}==+")
    assert [line.lines for line in folded if line.edit is Edit.FOLDED] == [2]
    assert count_edits(folded) == count_edits(lines)


def test_long_recordings_are_folded_and_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcode_diff, "LINES_PER_COLUMN", 2)
    results = results_of(write_results(tmp_path, true_blocks(), true_blocks()))
    shown = " ".join(texts(drawn("gcode_diff", results)))
    # Of six equal lines two are folded, and four of the five others fit.
    assert "2 equal blocks" in shown
    assert "; 1 more blocks follow" in shown
