"""Which hyperparameters decided, and how sure that is."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from gcodefp.findings.importance import Importance, measure_importance
from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import which_runs
from gcodefp.plots.runs_look import add_legend
from gcodefp.plots.style import (
    COLUMN_INCHES,
    INK,
    RIGHT,
    WRONG,
    add_head,
    figure_without,
    new_figure,
    percent,
)

TITLE = "Which hyperparameters decide"
ROW_INCHES = 0.2
BELOW = "#cfdbe6"


def draw_importance(results: Results) -> Figure:
    """A bar for each hyperparameter, with its spread and what chance alone gives."""
    found = measure_importance(results)
    if isinstance(found, str):
        return figure_without(TITLE, found, results.marks)
    rows = np.arange(len(found.names))
    figure = new_figure(COLUMN_INCHES, 0.95 + ROW_INCHES * len(rows))
    axes = figure.subplots()
    above = found.shares > found.chance
    axes.barh(rows, found.shares, height=0.62, linewidth=0.6, edgecolor=RIGHT,
              color=np.where(above, RIGHT, BELOW))  # fmt: skip
    for row, low, high in zip(rows, found.low, found.high, strict=True):
        axes.plot([low, high], [row, row], color="white", linewidth=2.4, solid_capstyle="butt")
        axes.plot([low, high], [row, row], color=INK, linewidth=0.9, marker="|", markersize=4)
    for is_beyond, marker in ((False, "D"), (True, ">")):
        of = (found.chance > 1) == is_beyond
        if not of.any():
            continue  # The layout would make room for the empty line.
        axes.plot(np.minimum(found.chance[of], 1.0), rows[of], marker, color="white",
                  markeredgecolor=WRONG, markersize=3.6, clip_on=False, zorder=4)  # fmt: skip
    axes.set_yticks(rows, found.names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("share of the importance (PED-ANOVA)")
    axes.grid(axis="x")
    add_legend(figure, _handles(found), 2)
    add_head(figure, _title(found), _subtitle(found, results), results.marks)
    return figure


def _title(found: Importance) -> str:
    beyond = found.beyond_chance
    if not beyond:
        return "No hyperparameter stands out from chance"
    if len(beyond) == 1:
        share = found.shares[found.names.index(beyond[0])]
        return f"Only {beyond[0]} stands out from chance, with {percent(share)} of the importance"
    *others, last = beyond
    return f"{', '.join(others)} and {last} stand out from chance"


def _subtitle(found: Importance, results: Results) -> str:
    widest = round(100 * float((found.high - found.low).max()))
    return (
        f"the best {found.best} of {found.runs} runs with a value compared with all of them, val "
        f"split; over resamples of the runs a share varies by up to {widest} points; "
        f"{which_runs(results)}"
    )


def _handles(found: Importance) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = []
    if found.beyond_chance:
        handles.append(Patch(facecolor=RIGHT, edgecolor=RIGHT, label="beyond chance"))
    if len(found.beyond_chance) < len(found.names):
        handles.append(Patch(facecolor=BELOW, edgecolor=RIGHT, label="not beyond chance"))
    handles.append(Line2D([], [], color=INK, linewidth=0.9, marker="|", markersize=4,
                          label="90 % of resamples"))  # fmt: skip
    handles.append(Line2D([], [], color="white", marker="D", linestyle="none", markersize=3.6,
                          markeredgecolor=WRONG, label="chance stays below"))  # fmt: skip
    return handles
