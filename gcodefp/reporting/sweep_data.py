"""The sweep's interactive plots: what the page embeds as JSON, and its script draws."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.reporting.sweep_results import SweepResults
from gcodefp.reporting.sweep_runs import VariedParameter, is_maximized, is_wide, varied_parameters

Content = dict[str, Any]
ABSENT = "not set"
"""The choice of runs without a value, such as one that a condition of the sweep excludes."""
MAX_CURVE_VALUES = 500_000
"""Limit on the values of all embedded curves; those of the best runs come first."""
SPLITS = ("val", "train")


def parallel_coordinates(results: SweepResults) -> Content | None:
    """`axes` as ECharts reads them, `runs`, and `rows` with the value of each run on each axis.

    The last axis is the metric; runs without a value of it are `excluded`. None if fewer than two
    runs have a value, or no hyperparameter varies.
    """
    metric = results.runs["best_value"].to_numpy(float)
    is_shown = np.isfinite(metric)
    parameters = varied_parameters(results)
    if is_shown.sum() < 2 or not parameters:
        return None
    is_log = not is_maximized(results) and is_wide(metric[is_shown])
    axes, columns = zip(*(_axis(each, is_shown) for each in parameters), strict=True)
    rows = np.column_stack([*columns, metric[is_shown]]).tolist()
    return {
        "axes": [*axes, {"name": results.best_run["metric"], "type": "log" if is_log else "value"}],
        "runs": results.runs["run"][is_shown].tolist(),
        "rows": [_rounded(row) for row in rows],
        "maximize": is_maximized(results),
        "excluded": int((~is_shown).sum()),
    }


def _axis(
    parameter: VariedParameter, is_shown: NDArray[np.bool_]
) -> tuple[Content, NDArray[np.float64]]:
    """Choices are drawn at their index; a number that is not used leaves a gap in the line."""
    values, choices = parameter.coordinates[is_shown], parameter.choices
    if choices is None:
        return {"name": parameter.name, "type": "log" if parameter.is_log else "value"}, values
    is_absent = np.isnan(values)
    texts = [*choices, *([ABSENT] if is_absent.any() else [])]
    axis = {"name": parameter.name, "type": "category", "data": texts}
    return axis, np.where(is_absent, len(choices), values)


def learning_curves(results: SweepResults) -> Content | None:
    """The logged metrics over epochs, of the best runs first; None if there is no value.

    `metrics` has by name, without its split, and by split ("" without one) the values of all runs
    behind one another, `steps` their epochs, and `runs` where each begins and ends.
    """
    table = results.curves
    names = [n for n in map(str, table) if n not in ("run", "epoch") and _has_values(table[n])]
    first = _without_split(results.best_run["metric"])
    names.sort(key=lambda name: (_without_split(name) != first, name.startswith("train/")))
    lengths = table["run"].value_counts()
    runs = [run for run in results.runs["run"] if run in lengths]
    ends = np.cumsum([lengths[run] for run in runs])
    runs = runs[: int((ends * len(names) <= MAX_CURVE_VALUES).sum())]
    if not names or not runs:
        return None
    by_run = dict(list(table.groupby("run", sort=False)))
    rows = pd.concat([by_run[run] for run in runs])
    metrics: dict[str, dict[str, list[float | None]]] = {}
    for name in names:
        short = _without_split(name)
        split = "" if short == name else name.partition("/")[0]
        metrics.setdefault(short, {})[split] = _rounded(rows[name])
    return {
        "step": results.step,
        "metrics": metrics,
        "steps": rows["epoch"].tolist(),
        "runs": [
            [run, int(end - lengths[run]), int(end)] for run, end in zip(runs, ends, strict=False)
        ],
        "excluded": len(ends) - len(runs),
    }


def _has_values(column: Any) -> bool:
    return bool(np.isfinite(column.to_numpy(float)).any())


def _without_split(name: str) -> str:
    split, _, rest = name.partition("/")
    return rest if rest and split in SPLITS else name


def _rounded(values: Iterable[float]) -> list[float | None]:
    """With five digits, which is more than a plot shows; JSON has no infinity."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in values]
