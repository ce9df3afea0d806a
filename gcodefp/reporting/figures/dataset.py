"""What the data are: rows of each split and operation, and what the cleaning rules touched."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from gcodefp.reporting.figures.style import (
    COLUMN_INCHES,
    PAGE_INCHES,
    RIGHT,
    add_head,
    new_figure,
    percent,
)
from gcodefp.reporting.results import Document, Results
from gcodefp.reporting.wording import RULES

SPLIT_LOOKS = {
    "train": ("#b9cfe4", ""),
    "val": ("#f0c68c", "////"),
    "test": ("#0b4f8a", ""),
}
EXPLAINED, NAMED = 3, 6
"""Of the recordings left out, so many are told with their reasons, and so many more by name."""
RULE_LETTERS = 27
"""Rules are told in lines of so many letters."""
ALL_SPLITS = ("#d9a5a2", "xxxx")


def draw_dataset(results: Results) -> Figure:
    """Rows by operation and split beside the counts of each cleaning rule."""
    document = results.dataset
    operations = sorted({r["operation"] for r in document["recordings"].values()})
    figure = new_figure(PAGE_INCHES, max(2.7, 0.6 + 0.26 * len(operations)))
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    _draw_operations(left, document, operations)
    _draw_rules(right, document["counts"])
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    add_head(
        figure,
        "The recordings, their splits, and what cleaning touched",
        f"{len(document['recordings'])} recordings of {len(operations)} operations; "
        + left_out_text(document),
        results.marks,
    )
    return figure


def rows_by_split(document: Document) -> dict[str, dict[str, int]]:
    """Split -> operation -> rows; a leaky dataset has the same rows in all splits."""
    recordings = document["recordings"]
    splits = document["splits"]
    if document["leaky"]:
        splits = {"all splits (shuffled windows)": splits["train"]}
    table: dict[str, dict[str, int]] = {}
    for split, content in splits.items():
        rows: dict[str, int] = {}
        for name in content["recordings"]:
            operation = recordings[name]["operation"]
            rows[operation] = rows.get(operation, 0) + recordings[name]["rows"]
        table[split] = rows
    return table


def left_out_text(document: Document) -> str:
    """Which recordings a rule left out, and why; of many, the first few."""
    entries = document["left_out"]
    if not entries:
        return "no recording was left out"
    told = [f"{of['recording']} ({of['reason']})" for of in entries[:EXPLAINED]]
    rest = [of["recording"] for of in entries[EXPLAINED:][:NAMED]]
    more = len(entries) - len(told) - len(rest)
    rest += [f"{more} more"] if more else []
    also = f"; also {', '.join(rest)}" if rest else ""
    return f"{len(entries)} left out: {', '.join(told)}{also}"


def _draw_operations(axes: Axes, document: Document, operations: list[str]) -> None:
    base = np.zeros(len(operations))
    for split, rows in rows_by_split(document).items():
        width = np.array([rows.get(operation, 0) for operation in operations], float)
        colour, hatch = SPLIT_LOOKS.get(split, ALL_SPLITS)
        axes.barh(operations, width, left=base, color=colour, hatch=hatch, edgecolor="white",
                  linewidth=0.6, height=0.72, label=split)  # fmt: skip
        base += width
    counts = [r["operation"] for r in document["recordings"].values()]
    for row, operation in enumerate(operations):
        axes.annotate(f"{counts.count(operation)} recordings", (base[row], row), (3, 0),
                      textcoords="offset points", size=6, va="center")  # fmt: skip
    axes.set_xlim(0, base.max() * 1.25)
    axes.set_ylim(len(operations) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_title("rows by operation and split")
    axes.set_xlabel("rows")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _draw_rules(axes: Axes, counts: Document) -> None:
    """Counts by rule on a log axis, since they span from none to tens of thousands."""
    names = list(RULES)
    values = [counts.get(name, 0) for name in names]
    axes.barh(range(len(names)), [max(v, 0.1) for v in values], color="#8a8a8a", height=0.6)
    for row, value in enumerate(values):
        axes.annotate(_told(names[row], value, counts), (max(value, 0.5), row), (3, 0),
                      textcoords="offset points", size=6.5, va="center")  # fmt: skip
    axes.set_xscale("log")
    # Room for the numbers behind the longest bar.
    axes.set_xlim(0.5, max([10, *values]) ** 1.7)
    rules = [textwrap.fill(RULES[name], RULE_LETTERS) for name in names]
    axes.set_yticks(range(len(names)), rules, size=6, linespacing=1.0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_title("touched by each cleaning rule")
    axes.set_xlabel("rows or samples (log)")


def _told(name: str, value: int, counts: Document) -> str:
    """A count; of rows, their share of all rows too."""
    if not value:
        return "none"
    share = f" ({percent(value / counts['rows_in_file'])})" if name.endswith("_rows") else ""
    return f"{value:,}{share}"


Scale = Callable[[Any], Any]
TRAINING = "#b9cfe4"
MOST_BINS = 60
ROUND = (1, 2, 5, 10)
"""Axes are ticked at these numbers, or at a power of ten times one of them."""


class Lags(NamedTuple):
    """Lags of the L recordings whose program is known.

    Attributes:
        seconds: (L,) relative to the program's median.
        operation: (L,) names.
        tested: (L,) whether the recording is of the test split alone.
        unknown: how many recordings have no lag.
        step_seconds: time from one row to the next.
    """

    seconds: NDArray[np.float64]
    operation: NDArray[np.str_]
    tested: NDArray[np.bool_]
    unknown: int
    step_seconds: float


def lags_of(dataset: Document) -> Lags:
    """The lags that dataset.json tells of."""
    recordings = dataset["recordings"]
    known: Mapping[str, Document] = {
        name: of for name, of in recordings.items() if of["lag_seconds"] is not None
    }
    tested = set() if dataset["leaky"] else set(dataset["splits"]["test"]["recordings"])
    return Lags(
        np.array([of["lag_seconds"] for of in known.values()], float),
        np.array([of["operation"] for of in known.values()], str),
        np.array([name in tested for name in known], bool),
        len(recordings) - len(known),
        float(dataset["programs"]["step_seconds"]),
    )


def draw_clocks(results: Results) -> Figure:
    """Histogram of all lags above one line of marks for each operation."""
    lags = lags_of(results.dataset)
    operations = sorted({of["operation"] for of in results.dataset["recordings"].values()})
    strip_inches = 0.25 + 0.17 * len(operations)
    figure = new_figure(COLUMN_INCHES, 1.9 + strip_inches)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[1.1, strip_inches])
    _draw_histogram(top, lags)
    _clocks_draw_operations(bottom, lags, operations)
    figure.legend(handles=_legend(lags), loc="outside lower center", ncols=2)
    add_head(figure, _title(lags), _subtitle(lags), results.marks)
    return figure


def _title(lags: Lags) -> str:
    if not len(lags.seconds):
        return "No recording's clock could be compared with the others"
    rows = np.abs(lags.seconds) / lags.step_seconds
    if rows.max() <= 1:
        return "Sensors keep step with the controller to within one row"
    return (
        f"Sensors lag differently in each recording: one in two by over {np.median(rows):.1f} "
        f"rows, one by {rows.max():.0f}"
    )


def _subtitle(lags: Lags) -> str:
    unknown = f"; {lags.unknown} more have an unknown program" if lags.unknown else ""
    return (
        f"{len(lags.seconds)} recordings, each against the median of its program; one row is "
        f"{lags.step_seconds:.3g} s{unknown}"
    )


def _draw_histogram(axes: Axes, lags: Lags) -> None:
    step = lags.step_seconds
    low, high = (f(lags.seconds, initial=0.0) for f in (np.min, np.max))
    width = step * max(1, int(np.ceil((high - low) / step / MOST_BINS)))
    # A whole number of rows wide, with 0 in the middle of a bin.
    first, last = np.floor(low / width + 0.5), np.ceil(high / width - 0.5)
    edges = (np.arange(first, last + 2) - 0.5) * width
    parts = [lags.seconds[lags.tested], lags.seconds[~lags.tested]]
    axes.hist(parts, edges.tolist(), stacked=True, color=[RIGHT, TRAINING], edgecolor="white",
              linewidth=0.3)  # fmt: skip
    axes.set_ylabel("recordings")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    rows = axes.secondary_xaxis("top", functions=_to_rows_and_back(step))
    rows.set_xlabel("lag (rows)")
    rows.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=ROUND, integer=True))
    axes.tick_params(labelbottom=False)


def _clocks_draw_operations(axes: Axes, lags: Lags, operations: list[str]) -> None:
    for row in range(1, len(operations), 2):
        axes.axhspan(row - 0.5, row + 0.5, color="#f3f3f3", zorder=0)
    rows = np.array([operations.index(name) for name in lags.operation], int)
    for tested, colour in ((False, TRAINING), (True, RIGHT)):
        chosen = lags.tested == tested
        axes.plot(lags.seconds[chosen], rows[chosen], "o", color=RIGHT, markerfacecolor=colour,
                  markersize=3.6, markeredgewidth=0.7, zorder=3 + tested)  # fmt: skip
    axes.axvline(0, color="#666666", linewidth=0.6, zorder=1)
    axes.set_yticks(range(len(operations)), operations)
    axes.set_ylim(len(operations) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=ROUND))
    axes.set_xlabel("lag of the sensors behind the controller (s)")


def _legend(lags: Lags) -> list[Line2D]:
    """Which recordings are tested; nothing to tell where all of them are in every split."""
    if not lags.tested.any():
        return []
    return [
        Line2D([], [], color=RIGHT, linestyle="none", marker="o", markerfacecolor=colour,
               markersize=4, markeredgewidth=0.7, label=label)
        for label, colour in (("test", RIGHT), ("train and val", TRAINING))
    ]  # fmt: skip


def _to_rows_and_back(step_seconds: float) -> tuple[Scale, Scale]:
    return lambda seconds: seconds / step_seconds, lambda rows: rows * step_seconds
