"""Runs of a sweep: their style by how they ended, two quantities, and what they use over time."""

import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axis import XAxis, YAxis
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gcodefp.reporting.figures import paper
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import describe_runs, is_wide, pareto_front
from gcodefp.reporting.wording import logged_metric
from gcodefp.sweeps.ranking import COSTS

FINISHED = "#6b6b6b"
RUN_STYLES: dict[str, dict[str, Any]] = {
    "finished": {"label": "finished", "color": FINISHED, "marker": "o",
                 "markerfacecolor": FINISHED, "markersize": 3.4},
    "stopped": {"label": "pruned or stopped", "color": paper.FAINT, "marker": "v",
                "markerfacecolor": "white", "markersize": 3.4},
    "failed": {"label": "failed", "color": paper.WRONG, "marker": "x",
               "markerfacecolor": paper.WRONG, "markersize": 3.8},
    "best run": {"label": "best run", "color": paper.MODEL_BLUE, "marker": "*",
               "markerfacecolor": paper.MODEL_BLUE, "markersize": 9.0},
}  # fmt: skip
"""State in runs.csv, and `best run` -> the style of its marker."""


def styles_of_runs(results: SweepResults) -> NDArray[np.str_]:
    """(runs,) the key of each run in RUN_STYLES."""
    is_best_run = results.runs["run"] == results.best_run["run"]
    return results.runs["state"].mask(is_best_run, "best run").to_numpy(str)


def run_handles(results: SweepResults) -> list[Line2D]:
    """For a legend: the styles that occur."""
    present = set(styles_of_runs(results))
    return [
        Line2D([], [], linestyle="none", **style)
        for name, style in RUN_STYLES.items()
        if name in present
    ]


LABEL_LETTERS = 40
ARROWS = {"maximize": "more is better", "minimize": "less is better"}


def draw_pareto(results: SweepResults) -> paper.Drawn:
    """A point for each run; the front of the non-dominated ones as a staircase."""
    front = pareto_front(results)
    if isinstance(front, str):
        raise paper.NothingToDraw(front)
    fig = paper.new_figure(paper.COLUMN_INCHES, 2.6)
    axes = fig.subplots()
    (y, x), best = front.values.T, front.is_best
    axes.plot(x[~best], y[~best], "o", color=FINISHED, markersize=3.4, clip_on=False,
              label="" if best.all() else "others")  # fmt: skip
    order = np.lexsort([y[best], x[best]])
    # The corners lie on the side of what the front dominates.
    drawstyle = "steps-post" if [*front.goals.values()][1] == "minimize" else "steps-pre"
    axes.plot(x[best][order], y[best][order], drawstyle=drawstyle, color=paper.MODEL_BLUE,
              marker="o", markersize=4.5, linewidth=1.0, clip_on=False,
              label="non-dominated")  # fmt: skip
    is_run = (front.runs["run"] == results.best_run["run"]).to_numpy()
    axes.plot(x[is_run], y[is_run], linestyle="none", clip_on=False, **RUN_STYLES["best run"])
    (first, first_goal), (second, second_goal) = front.goals.items()
    _label(axes.yaxis, first, first_goal, y)
    _label(axes.xaxis, second, second_goal, x)
    axes.grid()
    paper.add_legend(fig, axes.get_legend_handles_labels()[0], 3)
    title = f"{best.sum()} of {len(best)} runs are non-dominated"
    subtitle = f"best {results.step} of each run; {describe_runs(results)}"
    return fig, title, subtitle


def _label(axis: XAxis | YAxis, name: str, goal: str, values: NDArray[np.float64]) -> None:
    text = name if name in COSTS else logged_metric(name)
    axis.set_label_text(textwrap.fill(f"{text} ({ARROWS[goal]})", LABEL_LETTERS))
    if goal == "minimize" and is_wide(values):
        paper.set_log_scale(axis.axes, axis)


PANELS = {
    "cpu_share": ("CPU, cores", 1.0), "memory_mb": ("memory, GB", 1e-3),
    "gpu_share": ("GPU, share", 1.0), "gpu_memory": ("GPU memory, GB", 1e-3),
}  # fmt: skip
"""Column -> label of its panel, and its unit in that of the label."""


def draw_system(results: SweepResults) -> paper.Drawn:
    """A line for each run, a panel for each quantity that was measured."""
    table = _with_time(results.system)
    shown = [name for name in PANELS if name in table and table[name].notna().any()]
    if not shown:
        raise paper.NothingToDraw(
            "system.csv has no sample of these runs: they were too short, or run elsewhere."
        )
    unit = paper.time_unit(float(table["at"].max()))
    fig = paper.new_figure(paper.PAGE_INCHES, 0.5 + 1.0 * len(shown))
    panels = fig.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, shown, strict=True):
        label, scale = PANELS[name]
        for run, samples in table.dropna(subset=[name]).groupby("run"):
            is_best_run = run == results.best_run["run"]
            axes.plot(
                samples["at"] / unit.seconds, scale * samples[name],
                color=paper.MODEL_BLUE if is_best_run else FINISHED, zorder=2 + is_best_run,
                linewidth=1.2 if is_best_run else 0.6, alpha=1.0 if is_best_run else 0.6,
                label="best run" if is_best_run else "other runs",
            )  # fmt: skip
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0)
        axes.grid()
    fig.align_ylabels(panels)
    panels[-1].set_xlabel(f"{unit.name} at work on the run")
    panels[-1].set_xlim(left=0)
    paper.add_legend(fig, [h for axes in panels for h in axes.get_legend_handles_labels()[0]], 2)
    count = table["run"].nunique()
    subtitle = f"{count} runs with samples in system.csv, of {describe_runs(results)}"
    return fig, _system_title(table), subtitle


def _with_time(system: pd.DataFrame) -> pd.DataFrame:
    """The samples with `at`, the run's seconds at work so far, and its memory on GPUs."""
    if system.empty:
        return system
    at = system.groupby("run")["seconds"].cumsum()
    # Where the driver hides the processes, the trainer's own count; as in the summary.
    memory = system["gpu_memory_mb"].groupby(system["run"]).transform("max")
    gpu_memory = system["gpu_memory_mb"].where(memory.notna(), system["gpu_memory_allocated_mb"])
    return system.assign(at=at, gpu_memory=gpu_memory)


def _system_title(table: pd.DataFrame) -> str:
    memory = f"at most {table['memory_mb'].max() / 1e3:.2g} GB of memory"
    weighted = (table["cpu_share"] * table["seconds"]).sum()
    total = table["seconds"].where(table["cpu_share"].notna()).sum()
    cores = f"{weighted / total:.2g} cores and " if total else ""
    return f"A run used {cores}{memory}"
