"""What a sweep found: its metric against each hyperparameter that varied, and run by run."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from gcodefp.findings.results import Results
from gcodefp.findings.words import logged_metric
from gcodefp.plots.style import FAINT, INK, PAGE_INCHES, RIGHT, WRONG, add_head, new_figure

COLUMNS = 4
PANEL_INCHES = 1.55
MEDIAN = "#d97f0a"


def draw_sweep(results: Results) -> Figure:
    """Best so far over the runs, then one panel for each hyperparameter that varied."""
    names = varying(results)
    rows = -(-(len(names) + 1) // COLUMNS)
    figure = new_figure(PAGE_INCHES, 0.45 + PANEL_INCHES * rows)
    panels = figure.subplots(rows, COLUMNS, sharey=True, squeeze=False)
    flat: Sequence[Axes] = list(panels.flat)
    _draw_order(flat[0], results)
    for axes, name in zip(flat[1:], names, strict=False):
        _draw_parameter(axes, results, name)
    for axes in flat[len(names) + 1 :]:
        axes.axis("off")
    figure.supylabel(logged_metric(results.winner["metric"]), size=7.5)
    handles, labels = flat[0].get_legend_handles_labels()
    if any("values" in results.searched[name] for name in names):
        handles.append(Line2D([], [], color=MEDIAN, linewidth=1.4))
        labels.append("median of finished runs")
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    failed = int((results.runs["state"] == "failed").sum())
    add_head(
        figure,
        f"{len(results.runs)} runs of sweep {results.sweep['id']} ({results.sweep['method']})",
        f"best epoch of each run; {results.winner['goal']}; {failed} failed",
        results.marks,
    )
    return figure


def varying(results: Results) -> list[str]:
    """Hyperparameters that the sweep searches and that had more than one value."""
    return [
        name
        for name, parameter in results.searched.items()
        if parameter["distribution"] != "constant" and results.runs[name].nunique() > 1
    ]


def _draw_order(axes: Axes, results: Results) -> None:
    runs = results.runs.sort_values("run")
    number = runs["run"].astype(int).to_numpy()
    values = runs["best_value"].to_numpy(float)
    best = np.fmax.accumulate(values) if _maximize(results) else np.fmin.accumulate(values)
    axes.step(number, best, where="post", color=INK, linewidth=1, label="best so far")
    _draw_points(axes, results, number, runs)
    axes.set_xlabel("run")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def _draw_parameter(axes: Axes, results: Results, name: str) -> None:
    runs = results.runs.dropna(subset=[name])
    parameter = results.searched[name]
    if "values" in parameter:
        # A later phase may have values of its own.
        choices = list(dict.fromkeys(map(_text, [*parameter["values"], *runs[name]])))
        place = np.array([choices.index(_text(value)) for value in runs[name]], float)
        _draw_medians(axes, runs, place, len(choices))
        _draw_points(axes, results, place + _spread(place), runs)
        axes.set_xticks(range(len(choices)), choices)
        axes.set_xlim(-0.6, len(choices) - 0.4)
    else:
        _draw_points(axes, results, runs[name].to_numpy(float), runs)
        if "log" in parameter["distribution"] and (runs[name] > 0).all():
            _set_log(axes, float(runs[name].max() / runs[name].min()))
    axes.set_xlabel(name)


def _set_log(axes: Axes, ratio: float) -> None:
    """A log axis with labels that do not run into each other."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 20 else (1.0,)))
    if ratio < 20:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_points(axes: Axes, results: Results, x: NDArray[Any], runs: pd.DataFrame) -> None:
    """A circle a run, a triangle if it was stopped, a cross at the edge if it failed."""
    y, state = runs["best_value"].to_numpy(float), runs["state"].to_numpy(str)
    winner = runs["run"].to_numpy(str) == results.winner["run"]
    ended, stopped = (state == "finished") & ~winner, (state == "stopped") & ~winner
    look: dict[str, Any] = {"linestyle": "none", "markersize": 3.4, "alpha": 0.85}
    open_look = look | {"markerfacecolor": "white", "markeredgecolor": FAINT}
    axes.plot(x[ended], y[ended], "o", color="#6b6b6b", label="run", **look)
    if stopped.any():
        axes.plot(x[stopped], y[stopped], "v", label="stopped early", **open_look)
    if (failed := state == "failed").any():
        axes.plot(x[failed], np.full(failed.sum(), 0.02), "x", color=WRONG, label="failed",
                  transform=axes.get_xaxis_transform(), **look)  # fmt: skip
    axes.plot(x[winner], y[winner], "*", color=RIGHT, markersize=9, markeredgecolor="white",
              markeredgewidth=0.5, label="winner", zorder=5)  # fmt: skip
    axes.grid(axis="y")


def _draw_medians(axes: Axes, runs: pd.DataFrame, place: NDArray[Any], count: int) -> None:
    medians = runs["best_value"].where(runs["state"] == "finished").groupby(place).median()
    for index in range(count):
        if index in medians:
            axes.hlines(medians[index], index - 0.3, index + 0.3, color=MEDIAN, linewidth=1.4)


def _spread(place: NDArray[Any]) -> NDArray[Any]:
    """Moves runs of the same choice apart, evenly in the order of the table."""
    rank = pd.Series(place).groupby(place).cumcount().to_numpy()
    return ((rank * 0.381966) % 1 - 0.5) * 0.36


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _maximize(results: Results) -> bool:
    return bool(results.winner["goal"] == "maximize")
