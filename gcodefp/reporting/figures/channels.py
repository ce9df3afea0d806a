"""Samples of some channels over an excerpt of a test recording, above its lines of G-code."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.evaluation.names import GROUP, NODE
from gcodefp.reporting.figures import paper
from gcodefp.reporting.results import Results, StoredExplanation
from gcodefp.reporting.sweep_results import JsonContent
from gcodefp.reporting.wording import SENSOR_GROUPS, group_title

MAX_CHANNELS = 8
MAX_ROWS = 120
"""The middle of a longer excerpt is shown."""
MIN_VALID = 0.5
"""A channel with fewer valid samples than this share of the rows is not shown."""
SENSOR_OF_UNIT = {"g": "accelerometers", "deg/s": "gyroscopes"}
"""Unit -> the sensors of a channel group that measure it."""
LINE_STYLES = ((paper.MODEL_BLUE, "-"), (paper.ORANGE, (0, (3, 1))), ("#555555", (0, (1, 1))))
"""Colour and line of the first channels of a panel."""
PANEL_INCHES = 0.55
PLOT_POINTS = 430
"""Approximate width of the panels."""
BLOCK_POINTS = 4.6
MAX_LETTERS = 28
TIME_TICKS = 9


class Panel(NamedTuple):
    """Channels of one group and unit; `channels` are their indices, the largest drop first."""

    group: str
    unit: str
    channels: tuple[int, ...]


class BlockInterval(NamedTuple):
    """A range of rows, from `first` to before `end`, with the same block."""

    first: int
    end: int
    block: str
    is_correct: bool


def draw_channels(results: Results) -> paper.Drawn:
    """A panel for each group and unit; below, the executed and the predicted lines."""
    explanation = results.explanation
    first = max(0, len(explanation.excerpt_seconds) - MAX_ROWS) // 2
    rows = slice(first, first + MAX_ROWS)
    described = explanation.document["channels"]
    panels = choose_panels(
        described, accuracy_drops(explanation.document), explanation.excerpt_valid[rows]
    )
    true, predicted = explanation.excerpt_block[rows], explanation.excerpt_read[rows]
    correct = true == predicted
    strips = {
        "executed": block_intervals(true, np.ones(len(true), bool)),
        "predicted": block_intervals(predicted, correct),
    }
    # Shorter intervals have no room for their text.
    min_rows = 1.3 * BLOCK_POINTS * len(true) / PLOT_POINTS
    heights = [PANEL_INCHES] * len(panels)
    heights += [_strip_inches(strip, min_rows) for strip in strips.values()]
    fig = paper.new_figure(paper.PAGE_INCHES, sum(heights) + 0.17 * len(panels) + 0.4)
    every = list(fig.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    for axes, panel in zip(every[:-2], panels, strict=True):
        _draw_panel(axes, panel, explanation, rows)
        for edge in np.flatnonzero(true[1:] != true[:-1]) + 0.5:
            axes.axvline(edge, color="#e4e4e4", linewidth=0.5, zorder=0)
    for axes, (name, strip) in zip(every[-2:], strips.items(), strict=True):
        draw_strip(axes, strip, name, min_rows)
    _label_time(every, explanation.excerpt_seconds[rows])
    excerpt = explanation.document["excerpt"]
    name, lag = excerpt["recording"], excerpt["lag_seconds"]
    title = f"No channel of {name} has enough valid samples to be shown"
    if panels:
        title = f"Sensors and G-code of {name}: {paper.percent(correct.mean())} of these "
        title += f"{len(correct)} rows are predicted correctly"
    subtitle = (
        f"{paper.tested_on(results)}; lines as the controller logs them; lag of the sensors: "
        f"{'unknown' if lag is None else f'{lag:+.2f} s'}; hatched: wrong"
    )
    return fig, title, subtitle


def accuracy_drops(document: JsonContent) -> NDArray[np.float64]:
    """(C,) drop in block accuracy without each channel's group plus that without its node."""
    drops = {
        (entry["kind"], entry["name"]): -(entry["differences"]["gcode"]["value"] or 0.0)
        for entry in document["sensors"]["without"]
    }
    return np.array([
        drops.get((GROUP, channel["group"]), 0.0) + drops.get((NODE, channel["node"]), 0.0)
        for channel in document["channels"]
    ])  # fmt: skip


def choose_panels(
    channels: Sequence[JsonContent], drops: NDArray[np.floating], valid: NDArray[np.bool_]
) -> list[Panel]:
    """At most MAX_CHANNELS channels: the first of each panel by drop, then the second.

    Args:
        channels: C entries of explanation.json.
        drops: (C,) as `accuracy_drops` returns them.
        valid: (T, C) whether a sample is valid.
    """
    table = pd.DataFrame(list(channels), columns=["group", "unit"]).assign(drop=drops)
    table = table[valid.mean(axis=0) >= MIN_VALID].sort_values(
        "drop", ascending=False, kind="stable"
    )
    table["rank"] = table.groupby(["group", "unit"]).cumcount()
    table = table[table["rank"] < len(LINE_STYLES)]
    kept = table.sort_values("rank", kind="stable")[:MAX_CHANNELS]
    order = {name: number for number, name in enumerate(SENSOR_GROUPS)}
    panels = [
        Panel(str(group), str(unit), tuple(rows.index))
        for (group, unit), rows in kept.groupby(["group", "unit"])
    ]
    return sorted(panels, key=lambda panel: (order.get(panel.group, len(order)), panel.unit))


def block_intervals(blocks: NDArray[np.str_], correct: NDArray[np.bool_]) -> list[BlockInterval]:
    """The intervals of (N,) blocks, each all correct or all wrong."""
    edges = np.flatnonzero((blocks[1:] != blocks[:-1]) | (correct[1:] != correct[:-1])) + 1
    return [
        BlockInterval(
            first, end, paper.truncate(str(blocks[first]), MAX_LETTERS), bool(correct[first])
        )
        for first, end in pairwise([0, *edges.tolist(), len(blocks)])
    ]


def _strip_inches(strip: Sequence[BlockInterval], min_rows: float) -> float:
    """Height of the longest text of a strip."""
    letters = [len(part.block) for part in strip if part.end - part.first >= min_rows]
    return max(0.3, 0.1 + 0.74 * BLOCK_POINTS / 72 * max(letters, default=0))


def draw_strip(axes: Axes, strip: Sequence[BlockInterval], name: str, min_rows: float) -> None:
    """A box for each interval, row i from i - 0.5 to i + 0.5; wrong ones are hatched and red.

    Args:
        min_rows: shorter intervals have no text.
    """
    for index, part in enumerate(strip):
        axes.add_patch(
            Rectangle(
                (part.first - 0.5, 0), part.end - part.first, 1, linewidth=0.3,
                edgecolor="white" if part.is_correct else paper.WRONG,
                hatch=None if part.is_correct else "//////",
                facecolor=("#e4e4e4", paper.BAND)[index % 2] if part.is_correct else "white",
            )
        )  # fmt: skip
        if part.end - part.first < min_rows:
            continue
        box = None if part.is_correct else {"facecolor": "white", "edgecolor": "none", "pad": 0.2}
        axes.text(
            (part.first + part.end - 1) / 2, 0.5, part.block, rotation=90, size=BLOCK_POINTS,
            ha="center", va="center", color=paper.INK if part.is_correct else paper.WRONG,
            clip_on=True, weight="normal" if part.is_correct else "bold", bbox=box,
        )  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], [name])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _draw_panel(axes: Axes, panel: Panel, explanation: StoredExplanation, rows: slice) -> None:
    """Samples that are not valid leave gaps."""
    names = [paper.short_name(explanation.document["channels"][i]["name"]) for i in panel.channels]
    lines: list[Line2D] = []
    for index, (colour, line) in zip(panel.channels, LINE_STYLES, strict=False):
        lines += axes.plot(explanation.excerpt_samples[rows, index], color=colour, linestyle=line,
                           linewidth=0.8)  # fmt: skip
    axes.set_title(SENSOR_OF_UNIT.get(panel.unit, group_title(panel.group)), size=6.5, pad=2)
    axes.legend(lines, names, loc="lower right", bbox_to_anchor=(1, 0.97), ncols=len(LINE_STYLES),
                fontsize=6, borderpad=0, borderaxespad=0.2, handlelength=2)  # fmt: skip
    # Samples in standard deviations have no unit.
    unit = "std" if explanation.document.get("zscored") else panel.unit
    axes.set_ylabel(unit, size=6.5, rotation=0, ha="right", va="center")
    paper.round_ticks(axes.yaxis, 3)
    axes.tick_params(axis="y", labelsize=6)


def _label_time(panels: Sequence[Axes], seconds: NDArray[np.floating]) -> None:
    """Round times, below the last panel; rows have equal widths, whatever time is between them."""
    *others, last = panels
    last.set_xlim(-0.5, len(seconds) - 0.5)
    ticks = MaxNLocator(TIME_TICKS, steps=[1, 2, 5, 10]).tick_values(seconds[0], seconds[-1])
    ticks = ticks[(ticks >= seconds[0]) & (ticks <= seconds[-1])]
    last.set_xticks(np.interp(ticks, seconds, np.arange(len(seconds))), [f"{t:g}" for t in ticks])
    last.set_xlabel("time in the recording (s)")
    for axes in others:
        axes.tick_params(axis="x", length=0, labelbottom=False)
