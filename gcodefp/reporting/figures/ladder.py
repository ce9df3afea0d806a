"""The ladder: how often program and time in it are right, after how many seconds of listening."""

from itertools import cycle
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from gcodefp.evaluation.names import PREDICTORS
from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.predictions import JsonContent
from gcodefp.reporting.results import Results

TITLE = "Right time in the program, after so much listening"
DODGE = 0.012
"""Between models, as a share of the panel's width, so that intervals do not cover each other."""
MARKERS = ("^", "s", "D", "v", "P")


class _Curve(NamedTuple):
    """A model's style."""

    colour: str
    marker: str
    dashes: str


@figure(
    "ladder",
    title="Ladder of listening",
    category="Test",
    caption="The share of rows whose program is right and whose time in it is within 1 s of the "
    "true one (solid), and whose program is right (dotted), against the length of the window that "
    "was heard: its centre row is counted, in every window. The last column is of whole "
    "recordings, all of whose rows count. A recording shorter than a window is heard as a whole. "
    "Bars are 95 % intervals from a bootstrap over recordings.",
)
def draw_ladder(results: Results) -> Figure:
    """A line for each model over the windows, and a column of whole recordings beside it."""
    rungs = results.evaluation["ladder"]
    if not rungs:
        sentence = "nothing was heard in windows: evaluate had no --train"
        return paper.placeholder(TITLE, sentence, results.warnings)
    windows, whole = rungs[:-1], rungs[-1]
    fig = paper.new_figure(paper.COLUMN_INCHES, 2.9)
    ratios = [max(2.0, len(windows)), 1.0]
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=ratios)
    for index, (name, curve) in enumerate(_curves(list(whole["models"])).items()):
        offset = index - (len(whole["models"]) - 1) / 2
        _draw_windows(left, windows, name, curve, offset)
        _draw_whole(right, whole["models"][name], curve, offset)
    _finish_windows(left, windows)
    right.set_xlim(-1, 1)
    right.set_xticks([0], ["whole\nrecording"])
    right.tick_params(axis="y", length=0)
    for axes in (left, right):
        axes.grid(axis="y")
    left.set_ylim(0, 1.02)
    left.set_ylabel("share of centre rows")
    paper.add_legend(fig, left.get_legend_handles_labels()[0], columns=1)
    subtitle = f"{paper.tested_on(results)}; 95 % intervals; dotted: program alone"
    paper.add_head(fig, _title(rungs), subtitle, results.warnings)
    return fig


def _curves(names: list[str]) -> dict[str, _Curve]:
    """Name of a model -> its style; those of one kind have one colour and several markers."""
    markers = cycle(MARKERS)
    curves = {}
    for name in sorted(names, key=list(PREDICTORS).index):
        style = paper.KIND_STYLES[PREDICTORS[name].kind]
        marker = style.marker if style.colour == paper.MODEL_BLUE else next(markers)
        curves[name] = _Curve(style.colour, marker, "-" if marker in ("o", "^") else "--")
    return curves


def _draw_windows(
    axes: Axes, windows: list[JsonContent], name: str, curve: _Curve, offset: float
) -> None:
    if not windows:
        return
    seconds = np.array([rung["seconds"] for rung in windows])
    span = max(np.log(seconds[-1] / seconds[0]), 1.0)
    seconds = seconds * np.exp(DODGE * offset * span)
    near, program = (
        [_numbers(rung["models"][name][metric]) for rung in windows]
        for metric in ("within_1s", "program")
    )
    axes.vlines(seconds, *np.array(near)[:, 1:].T, color=curve.colour, linewidth=0.8, alpha=0.7)
    axes.plot(seconds, [value for value, *_ in near], color=curve.colour, marker=curve.marker,
              linestyle=curve.dashes, markersize=4, clip_on=False, label=name)  # fmt: skip
    axes.plot(seconds, [value for value, *_ in program], ":", color=curve.colour, linewidth=1.0,
              clip_on=False)  # fmt: skip


def _draw_whole(axes: Axes, scores: JsonContent, curve: _Curve, offset: float) -> None:
    at = 0.3 * offset
    value, low, high = _numbers(scores["within_1s"])
    axes.vlines([at], low, high, color=curve.colour, linewidth=0.8, alpha=0.7)
    axes.plot(at, value, curve.marker, color=curve.colour, markersize=4, clip_on=False)
    program = _numbers(scores["program"])[0]
    axes.plot([at - 0.14, at + 0.14], [program, program], ":", color=curve.colour, linewidth=1.0,
              clip_on=False)  # fmt: skip


def _numbers(score: JsonContent) -> tuple[float, float, float]:
    """Value, low and high; NaN if nothing was counted."""
    value, low, high = (
        np.nan if score[key] is None else score[key] for key in ("value", "low", "high")
    )
    return value, low, high


def _finish_windows(axes: Axes, windows: list[JsonContent]) -> None:
    """The log axis of seconds, with a tick for each window."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(
        [rung["seconds"] for rung in windows],
        [f"{rung['seconds']:.3g}\n{rung['rows']}" for rung in windows],
    )
    axes.tick_params(axis="x", labelsize=6)
    axes.set_xlabel("seconds of listening, and rows")
    if len(windows) == 1 or not windows:
        return
    first, last = windows[0]["seconds"], windows[-1]["seconds"]
    margin = (last / first) ** 0.06
    axes.set_xlim(first / margin, last * margin)


def _title(rungs: list[JsonContent]) -> str:
    """The model that is most often within 1 s, in the shortest windows and in whole recordings."""
    parts = []
    for rung in rungs[-1:] if len(rungs) == 1 else (rungs[0], rungs[-1]):
        values = {
            name: scores["within_1s"]["value"] or 0.0 for name, scores in rung["models"].items()
        }
        best = max(values, key=lambda name: values[name])
        heard = (
            "whole recordings"
            if rung["rows"] is None
            else f"{rung['seconds']:.2g}\N{NO-BREAK SPACE}s"
        )
        # Not percent(): 99.6 % would be 100 %.
        share = f"{100 * values[best]:.1f}\N{NO-BREAK SPACE}%"
        parts.append(f"{share} after {heard} ({paper.short_name(best)})")
    return f"Within 1 s of the truth: {', '.join(parts)}"
