"""The time axis of a sweep: its unit, its label, and the long pauses that are cut out of it."""

from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from gcodefp.findings.work_pieces import Clock
from gcodefp.plots.style import INK


class Unit(NamedTuple):
    """A unit of time."""

    name: str
    seconds: float


UNITS = (Unit("days", 86_400.0), Unit("hours", 3600.0), Unit("minutes", 60.0), Unit("seconds", 1.0))


def time_unit(seconds: float) -> Unit:
    """The largest unit of which there are three."""
    return next((unit for unit in UNITS if seconds >= 3 * unit.seconds), UNITS[-1])


def duration(seconds: float) -> str:
    """`2.5 hours`."""
    unit = time_unit(seconds)
    count = seconds / unit.seconds
    return f"{count:.1f} {unit.name}" if count < 10 else f"{count:.0f} {unit.name}"


def label_clock(axes: Axes, clock: Clock, unit: Unit) -> None:
    """From the first note to the last."""
    cut = ", long pauses cut" if clock.cuts else ""
    axes.set_xlabel(f"{unit.name} since the first run began{cut}")
    margin = 0.02 * clock.length / unit.seconds
    axes.set_xlim(-margin, clock.length / unit.seconds + margin)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))


def draw_cuts(axes: Axes, clock: Clock, unit: Unit) -> None:
    """A hatched band for each long pause, with how long it was."""
    for cut in clock.cuts:
        begin, end = cut.begin / unit.seconds, cut.end / unit.seconds
        axes.axvspan(begin, end, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0)
        axes.text((begin + end) / 2, 0.5, f"{duration(cut.seconds)} of pause", rotation=90, size=6,
                  transform=axes.get_xaxis_transform(), ha="center", va="center", color=INK,
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
