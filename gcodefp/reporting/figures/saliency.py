"""Which samples the network's choice of places rests on, in one window and over the test split."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.channels import draw_strip, label_time, strip_inches
from gcodefp.reporting.figures.style import INK, PAGE_INCHES, RIGHT, add_head, new_figure, percent
from gcodefp.reporting.results import Document, Explanation, Results
from gcodefp.reporting.wording import SENSOR_GROUPS

MOST_ROWS = 80
"""Of a longer window the middle is shown: a row needs room for the text of its block."""
FEW_CHANNELS = 24
"""So many get a name each; of more, the nodes are named."""
BRIGHTEST = 99.5
"""Percentile of the samples shown that gets the darkest shade."""
NAMED_BARS = 5
BAR_LABEL_POINTS = 5.5
MOST_INCHES = 3.8
NO_NODE = "motor\ncurrents"


class Band(NamedTuple):
    """Channels of one node, which are drawn under each other; `end` is the row behind the last."""

    name: str
    first: int
    end: int


def draw_saliency(results: Results) -> Figure:
    """Channels over time, the blocks of each row below, each channel's share at the side."""
    explanation = results.explanation
    channels = explanation.document["channels"]
    rows = _middle(explanation)
    order = channel_order(channels)
    map_inches = min(MOST_INCHES, max(1.2, 0.14 * len(channels)))
    true, read = explanation.excerpt_block[rows], explanation.excerpt_read[rows]
    every = np.ones(len(true), bool)
    strip = max(strip_inches(true, every), strip_inches(read, true == read))
    figure = new_figure(PAGE_INCHES, map_inches + 2 * strip + 0.6)
    grid = figure.add_gridspec(
        3, 2, width_ratios=[4.4, 1], height_ratios=[map_inches, strip, strip]
    )
    picture = figure.add_subplot(grid[0, 0])
    shares = figure.add_subplot(grid[0, 1], sharey=picture)
    strips = [figure.add_subplot(grid[row, 0], sharex=picture) for row in (1, 2)]
    _draw_map(figure, picture, explanation.excerpt_saliency[rows][:, order].T)
    row_points = 72 * map_inches / len(channels)
    _draw_shares(shares, explanation, order, 1.2 * BAR_LABEL_POINTS / row_points)
    _name_channels(picture, [channels[index] for index in order])
    draw_strip(strips[0], true, every, "true")
    draw_strip(strips[1], read, true == read, "read")
    label_time(strips[-1], [picture, strips[0]], explanation.excerpt_seconds[rows])
    add_head(figure, _title(results), _subtitle(results, rows), results.marks)
    return figure


def channel_order(channels: Sequence[Document]) -> list[int]:
    """Indices of the channels, node by node; those of no node come last."""
    return sorted(
        range(len(channels)),
        key=lambda of: (channels[of]["node"] is None, channels[of]["node"], of),
    )


def bands(channels: Sequence[Document]) -> Iterator[Band]:
    """Neighbours of the same node among ordered channels."""
    nodes = [of["node"] for of in channels]
    first = 0
    for end in range(1, len(nodes) + 1):
        if end == len(nodes) or nodes[end] != nodes[first]:
            yield Band(nodes[first] or NO_NODE, first, end)
            first = end


def _middle(explanation: Explanation) -> slice:
    """The rows of the excerpt that are shown: a window in its middle."""
    count = len(explanation.excerpt_seconds)
    shown = min(count, MOST_ROWS, int(explanation.document["window"]))
    first = (count - shown) // 2
    return slice(first, first + shown)


def _draw_map(figure: Figure, axes: Axes, saliency: NDArray[np.floating]) -> None:
    brightest = float(np.percentile(saliency, BRIGHTEST)) or 1.0
    drawn = axes.imshow(np.sqrt(np.clip(saliency / brightest, 0, 1)), aspect="auto", vmin=0, vmax=1,
                        cmap="Blues", interpolation="none")  # fmt: skip
    bar = figure.colorbar(drawn, ax=axes, location="top", aspect=60, pad=0.01, shrink=0.5,
                          anchor=(0.0, 0.0), ticks=[0, 0.5, 1])  # fmt: skip
    bar.ax.set_xticklabels(["0", "¼", "1"])
    bar.ax.tick_params(labelsize=6, length=1.5, pad=1)
    bar.set_label(
        f"|gradient \N{MULTIPLICATION SIGN} input|, share of the {BRIGHTEST} % quantile", size=6
    )


def _draw_shares(
    axes: Axes, explanation: Explanation, order: Sequence[int], rows_per_label: float
) -> None:
    """The largest get their names, but for those beside a larger one."""
    of_name = explanation.document["saliency"]["channels"]
    names = list(of_name)
    share = np.array([of_name[names[index]] for index in order])
    axes.barh(range(len(share)), share, height=0.8, color="#8a8a8a", linewidth=0)
    for row in _apart(np.argsort(-share, kind="stable").tolist(), rows_per_label):
        axes.barh(row, share[row], height=0.8, color=RIGHT, linewidth=0)
        quantity = names[order[row]].rpartition(".")[2]
        axes.annotate(f"{quantity} {percent(share[row])}", (share[row], row), (2, 0),
                      textcoords="offset points", size=BAR_LABEL_POINTS, va="center")  # fmt: skip
    axes.set_xlim(0, 1.5 * (float(share.max()) or 1.0))
    axes.set_title("share, whole test split", size=6.5)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(labelleft=False, length=0)


def _apart(ranking: Sequence[int], rows: float) -> list[int]:
    """The first NAMED_BARS that are at least so many rows apart."""
    found: list[int] = []
    for row in ranking:
        if len(found) < NAMED_BARS and all(abs(row - of) >= rows for of in found):
            found.append(row)
    return found


def _name_channels(axes: Axes, channels: Sequence[Document]) -> None:
    found = list(bands(channels))
    for band in found[1:]:
        axes.axhline(band.first - 0.5, color=INK, linewidth=0.5)
    if len(channels) <= FEW_CHANNELS:
        axes.set_yticks(range(len(channels)), [of["name"] for of in channels], size=6)
    else:
        middles = [(band.first + band.end - 1) / 2 for band in found]
        axes.set_yticks(middles, [band.name for band in found], size=6.5)
    axes.tick_params(axis="y", length=0)
    axes.spines[:].set_visible(True)


def _title(results: Results) -> str:
    found = results.explanation.document
    shares = found["saliency"]["groups"]
    groups = [of["group"] for of in found["channels"]]
    weights = {name: share * len(groups) / groups.count(name) for name, share in shares.items()}
    top = max(weights, key=lambda name: weights[name], default=None)
    if top is None or len(weights) < 2 or not weights[top]:
        return "Which samples the network's choice of a place rests on"
    return (
        f"Channel for channel, {SENSOR_GROUPS[top]} weigh the most in the network's choice of a "
        f"place: {weights[top]:.1f} times the mean"
    )


def _subtitle(results: Results, rows: slice) -> str:
    explanation = results.explanation
    row = explanation.excerpt_row[rows]
    return (
        f"{tested_on(results)}; left: {explanation.document['excerpt']['recording']}, rows "
        f"{row[0]} to {row[-1]}, with the lines executed and those read in windows (hatched: "
        "wrong); right: mean over all rows"
    )
