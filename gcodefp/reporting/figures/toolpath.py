"""Executed toolpaths, and over them the ones predicted from the sensors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from gcodefp.reporting.executed_paths import (
    SegmentMatch,
    Segments,
    Toolpath,
    is_known,
    join_segments,
    toolpaths,
)
from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.results import Results
from gcodefp.terminal import plural

MAX_RECORDINGS = 4
AXIS_INCHES = 0.5
MAX_PATH_INCHES = 2.8
MATCH_STYLES = {
    SegmentMatch.OFF: ("off-path", "off the path", paper.WRONG, 0.6, 3),
    SegmentMatch.OTHER_TIME: ("wrong-line", "on the path, wrong block", "#d08a1c", 0.8, 4),
    SegmentMatch.CORRECT: ("right-line", "correct block", paper.MODEL_BLUE, 1.2, 5),
}
"""Match -> id of the lines in the SVG, label, colour, width, and drawing order."""


@figure(
    "toolpath",
    title="Toolpaths",
    category="Test",
    caption="Test recordings, each predicted as a whole: the best, the worst and two in between by "
    "block accuracy, where there are so many. Grey: where the controller reported the tool, a "
    "few times a second. Over it the tool's position as predicted from the sensors: blue is on the "
    "path with the correct block; orange on the path, but with a block of another moment, as when "
    "the lag is wrong; red is more than 0.5 mm off the path, as cut corners are too. Below: X, Y "
    "and Z over time, with a red tick for each row whose block is wrong. Where no position is "
    "reported, straight lines join the ends of the blocks.",
)
def draw_toolpath(results: Results) -> paper.Drawn:
    """A column for each recording: the path from above, and each axis over time."""
    ranking = toolpaths(results.predictions)
    shown = evenly_spaced(ranking, MAX_RECORDINGS)
    path_inches = min(paper.PAGE_INCHES / len(shown), MAX_PATH_INCHES)
    fig = paper.new_figure(paper.PAGE_INCHES, path_inches + 3 * AXIS_INCHES + 0.9)
    rows = fig.subplots(4, len(shown), squeeze=False, sharex=False,
                        height_ratios=[path_inches, *[AXIS_INCHES] * 3])  # fmt: skip
    for column, path in zip(rows.T, shown, strict=True):
        _draw_path(column[0], path)
        _draw_axes_over_time(column[1:], path)
    rows[0, 0].set_ylabel("Y (mm)")
    for axes, name in zip(rows[1:, 0], "XYZ", strict=True):
        axes.set_ylabel(f"{name} (mm)")
    fig.align_ylabels(rows[1:, 0])
    handles = [Line2D([], [], color=paper.EXECUTED, linewidth=3.5, label="executed")]
    handles += [
        Line2D([], [], color=colour, linewidth=1.3 * width, label=label)
        for _, label, colour, width, _ in reversed(MATCH_STYLES.values())
    ]
    handles.append(Line2D([], [], color=paper.WRONG, marker="|", linestyle="none", markersize=4,
                          label="row with a wrong block"))  # fmt: skip
    paper.add_legend(fig, handles, len(handles))
    which = "all" if len(shown) == len(ranking) else f"{len(shown)} of"
    subtitle = (
        f"test split: {which} {plural(len(ranking), 'recording')}, each predicted as a "
        "whole; in the titles the block accuracy by the controller's clock"
        f"{_distance(shown)}"
    )
    return fig, _title(results, ranking), subtitle


def evenly_spaced(ranking: Sequence[Toolpath], count: int) -> list[Toolpath]:
    """At most `count` recordings, evenly over a ranking, its first and last among them."""
    indices = np.linspace(0, len(ranking) - 1, min(count, len(ranking))).round().astype(int)
    return [ranking[index] for index in indices]


def _title(results: Results, ranking: Sequence[Toolpath]) -> str:
    inputs = results.evaluation["controller_is_input"]
    source = "sensors and the controller's position" if inputs else "the sensors"
    best, worst = paper.percent(ranking[0].accuracy), paper.percent(ranking[-1].accuracy)
    shares = best if best == worst else f"{worst} to {best}"
    return f"From {source}, {shares} of a recording's rows get the controller's block"


def _distance(shown: Sequence[Toolpath]) -> str:
    distances = np.concatenate([
        np.linalg.norm(path.predicted_mm - path.true_mm, axis=1) for path in shown
    ])  # fmt: skip
    finite = distances[np.isfinite(distances)]
    if not len(finite):
        return ""
    quantity = "tool position" if shown[0].is_reported else "ends of blocks"
    return f"; median distance of the {quantity}: {np.median(finite):.1f} mm"


def _draw_path(axes: Axes, path: Toolpath) -> None:
    """The executed path as a broad band, and over it the predicted one, by its match."""
    executed = path.true_segments[is_known(path.true_segments)]
    _add_lines(axes, [*executed], color=paper.EXECUTED, linewidth=2.8, zorder=1, capstyle="round")
    lines = join_segments(path.predicted_segments, path.match)
    for match, (gid, _, colour, width, zorder) in MATCH_STYLES.items():
        matching = [line for line_match, line in lines if line_match == match]
        _add_lines(axes, matching, color=colour, linewidth=width, zorder=zorder, gid=gid)
    axes.plot(*executed[:1, 0].T, "o", color="white", markeredgecolor=paper.INK, markersize=3.5,
              zorder=6)  # fmt: skip
    if not lines:
        axes.text(0.5, 0.5, "no move: X or Y\nis never predicted", color=paper.WRONG, size=7,
                  ha="center", va="center", transform=axes.transAxes)  # fmt: skip
    _frame(axes, executed)
    name = paper.short_name(path.name)
    axes.set_title(f"{name}\n{paper.percent(path.accuracy)} of {len(path.is_correct)} rows", size=7)
    axes.set_xlabel("X (mm)")
    axes.tick_params(labelsize=6)


def _add_lines(axes: Axes, lines: Sequence[NDArray[np.float64]], **style: object) -> None:
    if lines:
        axes.add_collection(LineCollection(lines, **style), autolim=False)  # type: ignore[arg-type]


def _frame(axes: Axes, executed: Segments) -> None:
    """The executed path alone sets the limits; wrong blocks may leave the frame."""
    axes.update_datalim(executed.reshape(-1, 2) if len(executed) else [(0, 0), (1, 1)])
    axes.autoscale_view()
    # A fixed box, unlike fixed limits, leaves the layout as it is.
    axes.set_aspect("equal", adjustable="datalim")
    for axis in (axes.xaxis, axes.yaxis):
        paper.round_ticks(axis, 4)


def _draw_axes_over_time(panels: Sequence[Axes], path: Toolpath) -> None:
    """X, Y and Z over time, and below a tick for each row whose block is wrong."""
    for axis, axes in enumerate(panels):
        axes.plot(path.seconds, path.true_mm[:, axis], color=paper.EXECUTED, linewidth=2.6)
        axes.plot(path.seconds, path.predicted_mm[:, axis], color=paper.INK, linewidth=0.6)
        axes.margins(x=0.01)
        axes.sharex(panels[-1])
        axes.tick_params(labelbottom=axes is panels[-1], labelsize=6)
        paper.round_ticks(axes.yaxis, 3)
    last = panels[-1]
    wrong = path.seconds[~path.is_correct]
    last.plot(wrong, np.full(len(wrong), -0.1), "|", color=paper.WRONG, markersize=4,
              markeredgewidth=0.7, transform=last.get_xaxis_transform(), clip_on=False)  # fmt: skip
    last.spines["bottom"].set_position(("outward", 7))
    paper.round_ticks(last.xaxis, 5)
    last.set_xlabel("time (s)")
