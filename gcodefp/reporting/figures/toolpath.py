"""The picture that everybody looks at first: true toolpaths and those that the sensors gave."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gcodefp.reporting.executed_paths import Piece, State, Toolpath, joined, middle, toolpaths
from gcodefp.reporting.figures.style import (
    INK,
    PAGE_INCHES,
    RIGHT,
    TRUE,
    WRONG,
    add_head,
    new_figure,
    percent,
)
from gcodefp.reporting.results import Results

MAX_PANELS = 12
PANEL_INCHES = 3.0
AXIS_INCHES = 0.5
MARGIN_SHARE = 0.06
"""The frame leaves so much around the executed path; wrong lines may leave it."""
OTHER_TIME = "#d08a1c"
DASHES = (0, (3.5, 1.6))
STATES = {
    State.OFF: ("read-off", WRONG, 0.6, 3),
    State.OTHER_TIME: ("read-other-time", OTHER_TIME, 0.8, 4),
    State.RIGHT: ("read-right", RIGHT, 1.2, 5),
}
"""State -> id of the lines in the SVG, colour, width, and how far in front."""


def draw_toolpath(results: Results) -> Figure:
    """True and read path of the test recording in the middle of the ranking."""
    ranking = toolpaths(results.predictions)
    path = middle(ranking)
    panel_inches = PANEL_INCHES * _height_to_width(path)
    figure = new_figure(PAGE_INCHES, 1.25 + panel_inches + 3 * AXIS_INCHES)
    axes = figure.subplot_mosaic(
        [["true", "read"], ["X", "X"], ["Y", "Y"], ["Z", "Z"]],
        height_ratios=[panel_inches + 0.2, *[AXIS_INCHES] * 3],
    )
    _draw_true(axes["true"], path)
    _draw_read(axes["read"], path, width=1.2)
    axes["true"].set_title("what the machine executed")
    axes["read"].set_title("what was read from the sensors")
    axes["true"].set_ylabel("Y (mm)")
    for name in ("true", "read"):
        axes[name].set_xlabel("X (mm)")
        axes[name].set_aspect("equal", adjustable="box")
        _frame(axes[name], path.true_pieces)
    _draw_times([axes[name] for name in "XYZ"], path)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4, handlelength=2.4)
    add_head(
        figure,
        f"Toolpath of {path.name}, read from its {_source(results)}",
        f"test split, whole recording read at once: exact line on {percent(path.accuracy)} of "
        f"{len(path.right)} rows, the median of {len(ranking)} test recordings "
        f"({percent(ranking[-1].accuracy)} to {percent(ranking[0].accuracy)}){_off_by(path)}",
        results.marks,
    )
    return figure


def draw_toolpaths(results: Results) -> Figure:
    """Paths read from the sensors of the test recordings, best first."""
    ranking = toolpaths(results.predictions)
    shown = evenly(ranking, MAX_PANELS)
    columns = 3 if len(shown) <= 6 else 4
    rows = -(-len(shown) // columns)
    figure = new_figure(PAGE_INCHES, 0.45 + rows * (PAGE_INCHES / columns + 0.1))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, path in zip(panels, shown, strict=False):
        _draw_read(axes, path, width=0.8)
        _frame(axes, path.true_pieces, square=True)
        axes.set_title(f"{path.name}\n{percent(path.accuracy)} of {len(path.right)} rows", size=7)
        axes.set_aspect("equal", adjustable="box")
        axes.tick_params(labelsize=6)
    for axes in panels[::columns]:
        axes.set_ylabel("Y (mm)")
    for axes in panels[max(0, len(shown) - columns) : len(shown)]:
        axes.set_xlabel("X (mm)")
    for axes in panels[len(shown) :]:
        axes.axis("off")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=4)
    which = "all" if len(shown) == len(ranking) else f"{len(shown)}, evenly over the ranking, of"
    add_head(
        figure,
        f"Toolpaths read from {_source(results)}, best to worst",
        f"test split, whole recordings read at once: {which} {len(ranking)} recordings, with the "
        "share of rows whose exact line is right",
        results.marks,
    )
    return figure


def evenly(ranking: Sequence[Toolpath], count: int) -> list[Toolpath]:
    """At most `count` recordings of a ranking, its first and last among them."""
    picked = np.linspace(0, len(ranking) - 1, min(count, len(ranking))).round().astype(int)
    return [ranking[i] for i in picked]


def _source(results: Results) -> str:
    inputs = results.evaluation["controller_is_input"]
    return "sensors and the controller's position" if inputs else "sensors"


def _off_by(path: Toolpath) -> str:
    off_mm = np.linalg.norm(path.read_mm - path.true_mm, axis=1)
    known = off_mm[np.isfinite(off_mm)]
    what = "tool position" if path.is_reported else "ends of blocks"
    return f"; {what} off by {np.median(known):.1f} mm (median)" if len(known) else ""


def _bounds_mm(pieces: Sequence[Piece]) -> NDArray[np.float64]:
    """Least and largest X and Y of a path, with the margin, (2, 2); a unit square for no path."""
    points = np.concatenate([np.empty((0, 2)), *pieces])
    if not len(points):
        return np.array([[0.0, 0.0], [1.0, 1.0]])
    low, high = points.min(0), points.max(0)
    margin = MARGIN_SHARE * max(1.0, *(high - low))
    return np.array([low - margin, high + margin])


def _frame(axes: Axes, pieces: Sequence[Piece], square: bool = False) -> None:
    low, high = _bounds_mm(pieces)
    reach = high - low
    if square:
        reach = np.full(2, reach.max())
    middle_x, middle_y = (low + high) / 2
    axes.set_xlim(middle_x - reach[0] / 2, middle_x + reach[0] / 2)
    axes.set_ylim(middle_y - reach[1] / 2, middle_y + reach[1] / 2)


def _height_to_width(path: Toolpath) -> float:
    width, height = np.diff(_bounds_mm(path.true_pieces), axis=0)[0]
    return float(np.clip(height / width, 0.4, 1.4))


def _draw_true(axes: Axes, path: Toolpath) -> None:
    lines = joined(path.true_pieces, path.rapid.astype(int))
    _add(axes, [line for rapid, line in lines if not rapid], color=INK, linewidth=1.0)
    _add(axes, [line for rapid, line in lines if rapid], color=INK, linewidth=0.7, linestyle=DASHES)
    _mark_start(axes, path)


def _draw_read(axes: Axes, path: Toolpath, width: float) -> None:
    """The executed path as a broad band, and over it what was read, by its state."""
    _add(axes, path.true_pieces, color=TRUE, linewidth=3.4 * width, zorder=1, capstyle="round")
    lines = joined(path.read_pieces, path.state)
    for state, (gid, colour, share, zorder) in STATES.items():
        of = [line for found, line in lines if found == state]
        _add(axes, of, color=colour, linewidth=share * width, zorder=zorder, gid=gid)
    _mark_start(axes, path)
    if not lines:
        axes.text(0.5, 0.5, "no move: X or Y\nis never read", color=WRONG, size=7, ha="center",
                  va="center", transform=axes.transAxes)  # fmt: skip


def _add(axes: Axes, lines: Sequence[Piece], **look: object) -> None:
    lines = [line for line in lines if len(line)]
    if lines:
        axes.add_collection(LineCollection(lines, **look))  # type: ignore[arg-type]


def _mark_start(axes: Axes, path: Toolpath) -> None:
    first = next((piece for piece in path.true_pieces if len(piece)), None)
    if first is not None:
        axes.plot(*first[0], "o", color="white", markeredgecolor=INK, markersize=4, zorder=6)


def _draw_times(panels: Sequence[Axes], path: Toolpath) -> None:
    """Each axis over time, and below a tick for each row whose block is wrong."""
    for axis, (axes, name) in enumerate(zip(panels, "XYZ", strict=True)):
        axes.plot(path.seconds, path.true_mm[:, axis], color=TRUE, linewidth=2.6)
        axes.plot(path.seconds, path.read_mm[:, axis], color=INK, linewidth=0.7)
        axes.set_ylabel(f"{name} (mm)")
        axes.margins(x=0.01)
        axes.sharex(panels[-1])
        axes.tick_params(labelbottom=axes is panels[-1])
    panels[0].set_title("over time: executed (grey) and read (black)")
    wrong = path.seconds[~path.right]
    axes.plot(
        wrong, np.full(len(wrong), -0.1), "|", color=WRONG, markersize=4, markeredgewidth=0.7,
        transform=axes.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip
    axes.spines["bottom"].set_position(("outward", 7))
    axes.set_xlabel("time (s); a red tick for each row whose line is wrong")


def _legend() -> list[Line2D]:
    labels = {
        State.RIGHT: "line read right",
        State.OTHER_TIME: "on the path, wrong line",
        State.OFF: "off the path",
    }
    read = [
        Line2D([], [], color=STATES[state][1], linewidth=1.3 * STATES[state][2], label=label)
        for state, label in labels.items()
    ]
    return [Line2D([], [], color=TRUE, linewidth=3.5, label="executed"), *read]
