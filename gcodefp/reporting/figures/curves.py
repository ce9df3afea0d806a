"""The metric and the loss of runs, epoch by epoch: of a sweep, and of runs that are compared."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcodefp.reporting.figures import figure
from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    FAINT,
    MODEL_BLUE,
    ORANGE,
    WRONG,
    add_head,
    add_legend,
    new_figure,
    placeholder,
    set_log_scale,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import LOSS, describe_runs, is_wide
from gcodefp.reporting.wording import logged_metric, short_metric

TRAIN_LOSS = "train/loss"
PANEL_INCHES = 1.75
MANY_RUNS = 50


@figure(
    "learning_curves",
    title="Learning curves",
    category="Sweep",
    caption="The metric that selects the winner, and the loss, after each epoch of each run. The "
    "circle is the epoch whose weights were evaluated.",
)
def draw_learning_curves(results: Results) -> Figure:
    """All runs in grey, the winner on top with its best epoch."""
    winner = results.winner
    columns = [name for name in dict.fromkeys([winner["metric"], LOSS]) if name in results.curves]
    if not columns:
        sentence = f"curves.csv has neither {winner['metric']} nor {LOSS}."
        return placeholder("Learning curves", sentence, results.warnings)
    fig, panels = _panels(columns)
    for axes, column in zip(panels, columns, strict=True):
        _draw_runs(axes, results, column)
        _finish(axes, column, results.curves[column])
    add_legend(fig, [line for axes in panels for line in axes.get_lines()
                     if not str(line.get_label()).startswith("_")], 2)  # fmt: skip
    title = (
        f"Run {winner['run']} wins at epoch {winner['best_epoch']}: {winner['best_value']:.3g} "
        f"{short_metric(winner['metric'])}"
    )
    add_head(fig, title, f"val split; {describe_runs(results)}", results.warnings)
    return fig


def _panels(columns: Sequence[str]) -> tuple[Figure, list[Axes]]:
    """An empty panel for each column."""
    fig = new_figure(COLUMN_INCHES, 0.4 + PANEL_INCHES * len(columns))
    panels: list[Axes] = list(fig.subplots(len(columns), 1, sharex=True, squeeze=False).flat)
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return fig, panels


def _finish(axes: Axes, column: str, values: "pd.Series[float]") -> None:
    """Title and grid, and a log axis for a loss with a wide range."""
    axes.set_title(logged_metric(column))
    axes.grid(axis="y")
    if column.endswith("loss") and is_wide(values.to_numpy(float)):
        set_log_scale(axes, axes.yaxis)


def _draw_runs(axes: Axes, results: Results, column: str) -> None:
    winner = results.winner["run"]
    states = results.runs.set_index("run")["state"]
    opacity = 0.6 if len(states) < MANY_RUNS else 0.25
    for name, run in results.curves.groupby("run"):
        if name != winner:
            axes.plot(run["epoch"], run[column], color=FAINT, linewidth=0.6, alpha=opacity,
                      label="other run")  # fmt: skip
            _mark_end(axes, run, column, str(states[name]))
    run = results.curves[results.curves["run"] == winner]
    axes.plot(run["epoch"], run[column], color=MODEL_BLUE, linewidth=1.6, label="winner")
    if column == LOSS and TRAIN_LOSS in run:
        axes.plot(run["epoch"], run[TRAIN_LOSS], color=MODEL_BLUE, linewidth=1,
                  linestyle=(0, (3, 1.5)), label="winner, train split")  # fmt: skip
    best = run[run["epoch"] == results.winner["best_epoch"]]
    _circle(axes, best["epoch"], best[column], MODEL_BLUE)


def _circle(axes: Axes, x: "pd.Series[float]", y: "pd.Series[float]", colour: str) -> None:
    axes.plot(x, y, "o", color="white", markeredgecolor=colour, markeredgewidth=1.4, markersize=5.5,
              label="best epoch", zorder=5)  # fmt: skip


def _mark_end(axes: Axes, run: pd.DataFrame, column: str, state: str) -> None:
    """A mark where a run ended before all its epochs were done."""
    styles = {"stopped": (".", "#555555", "stopped early"), "failed": ("x", WRONG, "failed")}
    if state in styles:
        marker, colour, label = styles[state]
        last = run.iloc[-1:]
        axes.plot(last["epoch"], last[column], marker, color=colour, markersize=4, label=label)


COMPARED_STYLES = (
    (MODEL_BLUE, "-"),
    (ORANGE, (0, (4, 1.5))),
    ("#7b4fa3", (0, (1, 1))),
    ("#3f8f5f", (0, (4, 1.5, 1, 1.5))),
    ("#7a7a7a", "-"),
)
"""Colour and line of each compared run; they differ without colour too."""


class Curve(NamedTuple):
    """A run that is compared; `history`: what was measured after each epoch, in order."""

    name: str
    history: Sequence[Mapping[str, float]]
    best_epoch: int


def draw_compared(curves: Sequence[Curve], metric: str, warnings: Sequence[str]) -> Figure:
    """A panel for the metric and one for the loss, where they were logged.

    Args:
        warnings: shown in red above the title.
    """
    tables = {curve.name: pd.DataFrame(list(curve.history)) for curve in curves}
    wanted = dict.fromkeys([metric, LOSS])
    columns = [name for name in wanted if any(name in table for table in tables.values())]
    if not columns:
        return placeholder("Learning curves", f"No run logged {metric} or {LOSS}.", warnings)
    fig, panels = _panels(columns)
    # The legend has a row for each run, since names are long.
    fig.set_size_inches(COLUMN_INCHES, fig.get_size_inches()[1] + 0.15 * len(curves))
    for axes, column in zip(panels, columns, strict=True):
        for curve, (colour, line) in zip(curves, cycle(COMPARED_STYLES), strict=False):
            table = tables[curve.name]
            if column not in table:
                continue
            table = table.dropna(subset=[column])
            axes.plot(table["epoch"], table[column], color=colour, linestyle=line, linewidth=1.4,
                      label=curve.name)  # fmt: skip
            best = table[table["epoch"] == curve.best_epoch]
            _circle(axes, best["epoch"], best[column], colour)
        _finish(axes, column, pd.concat(
            [table[column] for table in tables.values() if column in table]
        ))  # fmt: skip
    lines = [line for line in panels[0].get_lines() if line.get_label() in tables]
    fig.legend(handles=lines, loc="outside lower left", ncols=1)
    title = f"Learning curves of {len(curves)} runs"
    add_head(fig, title, "val split; circles are the best epochs", warnings)
    return fig
