"""Where the encoder puts the rows of the test split: by operation, and by place in the program."""

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.style import PAGE_INCHES, Look, add_head, new_figure, percent
from gcodefp.reporting.results import Explanation, Results

COLOURS = (
    *("#0b4f8a", "#e08a14", "#8f8f8f", "#7b4fa3", "#2f8f5b"),
    *("#c2362e", "#222222", "#63b0dc", "#a89200", "#d58bc4"),
)
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", "*", ">")
UNKNOWN_LABEL = "not in train"
POINT_SIZE = 2.6
PROGRESS = ListedColormap(colormaps["viridis"](np.linspace(0, 0.93, 256)))
"""Dark to light, in print too, but not as light as paper."""


def draw_embedding(results: Results) -> Figure:
    """The same points twice."""
    explanation = results.explanation
    figure = new_figure(PAGE_INCHES, 3.5)
    left, right = figure.subplots(1, 2)
    handles = _draw_operations(left, explanation)
    _draw_progress(figure, right, explanation)
    for axes in (left, right):
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(True)
    left.set_title("by operation")
    right.set_title("by position in the program")
    figure.legend(handles=handles, loc="outside lower left", ncols=min(6, len(handles)))
    add_head(figure, _title(results), _subtitle(results), results.marks)
    return figure


def look_of(index: int) -> Look:
    """How the operation with this number is drawn, in colour and without."""
    place = index % len(MARKERS)
    return Look(COLOURS[place], MARKERS[place], index < len(MARKERS))


def _draw_operations(axes: Axes, explanation: Explanation) -> list[Line2D]:
    handles = []
    for operation in np.unique(explanation.embedding_operation).tolist():
        known = operation >= 0
        look = look_of(operation) if known else Look("#000000", "_", True)
        x, y = explanation.embedding_xy[explanation.embedding_operation == operation].T
        name = str(explanation.operations[operation]) if known else UNKNOWN_LABEL
        (line,) = axes.plot(
            x, y, look.marker, color=look.colour, markersize=POINT_SIZE, label=name,
            markerfacecolor=look.colour if look.filled else "white",
            markeredgewidth=0.0 if look.filled and known else 0.5,
        )  # fmt: skip
        handles.append(line)
    return handles


def _draw_progress(figure: Figure, axes: Axes, explanation: Explanation) -> None:
    x, y = explanation.embedding_xy.T
    drawn = axes.scatter(x, y, c=explanation.embedding_progress, s=POINT_SIZE**2, cmap=PROGRESS,
                         vmin=0, vmax=1, linewidths=0)  # fmt: skip
    bar = figure.colorbar(drawn, ax=axes, ticks=[0, 0.5, 1], aspect=30, pad=0.02)
    bar.ax.set_yticklabels(["start", "half", "end"])
    bar.outline.set_visible(False)


def _title(results: Results) -> str:
    same = results.explanation.document["embedding"]["same_operation"]["value"]
    if same is None:
        return "Where the network's encoder puts the rows of the test split"
    return (
        f"To the encoder, {percent(same)} of the rows are most alike a row of the same operation "
        "in another recording"
    )


def _subtitle(results: Results) -> str:
    found = results.explanation.document["embedding"]
    apart = found["apart_seconds"]["value"]
    both = "where both are of the same program"
    told = f", the two a median of {apart:.1f} s apart {both}" if apart is not None else ""
    every = results.evaluation["rows"]
    shown = f", {found['rows']:,} of them here" if found["rows"] < every else ""
    return (
        f"{tested_on(results)}{shown}{told}; plane by {found['method']}: "
        "neighbours stay neighbours, distances mean nothing"
    )
