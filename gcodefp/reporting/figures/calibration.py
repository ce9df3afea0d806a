"""Whether the network is as sure of its lines as it is right."""

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gcodefp.evaluation.names import MODEL, WHOLE
from gcodefp.reporting.figures.accuracy import tested_on
from gcodefp.reporting.figures.style import COLUMN_INCHES, RIGHT, add_head, new_figure, percent
from gcodefp.reporting.results import Document, Results
from gcodefp.reporting.wording import ENOUGH_RECORDINGS

HISTOGRAM_BINS = 20


class _Look(NamedTuple):
    name: str
    colour: str
    marker: str
    face: str
    dashes: str


LOOKS = {
    MODEL: _Look("in windows", RIGHT, "o", RIGHT, "-"),
    WHOLE: _Look("in whole recordings", "#d97f0a", "s", "white", "--"),
}


def draw_calibration(results: Results) -> Figure:
    """Reliability of both answers that tell a confidence, above how often each is told."""
    found = results.explanation.document["calibration"]
    figure = new_figure(COLUMN_INCHES, 4.2)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2.9, 0.7])
    top.plot([0, 1], [0, 1], color="#8a8a8a", linewidth=0.7, zorder=1)
    for name, look in LOOKS.items():
        _draw_reliability(top, found[name], look)
        counts, edges = np.histogram(
            results.explanation.confidence[name], bins=HISTOGRAM_BINS, range=(0, 1)
        )
        bottom.stairs(counts / counts.sum(), edges, color=look.colour, linestyle=look.dashes,
                      linewidth=1.0)  # fmt: skip
    top.set_xlim(0, 1)
    top.set_ylim(0, 1)
    top.set_ylabel("share of these lines that is right")
    top.annotate("as sure as right", (0.04, 0.04), (0, 3), textcoords="offset points", size=6,
                 rotation=45, rotation_mode="anchor", transform_rotates_text=True,
                 color="#666666")  # fmt: skip
    bottom.set_ylabel("share of rows")
    bottom.set_xlabel("probability that the network gives to its line")
    figure.legend(*top.get_legend_handles_labels(), loc="outside lower left", ncols=1)
    add_head(
        figure,
        _title(found[MODEL]),
        f"{tested_on(results)}; each mark is about a tenth of the rows, with a 95 % interval; "
        "ECE: expected calibration error",
        results.marks,
    )
    return figure


def _draw_reliability(axes: Axes, found: Document, look: _Look) -> None:
    error = found["expected_calibration_error"]
    sure = [of["confidence"] for of in found["bins"]]
    right = [of["right"] for of in found["bins"]]
    for x, of in zip(sure, right, strict=True):
        axes.plot([x, x], [of["low"], of["high"]], color=look.colour, linewidth=0.7, alpha=0.7,
                  zorder=2)  # fmt: skip
    axes.plot(
        sure, [of["value"] for of in right], linestyle=look.dashes, linewidth=0.9,
        marker=look.marker, color=look.colour, markerfacecolor=look.face, markersize=4,
        markeredgewidth=0.8, clip_on=False, zorder=3,
        label=f"{look.name}: ECE {error['value']:.3f} [{error['low']:.3f}, {error['high']:.3f}]",
    )  # fmt: skip


def _title(found: Document) -> str:
    sure, right = (percent(found[key]["value"]) for key in ("confidence", "right"))
    told = f"{sure} sure and {right} right"
    over = found["overconfidence"]
    if over["recordings"] >= ENOUGH_RECORDINGS and (over["low"] > 0 or over["high"] < 0):
        surer = "surer" if over["value"] > 0 else "less sure"
        return f"The network is {surer} of its lines than it is right: {told}"
    return f"On average the network is {told}; the difference may be chance"
