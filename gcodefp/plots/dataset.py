"""What the data are: rows of each split and operation, and what the cleaning rules touched."""

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from gcodefp.findings.results import Document, Results
from gcodefp.findings.words import RULES
from gcodefp.plots.style import PAGE_INCHES, add_head, new_figure, percent

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
