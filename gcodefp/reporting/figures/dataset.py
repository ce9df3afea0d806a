"""The dataset: splits, operations, counts of the cleaning rules, and lags of the sensors."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from gcodefp.reporting.figures import paper
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import JsonContent
from gcodefp.reporting.wording import RULES
from gcodefp.terminal import plural

TRAIN_BLUE = "#b9cfe4"
SPLIT_STYLES = {
    "train": (TRAIN_BLUE, ""),
    "val": ("#f0c68c", "////"),
    "test": (paper.MODEL_BLUE, ""),
}
"""Split -> colour and hatch of its bars."""
LEAKY_STYLE = ("#d9a5a2", "xxxx")
EXPLAINED = 3
"""Number of excluded recordings that are listed, with the reason."""
RULE_LETTERS = 27
"""Line length of the labels of rules."""


def draw_dataset(results: Results) -> paper.Drawn:
    """Rows by operation and split beside the counts of each cleaning rule."""
    document = results.dataset
    operations = sorted({r["operation"] for r in document["recordings"].values()})
    fig = paper.new_figure(paper.PAGE_INCHES, max(2.7, 0.6 + 0.26 * len(operations)))
    left, right = fig.subplots(1, 2, width_ratios=[1.1, 1])
    _draw_rows(left, document, operations)
    _draw_rules(right, document["counts"])
    fig.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    rows = sum(recording["rows"] for recording in document["recordings"].values())
    title = f"{plural(len(document['recordings']), 'recording')} of "
    title += f"{plural(len(operations), 'operation')}, {rows:,} rows after cleaning"
    return fig, title, excluded_text(document)


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
    more = len(entries) - len(explained)
    also = f"; {more} more are in dataset.json" if more else ""
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
    paper.name_rows(axes, [paper.short_name(name) for name in operations])
    axes.set_title("rows by operation and split")
    axes.set_xlabel("rows")
    paper.round_ticks(axes.xaxis, 5)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _draw_rules(axes: Axes, counts: JsonContent) -> None:
    """Counts by rule on a log axis, since they range from none to tens of thousands."""
    values = [counts.get(name, 0) for name in RULES]
    axes.barh(range(len(values)), [max(value, 0.1) for value in values], color="#8a8a8a",
              height=0.6)  # fmt: skip
    for row, (name, value) in enumerate(zip(RULES, values, strict=True)):
        is_row = name.endswith("_rows") and value
        share = f" ({paper.percent(value / counts['rows_in_file'])})" if is_row else ""
        axes.annotate(f"{value:,}{share}" if value else "none", (max(value, 0.5), row), (3, 0),
                      textcoords="offset points", size=6.5, va="center")  # fmt: skip
    paper.set_log_scale(axes, axes.xaxis)
    # Room for the numbers behind the longest bar.
    axes.set_xlim(0.5, max([10, *values]) ** 1.7)
    paper.name_rows(axes, [textwrap.fill(rule, RULE_LETTERS) for rule in RULES.values()], size=5.5)
    axes.set_title("changed by each cleaning rule")
    axes.set_xlabel("rows or samples (log)")


def lags_of(dataset: JsonContent) -> pd.DataFrame:
    """The lags in dataset.json, a row for each recording whose program is identified.

    `seconds` are relative to the program's median; `is_test`: in the test split alone.
    """
    test = [] if dataset["leaky"] else dataset["splits"]["test"]["recordings"]
    rows = [
        (recording["lag_seconds"], recording["operation"], name in test)
        for name, recording in dataset["recordings"].items()
        if recording["lag_seconds"] is not None
    ]
    return pd.DataFrame(rows, columns=["seconds", "operation", "is_test"])


def draw_lags(results: Results) -> paper.Drawn:
    """A line of markers for each operation; the axis above counts rows."""
    lags, recordings = lags_of(results.dataset), results.dataset["recordings"]
    step_seconds = float(results.dataset["programs"]["step_seconds"])
    if lags.empty:
        raise paper.NothingToDraw("No recording has a lag: the program of each is unknown.")
    operations = sorted({recording["operation"] for recording in recordings.values()})
    fig = paper.new_figure(paper.COLUMN_INCHES, 1.0 + 0.22 * max(3, len(operations)))
    axes = fig.subplots()
    _draw_lags(axes, lags, operations)
    to_rows = (lambda seconds: seconds / step_seconds), (lambda rows: rows * step_seconds)
    above = axes.secondary_xaxis("top", functions=to_rows)
    above.set_xlabel("lag (rows)")
    paper.round_ticks(above.xaxis, 7, integer=True)
    # In a leaky dataset all recordings are in every split.
    if lags["is_test"].any():
        paper.add_legend(fig, axes.get_legend_handles_labels()[0], 2)
    missing = len(recordings) - len(lags)
    subtitle = (
        f"all splits: {len(lags)} recordings, each relative to the median of its program; one row "
        f"is {step_seconds:.3g} s{f'; {missing} more have an unknown program' if missing else ''}"
    )
    rows = (lags["seconds"] / step_seconds).abs()
    title = "Sensors lag behind the controller by the same time, to within one row"
    if rows.max() > 1:
        title = "Sensors lag by a different time in each recording: half of them by over "
        title += f"{rows.median():.1f} rows, one by {rows.max():.1f}"
    return fig, title, subtitle


def _draw_lags(axes: Axes, lags: pd.DataFrame, operations: list[str]) -> None:
    for row in range(1, len(operations), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=paper.BAND, zorder=0)
    for is_test, colour, label in (
        (True, paper.MODEL_BLUE, "test"),
        (False, TRAIN_BLUE, "train, val"),
    ):
        chosen = lags[lags["is_test"] == is_test]
        axes.plot(chosen["seconds"], chosen["operation"].map(operations.index), "o", label=label,
                  color=paper.MODEL_BLUE, markerfacecolor=colour, markersize=3.6,
                  markeredgewidth=0.7, zorder=3 + is_test)  # fmt: skip
    axes.axvline(0, color="#666666", linewidth=0.6, zorder=1)
    paper.name_rows(axes, [paper.short_name(name) for name in operations])
    paper.round_ticks(axes.xaxis, 8)
    axes.set_xlabel("lag of the sensors behind the controller (s)")
