"""Exact lines and words of each operation, and how far its recordings lie apart."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from gcodefp.evaluation.files import BASELINE, MODEL
from gcodefp.findings.by_operation import OfOperation, by_operation
from gcodefp.findings.results import Results
from gcodefp.findings.verdict import best_baseline
from gcodefp.plots.accuracy import tested_on
from gcodefp.plots.style import (
    FAINT,
    INK,
    KIND_LOOKS,
    PAGE_INCHES,
    RIGHT,
    add_head,
    new_figure,
    percent,
)

METRICS = {"gcode": "exact line", "token": "token"}
DOTS_BELOW = 0.3
"""Recordings stand so far below the mark of their operation, as a share of the row's height."""


def draw_errors_by_operation(results: Results) -> Figure:
    """A panel for exact lines and one for words; a row for each operation and for all of them."""
    order = ranked(by_operation(results, "gcode"))
    baseline = best_baseline(results.evaluation["models"])
    figure = new_figure(PAGE_INCHES, 0.85 + 0.32 * len(order))
    panels = figure.subplots(1, len(METRICS), sharey=True)
    for axes, (metric, title) in zip(panels, METRICS.items(), strict=True):
        axes.set_title(title)
        _draw(axes, _in_order(by_operation(results, metric), order))
        if baseline is not None:
            _draw_baseline(axes, _in_order(by_operation(results, metric, baseline), order))
    panels[0].set_yticks(range(len(order)), [_label(of) for of in order])
    panels[0].set_ylim(len(order) - 0.4, -0.5)
    figure.legend(handles=_legend(baseline), loc="outside lower center", ncols=3)
    add_head(
        figure,
        operations_title(order),
        f"{tested_on(results)}; shares that are right; 95 % intervals over recordings, where "
        "two are there",
        results.marks,
    )
    return figure


def ranked(found: Sequence[OfOperation]) -> list[OfOperation]:
    """Best first; all of them together stay at the end."""
    *operations, every = found
    return [*sorted(operations, key=lambda of: -(of.share)), every]


def operations_title(order: Sequence[OfOperation]) -> str:
    """Names the operations with most and with fewest exact lines.

    Args:
        order: as `ranked` gives it.
    """
    best, worst = order[0], order[-2]
    if best.name == worst.name:
        return f"{best.name} is the only operation of the test split"
    most, fewest = (percent(of.share) for of in (best, worst))
    return f"Of {best.name}, {most} of the lines are exact; of {worst.name}, {fewest}"


def _in_order(found: Sequence[OfOperation], order: Sequence[OfOperation]) -> list[OfOperation]:
    by_name = {of.name: of for of in found}
    return [by_name[of.name] for of in order]


def _label(of: OfOperation) -> str:
    count = len(of.recordings)
    recordings = f"{count} recording{'s' if count > 1 else ''}"
    return f"{of.name or 'all operations'}\n{recordings}, {of.rows:,} rows"


def _draw(axes: Axes, order: Sequence[OfOperation]) -> None:
    for row, of in enumerate(order):
        _write(axes, row, of)
        if of.value.low is not None and of.value.high is not None:
            axes.plot([of.value.low, of.value.high], [row, row], color=RIGHT, linewidth=0.9,
                      solid_capstyle="butt", zorder=3)  # fmt: skip
        axes.plot(of.share, row, "o", color=RIGHT, markersize=4.2, zorder=4, clip_on=False)
        if of.name is not None:
            below = np.full(len(of.recordings), row + DOTS_BELOW)
            axes.plot(of.recordings, below, "o", color=FAINT, markersize=2.2, alpha=0.8,
                      markeredgewidth=0, zorder=2, clip_on=False)  # fmt: skip
    axes.axvline(order[-1].share, color=RIGHT, linewidth=0.6,
                 linestyle=(0, (2, 2)), alpha=0.7)  # fmt: skip
    axes.axhline(len(order) - 1.5 + 0.1, color="#dddddd", linewidth=0.6)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol="\N{NO-BREAK SPACE}%"))
    axes.tick_params(axis="y", length=0, labelsize=6.5)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")


def _draw_baseline(axes: Axes, order: Sequence[OfOperation]) -> None:
    look = KIND_LOOKS[BASELINE]
    axes.plot([of.share for of in order], range(len(order)), look.marker, color=look.colour,
              markersize=4.2, markerfacecolor="none", markeredgewidth=0.8, linestyle="none",
              zorder=5, clip_on=False)  # fmt: skip


def _write(axes: Axes, row: int, of: OfOperation) -> None:
    axes.annotate(
        percent(of.share), (1, row), (26, 0), xycoords=("axes fraction", "data"),
        textcoords="offset points", size=6.5, va="center_baseline", ha="right", color=INK,
        weight="bold" if of.name is None else "normal", annotation_clip=False,
    )  # fmt: skip


def _legend(baseline: str | None) -> list[Line2D]:
    look = KIND_LOOKS[BASELINE]
    marks = [
        Line2D([], [], color=RIGHT, marker="o", markersize=4.2, linewidth=0.9, label=MODEL),
        Line2D([], [], color=FAINT, marker="o", markersize=2.2, linestyle="none",
               label="each recording of it"),
    ]  # fmt: skip
    if baseline is not None:
        marks.append(
            Line2D([], [], color=look.colour, marker=look.marker, markersize=4.2,
                   markerfacecolor="none", markeredgewidth=0.8, linestyle="none",
                   label=f"best baseline: {baseline}")
        )  # fmt: skip
    return marks
