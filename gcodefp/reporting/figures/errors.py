"""Which errors are made, and how sure of them: confusion matrices and calibration."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from gcodefp.evaluation.names import MODEL, WHOLE
from gcodefp.evaluation.significance import significant_sign
from gcodefp.reporting.figures import paper
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import JsonContent

MAX_COUNTED = 12
"""Cells of matrices with more classes have no room for their counts."""
LETTER_INCHES = 0.065
"""Names of columns that are wider than the column are slanted."""
LABEL_INCHES = 2.5
"""Width of the page that the names of the rows need."""
HEADS = {"operation": "operation", "command": "command word"}
"""Head in metrics.json -> title of its matrix."""


def confusion(results: Results, head: str) -> pd.DataFrame:
    """Counts of a head's classes that occur, true ones in rows and predicted ones in columns.

    The predicted ones are the same in the same order, and perhaps others at the end.
    """
    matrix = results.evaluation["confusion"][head]
    table = pd.DataFrame(matrix["counts"], matrix["true"], matrix["predicted"], np.int64)
    occurring = {*table.index[table.any(axis=1)], *table.columns[table.any(axis=0)]}
    return table.loc[table.index.isin(occurring), table.columns.isin(occurring)]


def draw_confusion(results: Results) -> paper.Drawn:
    """A matrix for each kind of class, each row normalised; rows are true, columns predicted."""
    matrices = {title: confusion(results, head) for head, title in HEADS.items()}
    title = _confusion_title(matrices[HEADS["command"]])
    matrices = {name: matrix for name, matrix in matrices.items() if matrix.size}
    if not matrices:
        raise paper.NothingToDraw("nothing was classified")
    rows, columns = zip(*(matrix.shape for matrix in matrices.values()), strict=True)
    fig = paper.new_figure(paper.PAGE_INCHES, min(0.9 + 0.27 * max(3, *rows), 5.0))
    panels = fig.subplots(1, len(rows), width_ratios=[2 + n for n in columns], squeeze=False)[0]
    for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
        _draw_matrix(axes, matrix, (paper.PAGE_INCHES - LABEL_INCHES) / sum(columns))
        axes.set_title(name)
        axes.set_xlabel("predicted")
    panels[0].set_ylabel("true (count)")
    subtitle = f"{paper.tested_on(results)}; in windows; the shade is the share "
    return fig, title, f"{subtitle}of the row, the number the count"


def _confusion_title(commands: pd.DataFrame) -> str:
    """The pair of command words that is confused most often."""
    wrong = commands.to_numpy(copy=True)
    np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "No command word is confused with another"
    row, column = divmod(int(np.argmax(wrong)), wrong.shape[1])
    share = wrong[row, column] / commands.iloc[row].sum()
    return (
        f"Most frequent confusion of commands: {commands.index[row]} predicted as "
        f"{commands.columns[column]}, {paper.percent(share)} of its words"
    )


def _draw_matrix(axes: Axes, matrix: pd.DataFrame, column_inches: float) -> None:
    counts, totals = matrix.to_numpy(), matrix.sum(axis=1)
    shares = counts / np.maximum(totals.to_numpy(), 1)[:, None]
    axes.imshow(shares, vmin=0, vmax=1, aspect="auto")
    if max(matrix.shape) <= MAX_COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.55 else "#333333"
                axes.text(column, row, f"{count:,}", color=colour, size=5.5, ha="center",
                          va="center")  # fmt: skip
    columns = [paper.short_name(name).replace(" ", "\n") for name in matrix.columns]
    letters = max(len(line) for name in columns for line in name.split("\n"))
    is_long = letters * LETTER_INCHES > column_inches
    axes.set_xticks(
        range(len(columns)), columns, rotation=40 if is_long else 0,
        ha="right" if is_long else "center", rotation_mode="anchor",
    )  # fmt: skip
    labels = [f"{paper.short_name(str(name))} ({count:,})" for name, count in totals.items()]
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


HISTOGRAM_BINS = 20
STYLES = {
    MODEL: ("in windows", paper.MarkerStyle(paper.MODEL_BLUE, "o")),
    WHOLE: ("in whole recordings", paper.MarkerStyle(paper.ORANGE, "s", False, "--")),
}
"""Predictor with a confidence -> label and style."""


def draw_calibration(results: Results) -> paper.Drawn:
    """Reliability diagram of both predictors with a confidence, above its histogram."""
    calibration = results.explanation.document["calibration"]
    fig = paper.new_figure(paper.COLUMN_INCHES, 4.2)
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[2.9, 0.7])
    top.plot([0, 1], [0, 1], color="#8a8a8a", linewidth=0.7, zorder=1)
    for name, (label, style) in STYLES.items():
        _draw_reliability(top, calibration[name], label, style)
        confidence = results.explanation.confidence[name]
        counts, edges = np.histogram(confidence, bins=HISTOGRAM_BINS, range=(0, 1))
        bottom.stairs(counts / counts.sum(), edges, color=style.colour, linestyle=style.dashes,
                      linewidth=1.0)  # fmt: skip
    top.set_xlim(0, 1)
    top.set_ylim(0, 1)
    top.set_ylabel("share of these blocks that is correct")
    top.annotate("calibrated", (0.04, 0.04), (0, 3), textcoords="offset points", size=6,
                 rotation=45, rotation_mode="anchor", transform_rotates_text=True,
                 color="#666666")  # fmt: skip
    bottom.set_ylabel("share of rows")
    bottom.set_xlabel("predicted probability of the block")
    fig.legend(*top.get_legend_handles_labels(), loc="outside lower left", ncols=1)
    subtitle = f"{paper.tested_on(results)}; each marker is about a tenth of the rows, "
    subtitle += "with a 95 % interval; ECE: expected calibration error"
    return fig, _calibration_title(calibration[MODEL]), subtitle


def _draw_reliability(
    axes: Axes, calibration: JsonContent, label: str, style: paper.MarkerStyle
) -> None:
    error, bins = calibration["expected_calibration_error"], calibration["bins"]
    for part in bins:
        paper.draw_interval(axes, part["confidence"], part["right"], style, upright=True)
    axes.plot(
        [part["confidence"] for part in bins], [part["right"]["value"] for part in bins],
        linestyle=style.dashes, linewidth=0.9, marker=style.marker, color=style.colour,
        markerfacecolor=style.colour if style.is_filled else "white", markersize=3.8, zorder=2,
        markeredgewidth=0.8, clip_on=False,
        label=f"{label}: ECE {error['value']:.3f} [{error['low']:.3f}, {error['high']:.3f}]",
    )  # fmt: skip


def _calibration_title(calibration: JsonContent) -> str:
    confidence, correct = (
        paper.percent(calibration[key]["value"]) for key in ("confidence", "right")
    )
    numbers = f"mean confidence {confidence}, {correct} correct"
    over = calibration["overconfidence"]
    if significant_sign(over):
        return f"gcodefp is {'over' if over['value'] > 0 else 'under'}confident: {numbers}"
    return f"No miscalibration beyond chance: {numbers}"
