"""How a sweep got to its best value: over its runs, and over time."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import is_maximized, which_runs
from gcodefp.findings.work_pieces import Clock, work_pieces
from gcodefp.plots.clock_axis import draw_cuts, label_clock, time_unit
from gcodefp.plots.runs_look import add_legend, draw_points, label_metric, run_handles
from gcodefp.plots.style import INK, PAGE_INCHES, RIGHT, add_head, new_figure, say_why

PAUSE = "#e4e4e4"
MOST_DOTS = 25


def draw_best_so_far(results: Results) -> Figure:
    """Two panels that share the metric's axis."""
    figure = new_figure(PAGE_INCHES, 2.3)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_over_runs(left, results)
    noted = _draw_over_time(right, results)
    label_metric(left, results)
    line = left.get_lines()[0]
    add_legend(figure, [line, *run_handles(results)], 5)
    add_head(
        figure,
        _title(results),
        f"val split, to {results.winner['goal']}; {which_runs(results)}{noted}",
        results.marks,
    )
    return figure


def _title(results: Results) -> str:
    winner, runs = results.winner, results.runs
    best = runs["best_value"].max() if is_maximized(results) else runs["best_value"].min()
    wins = f"Run {winner['run']} wins with {winner['best_value']:.3g}"
    if best != winner["best_value"]:
        return f"{wins}; the best value of all runs is {best:.3g}"
    later = int((runs["run"] > winner["run"]).sum())
    if not later:
        return f"{wins}, the last of {len(runs)} runs" if len(runs) > 1 else wins
    return f"{wins}; {later} later {'runs' if later > 1 else 'run'} did not do better"


def best_over_runs(results: Results, runs: pd.DataFrame) -> "np.ndarray[Any, Any]":
    """(runs,) the best value of each run and those before it; nan until there is one."""
    values = runs["best_value"].to_numpy(float)
    return np.fmax.accumulate(values) if is_maximized(results) else np.fmin.accumulate(values)


def best_over_time(results: Results) -> pd.DataFrame:
    """The moments (`utc_seconds`) at which the best `value` so far changed, and the `run`.

    An epoch counts from when it was over first. Failed runs do not count.
    """
    metric, runs = results.winner["metric"], results.runs
    counted = set(runs.loc[runs["state"] != "failed", "run"])
    moments = results.work[results.work["epoch"] > 0].groupby(["run", "epoch"])["utc_seconds"].min()
    if metric not in results.curves:
        return pd.DataFrame(columns=["run", "utc_seconds", "value"])
    curves = results.curves.loc[results.curves["run"].isin(counted), ["run", "epoch", metric]]
    table = curves.rename(columns={metric: "value"}).join(moments, on=["run", "epoch"])
    table = table.dropna().sort_values(["utc_seconds", "run"])
    best = table["value"].cummax() if is_maximized(results) else table["value"].cummin()
    return table[best != best.shift()].reset_index(drop=True)[["run", "utc_seconds", "value"]]


def _draw_over_runs(axes: Axes, results: Results) -> None:
    runs = results.runs.sort_values("run")
    numbers = runs["run"].astype(int)
    axes.step(numbers, best_over_runs(results, runs), where="post", color=INK, linewidth=1,
              label="best so far")  # fmt: skip
    draw_points(axes, results, results.runs["run"].astype(int))
    axes.set_xlabel("run")
    axes.set_xlim(numbers.min() - 0.6, numbers.max() + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if "sweep" in runs:
        for number in numbers[runs["sweep"] != runs["sweep"].shift()][1:]:
            axes.axvline(number - 0.5, color=INK, linewidth=0.6, linestyle=(0, (2, 2)))
            axes.text(number - 0.5, 1.01, "next sweep", size=6, ha="center",
                      transform=axes.get_xaxis_transform())  # fmt: skip


def _draw_over_time(axes: Axes, results: Results) -> str:
    """Draws the panel; returns what the subtitle has to say of it."""
    pieces = work_pieces(results.work)
    steps = best_over_time(results)
    if not pieces or steps.empty:
        say_why(axes, "No epoch of these runs has a noted time: they were trained elsewhere.")
        return ""
    clock = Clock(pieces)
    unit = time_unit(clock.length)
    for begin, end in clock.pauses:
        axes.axvspan(*(clock.seconds([begin, end]) / unit.seconds), color=PAUSE, linewidth=0)
    draw_cuts(axes, clock, unit)
    at = clock.seconds(steps["utc_seconds"]) / unit.seconds
    axes.step([*at, clock.length / unit.seconds], [*steps["value"], steps["value"].iloc[-1]],
              where="post", color=INK, linewidth=1)  # fmt: skip
    if len(steps) <= MOST_DOTS:
        axes.plot(at, steps["value"], "o", color=INK, markersize=2.5)
    if steps["run"].iloc[-1] == results.winner["run"]:
        axes.plot(at[-1], steps["value"].iloc[-1], "*", color=RIGHT, markersize=9,
                  markeredgecolor="white", markeredgewidth=0.5, zorder=5)  # fmt: skip
    axes.grid(axis="y")
    axes.tick_params(labelleft=False)
    label_clock(axes, clock, unit)
    without = len(set(results.runs["run"]) - {piece.run for piece in pieces})
    return f"; {without} runs without noted times are on the left only" if without else ""
