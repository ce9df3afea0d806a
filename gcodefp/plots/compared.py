"""How single runs learnt, over each other: the metric that decides and the loss, by epoch."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcodefp.findings.words import logged_metric
from gcodefp.plots.curves import LOSS, log_if_wide
from gcodefp.plots.style import COLUMN_INCHES, RIGHT, add_head, new_figure

LOOKS = (
    (RIGHT, "-"),
    ("#d97f0a", (0, (4, 1.5))),
    ("#7b4fa3", (0, (1, 1))),
    ("#3f8f5f", (0, (4, 1.5, 1, 1.5))),
    ("#7a7a7a", "-"),
)
"""Colour and line of each run; told apart without colour too."""


class Curve(NamedTuple):
    """One run.

    Attributes:
        history: what was measured after each epoch, in order.
    """

    name: str
    history: Sequence[Mapping[str, float]]
    best_epoch: int


def draw_compared(curves: Sequence[Curve], metric: str, marks: Sequence[str]) -> Figure:
    """A panel for the metric and one for the loss; a circle is a run's best epoch.

    Args:
        marks: what has to be said in red.
    """
    columns = list(dict.fromkeys([metric, LOSS]))
    figure = new_figure(COLUMN_INCHES, 0.35 + 1.75 * len(columns) + 0.15 * len(curves))
    panels = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    for axes, column in zip(panels, columns, strict=True):
        for curve, look in zip(curves, cycle(LOOKS), strict=False):
            _draw(axes, curve, column, *look)
        if column.endswith("loss"):
            log_if_wide(
                axes, np.array([row.get(column, np.nan) for c in curves for row in c.history])
            )
        axes.set_title(logged_metric(column))
        axes.grid(axis="y")
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=1)
    add_head(figure, "How the runs learnt", "circles are their best epochs", marks)
    return figure


def _draw(axes: Axes, curve: Curve, column: str, colour: str, line: object) -> None:
    rows = [row for row in curve.history if column in row]
    epochs, values = ([row[name] for row in rows] for name in ("epoch", column))
    axes.plot(epochs, values, color=colour, linestyle=line, linewidth=1.4, label=curve.name)
    best = [row[column] for row in rows if row["epoch"] == curve.best_epoch]
    axes.plot([curve.best_epoch] * len(best), best, "o", color="white", markeredgecolor=colour,
              markeredgewidth=1.4, markersize=5, zorder=5)  # fmt: skip
