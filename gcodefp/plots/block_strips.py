"""The lines of G-code that rows execute or are read as, as strips below what is drawn of rows."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from gcodefp.plots.style import INK, WRONG

BLOCK_POINTS = 4.6
MOST_LETTERS = 28


def strip_inches(
    blocks: NDArray[np.str_], right: NDArray[np.bool_], rows_per_text: float = 1.0
) -> float:
    """How high a strip has to be for the texts that `draw_strip` writes into it."""
    lengths = [
        len(short(str(blocks[first])))
        for first, end in _stretches(blocks, right)
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
    for index, (first, end) in enumerate(_stretches(blocks, right)):
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


def _stretches(blocks: NDArray[np.str_], right: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
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
