"""How much of each operation is read right, and how much its recordings differ."""

from pathlib import Path

from fewer_results import one_recording
from matplotlib.text import Text
from result_files import results_of, true_blocks, write_results

from gcodefp.evaluation.names import MODEL, NEIGHBOUR
from gcodefp.reporting.figures.errors import (
    by_operation,
    draw_errors_by_operation,
    operations_title,
    ranked,
)
from gcodefp.reporting.results import Results

ROWS = 18
"""Of each of the four recordings, the first two of face<b>, the others of pocket."""
WRONG = (0, 9, 12, 18)
"""So many of its first rows have a line that the program does not have there."""


def half_read(folder: Path) -> Results:
    written = true_blocks()
    for recording, count in enumerate(WRONG):
        written[recording * ROWS : recording * ROWS + count] = "M3"
    return results_of(write_results(folder, written, true_blocks()))


def test_operations_and_their_recordings_are_counted_by_themselves(tmp_path: Path) -> None:
    results = half_read(tmp_path)
    face, pocket, every = by_operation(results, "gcode")
    assert (face.name, pocket.name, every.name) == ("face<b>", "pocket", None)
    assert (face.rows, pocket.rows, every.rows) == (36, 36, 72)
    assert face.share == 27 / 36
    assert face.recordings.tolist() == [1.0, 0.5]
    # Of two recordings, a quarter of the resamples are the one or the other alone.
    assert (face.value.low, face.value.high) == (0.5, 1.0)
    assert pocket.share == 6 / 36
    assert pocket.recordings.tolist() == [6 / 18, 0.0]
    for metric in ("gcode", "token"):
        whole = by_operation(results, metric)[-1].value
        assert whole._asdict() == results.evaluation["models"][MODEL][metric]
    # Another's answers: all of the neighbour's lines are right.
    assert [of.share for of in by_operation(results, "gcode", NEIGHBOUR)] == [1.0, 1.0, 1.0]


def test_operations_stand_best_first(tmp_path: Path) -> None:
    results = half_read(tmp_path)
    order = ranked(by_operation(results, "gcode")[1::-1] + by_operation(results, "gcode")[2:])
    assert [of.name for of in order] == ["face<b>", "pocket", None]
    assert operations_title(order) == (
        "Of face<b>, 75\N{NO-BREAK SPACE}% of the lines are exact; of pocket, 17\N{NO-BREAK SPACE}%"
    )
    shown = [text.get_text() for text in draw_errors_by_operation(results).findobj(Text)]
    assert "face<b>\n2 recordings, 36 rows" in shown
    assert f"best baseline: {NEIGHBOUR}" in shown


def test_one_recording_has_a_share_but_no_interval(tmp_path: Path) -> None:
    results = one_recording(half_read(tmp_path), 1)
    face, every = by_operation(results, "gcode")
    assert (face.share, face.value.low, face.value.high) == (0.5, None, None)
    assert every.recordings.tolist() == [0.5]
    shown = [text.get_text() for text in draw_errors_by_operation(results).findobj(Text)]
    assert "face<b> is the only operation of the test split" in shown
    assert "face<b>\n1 recording, 18 rows" in shown
    assert not any("best baseline" in text for text in shown)
