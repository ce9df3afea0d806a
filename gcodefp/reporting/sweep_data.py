"""The sweep as the page's scripts need it: embedded once, as JSON, beside the table of all runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import Varied, differing, varied
from gcodefp.reporting.wording import logged_metric, value_texts

TICKS = 6
ABSENT = "not set"
"""Where the line of a run goes that has no value, as a condition of the sweep may want."""
ABSENT_SHARE = 0.15
"""So much of the axis lies below its lowest value then."""
WIDE_RATIO = 100.0
"""A loss that spans more is drawn on a log axis."""

States = NDArray[np.float64]
"""One a run; nan where there is none."""


def parallel_axes(results: Results) -> dict[str, Any]:
    """What the drawing needs; rows are those of runs that have a value of the metric.

    Returns:
        `rows`, their places in the table of runs; `axes`, each with label, range, values (one a
        row) and ticks; the metric comes last.
    """
    every = results.runs["best_value"].to_numpy(float)
    rows = np.flatnonzero(np.isfinite(every))
    axes = [_axis(one, one.coordinates[rows]) for one in varied(results)]
    metric = every[rows]
    last = _numbers(results.winner["metric"], metric, _is_wide_loss(results, metric))
    return {"rows": rows.tolist(), "axes": [*axes, last]}


def _axis(one: Varied, places: States) -> dict[str, Any]:
    if one.choices is None and np.isfinite(places).any():
        return _numbers(one.name, places, one.is_log)
    return _choices(one.name, places, one.choices or ())


def _choices(name: str, places: States, choices: Sequence[str]) -> dict[str, Any]:
    """Evenly spaced, in the order of the sweep."""
    is_absent = np.isnan(places)
    texts = [*choices, ABSENT] if is_absent.any() else [*choices]
    ticks = list(map(float, range(len(texts))))
    places = np.where(is_absent, float(len(choices)), places)
    return _made(name, places.tolist(), (0.0, max(ticks, default=0.0)), ticks, texts)


def _numbers(name: str, values: States, is_log: bool) -> dict[str, Any]:
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


def _is_wide_loss(results: Results, metric: States) -> bool:
    if results.winner["goal"] != "minimize" or not len(metric):
        return False
    return bool(metric.min() > 0 and metric.max() > WIDE_RATIO * metric.min())


SHOWN_FACTS = ("run", "state", "best_value", "best_epoch", "epochs", "seconds", "parameters")
LOSS = "val/loss"
MOST_EPOCHS = 50_000
"""Curves are embedded of as many of the best runs as have so many epochs together."""
DIGITS = 5


def run_columns(results: Results) -> list[str]:
    """Columns of the table of runs."""
    sweeps = ["sweep"] if len(results.winner["sweeps"]) > 1 and "sweep" in results.runs else []
    return [*SHOWN_FACTS[:1], *sweeps, *SHOWN_FACTS[1:], *differing(results), "reason"]


def sweep_data(results: Results) -> dict[str, Any]:
    """Columns and curves, rows in the order of the table.

    `columns` maps a name to one value a run; `curves` has for a run its epochs and the values of
    each of `series`, the metric and the loss if logged, or null where there is no curve; `axes`
    are those of parallel coordinates.
    """
    runs = results.runs
    wanted = dict.fromkeys([results.winner["metric"], LOSS])
    series = [name for name in wanted if name in results.curves]
    return {
        "columns": {name: plain(runs[name]) for name in run_columns(results)},
        "varied": differing(results),
        "goal": results.winner["goal"],
        "series": [{"name": name, "title": logged_metric(name)} for name in series],
        "curves": _curves(results, series),
        "axes": parallel_axes(results),
    }


def plain(values: pd.Series) -> list[Any]:
    """Values as JSON has them; what is missing or not finite is null."""
    return [_plain(value) for value in values.to_numpy(object)]


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return None if pd.isna(value) else getattr(value, "item", lambda: value)()


def _curves(results: Results, series: list[str]) -> list[dict[str, Any] | None]:
    by_run = dict(list(results.curves.groupby("run", sort=False)))
    found: list[dict[str, Any] | None] = []
    left = MOST_EPOCHS
    for name in results.runs["run"]:
        epochs = by_run.get(name)
        left -= 0 if epochs is None else len(epochs)
        found.append(None if epochs is None or left < 0 else _curve(epochs, series))
    return found


def _curve(epochs: pd.DataFrame, series: list[str]) -> dict[str, Any]:
    return {
        "epochs": plain(epochs["epoch"]),
        "values": [[_short(value) for value in plain(epochs[name])] for name in series],
    }


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{DIGITS}g}")
