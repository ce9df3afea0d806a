"""What some sensors measured over a stretch of a test recording, above its lines of G-code."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.evaluation.names import GROUP, NODE
from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.style import INK, PAGE_INCHES, WRONG, add_head, new_figure, percent
from gcodefp.reporting.results import Document, Explanation, Results
from gcodefp.reporting.wording import SENSOR_GROUPS

BLOCK_POINTS = 4.6
MOST_LETTERS = 28


def strip_inches(
    blocks: NDArray[np.str_], right: NDArray[np.bool_], rows_per_text: float = 1.0
) -> float:
    """How high a strip has to be for the texts that `draw_strip` writes into it."""
    lengths = [
        len(short(str(blocks[first])))
        for first, end in _segments(blocks, right)
        if end - first >= rows_per_text
    ]
    return 0.1 + 0.74 * BLOCK_POINTS / 72 * max(lengths, default=0)


def draw_strip(
    axes: Axes,
    blocks: NDArray[np.str_],
    right: NDArray[np.bool_],
    name: str,
    rows_per_text: float = 1.0,
) -> None:
    """A box for each stretch of rows with the same block; the wrong ones are hatched and red.

    Args:
        blocks: (N,) texts; row i is drawn from i - 0.5 to i + 0.5.
        right: (N,) whether each is right.
        rows_per_text: stretches of fewer rows have no room for their text.
    """
    for index, (first, end) in enumerate(_segments(blocks, right)):
        good = bool(right[first])
        axes.add_patch(
            Rectangle(
                (first - 0.5, 0), end - first, 1, linewidth=0.3,
                edgecolor="white" if good else WRONG, hatch=None if good else "//////",
                facecolor=("#e4e4e4", "#f3f3f3")[index % 2] if good else "white",
            )
        )  # fmt: skip
        if end - first < rows_per_text:
            continue
        axes.text(
            (first + end - 1) / 2, 0.5, short(str(blocks[first])), rotation=90, size=BLOCK_POINTS,
            ha="center", va="center", color=INK if good else WRONG, clip_on=True,
            weight="normal" if good else "bold",
            bbox=None if good else {"facecolor": "white", "edgecolor": "none", "pad": 0.2},
        )  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], [name])
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(False)


def _segments(blocks: NDArray[np.str_], right: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First row of each stretch with the same block, and the row behind its last."""
    new = np.flatnonzero((blocks[1:] != blocks[:-1]) | (right[1:] != right[:-1])) + 1
    return pairwise([0, *new.tolist(), len(blocks)])


def label_time(
    last: Axes, others: Sequence[Axes], seconds: NDArray[np.floating], ticks: int = 9
) -> None:
    """Rows (N,) are drawn as wide as each other; some of them get their time, below the last."""
    last.set_xlim(-0.5, len(seconds) - 0.5)
    rows = np.unique(np.linspace(0, len(seconds) - 1, ticks).round().astype(int))
    last.set_xticks(rows, [f"{seconds[row]:.1f}" for row in rows])
    last.set_xlabel("time in the recording (s)")
    for axes in others:
        axes.tick_params(axis="x", length=0, labelbottom=False)


def short(block: str) -> str:
    """A block that is not too long to be drawn."""
    return block if len(block) <= MOST_LETTERS else f"{block[: MOST_LETTERS - 1]}…"


MOST_CHANNELS = 8
MOST_ROWS = 120
"""Of a longer excerpt the middle is shown."""
LEAST_VALID = 0.5
"""A channel with fewer valid samples than this share of the rows is not shown."""
OF_UNIT = {"g": "accelerometers", "deg/s": "gyroscopes"}
"""Unit -> what of a channel group measures it."""
PANEL_INCHES = 0.55
LOOKS = (("#0b4f8a", "-"), ("#d97f0a", (0, (3, 1))), ("#555555", (0, (1, 1))))
"""Colour and line of the first channels of a panel."""
PLOT_POINTS = 430
"""How wide the panels are, about."""


class Panel(NamedTuple):
    """Channels of one group and unit; `channels` are their indices, largest loss first."""

    group: str
    unit: str
    channels: tuple[int, ...]


def draw_channels(results: Results) -> Figure:
    """A panel for each group and unit; below, the lines executed and those read in windows."""
    explanation = results.explanation
    rows = shown_rows(len(explanation.excerpt_seconds))
    panels = chosen_panels(
        explanation.document["channels"], channel_losses(explanation.document),
        explanation.excerpt_valid[rows],
    )  # fmt: skip
    true, read = explanation.excerpt_block[rows], explanation.excerpt_read[rows]
    narrowest = 1.3 * BLOCK_POINTS * len(true) / PLOT_POINTS
    strips = {"executed": (true, np.ones(len(true), bool)), "read": (read, true == read)}
    heights = [PANEL_INCHES] * len(panels)
    heights += [max(0.3, strip_inches(*of, narrowest)) for of in strips.values()]
    figure = new_figure(PAGE_INCHES, sum(heights) + 0.17 * len(panels) + 0.4)
    every = list(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights))
    for axes, panel in zip(every[:-2], panels, strict=True):
        _draw_panel(axes, panel, explanation, rows)
    for axes, (name, of) in zip(every[-2:], strips.items(), strict=True):
        draw_strip(axes, *of, name, narrowest)
    label_time(every[-1], every[:-1], explanation.excerpt_seconds[rows])
    for axes in every[:-2]:
        for edge in np.flatnonzero(true[1:] != true[:-1]) + 0.5:
            axes.axvline(edge, color="#e4e4e4", linewidth=0.5, zorder=0)
    add_head(figure, _title(results, panels, true == read), _subtitle(results), results.marks)
    return figure


def shown_rows(count: int) -> slice:
    """The middle of an excerpt of so many rows."""
    shown = min(count, MOST_ROWS)
    first = (count - shown) // 2
    return slice(first, first + shown)


def channel_losses(document: Document) -> NDArray[np.float64]:
    """Exact lines lost without each channel's group and without its node, added up, (C,)."""
    losses = {
        (part["kind"], part["name"]): -part["differences"]["gcode"]["value"]
        for part in document["sensors"]["without"]
    }
    return np.array(
        [
            losses.get((GROUP, channel["group"]), 0.0) + losses.get((NODE, channel["node"]), 0.0)
            for channel in document["channels"]
        ]
    )


def chosen_panels(
    channels: Sequence[Document], losses: NDArray[np.floating], valid: NDArray[np.bool_]
) -> list[Panel]:
    """At most MOST_CHANNELS live ones: of each panel the one with the largest loss, then others.

    Args:
        channels: C entries of explanation.json.
        losses: (C,) what the network loses without each channel's sensors.
        valid: (T, C) whether a sample is.
    """
    ranked: dict[tuple[str, str], list[int]] = {}
    for index in np.argsort(-losses, kind="stable").tolist():
        of = channels[index]
        if valid[:, index].mean() >= LEAST_VALID:
            ranked.setdefault((of["group"], of["unit"]), []).append(index)
    places = sorted(
        (place, -float(losses[index]), index)
        for found in ranked.values()
        for place, index in enumerate(found[: len(LOOKS)])
    )
    kept = {index for _, _, index in places[:MOST_CHANNELS]}
    panels = [
        Panel(group, unit, tuple(index for index in found if index in kept))
        for (group, unit), found in ranked.items()
    ]
    # In the order of the columns of a recording.
    return sorted((of for of in panels if of.channels), key=_place_of)


def _place_of(panel: Panel) -> tuple[int, str]:
    return list(SENSOR_GROUPS).index(panel.group), panel.unit


def _draw_panel(axes: Axes, panel: Panel, explanation: Explanation, rows: slice) -> None:
    """Samples that are not valid leave gaps."""
    for index, (colour, line) in zip(panel.channels, LOOKS, strict=False):
        axes.plot(explanation.excerpt_samples[rows, index], color=colour, linestyle=line,
                  linewidth=0.8, label=explanation.document["channels"][index]["name"])  # fmt: skip
    axes.set_title(OF_UNIT.get(panel.unit, SENSOR_GROUPS[panel.group]), size=6.5, pad=2)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.97), ncols=len(LOOKS), fontsize=6,
                borderpad=0, borderaxespad=0.2, handlelength=2)  # fmt: skip
    axes.set_ylabel(panel.unit, size=6.5, rotation=0, ha="right", va="center")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3))
    axes.tick_params(axis="y", labelsize=6)


def _title(results: Results, panels: Sequence[Panel], right: NDArray[np.bool_]) -> str:
    name = results.explanation.document["excerpt"]["recording"]
    if not panels:
        return f"No channel of {name} has enough valid samples to be shown"
    return (
        f"Sensors and G-code of {name}: {percent(right.mean())} of these {len(right)} rows are "
        "read right"
    )


def _subtitle(results: Results) -> str:
    lag = results.explanation.document["excerpt"]["lag_seconds"]
    known = "an unknown time" if lag is None else f"{abs(lag):.1f} s"
    way = "ahead" if lag is not None and lag < 0 else "behind"
    return (
        f"{tested_on(results)}; lines as the controller logs them, the sensors are {known} {way}; "
        "hatched: wrong"
    )
