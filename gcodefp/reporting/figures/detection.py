"""Detection of deviations: how often altered test recordings raise an alarm, by kind."""

from gcodefp.reporting.figures import figure, paper
from gcodefp.reporting.results import Results

TITLE = "Deviations detected"


@figure(
    "detection",
    title="Alarms on altered recordings",
    category="Test",
    caption="The share of altered copies of test recordings that raise an alarm, at two rates of "
    "false alarms, by what was altered; bars are 95 % intervals from a bootstrap over recordings. "
    "Good recordings, and spliced rows of their own or of the same program, are no deviations: "
    "their alarms are false ones.",
)
def draw_detection(results: Results) -> paper.Drawn:
    """A row for each kind of alteration, a marker for each rate."""
    if results.detection is None or not results.detection["kinds"]:
        raise paper.NothingToDraw("no detector was tested")
    kinds, calibration = results.detection["kinds"], results.detection["calibration"]
    fig = paper.new_figure(paper.COLUMN_INCHES, 0.6 + 0.2 * len(kinds))
    axes = fig.add_subplot()
    for index, (rate, colour) in enumerate((("0.01", paper.MODEL_BLUE), ("0.05", paper.ORANGE))):
        for row, numbers in enumerate(kinds.values()):
            share, at = numbers[f"detected_at_{rate}"], row + 0.14 * (2 * index - 1)
            axes.plot([share["low"], share["high"]], [at, at], color=colour, linewidth=0.8)
            axes.plot(share["value"], at, "os"[index], color=colour, markersize=3.5, clip_on=False,
                      label=f"false alarms: {100 * float(rate):g} %")  # fmt: skip
    axes.set_yticks(range(len(kinds)), list(kinds))
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel("share with an alarm")
    axes.grid(axis="x")
    paper.add_legend(fig, axes.get_legend_handles_labels()[0], columns=2)
    subtitle = (
        f"{calibration['recordings']} good recordings to compare with: no rate below "
        f"{paper.percent(calibration['least_rate'])} can be promised"
    )
    return fig, TITLE, subtitle
