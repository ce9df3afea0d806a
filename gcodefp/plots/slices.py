"""A sweep's metric against each hyperparameter that varied."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import Varied, varied, which_runs
from gcodefp.plots.runs_look import add_legend, draw_points, label_metric, run_handles, set_scale
from gcodefp.plots.style import COLUMN_INCHES, PAGE_INCHES, add_head, figure_without, new_figure

COLUMNS = 4
PANEL_INCHES = 1.5
MEDIAN = "#d97f0a"
TITLE = "The metric against each hyperparameter"


def draw_slices(results: Results) -> Figure:
    """One panel for each hyperparameter that varied; the others vary along with it."""
    found = varied(results)
    if not found:
        return figure_without(TITLE, nothing_varied(results), results.marks)
    columns = min(COLUMNS, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(COLUMN_INCHES if columns < 3 else PAGE_INCHES, 0.45 + PANEL_INCHES * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    flat: Sequence[Axes] = list(panels.flat)
    for axes, one in zip(flat, found, strict=False):
        _draw(axes, results, one)
    for axes in flat[len(found) :]:
        axes.axis("off")
    for axes in panels[:, 0]:
        label_metric(axes, results)
    handles = run_handles(results)
    if any(one.choices for one in found):
        handles.append(Line2D([], [], color=MEDIAN, linewidth=1.4, label="median of finished runs"))
    add_legend(figure, handles, len(handles) if columns > 2 else 3)
    what = f"{len(found)} hyperparameters" if len(found) > 1 else found[0].name
    add_head(
        figure,
        f"The metric against {what}",
        f"best epoch of each run, val split; to {results.winner['goal']}; {which_runs(results)}",
        results.marks,
    )
    return figure


def nothing_varied(results: Results) -> str:
    """Why figures over hyperparameters are empty."""
    if len(results.runs) == 1:
        return "There is one run only, so that no hyperparameter varied."
    return "The runs have the same values of all searched hyperparameters."


def _draw(axes: Axes, results: Results, one: Varied) -> None:
    place = one.places
    if one.choices is None:
        draw_points(axes, results, place)
    else:
        _draw_medians(axes, results.runs, place, len(one.choices))
        draw_points(axes, results, place + spread(place))
    set_scale(axes, one)
    users = int(np.isfinite(place).sum())
    axes.set_xlabel(one.name if users == len(place) else f"{one.name} ({users} runs have it)")


def _draw_medians(axes: Axes, runs: pd.DataFrame, place: NDArray[Any], count: int) -> None:
    finished = runs["best_value"].where(runs["state"] == "finished")
    medians = finished.groupby(place).median().dropna()
    for index in range(count):
        if index in medians:
            axes.hlines(medians[index], index - 0.3, index + 0.3, color=MEDIAN, linewidth=1.4)


def spread(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moves runs of the same choice apart, evenly in the order of the table."""
    rank = pd.Series(place).groupby(place, dropna=False).cumcount().to_numpy()
    return np.asarray(((rank * 0.381966) % 1 - 0.5) * 0.36)
