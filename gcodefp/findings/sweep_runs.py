"""The runs behind a figure: which they are, what they were given, which of them are repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.findings.results import Results
from gcodefp.findings.value_texts import is_number, value_key, value_texts
from gcodefp.search.distributions import Parameter
from gcodefp.search.nesting import leaf
from gcodefp.search.parameters import read_parameter
from gcodefp.search.rules import names_of, read_rules
from gcodefp.sweep.runs_table import FACTS

STATES = {"finished": "finished", "stopped": "stopped early", "failed": "failed"}
"""State in runs.csv, in the order of the ranking -> its name for readers."""


@dataclass(frozen=True)
class Varied:
    """A hyperparameter of which the runs of a sweep had more than one value.

    Attributes:
        parameter: what the sweep, or its first phase, draws it from.
        values: one for each line of runs.csv; missing in runs that do not use it.
        places: (runs,) the index of a run's choice, or its number; nan in runs that do not use it,
            or have a number that is not finite.
        choices: its values as texts, in the order of the sweep; None for numbers of a range.
    """

    name: str
    parameter: Parameter
    values: "pd.Series[Any]"
    places: NDArray[np.float64]
    choices: tuple[str, ...] | None

    @property
    def is_log(self) -> bool:
        """Whether its numbers belong on a log axis."""
        return "log" in self.parameter.distribution and not (self.places <= 0).any()

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers in ascending order."""
        if self.choices is None:
            return True
        numbers = [float(v) for v in self.parameter.choices if isinstance(v, int | float)]
        are_numbers = all(map(is_number, self.parameter.choices))
        return are_numbers and len(numbers) == len(self.choices) and sorted(numbers) == numbers


def varied(results: Results) -> list[Varied]:
    """What the sweep searched and its runs differ in, in the order of the sweep."""
    parameters = _parameters(results)
    used = _used(results, parameters)
    found = []
    for path, parameter in parameters.items():
        name = leaf(path)
        if parameter.distribution == "constant" or name not in results.runs:
            continue
        values = results.runs[name].where(used[path])
        make = _of_choices if parameter.distribution.startswith("categorical") else _of_numbers
        found.append(make(name, parameter, values))
    return [one for one in found if one.values.nunique() > 1]


def differing(results: Results) -> list[str]:
    """What `varied` finds, then what the first sweep did not search but the runs differ in.

    A run that failed early holds only what it was asked for; what is missing is no other value.
    """
    searched = {name for name, of in results.searched.items() if of["distribution"] != "constant"}
    fixed = [
        name for name in map(str, results.runs) if name not in {"run", "sweep", *FACTS, *searched}
    ]
    others = [name for name in fixed if results.runs[name].nunique() > 1]
    return [*(one.name for one in varied(results)), *others]


def which_runs(results: Results) -> str:
    """How many runs of which sweeps there are, and how they ended.

    Phases and repeats need not have the first sweep's method, so that only one sweep's is told.
    """
    count, sweeps = len(results.runs), results.winner["sweeps"]
    ended = results.runs["state"].value_counts()
    states = ", ".join(f"{ended[state]} {name}" for state, name in STATES.items() if state in ended)
    of = f"sweep {sweeps[0]}" if len(sweeps) == 1 else f"{len(sweeps)} sweeps ({', '.join(sweeps)})"
    runs = "the only run" if count == 1 else f"all {count} runs"
    method = f", {results.sweep['method']} search" if len(sweeps) == 1 else ""
    return f"{runs} of {of}{method}: {states}"


def repeats(results: Results) -> NDArray[np.bool_]:
    """(runs,) whether a run is another's configuration again, with another seed."""
    again = {run for group in results.winner["seeds"] for run in group["runs"]}
    return results.runs["run"].isin(again).to_numpy()


def is_maximized(results: Results) -> bool:
    """Whether more of the metric is better."""
    return bool(results.winner["goal"] == "maximize")


def _of_choices(name: str, parameter: Parameter, values: "pd.Series[Any]") -> Varied:
    """A later phase may have values of its own."""
    known = {value_key(value): value for value in [*parameter.choices, *values.dropna()]}
    index = {key: float(place) for place, key in enumerate(known)}
    places = [np.nan if pd.isna(value) else index[value_key(value)] for value in values]
    return Varied(name, parameter, values, np.array(places), tuple(value_texts([*known.values()])))


def _of_numbers(name: str, parameter: Parameter, values: "pd.Series[Any]") -> Varied:
    numbers = pd.to_numeric(values, errors="coerce")
    numbers = numbers.where(np.isfinite(numbers))
    return Varied(name, parameter, numbers, numbers.to_numpy(float), None)


def _parameters(results: Results) -> dict[str, Parameter]:
    def read(path: str, entry: Mapping[str, Any]) -> Parameter:
        if entry["distribution"] == "constant":
            entry = {"value": entry["values"][0]}
        return read_parameter(entry, f"sweep.json: parameters.{path}")

    return {path: read(path, entry) for path, entry in results.sweep["parameters"].items()}


def _used(results: Results, parameters: Mapping[str, Parameter]) -> dict[str, NDArray[np.bool_]]:
    """Path -> for each run, whether it was drawn; the table has a default where it was not."""
    rules = read_rules(parameters, conditions=results.sweep.get("rules", {}).get("conditions"))
    everywhere = np.ones(len(results.runs), bool)
    of_runs = [
        names_of({p: row[leaf(p)] for p in parameters if pd.notna(row.get(leaf(p)))})
        for row in results.runs.to_dict("records")
    ]
    return {
        path: np.array([rules.conditions[path].holds(names) for names in of_runs], bool)
        if path in rules.conditions
        else everywhere
        for path in parameters
    }
