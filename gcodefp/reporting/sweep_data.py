"""The sweep as the page's scripts need it: embedded once, as JSON, beside the table of all runs."""

from typing import Any

import numpy as np
import pandas as pd

from gcodefp.findings.results import Results
from gcodefp.findings.sweep_runs import differing
from gcodefp.findings.words import logged_metric
from gcodefp.reporting.parallel_axes import parallel_axes

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
