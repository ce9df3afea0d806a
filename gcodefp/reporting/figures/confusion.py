"""Confusion matrices on the test split."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.results import Results

MAX_COUNTED = 12
"""Cells of matrices with more classes have no room for their counts."""
LETTER_INCHES = 0.065
"""Names of columns that are wider than the column are slanted."""
LABEL_INCHES = 2.5
"""Width of the page that the names of the rows need."""
HEADS = {"operation": "operation", "command": "command word"}
"""Head in metrics.json -> title of its matrix."""


class Confusion(NamedTuple):
    """A confusion matrix.

    Attributes:
        true: names of T classes, by row.
        predicted: names of P classes, by column; the same classes, and perhaps others at the end.
        counts: (T, P).
    """

    true: list[str]
    predicted: list[str]
    counts: NDArray[np.int64]


def confusion(results: Results, head: str) -> Confusion:
    """A head's matrix in metrics.json, with the classes that occur."""
    matrix = results.evaluation["confusion"][head]
    counts = np.array(matrix["counts"], np.int64)
    true, predicted = (np.array(matrix[side], object) for side in ("true", "predicted"))
    occurring = [*true[counts.any(axis=1)], *predicted[counts.any(axis=0)]]
    rows, columns = (np.isin(names, occurring) for names in (true, predicted))
    return Confusion(
        true[rows].tolist(), predicted[columns].tolist(), counts[np.ix_(rows, columns)]
    )


@figure(
    "confusion",
    title="Confusions",
    category="Test",
    caption="Predicted (columns) against true classes (rows) in segments of one "
    "window: the operation of each row, and each command word of the executed lines, compared at "
    "its position in the line. Shades are shares of a row, numbers are counts. Words of another "
    "kind, and words missing because the predicted line had ended, have a column of their own.",
)
def draw_confusion(results: Results) -> Figure:
    """A matrix for each kind of class, each row normalised; rows are true, columns predicted."""
    matrices = {title: confusion(results, head) for head, title in HEADS.items()}
    shapes = [matrix.counts.shape for matrix in matrices.values()]
    height = 0.9 + 0.27 * max(3, *(rows for rows, _ in shapes))
    fig = paper.new_figure(paper.PAGE_INCHES, min(height, 5.0))
    panels = fig.subplots(1, len(shapes), width_ratios=[2 + columns for _, columns in shapes])
    column_inches = (paper.PAGE_INCHES - LABEL_INCHES) / sum(columns for _, columns in shapes)
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        _draw_matrix(axes, matrix, column_inches)
        axes.set_title(name)
        axes.set_xlabel("predicted")
    panels[0].set_ylabel("true (count)")
    subtitle = f"{paper.tested_on(results)}; segments of one window; the shade is the share "
    subtitle += "of the row, the number the count"
    paper.add_head(fig, _title(matrices[HEADS["command"]]), subtitle, results.warnings)
    return fig


def _title(commands: Confusion) -> str:
    """The pair of command words that is confused most often."""
    # Rows and columns are the same classes in the same order, before the last ones.
    wrong = commands.counts.copy()
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "No command word is confused with another"
    row, column = divmod(int(np.argmax(wrong)), wrong.shape[1])
    share = wrong[row, column] / commands.counts[row].sum()
    return (
        f"Most frequent confusion of commands: {commands.true[row]} predicted as "
        f"{commands.predicted[column]}, {paper.percent(share)} of its words"
    )


def _draw_matrix(axes: Axes, matrix: Confusion, column_inches: float) -> None:
    totals = matrix.counts.sum(1, keepdims=True)
    shares = matrix.counts / np.maximum(totals, 1)
    axes.imshow(shares, vmin=0, vmax=1, aspect="auto")
    if max(matrix.counts.shape) <= MAX_COUNTED:
        for (row, column), count in np.ndenumerate(matrix.counts):
            if count:
                colour = "white" if shares[row, column] > 0.55 else "#333333"
                axes.text(column, row, f"{count:,}", color=colour, size=5.5, ha="center",
                          va="center")  # fmt: skip
    columns = [paper.short_name(name).replace(" ", "\n") for name in matrix.predicted]
    letters = max(len(line) for name in columns for line in name.split("\n"))
    is_long = letters * LETTER_INCHES > column_inches
    axes.set_xticks(
        range(len(columns)), columns, rotation=40 if is_long else 0,
        ha="right" if is_long else "center", rotation_mode="anchor",
    )  # fmt: skip
    labels = [
        f"{paper.short_name(name)} ({n:,})"
        for name, n in zip(matrix.true, totals[:, 0], strict=True)
    ]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xticks(np.arange(len(matrix.predicted) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
