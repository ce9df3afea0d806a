"""The toolpath predicted for a new recording, coloured by the confidence of each row."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gcodefp.evaluation.prediction import RecordingPrediction
from gcodefp.reporting.figures import paper

PATH_INCHES = 3.4
CONFIDENCE_COLOURS = LinearSegmentedColormap.from_list(
    "confidence", ["#f2c14e", "#e0742c", "#7a3b6b", "#0b2f66"]
)
"""Dark is confident, in print too."""


def draw_predicted(predicted: RecordingPrediction, warnings: Sequence[str]) -> Figure:
    """The path from above, its height, and how probable the block of each row is."""
    x, y, z = predicted.position_mm.T
    rows = predicted.row.astype(float)
    has_path = bool((np.isfinite(x) & np.isfinite(y)).any())
    fig = paper.new_figure(paper.PAGE_INCHES, PATH_INCHES + 0.2 if has_path else 1.8)
    names = {"p": "path", "z": "z", "c": "confidence"}
    drawn = fig.subplot_mosaic("pz;pc" if has_path else "c",
                               width_ratios=[1.15, 1] if has_path else None)  # fmt: skip
    axes = {names[letter]: panel for letter, panel in drawn.items()}
    if has_path:
        _draw_path(axes["path"], predicted)
        _add_line(axes["z"], rows, z, predicted, width=1.2)
        axes["z"].autoscale_view()
        axes["z"].margins(x=0.01)
        axes["z"].set(title="height", ylabel="Z (mm)")
        axes["z"].tick_params(labelbottom=False)
    panel = axes["confidence"]  # In the colours of the other panels: this one is their legend.
    panel.plot(rows, predicted.median_lag_confidence, color=paper.EXECUTED, linewidth=0.7)
    _add_line(panel, rows, predicted.confidence, predicted, width=1.2)
    panel.margins(x=0.01)
    panel.set(title="confidence of the block (grey: median lag)", ylim=(0, 1.02),
              xlabel="row of the recording, taken as evenly spaced")  # fmt: skip
    program, operation = (
        f"{part.name} ({paper.percent(part.probability)})"
        for part in (predicted.program, predicted.operation)
    )
    paper.add_title_block(
        fig,
        f"Toolpath of {predicted.name}, reconstructed from its sensors",
        f"program {program}, operation {operation}; block expected correct on "
        f"{paper.percent(predicted.mean_confidence)} of {len(rows)} rows, on "
        f"{paper.percent(predicted.mean_median_lag_confidence)} with the median lag; agreement "
        f"{paper.percent(predicted.agreement)}",
        warnings,
    )
    return fig


def _draw_path(axes: Axes, predicted: RecordingPrediction) -> None:
    x, y = predicted.position_mm[:, 0], predicted.position_mm[:, 1]
    _add_line(axes, x, y, predicted, width=1.6)
    axes.set_aspect("equal", adjustable="datalim")
    axes.autoscale_view()
    axes.set(title="from above", xlabel="X (mm)", ylabel="Y (mm)")
    first = int(np.argmax(np.isfinite(x) & np.isfinite(y)))
    axes.plot(x[first], y[first], "o", color="white", markeredgecolor=paper.INK, markersize=4,
              zorder=5)  # fmt: skip


def _add_line(
    axes: Axes,
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    predicted: RecordingPrediction,
    width: float,
) -> None:
    """A line from each row's point to the next one's, in the colour of the row that it ends in."""
    points = np.stack([x, y], axis=1)
    segments = np.stack([points[:-1], points[1:]], axis=1)
    is_finite = np.isfinite(segments).all(axis=(1, 2))
    lines = LineCollection(list(segments[is_finite]), cmap=CONFIDENCE_COLOURS, norm=Normalize(0, 1),
                           linewidth=width, capstyle="round")  # fmt: skip
    lines.set_array(predicted.confidence[1:][is_finite])
    axes.add_collection(lines)
