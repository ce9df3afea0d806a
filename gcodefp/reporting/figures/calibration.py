"""Calibration: confidence of gcodefp in its lines against their accuracy."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.names import MODEL, WHOLE
from gcodefp.evaluation.verdicts import significant_sign
from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.predictions import JsonContent
from gcodefp.reporting.results import Results

HISTOGRAM_BINS = 20


class _CurveStyle(NamedTuple):
    label: str
    colour: str
    marker: str
    face: str
    dashes: str


STYLES = {
    MODEL: _CurveStyle("in windows", paper.MODEL_BLUE, "o", paper.MODEL_BLUE, "-"),
    WHOLE: _CurveStyle("in whole recordings", paper.ORANGE, "s", "white", "--"),
}


@figure(
    "calibration",
    title="Calibration",
    category="Test",
    caption="The share of lines that are right (vertical) against the predicted probability of the "
    "lines (horizontal), in bins of a tenth of the rows each; bars are 95 % "
    "intervals from a bootstrap over recordings. On the grey line it is calibrated, below "
    "it overconfident. Below: a histogram of the probabilities. The expected calibration error is "
    "the mean distance from the grey line; it is above 0 by chance alone.",
)
def draw_calibration(results: Results) -> Figure:
    """Reliability diagram of both predictors with a confidence, above its histogram."""
    calibration = results.explanation.document["calibration"]
    fig = paper.new_figure(paper.COLUMN_INCHES, 4.2)
    top, bottom = fig.subplots(2, 1, sharex=True, height_ratios=[2.9, 0.7])
    top.plot([0, 1], [0, 1], color="#8a8a8a", linewidth=0.7, zorder=1)
    for name, style in STYLES.items():
        _draw_reliability(top, calibration[name], style)
        counts, edges = np.histogram(
            results.explanation.confidence[name], bins=HISTOGRAM_BINS, range=(0, 1)
        )
        bottom.stairs(counts / counts.sum(), edges, color=style.colour, linestyle=style.dashes,
                      linewidth=1.0)  # fmt: skip
    top.set_xlim(0, 1)
    top.set_ylim(0, 1)
    top.set_ylabel("share of these lines that is right")
    top.annotate("calibrated", (0.04, 0.04), (0, 3), textcoords="offset points", size=6,
                 rotation=45, rotation_mode="anchor", transform_rotates_text=True,
                 color="#666666")  # fmt: skip
    bottom.set_ylabel("share of rows")
    bottom.set_xlabel("predicted probability of the line")
    fig.legend(*top.get_legend_handles_labels(), loc="outside lower left", ncols=1)
    subtitle = f"{paper.tested_on(results)}; each marker is about a tenth of the rows, "
    subtitle += "with a 95 % interval; ECE: expected calibration error"
    paper.add_head(fig, _title(calibration[MODEL]), subtitle, results.warnings)
    return fig


def _draw_reliability(axes: Axes, calibration: JsonContent, style: _CurveStyle) -> None:
    error = calibration["expected_calibration_error"]
    bins = calibration["bins"]
    confidences = [part["confidence"] for part in bins]
    for confidence, part in zip(confidences, bins, strict=True):
        axes.plot([confidence, confidence], [part["right"]["low"], part["right"]["high"]],
                  color=style.colour, linewidth=0.7, alpha=0.7, zorder=2)  # fmt: skip
    axes.plot(
        confidences, [part["right"]["value"] for part in bins], linestyle=style.dashes,
        linewidth=0.9, marker=style.marker, color=style.colour, markerfacecolor=style.face,
        markersize=4, markeredgewidth=0.8, clip_on=False, zorder=3,
        label=f"{style.label}: ECE {error['value']:.3f} [{error['low']:.3f}, {error['high']:.3f}]",
    )  # fmt: skip


def _title(calibration: JsonContent) -> str:
    confidence, right = (
        paper.percent(calibration[key]["value"]) for key in ("confidence", "right")
    )
    numbers = f"mean confidence {confidence}, {right} right"
    over = calibration["overconfidence"]
    if significant_sign(over):
        return f"gcodefp is {'over' if over['value'] > 0 else 'under'}confident: {numbers}"
    return f"No miscalibration beyond chance: {numbers}"
