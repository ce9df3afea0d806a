"""What every answer gets right and how far it is off, with intervals, the baselines beside it."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from gcodefp.findings.results import Results
from gcodefp.plots.forest import Panel, draw_forest, forest_inches
from gcodefp.plots.style import PAGE_INCHES, add_head, new_figure

SHARES = (
    Panel("gcode", "exact line", "more", "{:.2f}", 1.0),
    Panel("token", "token", "more", "{:.2f}", 1.0),
    Panel("operation", "operation", "more", "{:.2f}", 1.0),
    Panel("program", "program", "more", "{:.2f}", 1.0),
    Panel("gcode_error_rate", "G-code\nerror rate", "less", "{:.2f}", 1.0),
)
DISTANCES = (
    Panel("position_error_mm", "tool position\n(median)", "less", "{:.1f}", 1.0),
    Panel("toolpath_distance_mm", "toolpath\n(median)", "less", "{:.1f}", 1.0),
    Panel("x_error_mm", "X words\n(mean)", "less", "{:.1f}", 1.0),
    Panel("y_error_mm", "Y words\n(mean)", "less", "{:.1f}", 1.0),
    Panel("z_error_mm", "Z words\n(mean)", "less", "{:.1f}", 1.0),
)


def draw_accuracy(results: Results) -> Figure:
    """Shares that are right, and the error rate of the G-code read as a sequence."""
    return _draw(results, SHARES, "What is read right, beside what it has to beat", "shares")


def draw_axis_errors(results: Results) -> Figure:
    """Distance of tool positions, toolpaths and X, Y and Z words from the true ones."""
    return _draw(
        results, DISTANCES, "How far positions are off, beside what has to be beaten", "mm"
    )


def tested_on(results: Results) -> str:
    """`test split: 6 recordings, 1,212 rows`."""
    evaluation = results.evaluation
    recordings, rows = evaluation["recordings"], evaluation["rows"]
    return f"test split: {recordings} recording{'s' * (recordings != 1)}, {rows:,} rows"


def _draw(results: Results, panels: Sequence[Panel], title: str, unit: str) -> Figure:
    scores = results.evaluation["models"]
    figure = new_figure(PAGE_INCHES, forest_inches(scores))
    draw_forest(figure, scores, panels)
    add_head(
        figure,
        title,
        f"{tested_on(results)}; {unit}, with 95 % intervals; dashed: gcodefp",
        results.marks,
    )
    return figure
