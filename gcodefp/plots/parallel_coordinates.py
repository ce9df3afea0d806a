"""Every run as a line over the hyperparameters that varied, to the value that it reached."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import Varied, is_maximized, varied, which_runs
from gcodefp.findings.words import short_metric
from gcodefp.plots.runs_look import RUN_LOOKS, add_legend, looks_of
from gcodefp.plots.slices import nothing_varied, spread
from gcodefp.plots.style import INK, PAGE_INCHES, add_head, figure_without, new_figure
from gcodefp.plots.unit_scale import UnitScale, unit_scale

TITLE = "All runs at once"
MOST_AXES = 9
LETTERS_PER_INCH = 17
UNUSED = -0.13
"""Where lines of runs stand that do not use a hyperparameter or have no value."""
BEST_SHARE = 0.25
BEST_COLOUR = "#3c3c3c"
SPREAD = 0.4
"""Runs with the same choice lie apart by at most this share of its room."""


def draw_parallel_coordinates(results: Results) -> Figure:
    """An axis for each hyperparameter, the metric's on the right; the winner's line is thick."""
    every = varied(results)
    if not every:
        return figure_without(TITLE, nothing_varied(results), results.marks)
    shown = every[:MOST_AXES]
    figure = new_figure(PAGE_INCHES, 2.75)
    axes = figure.subplots()
    scales = [unit_scale(one) for one in shown]
    last = _metric_scale(results)
    heights = np.column_stack([
        *(_heights(one, scale) for one, scale in zip(shown, scales, strict=True)), last.units
    ])  # fmt: skip
    lines = np.where(np.isfinite(heights), heights, UNUSED)
    looks = _draw_lines(axes, results, lines)
    for place, scale in enumerate([*scales, last]):
        _draw_axis(axes, place, scale, bool(np.isnan(heights[:, place]).any()))
    _name_axes(axes, results, shown)
    add_legend(figure, looks, len(looks))
    more = len(every) - len(shown)
    left_out = f"; {more} more hyperparameters varied" if more else ""
    add_head(figure, _title(results), f"val split, to {results.winner['goal']}; "
             f"{which_runs(results)}{left_out}", results.marks)  # fmt: skip
    return figure


def _title(results: Results) -> str:
    count = "The run" if len(results.runs) == 1 else f"{len(results.runs)} runs"
    return f"{count}, from hyperparameters to value; run {results.winner['run']} wins"


def _metric_scale(results: Results) -> UnitScale:
    values = results.runs["best_value"].to_numpy(float)
    known = values[np.isfinite(values)]
    low, high = float(known.min()), float(known.max())
    if low == high:
        return UnitScale(np.where(np.isfinite(values), 1.0, np.nan), [(1.0, f"{low:.3g}")])
    reach = high - low
    found = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    ticks = [((float(tick) - low) / reach, f"{tick:g}") for tick in found if low <= tick <= high]
    units = (values - low) / reach
    if is_maximized(results):
        return UnitScale(units, ticks)
    return UnitScale(1 - units, [(1 - at, text) for at, text in ticks])


def _heights(one: Varied, scale: UnitScale) -> NDArray[np.float64]:
    if one.choices is None:
        return scale.units
    return scale.units + spread(one.places) / 0.36 * SPREAD / len(one.choices)


def _draw_lines(axes: Axes, results: Results, lines: NDArray[np.float64]) -> list[Line2D]:
    """One for each run, the best on top; returns what the legend shows."""
    looks = looks_of(results)
    faint = float(np.clip(12 / len(lines), 0.18, 0.6))
    finished = np.flatnonzero(looks == "finished")
    best = set(finished[: int(np.ceil(BEST_SHARE * len(finished)))].tolist())
    present: dict[str, Line2D] = {}
    for row in reversed(range(len(lines))):
        name, look = str(looks[row]), RUN_LOOKS[str(looks[row])]
        is_best = row in best
        style: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 0.7}
        style["alpha"] = 0.8 if is_best else 1.0 if name == "winner" else faint
        label = look.label
        if name == "winner":
            style["linewidth"] = 2.2
        elif is_best:
            style |= {"color": BEST_COLOUR, "linewidth": 0.9}
            label = "best quarter of finished runs"
        axes.plot(range(lines.shape[1]), lines[row], zorder=3 + is_best + 2 * (name == "winner"),
                  **style)  # fmt: skip
        present.setdefault(label, Line2D([], [], label=label, **style | {"alpha": 1.0}))
    return list(reversed(present.values()))


def _draw_axis(axes: Axes, place: int, scale: UnitScale, has_unused: bool) -> None:
    axes.plot([place, place], [0, 1], color=INK, linewidth=0.8, zorder=2)
    ticks = [*scale.ticks, (UNUSED, "none")] if has_unused else scale.ticks
    for unit, text in ticks:
        axes.plot([place, place + 0.03], [unit, unit], color=INK, linewidth=0.8, zorder=6)
        axes.annotate(
            text, (place, unit), (4, 0), textcoords="offset points", size=6, zorder=7,
            va="center_baseline", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.4,
                                        "alpha": 0.9},
        )  # fmt: skip


def _name_axes(axes: Axes, results: Results, shown: list[Varied]) -> None:
    names = [one.name for one in shown] + [short_metric(results.winner["metric"])]
    letters = int(PAGE_INCHES * LETTERS_PER_INCH / len(names))
    axes.set_xticks(range(len(names)), [_wrapped(name, letters) for name in names])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=6, pad=4)
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_xlim(-0.1, len(names) - 1 + 0.35)
    axes.set_ylim(UNUSED - 0.05, 1.04)


def _wrapped(name: str, letters: int) -> str:
    """In lines of at most so many letters, broken after blanks and underscores."""
    lines = [""]
    for word in name.replace("_", "_ ").split(" "):
        gap = " " if lines[-1] and not lines[-1].endswith("_") else ""
        if lines[-1] and len(lines[-1] + gap + word) > letters:
            lines.append(word)
        else:
            lines[-1] += gap + word
    return "\n".join(lines)
