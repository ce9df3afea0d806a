"""The runs of a sweep as tables: hyperparameters, final states, and work intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.reporting.sweep_results import STATES, SweepResults
from gcodefp.reporting.wording import is_number, value_key, value_texts
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.parameters import read_parameter
from gcodefp.sweeps.ranking import ON_FRONT, OUTCOME_FIELDS
from gcodefp.sweeps.search_options import named_values, read_options
from gcodefp.sweeps.system_metrics import SYSTEM_FIELDS

LOSS = "val/loss"
WIDE_RATIO = 8.0
"""A loss is drawn on a log axis if its maximum is more than this multiple of its minimum."""


@dataclass(frozen=True)
class VariedParameter:
    """A hyperparameter of which the runs of a sweep had more than one value.

    Attributes:
        parameter: its distribution in the sweep, or in its first phase.
        values: one for each line of runs.csv; missing in runs that do not use it.
        coordinates: (runs,) the index of a run's choice, or its number; nan in runs that do not use
            it, or have a number that is not finite.
        choices: its values as texts, in the order of the sweep; None for numbers of a range.
    """

    name: str
    parameter: Parameter
    values: "pd.Series[Any]"
    coordinates: NDArray[np.float64]
    choices: tuple[str, ...] | None

    @property
    def is_log(self) -> bool:
        """Whether its numbers belong on a log axis."""
        return "log" in self.parameter.distribution and not (self.coordinates <= 0).any()

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers in ascending order."""
        if self.choices is None:
            return True
        numbers = [float(v) for v in self.parameter.choices if isinstance(v, int | float)]
        are_numbers = all(map(is_number, self.parameter.choices))
        return are_numbers and len(numbers) == len(self.choices) and sorted(numbers) == numbers


def varied_parameters(results: SweepResults) -> list[VariedParameter]:
    """Searched hyperparameters with more than one value among the runs, in the sweep's order."""
    parameters = _parameters(results)
    is_used = _is_used(results, parameters)
    candidates = []
    for path, parameter in parameters.items():
        name = results.column(path)
        if parameter.distribution == "constant" or name not in results.runs:
            continue
        values = results.runs[name].where(is_used[path])
        is_choice = parameter.distribution.startswith("categorical")
        candidates.append((_of_choices if is_choice else _of_numbers)(name, parameter, values))
    return [parameter for parameter in candidates if parameter.values.nunique() > 1]


def differing_hyperparameters(results: SweepResults) -> list[str]:
    """Names of `varied_parameters`, then of others that differ, which the sweep did not search.

    A run that failed early has only its assigned values; a missing value is not a different one.
    """
    searched = {
        name for name, entry in results.searched.items() if entry["distribution"] != "constant"
    }
    listed = {"run", "sweep", *OUTCOME_FIELDS, *SYSTEM_FIELDS, ON_FRONT, *searched}
    listed |= set(results.sweep.get("pareto") or {})
    others = [
        name
        for name in map(str, results.runs)
        if name not in listed and results.runs[name].nunique() > 1
    ]
    return [*(parameter.name for parameter in varied_parameters(results)), *others]


def describe_runs(results: SweepResults) -> str:
    """Number of runs, their sweeps, and their final states.

    The method is stated for a single sweep only: phases and repeats may have other methods.
    """
    count, sweeps = len(results.runs), results.best_run["sweeps"]
    ended = results.runs["state"].value_counts()
    states = ", ".join(f"{ended[state]} {name}" for state, name in STATES.items() if state in ended)
    runs = "the only run" if count == 1 else f"all {count} runs"
    if len(sweeps) == 1:
        return f"{runs} of sweep {sweeps[0]}, {results.sweep['method']} search: {states}"
    return f"{runs} of {len(sweeps)} sweeps ({', '.join(sweeps)}): {states}"


def is_repeat(results: SweepResults) -> NDArray[np.bool_]:
    """(runs,) whether a run repeats another's configuration with another seed."""
    repeats = {run for group in results.best_run["seeds"] for run in group["runs"]}
    return results.runs["run"].isin(repeats).to_numpy()


def is_wide(values: NDArray[np.floating]) -> bool:
    """Whether the finite values are positive and their range suits a log axis."""
    finite = values[np.isfinite(values)]
    return bool(finite.size and 0 < finite.min() * WIDE_RATIO < finite.max())


def is_maximized(results: SweepResults) -> bool:
    """Whether more of the metric is better."""
    return bool(results.best_run["goal"] == "maximize")


class Front(NamedTuple):
    """The runs with both quantities, R of them; `pareto_front` makes it.

    Attributes:
        goals: objective -> maximize or minimize; the first is drawn on the y axis.
        values: (R, 2) in the order of `goals`.
        is_best: (R,) whether no other run beats it in both.
    """

    runs: pd.DataFrame
    goals: dict[str, str]
    values: NDArray[np.float64]
    is_best: NDArray[np.bool_]


def pareto_front(results: SweepResults) -> Front | str:
    """The runs with both quantities of the sweep, or a sentence why there are none."""
    goals = results.sweep.get("pareto") or {}
    if not goals:
        return "The configuration names no two quantities (sweep.pareto)."
    metric = results.best_run["metric"]
    columns = ["best_value" if name == metric else name for name in goals]
    if missing := [name for name in (*columns, ON_FRONT) if name not in results.runs]:
        return f"runs.csv has no column {missing[0]}: run select_best again."
    table = results.runs[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    is_counted = np.isfinite(table).all(axis=1)
    if not is_counted.any():
        return "No run has a value of both quantities."
    runs = results.runs[is_counted]
    return Front(runs, goals, table[is_counted], (runs[ON_FRONT] == "yes").to_numpy())


def _of_choices(name: str, parameter: Parameter, values: "pd.Series[Any]") -> VariedParameter:
    """Values of later phases are added to the choices of the first."""
    choices = {value_key(value): value for value in [*parameter.choices, *values.dropna()]}
    index = {key: float(position) for position, key in enumerate(choices)}
    coordinates = [np.nan if pd.isna(value) else index[value_key(value)] for value in values]
    texts = tuple(value_texts([*choices.values()]))
    return VariedParameter(name, parameter, values, np.array(coordinates), texts)


def _of_numbers(name: str, parameter: Parameter, values: "pd.Series[Any]") -> VariedParameter:
    numbers = pd.to_numeric(values, errors="coerce")
    numbers = numbers.where(np.isfinite(numbers))
    return VariedParameter(name, parameter, numbers, numbers.to_numpy(float), None)


def _parameters(results: SweepResults) -> dict[str, Parameter]:
    def read(path: str, entry: Mapping[str, Any]) -> Parameter:
        # A constant without its value is refused as it stands.
        if entry.get("distribution") == "constant" and entry.get("values"):
            entry = {"value": entry["values"][0]}
        return read_parameter(entry, f"sweep.json: parameters.{path}")

    return {path: read(path, entry) for path, entry in results.sweep["parameters"].items()}


def _is_used(
    results: SweepResults, parameters: Mapping[str, Parameter]
) -> dict[str, NDArray[np.bool_]]:
    """Path -> (runs,) whether the run's conditions hold; the table has a default elsewhere."""
    conditions, has_script = (
        results.sweep.get("rules", {}).get("conditions"),
        results.has_script,
    )
    rules = read_options(parameters, conditions=conditions, has_script=has_script)
    everywhere = np.ones(len(results.runs), bool)
    columns = {path: results.column(path) for path in parameters}
    names_by_run = [
        named_values({p: row[c] for p, c in columns.items() if pd.notna(row.get(c))}, has_script)
        for row in results.runs.to_dict("records")
    ]
    return {
        path: np.array([rules.conditions[path].holds(names) for names in names_by_run], bool)
        if path in rules.conditions
        else everywhere
        for path in parameters
    }


PROCESS = ["host", "pid"]


def work_intervals(work: pd.DataFrame, has_script: bool = False) -> pd.DataFrame:
    """The work of each process on a run, from its first to its last entry in work.csv; by begin.

    Columns: run, host, pid, `begin` and `end` in UTC seconds, `first_epoch` and `last_epoch`, which
    the run had then. A process whose next entry is not the next epoch starts a new interval. Work
    after the last complete epoch is not recorded.

    Args:
        has_script: of a user script: several steps may be read at once, and its end is noted.
    """
    key = [work[name] for name in ("run", *PROCESS)]
    ahead = work["epoch"].groupby(key, dropna=False).diff()
    is_new = ~(ahead >= 0 if has_script else ahead == 1)
    part = is_new.groupby(key, dropna=False).cumsum()
    intervals = work.groupby([*key, part.rename("part")], sort=False, dropna=False).agg(
        begin=("utc_seconds", "first"),
        end=("utc_seconds", "last"),
        first_epoch=("epoch", "first"),
        last_epoch=("epoch", "last"),
    )
    return intervals.reset_index().sort_values(["begin", "run"], ignore_index=True)


def repeated_epochs(intervals: pd.DataFrame) -> int:
    """Number of epochs that were trained more than once."""
    trained = (intervals["last_epoch"] - intervals["first_epoch"]).sum()
    return int(trained - intervals.groupby("run")["last_epoch"].max().sum())
