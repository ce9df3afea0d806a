"""Two objectives of a sweep against each other."""

import textwrap

import numpy as np
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.figures.run_style import FINISHED
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import Front, describe_runs, is_wide, pareto_front
from gcodefp.reporting.wording import logged_metric
from gcodefp.sweeps.ranking import FACTS

LABEL_LETTERS = 40
ARROWS = {"maximize": "more is better", "minimize": "less is better"}


@figure(
    "pareto",
    title="Two objectives",
    category="Sweep",
    caption="The two objectives that the configuration names, of each run at its best epoch. The "
    "runs on the line are non-dominated: no other run is as good in both and better in one. "
    "Failed runs are excluded; runs that were stopped early count with what they reached.",
)
def draw_pareto(results: SweepResults) -> Figure:
    """A point for each run; the front of the non-dominated ones as a staircase."""
    front = pareto_front(results)
    if isinstance(front, str):
        return paper.placeholder("Two objectives", front, results.warnings)
    fig = paper.new_figure(paper.COLUMN_INCHES, 2.6)
    axes = fig.subplots()
    y, x = front.values.T
    best = front.is_best
    axes.plot(x[~best], y[~best], "o", color=FINISHED, markersize=3.4, clip_on=False)
    order = np.lexsort([y[best], x[best]])
    axes.plot(x[best][order], y[best][order], drawstyle=_staircase(front), color=paper.MODEL_BLUE,
              marker="o", markersize=4.5, linewidth=1.0, clip_on=False)  # fmt: skip
    is_winner = (front.runs["run"] == results.winner["run"]).to_numpy()
    axes.plot(x[is_winner], y[is_winner], "*", color=paper.MODEL_BLUE, markersize=9, clip_on=False)
    first, second = front.goals.items()
    _label(axes.yaxis, *first, y)
    _label(axes.xaxis, *second, x)
    axes.grid()
    handles = [
        Line2D([], [], color=paper.MODEL_BLUE, marker="o", markersize=4.5, label="non-dominated"),
        Line2D(
            [], [], color=FINISHED, marker="o", markersize=3.4, linestyle="none", label="others"
        ),
        Line2D(
            [],
            [],
            color=paper.MODEL_BLUE,
            marker="*",
            markersize=7,
            linestyle="none",
            label="winner",
        ),
    ]
    paper.add_legend(fig, handles[: 1 if best.all() else 2] + handles[2:], 3)
    title = f"{best.sum()} of {len(best)} runs are non-dominated"
    subtitle = f"best {results.step} of each run; {describe_runs(results)}"
    paper.add_head(fig, title, subtitle, results.warnings)
    return fig


def _staircase(front: Front) -> str:
    """The corners lie on the side of what the front dominates."""
    return "steps-post" if list(front.goals.values())[1] == "minimize" else "steps-pre"


def _label(axis: XAxis | YAxis, name: str, goal: str, values: NDArray[np.float64]) -> None:
    text = name if name in FACTS else logged_metric(name)
    axis.set_label_text(textwrap.fill(f"{text} ({ARROWS[goal]})", LABEL_LETTERS))
    if goal == "minimize" and is_wide(values):
        paper.set_log_scale(axis.axes, axis)
