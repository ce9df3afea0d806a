"""Axes of parallel coordinates: a line a run, over its hyperparameters to the metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import Varied, varied
from gcodefp.findings.value_texts import value_texts

TICKS = 6
ABSENT = "not set"
"""Where the line of a run goes that has no value, as a condition of the sweep may want."""
ABSENT_SHARE = 0.15
"""So much of the axis lies below its lowest value then."""
WIDE_RATIO = 100.0
"""A loss that spans more is drawn on a log axis."""

Places = NDArray[np.float64]
"""One a run; nan where there is none."""


def parallel_axes(results: Results) -> dict[str, Any]:
    """What the drawing needs; rows are those of runs that have a value of the metric.

    Returns:
        `rows`, their places in the table of runs; `axes`, each with label, range, values (one a
        row) and ticks; the metric comes last.
    """
    every = results.runs["best_value"].to_numpy(float)
    rows = np.flatnonzero(np.isfinite(every))
    axes = [_axis(one, one.places[rows]) for one in varied(results)]
    metric = every[rows]
    last = _numbers(results.winner["metric"], metric, _is_wide_loss(results, metric))
    return {"rows": rows.tolist(), "axes": [*axes, last]}


def _axis(one: Varied, places: Places) -> dict[str, Any]:
    if one.choices is None and np.isfinite(places).any():
        return _numbers(one.name, places, one.is_log)
    return _choices(one.name, places, one.choices or ())


def _choices(name: str, places: Places, choices: Sequence[str]) -> dict[str, Any]:
    """Evenly spaced, in the order of the sweep."""
    is_absent = np.isnan(places)
    texts = [*choices, ABSENT] if is_absent.any() else [*choices]
    ticks = list(map(float, range(len(texts))))
    places = np.where(is_absent, float(len(choices)), places)
    return _made(name, places.tolist(), (0.0, max(ticks, default=0.0)), ticks, texts)


def _numbers(name: str, values: Places, is_log: bool) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    if not len(known):
        return _choices(name, values, ())
    low, high = float(known.min()), float(known.max())
    ticks = [tick for tick in _ticks(low, high, is_log) if low <= tick <= high] or [low]
    place = np.log10 if is_log else np.asarray
    texts = value_texts(ticks)
    places, ends = place(values), place([low, high])
    marks = [float(of) for of in place(ticks)]
    if len(known) < len(values):
        below = float(ends[0] - ABSENT_SHARE * ((ends[1] - ends[0]) or 1.0))
        places, ends = np.where(np.isnan(places), below, places), np.array([below, ends[1]])
        marks, texts = [below, *marks], [ABSENT, *texts]
    return _made(name, places.tolist(), (float(ends[0]), float(ends[1])), marks, texts)


def _ticks(low: float, high: float, is_log: bool) -> Sequence[float]:
    if not is_log:
        return MaxNLocator(TICKS).tick_values(low, high)
    subs = (1.0, 2.0, 5.0) if high / low < 10**2.5 else (1.0,)
    return LogLocator(subs=subs).tick_values(low, high)


def _made(
    name: str,
    values: list[float],
    ends: tuple[float, float],
    ticks: list[float],
    texts: list[str],
) -> dict[str, Any]:
    low, high = ends if ends[0] < ends[1] else (ends[0] - 0.5, ends[0] + 0.5)
    return {"label": name, "values": values, "range": [low, high],
            "tickvals": ticks, "ticktext": texts}  # fmt: skip


def _is_wide_loss(results: Results, metric: Places) -> bool:
    if results.winner["goal"] != "minimize" or not len(metric):
        return False
    return bool(metric.min() > 0 and metric.max() > WIDE_RATIO * metric.min())
