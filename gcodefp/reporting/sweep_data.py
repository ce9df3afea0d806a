"""The sweep as interactive Plotly figures, which the page embeds as JSON."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import (
    LOSS,
    VariedParameter,
    is_maximized,
    is_wide,
    varied_parameters,
)
from gcodefp.reporting.wording import logged_metric, value_texts

Figure = dict[str, Any]
"""`title`, and `data` and `layout` as Plotly reads them."""

TICKS = 6
ABSENT = "not set"
"""The tick of runs without a value, such as one that a condition of the sweep excludes."""
ABSENT_SHARE = 0.15
"""The share of the axis between its lowest value and ABSENT."""
SHOWN_CURVES = 3
MAX_CURVES = 100
MAX_EPOCHS = 50_000
"""Limits on the embedded curves, of the best runs first: runs, and epochs of all of them."""
FONT = {"family": "system-ui, 'DejaVu Sans', sans-serif", "size": 12, "color": "#1f2328"}
SCALE = [[0, "#e0a050"], [0.5, "#a9b3bd"], [1, "#0b4f8a"]]


def parallel_coordinates(results: SweepResults) -> Figure | None:
    """A line for each run that has a value of the metric, which is the last axis.

    None if fewer than two runs have a value, or no hyperparameter varies.
    """
    metric = results.runs["best_value"].to_numpy(float)
    rows = np.isfinite(metric)
    axes = [_axis(hyperparameter, rows) for hyperparameter in varied_parameters(results)]
    if rows.sum() < 2 or not axes:
        return None
    is_log = not is_maximized(results) and is_wide(metric[rows])
    axes.append(_numbers(results.winner["metric"], metric[rows], is_log))
    line = {"color": axes[-1]["values"], "colorscale": SCALE,
            "reversescale": not is_maximized(results)}  # fmt: skip
    return {
        "title": "From hyperparameters to the metric",
        "data": [{"type": "parcoords", "line": line, "dimensions": axes}],
        "layout": {"font": FONT, "height": 380, "margin": {"l": 60, "r": 60, "t": 48, "b": 24}},
        "min_width": 95 * len(axes) + 60,
        "excluded": int((~rows).sum()),
    }


def _axis(hyperparameter: VariedParameter, rows: NDArray[np.bool_]) -> dict[str, Any]:
    values, choices = hyperparameter.coordinates[rows], hyperparameter.choices
    if choices is None and np.isfinite(values).any():
        return _numbers(hyperparameter.name, values, hyperparameter.is_log)
    is_absent = np.isnan(values)
    texts = [*(choices or ()), *([ABSENT] if is_absent.any() else [])]
    values = np.where(is_absent, len(texts) - 1.0, values)
    return _dimension(hyperparameter.name, values, np.arange(len(texts)), texts)


def _numbers(name: str, values: NDArray[np.float64], is_log: bool) -> dict[str, Any]:
    """Plotly has no log axis here: logarithms are drawn, their ticks show the numbers."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    subs = (1.0, 2.0, 5.0) if is_log and high / low < 10**2.5 else (1.0,)
    locator = LogLocator(subs=subs) if is_log else MaxNLocator(TICKS)
    ticks = [tick for tick in locator.tick_values(low, high) if low <= tick <= high] or [low]
    texts = value_texts(ticks)
    drawn, marks = (np.log10(v) if is_log else np.asarray(v, float) for v in (values, ticks))
    if np.isnan(drawn).any():
        span = np.nanmax(drawn) - np.nanmin(drawn)
        below = np.nanmin(drawn) - ABSENT_SHARE * (span or 1.0)
        drawn = np.where(np.isnan(drawn), below, drawn)
        marks, texts = np.array([below, *marks]), [ABSENT, *texts]
    return _dimension(name, drawn, marks, texts)


def _dimension(
    name: str, values: NDArray[np.float64], ticks: NDArray[Any], texts: Sequence[str]
) -> dict[str, Any]:
    low, high = min(values.min(), ticks.min()), max(values.max(), ticks.max())
    margin = 0.0 if low < high else 0.5
    return {
        "label": escape(name),
        "values": values.tolist(),
        "range": [float(low - margin), float(high + margin)],
        "tickvals": ticks.astype(float).tolist(),
        "ticktext": [escape(text) for text in texts],
    }


def learning_curves(results: SweepResults) -> list[Figure]:
    """The metric and the loss over epochs, if they have values; a line for each of the best runs.

    The first few are shown, the others once they are chosen in the legend.
    """
    curves = dict(list(results.curves.groupby("run", sort=False)))
    runs = [name for name in results.runs["run"] if name in curves][:MAX_CURVES]
    epochs = np.cumsum([len(curves[name]) for name in runs])
    runs = [name for name, total in zip(runs, epochs, strict=True) if total <= MAX_EPOCHS]
    metrics = dict.fromkeys([results.winner["metric"], LOSS])
    return [
        _curves({name: curves[name] for name in runs}, metric, results.step)
        for metric in metrics
        if metric in results.curves
        and any(np.isfinite(curves[name][metric].to_numpy(float)).any() for name in runs)
    ]


def _curves(curves: dict[str, pd.DataFrame], metric: str, step: str) -> Figure:
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "marker": {"size": 4},
            "name": f"run {escape(name)}",
            "connectgaps": True,
            "visible": True if index < SHOWN_CURVES else "legendonly",
            "x": rows["epoch"].tolist(),
            "y": [float(f"{y:.5g}") if np.isfinite(y) else None for y in rows[metric]],
        }
        for index, (name, rows) in enumerate(curves.items())
    ]
    values = np.concatenate([rows[metric].to_numpy(float) for rows in curves.values()])
    is_log = metric.endswith("loss") and is_wide(values)
    layout = {
        "font": FONT,
        "height": 320,
        "margin": {"l": 48, "r": 8, "t": 12, "b": 72},
        "xaxis": {"title": {"text": step}, "gridcolor": "#eef0f2"},
        "yaxis": {"type": "log" if is_log else "linear", "gridcolor": "#eef0f2"},
        "plot_bgcolor": "#fff",
        "legend": {"orientation": "h", "y": -0.28, "maxheight": 60},
        "showlegend": True,
    }
    return {"title": logged_metric(metric), "data": lines, "layout": layout}
