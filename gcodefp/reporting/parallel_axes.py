"""Axes of parallel coordinates: a line a run, over its hyperparameters to the metric."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator

from gcodefp.findings.results import Results

TICKS = 6
ABSENT = "not set"
"""Where the line of a run goes that has no value, as a condition of the sweep may want."""
ABSENT_SHARE = 0.15
"""So much of the axis lies below its lowest value then."""
WIDE_RATIO = 100.0
"""A loss that spans more is drawn on a log axis."""


def parallel_axes(results: Results, names: list[str]) -> dict[str, Any]:
    """What the drawing needs; rows are those of runs that have a value of the metric.

    Returns:
        `rows`, their places in the table of runs; `axes`, each with label, range, values (one a
        row) and ticks; the metric comes last.
    """
    rows = np.flatnonzero(np.isfinite(results.runs["best_value"].to_numpy(float)))
    runs = results.runs.iloc[rows]
    metric = runs["best_value"].astype(float)
    axes = [_axis(name, runs[name], results.searched.get(name) or {}) for name in names]
    last = _numbers(results.winner["metric"], metric, _is_wide_loss(results, metric))
    return {"rows": rows.tolist(), "axes": [*axes, last]}


def _axis(name: str, values: pd.Series, searched: Any) -> dict[str, Any]:
    known = values.dropna()
    numeric = pd.api.types.is_numeric_dtype(known) and not pd.api.types.is_bool_dtype(known)
    if "values" in searched or not numeric:
        return _choices(name, values, searched.get("values", []))
    is_log = "log" in searched.get("distribution", "") and bool((known > 0).all())
    return _numbers(name, values.astype(float), is_log)


def _choices(name: str, values: pd.Series, asked: list[Any]) -> dict[str, Any]:
    """Evenly spaced, in the order of the sweep; a later phase may have values of its own."""
    texts = [ABSENT if pd.isna(value) else _text(value) for value in values]
    choices = list(dict.fromkeys([*map(_text, asked), *texts]))
    places = [float(choices.index(text)) for text in texts]
    ticks = list(map(float, range(len(choices))))
    return _made(name, places, (0.0, max(ticks, default=0.0)), ticks, choices)


def _numbers(name: str, values: pd.Series, is_log: bool) -> dict[str, Any]:
    known = values.dropna().to_numpy(float)
    if not len(known):
        return _choices(name, values, [])
    low, high = float(known.min()), float(known.max())
    ticks = [tick for tick in _ticks(low, high, is_log) if low <= tick <= high] or [low]
    place = np.log10 if is_log else np.asarray
    texts = [_text(tick) for tick in ticks]
    places, ends = place(values.to_numpy(float)), place([low, high])
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


def _is_wide_loss(results: Results, metric: pd.Series) -> bool:
    is_loss = results.winner["goal"] == "minimize"
    return is_loss and bool(metric.min() > 0 and metric.max() > WIDE_RATIO * metric.min())


def _text(value: Any) -> str:
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return f"{value:.6g}" if is_number else str(value)
