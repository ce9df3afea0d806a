"""How runs look by how they ended, the same in every figure of a sweep."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray

from gcodefp.reporting.figures.style import FAINT, RIGHT, WRONG
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import Varied
from gcodefp.reporting.wording import short_metric, value_texts

FINISHED = "#6b6b6b"
MOST_TICKS = 4
LABEL_LETTERS = 19
"""Letters of the metric's name in a line along a panel's height."""


class RunLook(NamedTuple):
    """A marker for points, a line for curves."""

    label: str
    colour: str
    marker: str
    face: str
    size: float
    line: Any


RUN_LOOKS = {
    "finished": RunLook("finished", FINISHED, "o", FINISHED, 3.4, "-"),
    "stopped": RunLook("stopped early", FAINT, "v", "white", 3.4, (0, (4, 1.5))),
    "failed": RunLook("failed", WRONG, "x", WRONG, 3.8, (0, (1, 1.2))),
    "winner": RunLook("winner", RIGHT, "*", RIGHT, 9.0, "-"),
}
"""State in runs.csv, and `winner` -> its look."""


def looks_of(results: Results) -> NDArray[np.str_]:
    """(runs,) which look each run has."""
    is_winner = results.runs["run"] == results.winner["run"]
    return results.runs["state"].mask(is_winner, "winner").to_numpy(str)


def draw_points(axes: Axes, results: Results, x: ArrayLike) -> None:
    """The best value of each run at x (runs,); failed runs, which have none, at the lower edge."""
    y, at = results.runs["best_value"].to_numpy(float), np.asarray(x, float)
    looks = looks_of(results)
    for name, look in RUN_LOOKS.items():
        of = (looks == name) & np.isfinite(at)
        edge: dict[str, Any] = {"transform": axes.get_xaxis_transform()} if name == "failed" else {}
        axes.plot(
            at[of], np.full(of.sum(), 0.02) if edge else y[of], look.marker, color=look.colour,
            markerfacecolor=look.face, markersize=look.size, label=look.label,
            alpha=1.0 if name == "winner" else 0.85,
            markeredgecolor="white" if name == "winner" else look.colour,
            markeredgewidth=0.5 if name == "winner" else 0.9, linestyle="none",
            zorder=5 if name == "winner" else 3, **edge,
        )  # fmt: skip
    axes.grid(axis="y")


def run_handles(results: Results) -> list[Line2D]:
    """For a legend: the looks that occur."""
    present = set(looks_of(results))
    return [
        Line2D([], [], linestyle="none", marker=look.marker, color=look.colour, label=look.label,
               markerfacecolor=look.face, markersize=min(look.size, 7))
        for name, look in RUN_LOOKS.items() if name in present
    ]  # fmt: skip


def add_legend(figure: Figure, handles: Sequence[Any], columns: int) -> None:
    """Below the axes, in as many rows as it takes."""
    figure.legend(handles=list(handles), loc="outside lower center", ncols=columns,
                  columnspacing=1.4, handletextpad=0.5)  # fmt: skip


def label_metric(axes: Axes, results: Results) -> None:
    """Names the metric along the panel, in lines that it has room for."""
    axes.set_ylabel(textwrap.fill(short_metric(results.winner["metric"]), LABEL_LETTERS))


def set_scale(axes: Axes, one: Varied) -> None:
    """The x axis of a hyperparameter, with labels that do not run into each other."""
    values = one.places[np.isfinite(one.places)]
    low, high = float(values.min()), float(values.max())
    if one.choices is not None:
        letters = sum(map(len, one.choices))
        axes.set_xticks(range(len(one.choices)), one.choices)
        axes.set_xlim(-0.6, len(one.choices) - 0.4)
        if letters > 18:
            axes.tick_params(axis="x", labelrotation=90 if letters > 60 else 30, labelsize=6)
        return
    if one.is_log:
        axes.set_xscale("log")
    ends = _around(low, high, one.is_log)
    axes.set_xlim(*ends)
    ticks = scale_ticks(ends, one.is_log)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter(value_texts(ticks)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(NullLocator())


def scale_ticks(ends: tuple[float, float], is_log: bool) -> list[float]:
    """Two to four round numbers between the ends; the ends if there are none."""
    low, high = ends
    found = _round_powers(low, high) if is_log and high > 4 * low else _round_steps(low, high)
    inside = [tick for tick in found if low <= tick <= high]
    return inside[:: -(-len(inside) // MOST_TICKS)] if len(inside) >= 2 else [low, high]


def _round_powers(low: float, high: float) -> list[float]:
    """The sparsest of 1, 10, 100; 1, 3, 10; 1, 2, 5, 10 of which there are three."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5)):
        ticks = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
        if sum(low <= tick <= high for tick in ticks) >= 3:
            break
    return ticks


def _round_steps(low: float, high: float) -> list[float]:
    ticks = MaxNLocator(MOST_TICKS - 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(tick) for tick in ticks]


def _around(low: float, high: float, is_log: bool) -> tuple[float, float]:
    """The range with a margin."""
    if is_log:
        margin = (high / low) ** 0.06
        return low / margin, high * margin
    margin = 0.06 * (high - low)
    return low - margin, high + margin


class UnitScale(NamedTuple):
    """Where the runs, and round values, stand.

    Attributes:
        units: (runs,) from 0, the least, to 1; nan in runs that do not use the hyperparameter.
        ticks: of values between the least and the largest.
    """

    units: NDArray[np.float64]
    ticks: list[tuple[float, str]]


def unit_scale(one: Varied) -> UnitScale:
    """Numbers on their linear or log axis; choices evenly apart, with half a step at the ends."""
    places = one.places
    if one.choices is not None:
        count = len(one.choices)
        ticks = [((index + 0.5) / count, choice) for index, choice in enumerate(one.choices)]
        return UnitScale((places + 0.5) / count, ticks)
    known = places[np.isfinite(places)]
    low, high = float(known.min()), float(known.max())
    ends = np.array([low, high])
    ticked = scale_ticks((low, high), one.is_log)
    scaled = [np.log(part) if one.is_log else part for part in (ends, places, np.array(ticked))]
    start, reach = scaled[0][0], scaled[0][1] - scaled[0][0]
    ticks = [
        (float(unit), text)
        for unit, text in zip((scaled[2] - start) / reach, value_texts(ticked, 4), strict=True)
    ]
    return UnitScale((scaled[1] - start) / reach, ticks)
