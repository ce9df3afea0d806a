"""X, Y and Z words that were read against those that were executed, in millimetres."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.evaluation.names import MODEL
from gcodefp.evaluation.toolpaths import AXES, axis_numbers
from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.style import (
    FAINT,
    PAGE_INCHES,
    RIGHT,
    WRONG,
    add_head,
    new_figure,
    percent,
)
from gcodefp.reporting.predictions import Predictions
from gcodefp.reporting.results import Results

NEAR_MM = 0.5
QUANTILES = (0.5, 0.9, 0.95)
CELLS = 90
"""Pairs of words are put together in a grid of so many cells each way: one dot a cell."""
LARGEST_POINTS, SMALLEST_POINTS, EDGE_POINTS = 8.0, 1.3, 0.6
"""Diameters of dots, and how thick circles are."""
PANEL_INCHES, NUMBERS_INCHES = 2.3, 0.55


class AxisWords(NamedTuple):
    """The words of one axis on M rows where both lines have one.

    Attributes:
        true_mm, read_mm: (M,).
        one_sided: rows where only one of the two lines has the word.
    """

    true_mm: NDArray[np.float64]
    read_mm: NDArray[np.float64]
    one_sided: int

    @property
    def error_mm(self) -> NDArray[np.float64]:
        """(M,) absolute errors."""
        return np.abs(self.read_mm - self.true_mm)

    @property
    def near(self) -> NDArray[np.bool_]:
        """(M,) whether the words lie within NEAR_MM of each other."""
        # Words have four decimals: half a millimetre is not to fail for the last bit.
        return np.round(self.error_mm, 6) <= NEAR_MM


class Dots(NamedTuple):
    """D cells of the grid: the mean of the pairs in each (D, 2), and how many they are (D,)."""

    centre_mm: NDArray[np.float64]
    rows: NDArray[np.int64]


def axis_words(predictions: Predictions) -> dict[str, AxisWords]:
    """Axis -> its words, as gcodefp reads them."""
    mm_per_unit = predictions.mm_per_unit.astype(float)[:, None]
    true, read = (
        axis_numbers(blocks) * mm_per_unit
        for blocks in (predictions.true_block, predictions.blocks[MODEL])
    )
    there, said = np.isfinite(true), np.isfinite(read)
    both = there & said
    return {
        axis: AxisWords(true[of, i], read[of, i], int((there[:, i] ^ said[:, i]).sum()))
        for i, (axis, of) in enumerate(zip(AXES, both.T, strict=True))
    }


def draw_axis_scatter(results: Results) -> Figure:
    """A panel for each axis: dots at (true, read), a line where both are the same."""
    words = axis_words(results.predictions)
    figure = new_figure(PAGE_INCHES, PANEL_INCHES + NUMBERS_INCHES + 0.3)
    panels = figure.subplots(2, len(AXES), height_ratios=[PANEL_INCHES, NUMBERS_INCHES])
    for axes, below, (axis, of) in zip(*panels, words.items(), strict=True):
        below.axis("off")
        _draw_axis(axes, axis, of)
        below.text(0, 1, _numbers(axis, of), size=6.5, va="top", linespacing=1.3,
                   transform=below.transAxes, in_layout=False)  # fmt: skip
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3)
    add_head(
        figure,
        scatter_title(words),
        f"{tested_on(results)}; where both lines have the word; larger dots are more rows",
        results.marks,
    )
    return figure


def scatter_title(words: dict[str, AxisWords]) -> str:
    """`Within 0.5 mm of the true word: X 61 %, Y 70 %, Z 98 % of rows`."""
    shares = [f"{axis} {percent(of.near.mean())}" for axis, of in words.items() if len(of.near)]
    if not shares:
        return "No row has an X, Y or Z word both in the executed line and in the one read"
    return f"Read within {NEAR_MM} mm of the executed word: {', '.join(shares)} of rows"


def dots_of(words: AxisWords, low_mm: float, high_mm: float) -> Dots:
    """Pairs that fall into the same cell of a grid from `low_mm` to `high_mm`, each way."""
    pairs = np.column_stack([words.true_mm, words.read_mm])
    cells = np.rint((pairs - low_mm) / (high_mm - low_mm) * CELLS)
    _, index, rows = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    centre = np.column_stack([np.bincount(index, of) / rows for of in pairs.T])
    return Dots(centre, rows)


def _draw_axis(axes: Axes, axis: str, words: AxisWords) -> None:
    axes.set_title(f"{axis} words")
    axes.set_xlabel("executed (mm)")
    axes.set_ylabel("read (mm)")
    axes.set_box_aspect(1)
    if not len(words.near):
        axes.set_xticks([])
        axes.set_yticks([])
        return
    low, high = _reach_mm(words)
    axes.plot([low, high], [low, high], color=FAINT, linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
    most = dots_of(words, low, high).rows.max()
    for near in (False, True):
        chosen = words.near == near
        of = AxisWords(words.true_mm[chosen], words.read_mm[chosen], 0)
        _draw_dots(axes, dots_of(of, low, high), near, most)
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))


def _draw_dots(axes: Axes, dots: Dots, near: bool, most: int) -> None:
    """One line of markers for each power of two of rows: the SVG has each marker once."""
    doublings = np.log2(dots.rows).astype(int)
    for power in np.unique(doublings):
        diameter = LARGEST_POINTS * np.sqrt(2.0**power / most)
        axes.plot(*dots.centre_mm[doublings == power].T, "o", color=RIGHT if near else WRONG,
                  markersize=max(diameter, SMALLEST_POINTS) + (EDGE_POINTS if near else 0),
                  alpha=0.8, markerfacecolor=RIGHT if near else "none",
                  markeredgewidth=0 if near else EDGE_POINTS, zorder=2 + near)  # fmt: skip


def _reach_mm(words: AxisWords) -> tuple[float, float]:
    """Least and largest word, executed or read, with a margin."""
    every = np.concatenate([words.true_mm, words.read_mm])
    margin = max(0.5, 0.05 * float(np.ptp(every)))
    return float(every.min()) - margin, float(every.max()) + margin


def _numbers(axis: str, words: AxisWords) -> str:
    alone = f"in one of the two lines only: {words.one_sided:,}"
    if not len(words.near):
        return f"no row has {axis} in both lines;\n{alone}"
    half, most, nearly = np.quantile(words.error_mm, QUANTILES)
    return (
        f"{len(words.near):,} rows, {percent(words.near.mean())} within {NEAR_MM} mm;\n"
        f"median error {half:.1f} mm,\n90 % up to {most:.1f}, 95 % up to {nearly:.1f};\n{alone}"
    )


def _legend() -> list[Line2D]:
    look = {"linestyle": "none", "marker": "o", "markersize": 4.5}
    return [
        Line2D([], [], color=RIGHT, label=f"within {NEAR_MM} mm", **look),  # type: ignore[arg-type]
        Line2D([], [], color=WRONG, markerfacecolor="none", markeredgewidth=0.7,
               label="farther off", **look),  # type: ignore[arg-type]
        Line2D([], [], color=FAINT, linewidth=0.7, linestyle=(0, (3, 2)), label="the same"),
    ]  # fmt: skip
