"""The picture that everybody looks at first: true toolpaths and those that the sensors gave."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gcodefp.plots.moves import Move, Toolpath, toolpaths
from gcodefp.plots.style import INK, PAGE_INCHES, RIGHT, TRUE, WRONG, add_head, new_figure, percent
from gcodefp.reporting.results import Results

MAX_PANELS = 12
COLUMNS = 4
DASHES = (0, (3.5, 1.6))


def draw_toolpath(results: Results) -> Figure:
    """True and reconstructed path of the test recording in the middle of the ranking."""
    ranking = toolpaths(results.predictions)
    path = middle(ranking)
    figure = new_figure(PAGE_INCHES, 4.9)
    axes = figure.subplot_mosaic([["true", "written"], ["z", "z"]], height_ratios=[4.6, 1])
    axes["true"].sharex(axes["written"])
    axes["true"].sharey(axes["written"])
    _draw_true(axes["true"], path.true)
    _draw_written(axes["written"], path, width=1.5)
    axes["true"].set_title("what the machine executed")
    axes["written"].set_title("what the sensors gave")
    axes["true"].set_ylabel("Y (mm)")
    for name in ("true", "written"):
        axes[name].set_xlabel("X (mm)")
        axes[name].set_aspect("equal", adjustable="box")
    _draw_z(axes["z"], path)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=5, handlelength=2.6)
    add_head(
        figure,
        f"Toolpath of {path.name}, reconstructed from its sensors",
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
    columns = min(COLUMNS, max(2, len(shown)))
    rows = -(-len(shown) // columns)
    figure = new_figure(PAGE_INCHES, 0.4 + rows * (PAGE_INCHES / columns + 0.12))
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, path in zip(panels, shown, strict=False):
        _draw_written(axes, path, width=1.0)
        axes.set_title(f"{path.name}\n{percent(path.accuracy)} of {len(path.right)} rows", size=7)
        axes.set_aspect("equal", adjustable="datalim")
        axes.tick_params(labelsize=6)
    for axes in list(panels)[len(shown) :]:
        axes.axis("off")
    figure.supxlabel("X (mm)", size=7.5)
    figure.supylabel("Y (mm)", size=7.5)
    figure.legend(handles=_legend()[1:], loc="outside lower center", ncols=4)
    which = "all" if len(shown) == len(ranking) else f"{len(shown)}, evenly over the ranking, of"
    add_head(
        figure,
        "Toolpaths reconstructed from sensors, best to worst",
        f"test split: {which} {len(ranking)} recordings; the share is that of rows whose whole "
        "line is right",
        results.marks,
    )
    return figure


def middle(ranking: Sequence[Toolpath]) -> Toolpath:
    """The recording of median accuracy; of the two middle ones the worse."""
    return ranking[len(ranking) // 2]


def evenly(ranking: Sequence[Toolpath], count: int) -> list[Toolpath]:
    """At most `count` recordings of a ranking, its first and last among them."""
    picked = np.linspace(0, len(ranking) - 1, min(count, len(ranking))).round().astype(int)
    return [ranking[i] for i in picked]


def _draw_true(axes: Axes, moves: Sequence[Move]) -> None:
    _add(axes, [m for m in moves if not m.rapid], color=INK, linewidth=1.2)
    _add(axes, [m for m in moves if m.rapid], color="#777777", linewidth=0.8, linestyle=DASHES)
    _mark_start(axes, moves)


def _draw_written(axes: Axes, path: Toolpath, width: float) -> None:
    """The true path as a broad band, what is right on it, and thin red lines where it is not."""
    _add(axes, path.true, color=TRUE, linewidth=2.6 * width, zorder=1, capstyle="round")
    wrong = [m for m in path.written if not m.right]
    _add(axes, wrong, color=WRONG, linewidth=0.35 * width, alpha=0.75, zorder=2, gid="wrong")
    ends = np.array([m.points_mm[-1] for m in wrong]).reshape(-1, 2)
    axes.plot(*ends.T, "x", color=WRONG, markersize=2.2 * width, markeredgewidth=0.5, zorder=3)
    right = [m for m in path.written if m.right]
    cuts, rapids = [m for m in right if not m.rapid], [m for m in right if m.rapid]
    _add(axes, cuts, color=RIGHT, linewidth=width, zorder=4, gid="right")
    _add(axes, rapids, color=RIGHT, linewidth=0.8 * width, linestyle=DASHES, zorder=4)
    _mark_start(axes, path.true)


def _add(axes: Axes, moves: Sequence[Move], **look: object) -> None:
    if moves:
        axes.add_collection(LineCollection([m.points_mm for m in moves], **look))  # type: ignore[arg-type]
        axes.autoscale_view()


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
        Line2D([], [], color=INK, label="executed cut"),
        Line2D([], [], color=TRUE, linewidth=3.5, label="executed path"),
        Line2D([], [], color=RIGHT, linewidth=1.5, label="written right"),
        Line2D([], [], color=RIGHT, linewidth=1.0, linestyle=DASHES, label="rapid (G0)"),
        Line2D([], [], color=WRONG, linewidth=0.6, marker="x", markersize=3,
               label="written wrong, and the way back"),
    ]  # fmt: skip
