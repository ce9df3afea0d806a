"""The G-code of one test recording: executed and predicted lines side by side."""

import math
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from matplotlib.axes import Axes

from gcodefp.evaluation.sequences import align_sequences
from gcodefp.reporting.executed_paths import median_toolpath, toolpaths
from gcodefp.reporting.figures import paper
from gcodefp.reporting.results import Predictions, Results
from gcodefp.terminal import plural

CONTEXT_LINES = 2
"""Equal lines that are shown before and after each edit."""
COLUMNS = 2
LINES_PER_COLUMN = 46
LINE_INCHES = 0.115
LETTERS = 70
"""Width of a column of the page."""
TIME_END, TRUE_START, EDIT_START, PREDICTED_START = 5.5, 7, 37, 39
"""Positions of the parts of a line, in letters."""
MAX_LETTERS = 29


class Edit(StrEnum):
    """The edit of a line; FOLDED stands for equal lines that are not shown."""

    EQUAL = "="
    REPLACED = "\N{NOT EQUAL TO}"
    MISSING = "\N{MINUS SIGN}"
    EXTRA = "+"
    FOLDED = "\N{HORIZONTAL ELLIPSIS}"


EDIT_COLOURS = {Edit.REPLACED: "#fbe3c0", Edit.MISSING: "#e2e2e2", Edit.EXTRA: "#d8e6f3"}
EDIT_TEXTS = {
    Edit.EQUAL: "equal",
    Edit.REPLACED: "another block",
    Edit.MISSING: "missing",
    Edit.EXTRA: "too many",
}


class DiffLine(NamedTuple):
    """An executed line and the one predicted in its place.

    Attributes:
        seconds: when the executed line begins; None where there is none, or it has no row of its
            own.
        true, predicted: texts; empty where there is none.
        lines: how many lines it stands for: 1, or those that are folded.
    """

    edit: Edit
    seconds: float | None
    true: str
    predicted: str
    lines: int = 1


def draw_gcode_diff(results: Results) -> paper.Drawn:
    """Aligned blocks of the recording of median accuracy; long ones are folded and cut."""
    ranking = toolpaths(results.predictions)
    name = median_toolpath(ranking).name
    index = results.predictions.recordings.tolist().index(name)
    aligned = diff(results.predictions, index)
    most = COLUMNS * LINES_PER_COLUMN
    shown = aligned if len(aligned) <= most else collapse_equal(aligned)
    lines, after = shown[:most], count_edits(shown[most:]).total()
    per_column = -(-len(lines) // COLUMNS)
    fig = paper.new_figure(paper.PAGE_INCHES, (per_column + 2.2) * LINE_INCHES + 0.1)
    for column in range(-(-len(lines) // max(per_column, 1))):
        axes = fig.add_subplot(1, COLUMNS, column + 1)
        _draw_column(axes, lines[column * per_column :][:per_column], per_column)
    counts = count_edits(aligned)
    edits = ", ".join(
        f"{edit} {text}: {counts[edit]:,}".replace(" ", "\N{NO-BREAK SPACE}")
        for edit, text in EDIT_TEXTS.items()
    )
    subtitle = "test split, whole recording at once, the median of "
    subtitle += f"{plural(len(ranking), 'test recording')}; {edits}"
    subtitle += f"; {after:,} more blocks follow" if after else ""
    executed = counts.total() - counts[Edit.EXTRA]
    title = (
        f"G-code of {name}: {counts[Edit.EQUAL]:,} of {executed:,} executed blocks are predicted "
        f"({paper.percent(counts[Edit.EQUAL] / executed)}), {counts[Edit.EXTRA]:,} too many"
    )
    return fig, title, subtitle


def diff(predictions: Predictions, recording: int) -> list[DiffLine]:
    """Both sequences of a recording, aligned with the fewest edits, as for the G-code error rate.

    Args:
        recording: its index.
    """
    executed = predictions.executed_recording == recording
    true = predictions.executed_block[executed].tolist()
    starts = predictions.executed_seconds[executed].tolist()
    predicted = predictions.reconstructed_block[predictions.reconstructed_recording == recording]
    lines = []
    for predicted_index, true_index in align_sequences(predicted.tolist(), true):
        text = "" if predicted_index is None else str(predicted[predicted_index])
        if true_index is None:
            lines.append(DiffLine(Edit.EXTRA, None, "", text))
            continue
        start, block = starts[true_index], true[true_index]
        edit = Edit.REPLACED if text else Edit.MISSING
        edit = Edit.EQUAL if text == block else edit
        lines.append(DiffLine(edit, None if math.isnan(start) else start, block, text))
    return lines


def count_edits(lines: Sequence[DiffLine]) -> Counter[Edit]:
    """How many lines have each edit; folded ones are equal."""
    counts: Counter[Edit] = Counter()
    for line in lines:
        counts[Edit.EQUAL if line.edit is Edit.FOLDED else line.edit] += line.lines
    return counts


def collapse_equal(lines: Sequence[DiffLine]) -> list[DiffLine]:
    """The same lines; the middle of each long run of equal lines is one FOLDED line."""
    folded: list[DiffLine] = []
    for is_equal, group in groupby(lines, lambda line: line.edit is Edit.EQUAL):
        run = list(group)
        middle = run[CONTEXT_LINES:-CONTEXT_LINES]
        if is_equal and len(middle) > 1:
            line = DiffLine(Edit.FOLDED, middle[0].seconds, "", "", len(middle))
            run = [*run[:CONTEXT_LINES], line, *run[-CONTEXT_LINES:]]
        folded += run
    return folded


def _draw_column(axes: Axes, lines: Sequence[DiffLine], rows: int) -> None:
    axes.set_xlim(0, LETTERS)
    axes.set_ylim(rows - 0.4, -2.0)
    axes.axis("off")
    headers = ((TIME_END, "s", "right"), (TRUE_START, "executed", "left"),
             (PREDICTED_START, "predicted", "left"))  # fmt: skip
    for x, header, side in headers:
        axes.text(x, -1.2, header, size=6.5, weight="bold", va="center", ha=side)
    for row, line in enumerate(lines):
        is_edited = line.edit in EDIT_COLOURS
        if is_edited:
            axes.axhspan(row - 0.5, row + 0.5, color=EDIT_COLOURS[line.edit], linewidth=0)
        if line.edit is Edit.FOLDED:
            text = f"{line.edit} {line.lines:,} equal blocks {line.edit}"
            _write(axes, TRUE_START, row, text, color="#777777")
            continue
        if line.seconds is not None:
            _write(axes, TIME_END, row, f"{line.seconds:.1f}", color="#777777", ha="right")
        _write(axes, TRUE_START, row, paper.truncate(line.true, MAX_LETTERS))
        _write(axes, EDIT_START, row, line.edit, weight="bold" if is_edited else "normal")
        _write(axes, PREDICTED_START, row, paper.truncate(line.predicted, MAX_LETTERS))


def _write(axes: Axes, x: float, row: int, text: str, **style: str) -> None:
    if text:
        axes.text(x, row, text, size=5.8, family="monospace", va="center_baseline",
                  **{"color": paper.INK, **style})  # type: ignore[arg-type]  # fmt: skip
