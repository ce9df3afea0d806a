"""How the runs of a sweep learnt: its metric and the loss, epoch by epoch."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import which_runs
from gcodefp.findings.words import logged_metric
from gcodefp.plots.style import (
    COLUMN_INCHES,
    FAINT,
    RIGHT,
    WRONG,
    add_head,
    figure_without,
    new_figure,
)

TITLE = "How the runs learnt"
LOSS = "val/loss"
TRAIN_LOSS = "train/loss"
LOG_RATIO = 8.0
"""Losses that span more than this are drawn on a log axis."""


def draw_learning_curves(results: Results) -> Figure:
    """All runs in grey, the winner on top with its best epoch."""
    metric = results.winner["metric"]
    columns = [name for name in dict.fromkeys([metric, LOSS]) if name in results.curves]
    if not columns:
        return figure_without(TITLE, f"curves.csv has neither {metric} nor {LOSS}.", results.marks)
    figure = new_figure(COLUMN_INCHES, 0.5 + 1.75 * len(columns))
    panels = figure.subplots(len(columns), 1, sharex=True, squeeze=False)[:, 0]
    for axes, column in zip(panels, columns, strict=True):
        _draw_runs(axes, results, column)
        if column.endswith("loss"):
            log_if_wide(axes, results.curves[column].to_numpy(float))
        axes.set_title(logged_metric(column))
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = dict(zip(*reversed(panels[-1].get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
    add_head(
        figure,
        TITLE,
        f"{which_runs(results)}; run {results.winner['run']} wins at epoch "
        f"{results.winner['best_epoch']}",
        results.marks,
    )
    return figure


def _draw_runs(axes: Axes, results: Results, column: str) -> None:
    winner = results.winner["run"]
    states = results.runs.set_index("run")["state"]
    for name, run in results.curves.groupby("run"):
        if name == winner:
            continue
        axes.plot(
            run["epoch"], run[column], color=FAINT, linewidth=0.6, alpha=0.6, label="other run"
        )
        _mark_end(axes, run, column, str(states[name]))
    run = results.curves[results.curves["run"] == winner]
    axes.plot(run["epoch"], run[column], color=RIGHT, linewidth=1.6, label="winner")
    if column == LOSS and TRAIN_LOSS in run:
        axes.plot(run["epoch"], run[TRAIN_LOSS], color=RIGHT, linewidth=1, linestyle=(0, (3, 1.5)),
                  label="winner, train split")  # fmt: skip
    best = run[run["epoch"] == results.winner["best_epoch"]]
    axes.plot(best["epoch"], best[column], "o", color="white", markeredgecolor=RIGHT,
              markeredgewidth=1.4, markersize=6, label="its best epoch", zorder=5)  # fmt: skip
    axes.grid(axis="y")


def _mark_end(axes: Axes, run: pd.DataFrame, column: str, state: str) -> None:
    """A mark where a run ended before all its epochs were done."""
    marks = {"stopped": (".", "#555555", "stopped early"), "failed": ("x", WRONG, "failed")}
    if state in marks:
        marker, colour, label = marks[state]
        last = run.iloc[-1:]
        axes.plot(last["epoch"], last[column], marker, color=colour, markersize=4, label=label)


def log_if_wide(axes: Axes, values: NDArray[np.floating]) -> None:
    """A log axis for losses that span much."""
    finite = values[np.isfinite(values)]
    if len(finite) and 0 < finite.min() * LOG_RATIO < finite.max():
        axes.set_yscale("log")
