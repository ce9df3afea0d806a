"""How the runs of a sweep learnt: its metric and the loss, epoch by epoch."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from gcodefp.reporting.figures.run_style import add_legend, scale_ticks
from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    FAINT,
    PAGE_INCHES,
    RIGHT,
    WRONG,
    add_head,
    new_figure,
    placeholder_figure,
)
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import which_runs
from gcodefp.reporting.wording import METRICS, logged_metric

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
        return placeholder_figure(
            TITLE, f"curves.csv has neither {metric} nor {LOSS}.", results.marks
        )
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


HEADS_TITLE = "How the heads learnt"
COLUMNS = 4
PANEL_INCHES = 1.35
MANY_POINTS = 2000
"""Of all runs in a panel; more are drawn as pixels in the SVG too."""
WRITTEN_HEADS = ("token_type", "command", "parameter_type", "parameter_value")
"""Those that write a block word by word."""
TRAIN_LINE = (0, (3, 1.5))


def draw_head_curves(results: Results) -> Figure:
    """A panel for each head: its accuracy, or its loss where it has no accuracy."""
    columns = head_columns(results.curves)
    if not columns:
        return placeholder_figure(HEADS_TITLE, "curves.csv holds no accuracy and no loss of "
                              "single heads.", results.marks)  # fmt: skip
    rows = -(-len(columns) // COLUMNS)
    figure = new_figure(PAGE_INCHES, 0.45 + PANEL_INCHES * rows)
    panels: Sequence[Axes] = list(
        figure.subplots(rows, min(COLUMNS, len(columns)), sharex=True, squeeze=False).flat
    )
    for axes, (head, column) in zip(panels, columns.items(), strict=False):
        _draw_head(axes, results, column)
        loss = ", loss" if column.endswith("_loss") else ""
        axes.set_title(f"{METRICS.get(head, head)}{loss}", size=7)
        axes.tick_params(labelbottom=True)
    for axes in panels[len(columns) :]:
        axes.axis("off")
    for axes in panels[max(0, len(columns) - COLUMNS) : len(columns)]:
        axes.set_xlabel("epoch")
    add_legend(figure, _handles(results, columns.values()), 5)
    add_head(
        figure,
        _title(results, columns),
        f"{_measure(columns)}, val split; {which_runs(results)}; run {results.winner['run']} "
        f"wins at epoch {results.winner['best_epoch']}",
        results.marks,
    )
    return figure


def head_columns(curves: pd.DataFrame) -> dict[str, str]:
    """Head -> its column of the val split, in the order of the table."""
    losses = [
        name for name in map(str, curves) if name.startswith("val/") and name.endswith("_loss")
    ]
    heads = [name.removeprefix("val/").removesuffix("_loss") for name in losses]
    return {
        head: accuracy if (accuracy := f"val/{head}_acc") in curves else loss
        for head, loss in zip(heads, losses, strict=True)
    }


def train_column(curves: pd.DataFrame, column: str) -> str | None:
    """The column of the train split to compare with one of the val split; None if there is none.

    Accuracies of words are none: those of train are of words after true ones, those of val of words
    that the network wrote all by itself.
    """
    train = column.replace("val/", "train/")
    is_written = column.endswith("_acc") and column[len("val/") : -len("_acc")] in WRITTEN_HEADS
    return train if train in curves and not is_written else None


def _measure(columns: dict[str, str]) -> str:
    """What the panels show; those of a loss say so themselves."""
    measures = {name.rpartition("_")[2] for name in columns.values()}
    if measures == {"acc", "loss"}:
        return "accuracy, or loss where the panel says so"
    return "loss" if measures == {"loss"} else "accuracy"


def _title(results: Results, columns: dict[str, str]) -> str:
    """The best and the worst of the winner's accuracies."""
    curves, winner = results.curves, results.winner
    best = curves[(curves["run"] == winner["run"]) & (curves["epoch"] == winner["best_epoch"])]
    accuracies = {head: float(best[name].iloc[0]) for head, name in columns.items()
                  if name.endswith("_acc") and len(best)}  # fmt: skip
    known = {head: value for head, value in accuracies.items() if np.isfinite(value)}
    if len(known) < 2:
        return HEADS_TITLE
    low, high = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
    if f"{known[low]:.2f}" == f"{known[high]:.2f}":
        return HEADS_TITLE
    words = (f"{METRICS.get(head, head)} ({known[head]:.2f})" for head in (low, high))
    return "The winner's accuracy is lowest for {}, highest for {}".format(*words)


def _draw_head(axes: Axes, results: Results, column: str) -> None:
    curves, winner = results.curves, results.winner
    others = curves[curves["run"] != winner["run"]]
    lines = [run[["epoch", column]].to_numpy(float) for _, run in others.groupby("run")]
    axes.add_collection(
        LineCollection(lines, colors=FAINT, linewidths=0.6, alpha=0.6 if len(lines) < 50 else 0.25,
                       rasterized=len(others) > MANY_POINTS)
    )  # fmt: skip
    failed = set(results.runs.loc[results.runs["state"] == "failed", "run"])
    ends = others[others["run"].isin(failed)].groupby("run").tail(1)
    axes.plot(ends["epoch"], ends[column], "x", color=WRONG, markersize=3.5)
    run = curves[curves["run"] == winner["run"]]
    axes.plot(run["epoch"], run[column], color=RIGHT, linewidth=1.6)
    if train := train_column(curves, column):
        axes.plot(run["epoch"], run[train], color=RIGHT, linewidth=1, linestyle=TRAIN_LINE)
    best = run[run["epoch"] == winner["best_epoch"]]
    axes.plot(best["epoch"], best[column], "o", color="white", markeredgecolor=RIGHT,
              markeredgewidth=1.2, markersize=4.5, zorder=5)  # fmt: skip
    if column.endswith("_loss"):
        axes.margins(y=0.05)
        log_if_wide(axes, curves[column].to_numpy(float))
        axes.autoscale_view()
        if axes.get_yscale() == "log":
            ticks = scale_ticks(axes.get_ylim(), is_log=True)
            axes.yaxis.set_major_locator(FixedLocator(ticks))
            axes.yaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
            axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.grid(axis="y")


def _handles(results: Results, columns: Iterable[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=RIGHT, linewidth=1.6, label="winner"),
        Line2D([], [], color=RIGHT, marker="o", linestyle="none", markerfacecolor="white",
               markersize=4.5, label="its best epoch"),
    ]  # fmt: skip
    if any(train_column(results.curves, column) for column in columns):
        handles.insert(1, Line2D([], [], color=RIGHT, linewidth=1, linestyle=TRAIN_LINE,
                                 label="winner, train split"))  # fmt: skip
    if len(results.runs) > 1:
        handles.append(Line2D([], [], color=FAINT, linewidth=0.8, label="other runs"))
    if (results.runs["state"] == "failed").any():
        handles.append(Line2D([], [], color=WRONG, marker="x", linestyle="none", markersize=4,
                              label="failed"))  # fmt: skip
    return handles


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
