"""A hyperparameter's values between 0 and 1, with ticks, for figures with several of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.findings.sweep_runs import Varied
from gcodefp.findings.value_texts import value_texts
from gcodefp.plots.runs_look import scale_ticks


class UnitScale(NamedTuple):
    """Where the runs, and round values, stand.

    Attributes:
        units: (runs,) from 0, the least, to 1; nan in runs that do not use the hyperparameter.
        ticks: of values between the least and the largest.
    """

    units: NDArray[np.float64]
    ticks: list[tuple[float, str]]


def unit_scale(one: Varied) -> UnitScale:
    """Numbers on their linear or log axis; choices evenly apart, with half a step at the ends."""
    places = one.places
    if one.choices is not None:
        count = len(one.choices)
        ticks = [((index + 0.5) / count, choice) for index, choice in enumerate(one.choices)]
        return UnitScale((places + 0.5) / count, ticks)
    known = places[np.isfinite(places)]
    low, high = float(known.min()), float(known.max())
    ends = np.array([low, high])
    ticked = scale_ticks((low, high), one.is_log)
    scaled = [np.log(part) if one.is_log else part for part in (ends, places, np.array(ticked))]
    start, reach = scaled[0][0], scaled[0][1] - scaled[0][0]
    ticks = [
        (float(unit), text)
        for unit, text in zip((scaled[2] - start) / reach, value_texts(ticked, 4), strict=True)
    ]
    return UnitScale((scaled[1] - start) / reach, ticks)
