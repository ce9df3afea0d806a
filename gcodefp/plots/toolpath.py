"""The picture that everybody looks at first: true toolpaths and those that the sensors gave."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gcodefp.findings.moves import Move, Toolpath, middle, toolpaths
from gcodefp.findings.results import Results
from gcodefp.plots.style import INK, PAGE_INCHES, RIGHT, TRUE, WRONG, add_head, new_figure, percent

MAX_PANELS = 12
PANEL_INCHES = 3.0
MARGIN_SHARE = 0.12
"""The frame leaves so much around the executed path; wrong lines may leave it."""
ON_PATH, OFF_PATH = "written-right", "written-wrong"
"""Ids of the lines in the SVG."""
DASHES = (0, (3.5, 1.6))


def draw_toolpath(results: Results) -> Figure:
    """True and reconstructed path of the test recording in the middle of the ranking."""
    ranking = toolpaths(results.predictions)
    path = middle(ranking)
    figure = new_figure(PAGE_INCHES, 1.75 + PANEL_INCHES * _height_to_width(path))
    axes = figure.subplot_mosaic(
        [["true", "written"], ["z", "z"]],
        height_ratios=[PANEL_INCHES * _height_to_width(path) + 0.2, 0.85],
    )
    _draw_true(axes["true"], path.true)
    _draw_written(axes["written"], path, width=1.5)
    axes["true"].set_title("what the machine executed")
    axes["written"].set_title("what was written")
    axes["true"].set_ylabel("Y (mm)")
    for name in ("true", "written"):
        axes[name].set_xlabel("X (mm)")
        axes[name].set_aspect("equal", adjustable="box")
        _frame(axes[name], path.true)
    _draw_z(axes["z"], path)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, handlelength=2.6)
    add_head(
        figure,
        f"Toolpath of {path.name}, reconstructed from its {_source(results)}",
        f"test split: exact line on {percent(path.accuracy)} of {len(path.right)} rows, the median "
        f"of {len(ranking)} test recordings ({percent(ranking[-1].accuracy)} to "
        f"{percent(ranking[0].accuracy)})",
        results.marks,
    )
    return figure


def draw_toolpaths(results: Results) -> Figure:
    """Reconstructed paths of the test recordings, best first."""
    ranking = toolpaths(results.predictions)
    shown = evenly(ranking, MAX_PANELS)
    columns = 3 if len(shown) <= 6 else 4
    rows = -(-len(shown) // columns)
    figure = new_figure(PAGE_INCHES, 0.45 + rows * (PAGE_INCHES / columns + 0.1))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, path in zip(panels, shown, strict=False):
        _draw_written(axes, path, width=1.0)
        _frame(axes, path.true, square=True)
        axes.set_title(f"{path.name}\n{percent(path.accuracy)} of {len(path.right)} rows", size=7)
        axes.set_aspect("equal", adjustable="box")
        axes.tick_params(labelsize=6)
    for axes in panels[::columns]:
        axes.set_ylabel("Y (mm)")
    for axes in panels[max(0, len(shown) - columns) : len(shown)]:
        axes.set_xlabel("X (mm)")
    for axes in panels[len(shown) :]:
        axes.axis("off")
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5)
    which = "all" if len(shown) == len(ranking) else f"{len(shown)}, evenly over the ranking, of"
    add_head(
        figure,
        f"Toolpaths reconstructed from {_source(results)}, best to worst",
        f"test split: {which} {len(ranking)} recordings, with the share of rows whose exact line "
        "was written",
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


def _bounds_mm(moves: Sequence[Move]) -> NDArray[np.float64]:
    """Least and largest X and Y of a path, with the margin, (2, 2); a unit square for no path."""
    if not moves:
        return np.array([[0.0, 0.0], [1.0, 1.0]])
    points = np.concatenate([move.points_mm for move in moves])
    low, high = points.min(0), points.max(0)
    margin = MARGIN_SHARE * max(1.0, *(high - low))
    return np.array([low - margin, high + margin])


def _frame(axes: Axes, moves: Sequence[Move], square: bool = False) -> None:
    low, high = _bounds_mm(moves)
    reach = high - low
    if square:
        reach = np.full(2, reach.max())
    middle_x, middle_y = (low + high) / 2
    axes.set_xlim(middle_x - reach[0] / 2, middle_x + reach[0] / 2)
    axes.set_ylim(middle_y - reach[1] / 2, middle_y + reach[1] / 2)


def _height_to_width(path: Toolpath) -> float:
    width, height = np.diff(_bounds_mm(path.true), axis=0)[0]
    return float(np.clip(height / width, 0.4, 1.4))


def _draw_true(axes: Axes, moves: Sequence[Move]) -> None:
    _add(axes, [m for m in moves if not m.rapid], color=INK, linewidth=1.2)
    _add(axes, [m for m in moves if m.rapid], color=INK, linewidth=0.7, linestyle=DASHES)
    _mark_start(axes, moves)


def _draw_written(axes: Axes, path: Toolpath, width: float) -> None:
    """The true path as a broad band, what is right on it, and thin red lines where it is not."""
    _add(axes, path.true, color=TRUE, linewidth=2.6 * width, zorder=1, capstyle="round")
    off = [m for m in path.written if not m.on_path]
    _add(axes, off, color=WRONG, linewidth=0.35 * width, alpha=0.75, zorder=2, gid=OFF_PATH)
    wrong, stray = ([m for m in off if m.right is right] for right in (False, True))
    axes.plot(*_ends_mm(wrong), "x", color=WRONG, markersize=1.9 * width, markeredgewidth=0.5,
              zorder=3)  # fmt: skip
    axes.plot(*_ends_mm(stray), "o", color=RIGHT, markersize=1.7 * width, markeredgewidth=0,
              zorder=3)  # fmt: skip
    on_path = [m for m in path.written if m.on_path]
    cuts, rapids = ([m for m in on_path if m.rapid is rapid] for rapid in (False, True))
    _add(axes, cuts, color=RIGHT, linewidth=width, zorder=4, gid=ON_PATH)
    _add(axes, rapids, color=RIGHT, linewidth=0.8 * width, linestyle=DASHES, zorder=4)
    _mark_start(axes, path.true)
    if not path.written:
        axes.text(0.5, 0.5, "no move: X or Y\nis never written", color=WRONG, size=7, ha="center",
                  va="center", transform=axes.transAxes)  # fmt: skip


def _ends_mm(moves: Sequence[Move]) -> NDArray[np.float64]:
    """(2, M): X and Y of where the moves end."""
    return np.array([move.points_mm[-1] for move in moves]).reshape(-1, 2).T


def _add(axes: Axes, moves: Sequence[Move], **look: object) -> None:
    if moves:
        axes.add_collection(LineCollection([m.points_mm for m in moves], **look))  # type: ignore[arg-type]


def _mark_start(axes: Axes, moves: Sequence[Move]) -> None:
    if moves:
        x, y = moves[0].points_mm[0]
        axes.plot(x, y, "o", color="white", markeredgecolor=INK, markersize=4, zorder=5)


def _draw_z(axes: Axes, path: Toolpath) -> None:
    """Z of each row's block over time, and a tick under each row whose block is wrong."""
    axes.step(path.seconds, path.true_z_mm, where="post", color=TRUE, linewidth=3)
    axes.step(path.seconds, path.written_z_mm, where="post", color=RIGHT, linewidth=0.8)
    wrong = path.seconds[~path.right]
    axes.plot(
        wrong, np.full(len(wrong), -0.07), "|", color=WRONG, markersize=5, markeredgewidth=0.7,
        transform=axes.get_xaxis_transform(), clip_on=False,
    )  # fmt: skip
    axes.spines["bottom"].set_position(("outward", 7))
    axes.set_ylabel("Z (mm)")
    axes.set_xlabel("time (s); a red tick for each row whose line is wrong")
    axes.margins(x=0.01)


def _legend() -> list[Line2D]:
    return [
        Line2D([], [], color=TRUE, linewidth=3.5, label="executed"),
        Line2D([], [], color=RIGHT, linewidth=1.5, label="written right"),
        Line2D([], [], color=RIGHT, linewidth=1.0, linestyle=DASHES, label="rapid (G0)"),
        Line2D([], [], color=WRONG, linewidth=0.6, marker="x", markersize=3,
               label="written wrong"),
        Line2D([], [], color=WRONG, linewidth=0.6, marker="o", markerfacecolor=RIGHT,
               markeredgewidth=0, markersize=3, label="right, from a wrong place"),
    ]  # fmt: skip
