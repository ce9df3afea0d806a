"""The metric over pairs of the most important hyperparameters that are numbers."""

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gcodefp.reporting.figures import figure
from gcodefp.reporting.figures.run_style import RUN_STYLES, run_handles, styles_of_runs, unit_scale
from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    INK,
    MODEL_BLUE,
    PAGE_INCHES,
    add_colour_bar,
    add_head,
    add_legend,
    colour_range,
    new_figure,
    placeholder,
    short_name,
)
from gcodefp.reporting.importance import MIN_RUNS, Importance, measure_importance
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import (
    VariedParameter,
    describe_runs,
    is_maximized,
    is_repeat,
    varied_parameters,
)
from gcodefp.reporting.wording import short_metric, value_texts

MAX_PARAMETERS = 3
GRID = 41
REACH = 1.5
"""Largest distance of the surface from a run, in bandwidths."""
LEVELS = 7
LABEL_LETTERS = 26


@figure(
    "contours",
    title="Pairs of hyperparameters",
    category="Sweep",
    caption="The best value of each run over pairs of the most important hyperparameters that are "
    "numbers. The surface is a distance-weighted mean of the runs nearby, whatever else they "
    "differ in; it ends where no run is near.",
)
def draw_contours(results: Results) -> Figure:
    """A panel for each pair: a smoothed surface, and the runs in the colour of their value."""
    title = "The metric over two hyperparameters"
    importance = measure_importance(results)
    if isinstance(importance, str):
        return placeholder(title, importance, results.warnings)
    chosen = choose(results, importance)
    if len(chosen) < 2:
        count = "Only one hyperparameter" if chosen else "No hyperparameter"
        sentence = f"{count} that varied is a number; a map needs two."
        return placeholder(title, sentence, results.warnings)
    pairs = list(combinations(chosen, 2))
    fig = new_figure(PAGE_INCHES if len(pairs) > 1 else COLUMN_INCHES, 2.55)
    panels = fig.subplots(1, len(pairs), squeeze=False)[0]
    shades = _shades(results)
    for axes, (across, up) in zip(panels, pairs, strict=True):
        _draw_pair(axes, results, across, up, shades)
    label = short_metric(results.winner["metric"])
    add_colour_bar(fig, shades, panels, label, LABEL_LETTERS, pad=0.01, aspect=16, fraction=0.05)
    add_legend(fig, run_handles(results), 4 if len(pairs) > 1 else 2)
    subtitle = f"best epoch of each run, val split, darker is better; {describe_runs(results)}"
    add_head(fig, _title(results, chosen), subtitle, results.warnings)
    return fig


def choose(results: Results, importance: Importance) -> list[VariedParameter]:
    """At most three hyperparameters that are numbers, the most important first."""
    numeric = {p.name: p for p in varied_parameters(results) if p.is_numeric}
    return [numeric[name] for name in importance.names if name in numeric][:MAX_PARAMETERS]


def smoothed(
    x: NDArray[np.float64], y: NDArray[np.float64], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Gaussian kernel regression of runs in the unit square: (GRID, GRID), rows along y.

    The bandwidth follows Scott's rule (1992); nan further than REACH bandwidths from any run.
    """
    grid = np.linspace(0, 1, GRID)
    width = 0.29 * len(x) ** (-1 / 6)
    squared = (grid[None, :, None] - x) ** 2 + (grid[:, None, None] - y) ** 2
    weights = np.exp(-squared / (2 * width**2))
    means = (weights @ values) / weights.sum(axis=2)
    return np.where(squared.min(axis=2) <= (REACH * width) ** 2, means, np.nan)


def _shades(results: Results) -> ScalarMappable:
    """Darker is better; diverged losses are as light as the worst of the rest."""
    values = results.runs["best_value"].to_numpy(float)
    percentiles = [5, 100] if is_maximized(results) else [0, 95]
    low, high = np.percentile(values[np.isfinite(values)], percentiles)
    colours = colormaps["Blues" if is_maximized(results) else "Blues_r"]
    return ScalarMappable(colour_range(low, high), colours)


def _draw_pair(
    axes: Axes,
    results: Results,
    across: VariedParameter,
    up: VariedParameter,
    shades: ScalarMappable,
) -> None:
    x, y = unit_scale(across), unit_scale(up)
    values = results.runs["best_value"].to_numpy(float)
    has_both = np.isfinite(x.units) & np.isfinite(y.units)
    smoothable = has_both & np.isfinite(values) & ~is_repeat(results)
    if smoothable.sum() >= MIN_RUNS and np.ptp(values[smoothable]) > 0:
        grid = np.linspace(0, 1, GRID)
        surface = smoothed(x.units[smoothable], y.units[smoothable], values[smoothable])
        axes.contourf(grid, grid, surface, levels=LEVELS, cmap=shades.cmap, norm=shades.norm,
                      zorder=0)  # fmt: skip
    styles = styles_of_runs(results)
    for name, style in RUN_STYLES.items():
        rows = has_both & (styles == name)
        markers: dict[str, Any] = {"edgecolors": INK, "linewidths": 0.6}
        if name == "failed":
            markers = {"color": style.colour, "linewidths": 0.9}
        elif name == "winner":
            markers = {"color": MODEL_BLUE, "edgecolors": "white", "linewidths": 0.8, "zorder": 5}
        else:
            markers |= {"c": values[rows], "cmap": shades.cmap, "norm": shades.norm}
        axes.scatter(x.units[rows], y.units[rows], marker=style.marker, s=style.size**2 * 1.6,
                     clip_on=False, **markers)  # fmt: skip
    axes.set_xlim(-0.04, 1.04)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xticks(*map(list, zip(*x.ticks, strict=True)))
    axes.set_yticks(*map(list, zip(*y.ticks, strict=True)))
    axes.tick_params(labelsize=6.5)
    axes.set_xlabel(short_name(across.name))
    axes.set_ylabel(short_name(up.name), labelpad=3)


def _title(results: Results, chosen: list[VariedParameter]) -> str:
    """The winner's values of the hyperparameters that are drawn."""
    row = int(np.flatnonzero(results.runs["run"] == results.winner["run"])[0])
    values = value_texts([parameter.values.iloc[row] for parameter in chosen], 3)
    settings = [
        f"{short_name(parameter.name)} {text}"
        for parameter, text in zip(chosen, values, strict=True)
        if np.isfinite(parameter.coordinates[row])
    ]
    where = f" at {', '.join(settings)}" if settings else ""
    return f"Run {results.winner['run']} wins{where}"
