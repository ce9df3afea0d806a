"""The metric over pairs of the most important hyperparameters that are numbers."""

import textwrap
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gcodefp.reporting.figures.run_style import (
    RUN_LOOKS,
    UnitScale,
    add_legend,
    looks_of,
    run_handles,
    unit_scale,
)
from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    INK,
    PAGE_INCHES,
    RIGHT,
    add_head,
    new_figure,
    placeholder_figure,
)
from gcodefp.reporting.importance import importance_order
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import Varied, is_maximized, repeats, varied, which_runs
from gcodefp.reporting.wording import short_metric

TITLE = "The metric over two hyperparameters"
MOST = 3
"""Hyperparameters, of which all pairs are drawn."""
FEWEST_FINISHED = 12
"""Below this there is no surface."""
GRID = 41
REACH = 1.5
"""Bandwidths from the nearest run to where the surface ends."""
LEVELS = 7
LABEL_LETTERS = 26


def draw_contours(results: Results) -> Figure:
    """A panel for each pair: runs by value; a smoothed surface where runs are many enough."""
    order = importance_order(results)
    chosen = choose(results, order)
    if len(chosen) < 2:
        count = "Only one hyperparameter" if chosen else "No hyperparameter"
        return placeholder_figure(TITLE, f"{count} that varied is a number; a map needs two.",
                              results.marks)  # fmt: skip
    pairs = list(combinations(chosen, 2))
    figure = new_figure(PAGE_INCHES if len(pairs) > 1 else COLUMN_INCHES, 2.55)
    panels = figure.subplots(1, len(pairs), squeeze=False)[0]
    shades = _shades(results)
    is_smooth = int((results.runs["state"] == "finished").sum()) >= FEWEST_FINISHED
    for axes, (across, up) in zip(panels, pairs, strict=True):
        _draw_pair(axes, results, (across, up), shades, is_smooth)
    if results.runs["best_value"].nunique() > 1:
        bar = figure.colorbar(shades, ax=panels, pad=0.01, aspect=16, fraction=0.05)
        label = textwrap.fill(short_metric(results.winner["metric"]), LABEL_LETTERS)
        bar.set_label(label, size=6.5)
        bar.ax.tick_params(labelsize=6)
    handles = run_handles(results)
    add_legend(figure, handles, 4 if len(pairs) > 1 else 2)
    add_head(figure, _title(chosen, bool(order)), _subtitle(results, is_smooth), results.marks)
    return figure


def choose(results: Results, order: Sequence[str]) -> list[Varied]:
    """At most three hyperparameters that are numbers: the most important, else the first."""
    numeric = [one for one in varied(results) if one.is_numeric]
    rank = {name: index for index, name in enumerate(order)}
    return sorted(numeric, key=lambda one: rank.get(one.name, len(rank)))[:MOST]


def smoothed(
    x: NDArray[np.float64], y: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(GRID, GRID) Gaussian-weighted means of runs in the unit square, rows along y.

    The bandwidth follows Scott's rule (1992); nan further than REACH of them from any run.
    """
    at = np.linspace(0, 1, GRID)
    width = 0.29 * len(x) ** (-1 / 6)
    squared = (at[None, :, None] - x) ** 2 + (at[:, None, None] - y) ** 2
    weights = np.exp(-squared / (2 * width**2))
    means = (weights @ values) / weights.sum(axis=2)
    return np.where(squared.min(axis=2) <= (REACH * width) ** 2, means, np.nan)


def _shades(results: Results) -> ScalarMappable:
    """Darker is better; diverged losses are as light as the worst of the rest."""
    values = results.runs["best_value"].to_numpy(float)
    low, high = np.percentile(values[np.isfinite(values)], [5, 100])
    if not is_maximized(results):
        low, high = np.percentile(values[np.isfinite(values)], [0, 95])
    colours = colormaps["Blues" if is_maximized(results) else "Blues_r"]
    return ScalarMappable(Normalize(low, high if high > low else low + 1), colours)


def _draw_pair(
    axes: Axes, results: Results, pair: tuple[Varied, Varied], shades: ScalarMappable, smooth: bool
) -> None:
    across, up = (unit_scale(one) for one in pair)
    values = results.runs["best_value"].to_numpy(float)
    looks = looks_of(results)
    known = np.isfinite(across.units) & np.isfinite(up.units)
    over = known & np.isfinite(values) & ~repeats(results)
    if smooth and over.sum() >= FEWEST_FINISHED:
        at = np.linspace(0, 1, GRID)
        surface = smoothed(across.units[over], up.units[over], values[over])
        axes.contourf(at, at, surface, levels=LEVELS, cmap=shades.cmap, norm=shades.norm, zorder=0)
    for name, look in RUN_LOOKS.items():
        of = known & (looks == name)
        style: dict[str, Any] = {"edgecolors": INK, "linewidths": 0.6}
        if name == "failed":
            style = {"color": look.colour, "linewidths": 0.9}
        elif name == "winner":
            style = {"color": RIGHT, "edgecolors": "white", "linewidths": 0.8, "zorder": 5}
        else:
            style |= {"c": values[of], "cmap": shades.cmap, "norm": shades.norm}
        axes.scatter(across.units[of], up.units[of], marker=look.marker, s=look.size**2 * 1.6,
                     clip_on=False, **style)  # fmt: skip
    _name(axes, pair, (across, up))


def _name(axes: Axes, pair: tuple[Varied, Varied], scales: tuple[UnitScale, UnitScale]) -> None:
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xticks(*map(list, zip(*scales[0].ticks, strict=True)))
    axes.set_yticks(*map(list, zip(*scales[1].ticks, strict=True)))
    axes.tick_params(labelsize=6.5)
    axes.set_xlabel(pair[0].name)
    axes.set_ylabel(pair[1].name, labelpad=3)


def _title(chosen: list[Varied], is_ranked: bool) -> str:
    *others, last = (one.name for one in chosen)
    by = ", the most important numbers" if is_ranked and len(chosen) == MOST else ""
    return f"The metric over {', '.join(others)} and {last}{by}"


def _subtitle(results: Results, is_smooth: bool) -> str:
    surface = (
        "surface: mean of the runs nearby, whatever else they differ in"
        if is_smooth
        else f"no surface with fewer than {FEWEST_FINISHED} finished runs"
    )
    return f"best epoch of each run, val split, darker is better; {surface}; {which_runs(results)}"
