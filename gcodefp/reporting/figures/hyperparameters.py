"""How important each hyperparameter of a sweep is, and the metric over pairs of them.

Optuna's PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255) compares the distribution of
the best runs over a hyperparameter's values with that of all runs.
"""

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from gcodefp.reporting.figures import paper
from gcodefp.reporting.figures.runs import RUN_STYLES, run_handles, styles_of_runs
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import (
    VariedParameter,
    describe_runs,
    is_maximized,
    is_repeat,
    varied_parameters,
)
from gcodefp.reporting.wording import short_metric, value_texts

MIN_RUNS = 10
BEST_SHARE, MIN_BEST = 0.1, 5
"""The best runs are a tenth of all, but at least five, as the method needs."""


class Importance(NamedTuple):
    """The hyperparameters that varied, the most important first.

    Attributes:
        shares: name -> its share of all importance.
        runs: how many runs are compared; stopped ones count, failed ones and repeats do not.
        best: how many of them are the best runs.
    """

    shares: dict[str, float]
    runs: int
    best: int


def measure_importance(results: SweepResults) -> Importance:
    """The importance of each hyperparameter that varied. Raises NothingToDraw: there is none."""
    values = results.runs["best_value"].to_numpy(float)
    is_counted = np.isfinite(values) & (results.runs["state"] != "failed").to_numpy()
    is_counted &= ~is_repeat(results)
    varied = varied_parameters(results)
    parameters = [each for each in varied if each.values[is_counted].nunique() > 1]
    values = values[is_counted]
    if len(values) < MIN_RUNS:
        runs = "Only one run has" if len(values) == 1 else f"Only {len(values)} runs have"
        raise paper.NothingToDraw(f"{runs} a value; importance needs at least {MIN_RUNS}.")
    best = max(MIN_BEST, int(np.ceil(BEST_SHARE * len(values))))
    losses, divergences = -values if is_maximized(results) else values, dict[str, float]()
    if parameters and values.min() < values.max():
        divergences = _ped_anova(parameters, is_counted, losses, best)
    if not (total := sum(divergences.values())) > 0:
        raise paper.NothingToDraw(
            "The best of these runs differ from the others in no searched hyperparameter."
        )
    ranked = sorted(divergences.items(), key=lambda item: -item[1])
    return Importance({name: float(part / total) for name, part in ranked}, len(values), best)


def _ped_anova(
    parameters: Sequence[VariedParameter],
    is_counted: NDArray[np.bool_],
    losses: NDArray[np.float64],
    best: int,
) -> dict[str, float]:
    """Name -> the divergence of the best runs from all runs.

    Args:
        is_counted: (runs,) which of the runs are compared.
        losses: one for each of them; less is better.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    columns, spaces = {}, dict[str, Any]()
    for parameter in parameters:
        if parameter.choices is None:  # Of a range, on the axis that the sweep draws it from.
            columns[parameter.name] = _units(parameter)[is_counted]
            spaces[parameter.name] = optuna.distributions.FloatDistribution(0.0, 1.0)
        else:
            columns[parameter.name] = parameter.coordinates[is_counted]
            choices = range(len(parameter.choices))
            spaces[parameter.name] = optuna.distributions.CategoricalDistribution(choices)
    for run, loss in enumerate(losses.tolist()):
        # A run that does not use a hyperparameter has none in its trial.
        used = [name for name, column in columns.items() if np.isfinite(column[run])]
        space = {name: spaces[name] for name in used}
        params = {name: spaces[name].to_external_repr(columns[name][run]) for name in used}
        study.add_trial(optuna.create_trial(value=loss, params=params, distributions=space))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best / len(losses))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The evaluator is experimental.
        divergences = evaluator.evaluate(study, list(columns))
    return {name: divergences[name] for name in columns}


ROW_INCHES = 0.2


def draw_importance(results: SweepResults) -> paper.Drawn:
    """A bar for each hyperparameter, the most important on top."""
    importance = measure_importance(results)
    shares = importance.shares
    fig = paper.new_figure(paper.COLUMN_INCHES, 0.6 + ROW_INCHES * max(3, len(shares)))
    axes = fig.subplots()
    bars = axes.barh(range(len(shares)), [*shares.values()], height=0.62, color=paper.MODEL_BLUE)
    axes.bar_label(bars, [paper.percent(share) for share in shares.values()], padding=3, size=6.5)
    paper.name_rows(axes, [paper.short_name(name) for name in shares])
    axes.set_xlim(0, 1.15 * max(shares.values()))
    paper.round_ticks(axes.xaxis, 5)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol="\N{NO-BREAK SPACE}%"))
    axes.set_xlabel("share of the importance (PED-ANOVA)")
    axes.grid(axis="x")
    subtitle = (
        f"{results.on_split}the best {importance.best} of {importance.runs} runs with a value "
        f"against all of them; {describe_runs(results)}"
    )
    return fig, _importance_title(importance), subtitle


def _importance_title(importance: Importance) -> str:
    parts = [(paper.short_name(n), paper.percent(s)) for n, s in importance.shares.items()]
    if len(parts) == 1:
        return f"{parts[0][0]} is the only hyperparameter that varied"
    (first, share), (second, other), *_ = parts
    return f"{first} is most important ({share}), then {second} ({other})"


MAX_PARAMETERS = 3
GRID = 41
REACH = 1.5
"""Largest distance of the surface from a run, in bandwidths."""
LEVELS = 7
LABEL_LETTERS = 26


def draw_contours(results: SweepResults) -> paper.Drawn:
    """A panel for each pair: a smoothed surface, and the runs in the colour of their value."""
    chosen = choose(results, measure_importance(results))
    if len(chosen) < 2:
        count = "Only one hyperparameter" if chosen else "No hyperparameter"
        raise paper.NothingToDraw(f"{count} that varied is a number; a map needs two.")
    pairs = list(combinations(chosen, 2))
    fig = paper.new_figure(paper.PAGE_INCHES if len(pairs) > 1 else paper.COLUMN_INCHES, 2.55)
    panels = fig.subplots(1, len(pairs), squeeze=False)[0]
    shades = _shades(results)
    for axes, (across, up) in zip(panels, pairs, strict=True):
        _draw_pair(axes, results, across, up, shades)
    label = short_metric(results.best_run["metric"])
    paper.add_colour_bar(
        fig, shades, panels, label, LABEL_LETTERS, pad=0.01, aspect=16, fraction=0.05
    )
    paper.add_legend(fig, run_handles(results), 4 if len(pairs) > 1 else 2)
    subtitle = f"{results.on_split}best {results.step} of each run, darker is better; "
    subtitle += describe_runs(results)
    return fig, _contours_title(results, chosen), subtitle


def choose(results: SweepResults, importance: Importance) -> list[VariedParameter]:
    """At most three hyperparameters that are numbers, the most important first."""
    numeric = {p.name: p for p in varied_parameters(results) if p.is_numeric}
    return [numeric[name] for name in importance.shares if name in numeric][:MAX_PARAMETERS]


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


def _shades(results: SweepResults) -> ScalarMappable:
    """Darker is better; diverged losses are as light as the worst of the rest."""
    values = results.runs["best_value"].to_numpy(float)
    percentiles = [5, 100] if is_maximized(results) else [0, 95]
    low, high = np.percentile(values[np.isfinite(values)], percentiles)
    colours = colormaps["Blues" if is_maximized(results) else "Blues_r"]
    return ScalarMappable(paper.colour_range(low, high), colours)


def _draw_pair(
    axes: Axes,
    results: SweepResults,
    across: VariedParameter,
    up: VariedParameter,
    shades: ScalarMappable,
) -> None:
    x, y = _units(across), _units(up)
    values = results.runs["best_value"].to_numpy(float)
    has_both = np.isfinite(x) & np.isfinite(y)
    smoothable = has_both & np.isfinite(values) & ~is_repeat(results)
    if smoothable.sum() >= MIN_RUNS and np.ptp(values[smoothable]) > 0:
        surface = smoothed(x[smoothable], y[smoothable], values[smoothable])
        grids = (_numbers(parameter, np.linspace(0, 1, GRID)) for parameter in (across, up))
        axes.contourf(*grids, surface, levels=LEVELS, cmap=shades.cmap, norm=shades.norm,
                      zorder=0)  # fmt: skip
    styles = styles_of_runs(results)
    for name, style in RUN_STYLES.items():
        rows = has_both & (styles == name)
        colours: dict[str, Any] = {"color": style["color"], "linewidths": 0.9}
        if name == "best run":
            colours |= {"edgecolors": "white", "zorder": 5}
        elif name != "failed":
            colours = {"c": values[rows], "cmap": shades.cmap, "norm": shades.norm,
                       "edgecolors": paper.INK, "linewidths": 0.6}  # fmt: skip
        axes.scatter(across.coordinates[rows], up.coordinates[rows], marker=style["marker"],
                     s=style["markersize"] ** 2 * 1.6, clip_on=False, **colours)  # fmt: skip
    for axis, parameter in ((axes.xaxis, across), (axes.yaxis, up)):
        low, high = _numbers(parameter, np.array([-0.04, 1.04]))
        axes.set(**{f"{axis.axis_name}lim": (low, high)})
        if parameter.choices is not None:
            axis.set_ticks(range(len(parameter.choices)), parameter.choices)
        elif parameter.is_log:
            paper.set_log_scale(axes, axis)
        else:
            paper.round_ticks(axis, 3)
    axes.tick_params(which="both", labelsize=6.5)
    axes.set_xlabel(paper.short_name(across.name))
    axes.set_ylabel(paper.short_name(up.name), labelpad=3)


def _limits(parameter: VariedParameter) -> NDArray[np.float64]:
    """(2,) of its values, as logarithms on a log axis; half a step beyond the choices."""
    if parameter.choices is not None:
        return np.array([-0.5, len(parameter.choices) - 0.5])
    limits = np.array([np.nanmin(parameter.coordinates), np.nanmax(parameter.coordinates)])
    return np.log(limits) if parameter.is_log else limits


def _units(parameter: VariedParameter) -> NDArray[np.float64]:
    """(runs,) its values between 0 and 1."""
    low, high = _limits(parameter)
    values = np.log(parameter.coordinates) if parameter.is_log else parameter.coordinates
    return np.asarray((values - low) / (high - low))


def _numbers(parameter: VariedParameter, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `_units`."""
    low, high = _limits(parameter)
    values = low + units * (high - low)
    return np.exp(values) if parameter.is_log else values


def _contours_title(results: SweepResults, chosen: list[VariedParameter]) -> str:
    """The best run's values of the hyperparameters that are drawn."""
    row = int(np.flatnonzero(results.runs["run"] == results.best_run["run"])[0])
    values = value_texts([parameter.values.iloc[row] for parameter in chosen], 3)
    settings = [
        f"{paper.short_name(parameter.name)} {text}"
        for parameter, text in zip(chosen, values, strict=True)
        if np.isfinite(parameter.coordinates[row])
    ]
    where = f" at {', '.join(settings)}" if settings else ""
    return f"Run {results.best_run['run']} is best{where}"
