"""Every figure of the report, and how they are written."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from gcodefp.findings.results import Results
from gcodefp.plots.accuracy import draw_accuracy, draw_axis_errors
from gcodefp.plots.axis_scatter import draw_axis_scatter
from gcodefp.plots.best_so_far import draw_best_so_far
from gcodefp.plots.calibration import draw_calibration
from gcodefp.plots.channels import draw_channels
from gcodefp.plots.clocks import draw_clocks
from gcodefp.plots.confusion import draw_confusion
from gcodefp.plots.contours import draw_contours
from gcodefp.plots.curves import draw_learning_curves
from gcodefp.plots.dataset import draw_dataset
from gcodefp.plots.early_stopping import draw_early_stopping
from gcodefp.plots.embedding import draw_embedding
from gcodefp.plots.errors_by_operation import draw_errors_by_operation
from gcodefp.plots.errors_by_token import draw_errors_by_token
from gcodefp.plots.gcode_diff import draw_gcode_diff
from gcodefp.plots.head_curves import draw_head_curves
from gcodefp.plots.heads import draw_heads
from gcodefp.plots.importance import draw_importance
from gcodefp.plots.parallel_coordinates import draw_parallel_coordinates
from gcodefp.plots.saliency import draw_saliency
from gcodefp.plots.sensor_groups import draw_sensor_groups
from gcodefp.plots.slices import draw_slices
from gcodefp.plots.style import paper_style, save
from gcodefp.plots.timeline import draw_timeline
from gcodefp.plots.toolpath import draw_toolpath, draw_toolpaths

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
    "saliency": draw_saliency,
    "embedding": draw_embedding,
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
