"""A sweep's metric against each hyperparameter that varied."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from gcodefp.reporting.figures.run_style import (
    RUN_LOOKS,
    UnitScale,
    add_legend,
    draw_points,
    label_metric,
    looks_of,
    run_handles,
    set_scale,
    unit_scale,
)
from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    INK,
    PAGE_INCHES,
    RIGHT,
    WRONG,
    add_head,
    new_figure,
    percent,
    placeholder_figure,
)
from gcodefp.reporting.importance import Importance, measure_importance
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import Varied, is_maximized, varied, which_runs
from gcodefp.reporting.wording import short_metric

COLUMNS = 4
PANEL_INCHES = 1.5
MEDIAN = "#d97f0a"
SLICES_TITLE = "The metric against each hyperparameter"


def draw_slices(results: Results) -> Figure:
    """One panel for each hyperparameter that varied; the others vary along with it."""
    found = varied(results)
    if not found:
        return placeholder_figure(SLICES_TITLE, nothing_varied(results), results.marks)
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


PARALLEL_TITLE = "All runs at once"
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
        return placeholder_figure(PARALLEL_TITLE, nothing_varied(results), results.marks)
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


IMPORTANCE_TITLE = "Which hyperparameters decide"
ROW_INCHES = 0.2
BELOW = "#cfdbe6"


def draw_importance(results: Results) -> Figure:
    """A bar for each hyperparameter, with its spread and what chance alone gives."""
    found = measure_importance(results)
    if isinstance(found, str):
        return placeholder_figure(IMPORTANCE_TITLE, found, results.marks)
    rows = np.arange(len(found.names))
    figure = new_figure(COLUMN_INCHES, 0.95 + ROW_INCHES * len(rows))
    axes = figure.subplots()
    above = found.shares > found.chance
    axes.barh(rows, found.shares, height=0.62, linewidth=0.6, edgecolor=RIGHT,
              color=np.where(above, RIGHT, BELOW))  # fmt: skip
    for row, low, high in zip(rows, found.low, found.high, strict=True):
        axes.plot([low, high], [row, row], color="white", linewidth=2.4, solid_capstyle="butt")
        axes.plot([low, high], [row, row], color=INK, linewidth=0.9, marker="|", markersize=4)
    for is_beyond, marker in ((False, "D"), (True, ">")):
        of = (found.chance > 1) == is_beyond
        if not of.any():
            continue  # The layout would make room for the empty line.
        axes.plot(np.minimum(found.chance[of], 1.0), rows[of], marker, color="white",
                  markeredgecolor=WRONG, markersize=3.6, clip_on=False, zorder=4)  # fmt: skip
    axes.set_yticks(rows, found.names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 1.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("share of the importance (PED-ANOVA)")
    axes.grid(axis="x")
    add_legend(figure, _handles(found), 2)
    add_head(figure, _importance_title(found), _subtitle(found, results), results.marks)
    return figure


def _importance_title(found: Importance) -> str:
    beyond = found.beyond_chance
    if not beyond:
        return "No hyperparameter stands out from chance"
    if len(beyond) == 1:
        share = found.shares[found.names.index(beyond[0])]
        return f"Only {beyond[0]} stands out from chance, with {percent(share)} of the importance"
    *others, last = beyond
    return f"{', '.join(others)} and {last} stand out from chance"


def _subtitle(found: Importance, results: Results) -> str:
    widest = round(100 * float((found.high - found.low).max()))
    return (
        f"the best {found.best} of {found.runs} runs with a value compared with all of them, val "
        f"split; over resamples of the runs a share varies by up to {widest} points; "
        f"{which_runs(results)}"
    )


def _handles(found: Importance) -> list[Patch | Line2D]:
    handles: list[Patch | Line2D] = []
    if found.beyond_chance:
        handles.append(Patch(facecolor=RIGHT, edgecolor=RIGHT, label="beyond chance"))
    if len(found.beyond_chance) < len(found.names):
        handles.append(Patch(facecolor=BELOW, edgecolor=RIGHT, label="not beyond chance"))
    handles.append(Line2D([], [], color=INK, linewidth=0.9, marker="|", markersize=4,
                          label="90 % of resamples"))  # fmt: skip
    handles.append(Line2D([], [], color="white", marker="D", linestyle="none", markersize=3.6,
                          markeredgecolor=WRONG, label="chance stays below"))  # fmt: skip
    return handles
