"""How important each hyperparameter of a sweep is."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from gcodefp.reporting.figures import figure
from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    MODEL_BLUE,
    add_head,
    new_figure,
    percent,
    placeholder,
    short_name,
)
from gcodefp.reporting.importance import Importance, measure_importance
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import describe_runs

ROW_INCHES = 0.2


@figure(
    "importance",
    title="Importance",
    category="Sweep",
    caption="How much each hyperparameter decides whether a run is among the best: the divergence "
    "of the best tenth of the runs from all runs, as a share of the sum (PED-ANOVA, Watanabe et "
    "al. 2023, by Optuna). Failed runs and repeats with other seeds are excluded; runs that were "
    "stopped early count with what they reached. With few runs, shares of a half are within "
    "chance.",
)
def draw_importance(results: Results) -> Figure:
    """A bar for each hyperparameter, the most important on top."""
    importance = measure_importance(results)
    if isinstance(importance, str):
        return placeholder("Importance of the hyperparameters", importance, results.warnings)
    rows = np.arange(len(importance.names))
    fig = new_figure(COLUMN_INCHES, 0.6 + ROW_INCHES * max(3, len(rows)))
    axes = fig.subplots()
    axes.barh(rows, importance.shares, height=0.62, color=MODEL_BLUE)
    for row, share in enumerate(importance.shares):
        axes.annotate(percent(share), (share, row), (3, 0), textcoords="offset points", size=6.5,
                      va="center_baseline")  # fmt: skip
    axes.set_yticks(rows, map(short_name, importance.names))
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.15 * importance.shares[0])
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol="\N{NO-BREAK SPACE}%"))
    axes.set_xlabel("share of the importance (PED-ANOVA)")
    axes.grid(axis="x")
    add_head(fig, _title(importance), _subtitle(importance, results), results.warnings)
    return fig


def _title(importance: Importance) -> str:
    first, *others = map(short_name, importance.names)
    if not others:
        return f"{first} is the only hyperparameter that varied"
    shares = list(map(percent, importance.shares))
    return f"{first} is most important ({shares[0]}), then {others[0]} ({shares[1]})"


def _subtitle(importance: Importance, results: Results) -> str:
    return (
        f"val split; the best {importance.best} of {importance.runs} runs with a value against all "
        f"of them; {describe_runs(results)}"
    )
