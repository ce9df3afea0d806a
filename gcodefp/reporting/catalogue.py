"""Every figure that is drawn of finished results, in the order in which the report shows them."""

from typing import NamedTuple


class Entry(NamedTuple):
    """What a figure is called, and under what: Test, Sweep or Data."""

    title: str
    category: str


FIGURES = {
    "toolpath": Entry("One toolpath", "Test"),
    "gcode_diff": Entry("G-code, executed and read", "Test"),
    "accuracy": Entry("Accuracy", "Test"),
    "axis_errors": Entry("Position errors", "Test"),
    "axis_scatter": Entry("Read against executed positions", "Test"),
    "toolpaths": Entry("All toolpaths", "Test"),
    "heads": Entry("Heads", "Test"),
    "errors_by_operation": Entry("Errors by operation", "Test"),
    "errors_by_token": Entry("Errors by token", "Test"),
    "confusion": Entry("Confusions", "Test"),
    "calibration": Entry("Calibration", "Test"),
    "sensor_groups": Entry("Sensors left out", "Test"),
    "learning_curves": Entry("Learning curves", "Sweep"),
    "head_curves": Entry("Learning curves of the heads", "Sweep"),
    "best_so_far": Entry("Best so far", "Sweep"),
    "slices": Entry("Hyperparameters one by one", "Sweep"),
    "parallel_coordinates": Entry("All runs at once", "Sweep"),
    "importance": Entry("Importance", "Sweep"),
    "contours": Entry("Pairs of hyperparameters", "Sweep"),
    "early_stopping": Entry("Early stopping", "Sweep"),
    "timeline": Entry("Agents over time", "Sweep"),
    "channels": Entry("Channels over time", "Data"),
    "dataset": Entry("Data", "Data"),
    "clocks": Entry("Clocks", "Data"),
}
"""File stem -> its entry; gcodefp/reporting/captions/STEM.rst says what it shows."""
