"""Every figure of the report, and how they are written."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from gcodefp.reporting.figures.accuracy import draw_accuracy, draw_axis_errors, draw_heads
from gcodefp.reporting.figures.axis_scatter import draw_axis_scatter
from gcodefp.reporting.figures.calibration import draw_calibration
from gcodefp.reporting.figures.channels import draw_channels
from gcodefp.reporting.figures.confusion import draw_confusion
from gcodefp.reporting.figures.contours import draw_contours
from gcodefp.reporting.figures.curves import draw_head_curves, draw_learning_curves
from gcodefp.reporting.figures.dataset import draw_clocks, draw_dataset
from gcodefp.reporting.figures.early_stopping import draw_early_stopping
from gcodefp.reporting.figures.errors import draw_errors_by_operation, draw_errors_by_token
from gcodefp.reporting.figures.gcode_diff import draw_gcode_diff
from gcodefp.reporting.figures.hyperparameters import (
    draw_importance,
    draw_parallel_coordinates,
    draw_slices,
)
from gcodefp.reporting.figures.progress import draw_best_so_far, draw_timeline
from gcodefp.reporting.figures.sensor_groups import draw_sensor_groups
from gcodefp.reporting.figures.style import paper_style, save
from gcodefp.reporting.figures.toolpath import draw_toolpath, draw_toolpaths
from gcodefp.reporting.results import Results

DRAWN_BY: dict[str, Callable[[Results], Figure]] = {
    "toolpath": draw_toolpath,
    "toolpaths": draw_toolpaths,
    "gcode_diff": draw_gcode_diff,
    "accuracy": draw_accuracy,
    "axis_errors": draw_axis_errors,
    "axis_scatter": draw_axis_scatter,
    "heads": draw_heads,
    "errors_by_operation": draw_errors_by_operation,
    "errors_by_token": draw_errors_by_token,
    "confusion": draw_confusion,
    "calibration": draw_calibration,
    "sensor_groups": draw_sensor_groups,
    "learning_curves": draw_learning_curves,
    "head_curves": draw_head_curves,
    "best_so_far": draw_best_so_far,
    "slices": draw_slices,
    "parallel_coordinates": draw_parallel_coordinates,
    "importance": draw_importance,
    "contours": draw_contours,
    "early_stopping": draw_early_stopping,
    "timeline": draw_timeline,
    "channels": draw_channels,
    "dataset": draw_dataset,
    "clocks": draw_clocks,
}
"""File stem, as in the catalogue -> what draws it."""


def draw_figures(results: Results, folder: Path) -> None:
    """Writes every figure as FOLDER/STEM.svg and .png; the same results give the same bytes."""
    for stem, draw in DRAWN_BY.items():
        with paper_style():
            save(draw(results), folder, stem, results.marks)
