"""The runs behind a figure: which they are, what they were given, which of them are repeats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.findings.results import Results
from gcodefp.search.distributions import Parameter
from gcodefp.search.nesting import leaf
from gcodefp.search.parameters import read_parameter
from gcodefp.search.rules import names_of, read_rules

STATES = {"finished": "finished", "stopped": "stopped early", "failed": "failed"}
"""State in runs.csv, in the order of the ranking -> its name for readers."""


@dataclass(frozen=True)
class Varied:
    """A hyperparameter of which the runs of a sweep had more than one value.

    Attributes:
        parameter: what the sweep, or its first phase, draws it from.
        values: one for each line of runs.csv; missing in runs that do not use it.
        choices: its values as texts, in the order of the sweep; None for numbers of a range.
    """

    name: str
    parameter: Parameter
    values: "pd.Series[Any]"
    choices: tuple[str, ...] | None

    @property
    def is_log(self) -> bool:
        """Whether its numbers belong on a log axis."""
        return "log" in self.parameter.distribution and bool((self.values.dropna() > 0).all())

    @property
    def is_numeric(self) -> bool:
        """Whether its values are numbers in ascending order."""
        if self.choices is None:
            return True
        numbers = [float(v) for v in self.parameter.choices if isinstance(v, int | float)]
        are_numbers = all(map(_is_number, self.parameter.choices))
        return are_numbers and len(numbers) == len(self.choices) and sorted(numbers) == numbers

    @property
    def places(self) -> NDArray[np.float64]:
        """(runs,) the index of a run's choice, or its number; nan in runs that do not use it."""
        if self.choices is None:
            return self.values.to_numpy(float)
        of = {choice: float(index) for index, choice in enumerate(self.choices)}
        texts = [None if pd.isna(value) else value_text(value) for value in self.values]
        return np.array([np.nan if text is None else of[text] for text in texts])


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
        if parameter.distribution.startswith("categorical"):
            # A later phase may have values of its own.
            known = [*parameter.choices, *values.dropna()]
            choices = tuple(dict.fromkeys(map(value_text, known)))
            found.append(Varied(name, parameter, values, choices))
        else:
            found.append(Varied(name, parameter, pd.to_numeric(values, errors="coerce"), None))
    return [one for one in found if one.values.nunique() > 1]


def value_text(value: Any) -> str:
    """A hyperparameter's value for readers; 16 and 16.0 are the same."""
    return f"{value:g}" if _is_number(value) else str(value)


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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
