"""The G-code of one test recording: executed and read lines side by side."""

from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.names import EVALUATION_REBUILD
from gcodefp.reporting.executed_paths import (
    DiffLine,
    Mark,
    counts,
    diff,
    excerpt,
    folded,
    middle,
    toolpaths,
)
from gcodefp.reporting.figures.style import INK, PAGE_INCHES, add_head, new_figure, percent
from gcodefp.reporting.results import Results

COLUMNS = 2
LINES_PER_COLUMN = 46
LINE_INCHES = 0.115
FONT_POINTS = 5.8
LETTERS = 70
"""So many letters of a line of text fit into a column of the page."""
TIME_AT, TRUE_AT, MARK_AT, READ_AT = 5.5, 7, 37, 39
"""Where the parts of a line stand, in letters; the time ends there."""
WIDEST = 29
BANDS = {Mark.REPLACED: "#fbe3c0", Mark.MISSING: "#e2e2e2", Mark.EXTRA: "#d8e6f3"}
MEANINGS = {
    Mark.EQUAL: "equal",
    Mark.REPLACED: "another line",
    Mark.MISSING: "missing",
    Mark.EXTRA: "too many",
}
WITHOUT_SEQUENCES = (
    f"The predictions have no lines in order; make them anew with: {EVALUATION_REBUILD}"
)


def draw_gcode_diff(results: Results) -> Figure:
    """Aligned lines of the test recording in the middle of the ranking; long ones are shortened."""
    sequences = results.predictions.sequences
    if sequences is None:
        figure = new_figure(PAGE_INCHES, 0.2)
        add_head(figure, "G-code, executed and read", WITHOUT_SEQUENCES, results.marks)
        return figure
    ranking = toolpaths(results.predictions)
    name = middle(ranking).name
    every = diff(sequences, results.predictions.recordings.tolist().index(name))
    most = COLUMNS * LINES_PER_COLUMN
    shown = every if len(every) <= most else folded(every)
    part = excerpt(shown, most)
    lines = shown[part]
    per_column = -(-len(lines) // COLUMNS)
    figure = new_figure(PAGE_INCHES, (per_column + 2.2) * LINE_INCHES + 0.1)
    for column, axes in enumerate(figure.subplots(1, COLUMNS)):
        _draw_column(axes, lines[column * per_column :][:per_column], per_column)
    total = counts(every)
    add_head(
        figure,
        diff_title(name, total),
        f"test split, whole recording read at once, the median of {len(ranking)} test recordings; "
        f"{_told(total)}{_left_out(shown, part)}",
        results.marks,
    )
    return figure


def diff_title(name: str, total: Counter[Mark]) -> str:
    """`G-code of face_003: 120 of 210 executed lines are read (57 %), 12 too many`."""
    executed = total.total() - total[Mark.EXTRA]
    right = total[Mark.EQUAL]
    return (
        f"G-code of {name}: {right:,} of {executed:,} executed lines are read "
        f"({percent(right / executed)}), {total[Mark.EXTRA]:,} too many"
    )


def _told(total: Counter[Mark]) -> str:
    return ", ".join(f"{mark} {meaning}: {total[mark]:,}" for mark, meaning in MEANINGS.items())


def _left_out(shown: Sequence[DiffLine], part: slice) -> str:
    before, after = counts(shown[: part.start]).total(), counts(shown[part.stop :]).total()
    if not before + after:
        return ""
    return f"; an excerpt: {before:,} lines come before it, {after:,} after it"


def _draw_column(axes: Axes, lines: Sequence[DiffLine], rows: int) -> None:
    axes.set_xlim(0, LETTERS)
    axes.set_ylim(rows - 0.4, -2.0)
    axes.axis("off")
    if not lines:
        return
    for at, head, side in ((TIME_AT, "s", "right"), (TRUE_AT, "executed", "left"),
                           (READ_AT, "read", "left")):  # fmt: skip
        axes.text(at, -1.2, head, size=6.5, weight="bold", va="center", ha=side)
    for row, line in enumerate(lines):
        if line.mark in BANDS:
            axes.axhspan(row - 0.5, row + 0.5, color=BANDS[line.mark], linewidth=0)
        _draw_line(axes, row, line)


def _draw_line(axes: Axes, row: int, line: DiffLine) -> None:
    if line.mark is Mark.FOLDED:
        _write(axes, TRUE_AT, row, f"{line.mark} {line.lines:,} equal lines {line.mark}", "#777777")
        return
    if line.seconds is not None:
        _write(axes, TIME_AT, row, f"{line.seconds:.1f}", "#777777", side="right")
    _write(axes, TRUE_AT, row, _cut(line.true))
    _write(axes, MARK_AT, row, line.mark, weight="bold" if line.mark in BANDS else "normal")
    _write(axes, READ_AT, row, _cut(line.read))


def _write(
    axes: Axes,
    at: float,
    row: int,
    text: str,
    colour: str = INK,
    side: str = "left",
    weight: str = "normal",
) -> None:
    if text:
        axes.text(at, row, text, size=FONT_POINTS, family="monospace", va="center_baseline",
                  color=colour, ha=side, weight=weight)  # fmt: skip


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}\N{HORIZONTAL ELLIPSIS}"
