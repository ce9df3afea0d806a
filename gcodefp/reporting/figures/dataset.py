"""The dataset: splits, operations, counts of the cleaning rules, and lags of the sensors."""

import textwrap
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.predictions import JsonContent
from gcodefp.reporting.results import Results
from gcodefp.reporting.wording import RULES

TRAIN_BLUE = "#b9cfe4"
SPLIT_STYLES = {
    "train": (TRAIN_BLUE, ""),
    "val": ("#f0c68c", "////"),
    "test": (paper.MODEL_BLUE, ""),
}
"""Split -> colour and hatch of its bars."""
LEAKY_STYLE = ("#d9a5a2", "xxxx")
EXPLAINED, NAMED = 3, 6
"""Number of excluded recordings that are listed with the reason, and of more without it."""
RULE_LETTERS = 27
"""Line length of the labels of rules."""


@figure(
    "dataset",
    title="Data",
    category="Data",
    caption="Rows of each operation in each split, and how many rows and samples each cleaning "
    "rule changed; in brackets, the share of all rows. Recordings that a rule excluded are named "
    "above.",
)
def draw_dataset(results: Results) -> Figure:
    """Rows by operation and split beside the counts of each cleaning rule."""
    document = results.dataset
    operations = sorted({r["operation"] for r in document["recordings"].values()})
    fig = paper.new_figure(paper.PAGE_INCHES, max(2.7, 0.6 + 0.26 * len(operations)))
    left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
    _draw_rows(left, document, operations)
    _draw_rules(right, document["counts"])
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    rows = sum(recording["rows"] for recording in document["recordings"].values())
    title = f"{len(document['recordings'])} recordings of {len(operations)} "
    title += f"operation{'s' * (len(operations) != 1)}, {rows:,} rows after cleaning"
    paper.add_head(fig, title, excluded_text(document), results.warnings)
    return fig


def rows_by_split(document: JsonContent) -> dict[str, dict[str, int]]:
    """Split -> operation -> rows; a leaky dataset has the same rows in all splits."""
    recordings, splits = document["recordings"], document["splits"]
    if document["leaky"]:
        splits = {"all splits (shuffled windows)": splits["train"]}
    table: dict[str, dict[str, int]] = {}
    for split, content in splits.items():
        rows = table.setdefault(split, {})
        for name in content["recordings"]:
            operation = recordings[name]["operation"]
            rows[operation] = rows.get(operation, 0) + recordings[name]["rows"]
    return table


def excluded_text(document: JsonContent) -> str:
    """Excluded recordings with the reason; of many, the first few."""
    entries = document["left_out"]
    if not entries:
        return "no recording was excluded"
    explained = [f"{entry['recording']} ({entry['reason']})" for entry in entries[:EXPLAINED]]
    names = [entry["recording"] for entry in entries[EXPLAINED:][:NAMED]]
    more = len(entries) - len(explained) - len(names)
    names += [f"{more} more"] if more else []
    also = f"; also {', '.join(names)}" if names else ""
    return f"{len(entries)} excluded: {', '.join(explained)}{also}"


def _draw_rows(axes: Axes, document: JsonContent, operations: list[str]) -> None:
    base = np.zeros(len(operations))
    for split, rows in rows_by_split(document).items():
        width = np.array([rows.get(operation, 0) for operation in operations], float)
        colour, hatch = SPLIT_STYLES.get(split, LEAKY_STYLE)
        axes.barh(range(len(operations)), width, left=base, color=colour, hatch=hatch,
                  edgecolor="white", linewidth=0.6, height=0.72, label=split)  # fmt: skip
        base += width
    counts = [recording["operation"] for recording in document["recordings"].values()]
    for row, operation in enumerate(operations):
        axes.annotate(f"{counts.count(operation)} recordings", (base[row], row), (3, 0),
                      textcoords="offset points", size=6, va="center")  # fmt: skip
    axes.set_xlim(0, base.max() * 1.25)
    axes.set_ylim(len(operations) - 0.4, -0.6)
    axes.set_yticks(range(len(operations)), map(paper.short_name, operations))
    axes.tick_params(axis="y", length=0)
    axes.set_title("rows by operation and split")
    axes.set_xlabel("rows")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _draw_rules(axes: Axes, counts: JsonContent) -> None:
    """Counts by rule on a log axis, since they range from none to tens of thousands."""
    values = [counts.get(name, 0) for name in RULES]
    axes.barh(range(len(values)), [max(value, 0.1) for value in values], color="#8a8a8a",
              height=0.6)  # fmt: skip
    for row, (name, value) in enumerate(zip(RULES, values, strict=True)):
        axes.annotate(_count_text(name, value, counts), (max(value, 0.5), row), (3, 0),
                      textcoords="offset points", size=6.5, va="center")  # fmt: skip
    paper.set_log_scale(axes, axes.xaxis)
    # Room for the numbers behind the longest bar.
    axes.set_xlim(0.5, max([10, *values]) ** 1.7)
    rules = [textwrap.fill(rule, RULE_LETTERS) for rule in RULES.values()]
    axes.set_yticks(range(len(rules)), rules, size=6, linespacing=1.0)
    axes.set_ylim(len(rules) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.set_title("changed by each cleaning rule")
    axes.set_xlabel("rows or samples (log)")


def _count_text(name: str, value: int, counts: JsonContent) -> str:
    """A count; of rows, their share of all rows too."""
    if not value:
        return "none"
    share = f" ({paper.percent(value / counts['rows_in_file'])})" if name.endswith("_rows") else ""
    return f"{value:,}{share}"


MAX_BINS = 60
ROUND = (1, 2, 5, 10)
"""Axes are ticked at these numbers, or at a power of ten times one of them."""


class Lags(NamedTuple):
    """Lags of the L recordings whose program is identified.

    Attributes:
        seconds: (L,) relative to the program's median.
        operation: (L,) names.
        is_test: (L,) whether the recording is in the test split alone.
        unknown: how many recordings have no lag.
        step_seconds: time from one row to the next.
    """

    seconds: NDArray[np.float64]
    operation: NDArray[np.str_]
    is_test: NDArray[np.bool_]
    unknown: int
    step_seconds: float


def lags_of(dataset: JsonContent) -> Lags:
    """The lags in dataset.json."""
    recordings = dataset["recordings"]
    with_lag = {name: r for name, r in recordings.items() if r["lag_seconds"] is not None}
    test = set() if dataset["leaky"] else set(dataset["splits"]["test"]["recordings"])
    return Lags(
        np.array([recording["lag_seconds"] for recording in with_lag.values()], float),
        np.array([recording["operation"] for recording in with_lag.values()], str),
        np.array([name in test for name in with_lag], bool),
        len(recordings) - len(with_lag),
        float(dataset["programs"]["step_seconds"]),
    )


@figure(
    "clocks",
    title="Sensor lags",
    category="Data",
    caption="How far each recording's sensors lag behind the controller's clock, relative to the "
    "median of its program: all recordings, and by operation. The sensors alone do not show it. "
    "Lags are estimated with the controller's log, and used for the labels of training and for "
    "the metrics at the sensors' time.",
)
def draw_lags(results: Results) -> Figure:
    """Histogram of all lags above one line of markers for each operation."""
    lags = lags_of(results.dataset)
    if not len(lags.seconds):
        sentence = "No recording has a lag: the program of each is unknown."
        return paper.placeholder("Lags of the sensors", sentence, results.warnings)
    operations = sorted({r["operation"] for r in results.dataset["recordings"].values()})
    strip_inches = 0.25 + 0.17 * len(operations)
    fig = paper.new_figure(paper.COLUMN_INCHES, 1.9 + strip_inches)
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[1.1, strip_inches])
    _draw_histogram(top, lags)
    _draw_lags(bottom, lags, operations)
    # In a leaky dataset all recordings are in every split.
    if lags.is_test.any():
        paper.add_legend(fig, bottom.get_legend_handles_labels()[0], 2)
    paper.add_head(fig, _title(lags), _subtitle(lags), results.warnings)
    return fig


def _title(lags: Lags) -> str:
    rows = np.abs(lags.seconds) / lags.step_seconds
    if rows.max() <= 1:
        return "Sensors lag behind the controller by the same time, to within one row"
    return (
        f"Sensors lag by a different time in each recording: half of them by over "
        f"{np.median(rows):.1f} rows, one by {rows.max():.1f}"
    )


def _subtitle(lags: Lags) -> str:
    unknown = f"; {lags.unknown} more have an unknown program" if lags.unknown else ""
    return (
        f"all splits: {len(lags.seconds)} recordings, each relative to the median of its program; "
        f"one row is {lags.step_seconds:.3g} s{unknown}"
    )


def _draw_histogram(axes: Axes, lags: Lags) -> None:
    step = lags.step_seconds
    low, high = (f(lags.seconds, initial=0.0) for f in (np.min, np.max))
    width = step * max(1, int(np.ceil((high - low) / step / MAX_BINS)))
    # A whole number of rows wide, with 0 in the middle of a bin.
    first, last = np.floor(low / width + 0.5), np.ceil(high / width - 0.5)
    edges = (np.arange(first, last + 2) - 0.5) * width
    parts = [lags.seconds[lags.is_test], lags.seconds[~lags.is_test]]
    axes.hist(parts, edges.tolist(), stacked=True, color=[paper.MODEL_BLUE, TRAIN_BLUE],
              edgecolor="white", linewidth=0.3)  # fmt: skip
    axes.set_ylabel("recordings")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    to_rows, to_seconds = (lambda seconds: seconds / step), (lambda rows: rows * step)
    rows = axes.secondary_xaxis("top", functions=(to_rows, to_seconds))
    rows.set_xlabel("lag (rows)")
    rows.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=ROUND, integer=True))
    axes.tick_params(labelbottom=False)


def _draw_lags(axes: Axes, lags: Lags, operations: list[str]) -> None:
    for row in range(1, len(operations), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=paper.BAND, zorder=0)
    rows = np.array([operations.index(name) for name in lags.operation], int)
    for is_test, colour, label in (
        (True, paper.MODEL_BLUE, "test"),
        (False, TRAIN_BLUE, "train, val"),
    ):
        chosen = lags.is_test == is_test
        axes.plot(lags.seconds[chosen], rows[chosen], "o", color=paper.MODEL_BLUE,
                  markerfacecolor=colour, markersize=3.6, markeredgewidth=0.7,
                  zorder=3 + is_test, label=label)  # fmt: skip
    axes.axvline(0, color="#666666", linewidth=0.6, zorder=1)
    axes.set_yticks(range(len(operations)), map(paper.short_name, operations))
    axes.set_ylim(len(operations) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=ROUND))
    axes.set_xlabel("lag of the sensors behind the controller (s)")
