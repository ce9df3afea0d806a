"""The style of runs by how they ended, and the scale of a hyperparameter's axis."""

from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gcodefp.reporting.figures import paper
from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import VariedParameter
from gcodefp.reporting.wording import value_texts

FINISHED = "#6b6b6b"
MAX_TICKS = 4
DIGITS = 4


class RunStyle(NamedTuple):
    """A marker."""

    label: str
    colour: str
    marker: str
    face: str
    size: float


RUN_STYLES = {
    "finished": RunStyle("finished", FINISHED, "o", FINISHED, 3.4),
    "stopped": RunStyle("stopped early", paper.FAINT, "v", "white", 3.4),
    "failed": RunStyle("failed", paper.WRONG, "x", paper.WRONG, 3.8),
    "winner": RunStyle("winner", paper.MODEL_BLUE, "*", paper.MODEL_BLUE, 9.0),
}
"""State in runs.csv, and `winner` -> its style."""


def styles_of_runs(results: SweepResults) -> NDArray[np.str_]:
    """(runs,) the key of each run in RUN_STYLES."""
    is_winner = results.runs["run"] == results.winner["run"]
    return results.runs["state"].mask(is_winner, "winner").to_numpy(str)


def run_handles(results: SweepResults) -> list[Line2D]:
    """For a legend: the styles that occur."""
    present = set(styles_of_runs(results))
    return [
        Line2D([], [], linestyle="none", marker=style.marker, color=style.colour,
               label=style.label, markerfacecolor=style.face, markersize=min(style.size, 7))
        for name, style in RUN_STYLES.items() if name in present
    ]  # fmt: skip


class UnitScale(NamedTuple):
    """The runs, and round values, on an axis from 0, the least value, to 1.

    Attributes:
        units: (runs,) nan in runs that do not use the hyperparameter.
        ticks: position and text of values between the least and the largest.
    """

    units: NDArray[np.float64]
    ticks: list[tuple[float, str]]


def unit_scale(parameter: VariedParameter) -> UnitScale:
    """Numbers on their linear or log axis; choices evenly apart, with half a step at the ends."""
    coordinates = parameter.coordinates
    if parameter.choices is not None:
        count = len(parameter.choices)
        ticks = [((index + 0.5) / count, choice) for index, choice in enumerate(parameter.choices)]
        return UnitScale((coordinates + 0.5) / count, ticks)
    low, high = float(np.nanmin(coordinates)), float(np.nanmax(coordinates))
    values = round_values(low, high, parameter.is_log)

    def unit(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        if parameter.is_log:
            return np.asarray(np.log(numbers / low) / np.log(high / low))
        return (numbers - low) / (high - low)

    positions = unit(np.array(values)).tolist()
    ticks = list(zip(positions, value_texts(values, DIGITS), strict=True))
    return UnitScale(unit(coordinates), ticks)


def round_values(low: float, high: float, is_log: bool) -> list[float]:
    """Two to four round numbers from low to high; low and high if there are none."""
    if is_log and high > 4 * low:
        values = _round_powers(low, high)
    else:
        locator = MaxNLocator(MAX_TICKS - 1, steps=[1, 2, 2.5, 5, 10])
        values = [float(value) for value in locator.tick_values(low, high)]
    inside = [value for value in values if low <= value <= high]
    return inside[:: -(-len(inside) // MAX_TICKS)] if len(inside) >= 2 else [low, high]


def _round_powers(low: float, high: float) -> list[float]:
    """The sparsest of 1, 10, 100; 1, 3, 10; 1, 2, 5, 10 with three values in the range."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    values: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5)):
        values = [float(f"{factor}e{decade}") for decade in decades for factor in factors]
        if sum(low <= value <= high for value in values) >= 3:
            break
    return values
