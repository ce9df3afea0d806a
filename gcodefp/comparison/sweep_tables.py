"""What sweeps searched and what they found, as a table of text."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from gcodefp.comparison.selection import ComparedSweep
from gcodefp.comparison.text_table import number, text_table
from gcodefp.search.nesting import leaf
from gcodefp.sweep.run_folder import COUNTED, WINS

UNKNOWN = "?"


def sweep_facts(sweep: ComparedSweep) -> dict[str, Any]:
    """Numbers of one sweep, best and median over the runs that have a value."""
    states = [run.content["state"] for run in sweep.runs]
    values = [run.content["best_value"] for run in sweep.runs if run.content["state"] in COUNTED]
    return {
        "method": sweep.file.specification.method if sweep.file else None,
        "runs_wanted": sweep.file.total if sweep.file else None,
        "runs_over": len(states),
        "finished": states.count(WINS),
        "stopped": states.count("stopped"),
        "failed": states.count("failed"),
        "best_run": sweep.runs[0].folder.path.name,
        "best": sweep.runs[0].content["best_value"],
        "median": median(values),
    }


def differing_ranges(sweeps: Sequence[ComparedSweep]) -> dict[str, list[str]]:
    """Hyperparameter -> what each sweep draws it from, for those that are not drawn the same."""
    # What was tried cannot be set beside what was searched: it names constants and defaults too.
    known = all(sweep.file for sweep in sweeps)
    ranges = [_searched(sweep) if known else _tried(sweep) for sweep in sweeps]
    names = sorted({name for of in ranges for name in of})
    table = {name: [of.get(name, "default") for of in ranges] for name in names}
    return {name: of for name, of in table.items() if any(text != of[0] for text in of)}


def sweeps_table(sweeps: Sequence[ComparedSweep]) -> str:
    """One column a sweep."""
    facts = [sweep_facts(sweep) for sweep in sweeps]
    rows = []
    for name in facts[0]:
        values = (of[name] for of in facts)
        told = [UNKNOWN if value is None else number(value) for value in values]
        rows.append([name.replace("_", " "), *told])
    rows += [[name, *of] for name, of in differing_ranges(sweeps).items()]
    return text_table([["sweep", *(sweep.folder.name for sweep in sweeps)], *rows])


def _searched(sweep: ComparedSweep) -> dict[str, str]:
    assert sweep.file is not None, "the caller looks"
    parameters = sweep.file.specification.parameters
    return {leaf(path): _range(of.describe()) for path, of in parameters.items()}


def _range(entry: Mapping[str, Any]) -> str:
    """`log_uniform_values, min 0.001, max 0.1`, or the values."""
    if "values" in entry:
        return ", ".join(map(number, entry["values"]))
    arguments = (f"{k} {number(v)}" for k, v in entry.items() if k != "distribution")
    return ", ".join([entry["distribution"], *arguments])


def _tried(sweep: ComparedSweep) -> dict[str, str]:
    """What the runs were given, where the sweep.json of a sweep is gone."""
    counted = [run.content for run in sweep.runs if run.content["state"] in COUNTED]
    given = [content["hyperparameters"] for content in counted]
    return {name: _span([of[name] for of in given if name in of]) for name in given[0]}


def _span(values: Sequence[Any]) -> str:
    distinct = list(dict.fromkeys(values))
    if len(distinct) == 1:
        return number(distinct[0])
    if all(isinstance(value, int | float) for value in distinct):
        return f"{number(min(distinct))} to {number(max(distinct))} tried"
    return f"{', '.join(sorted(map(str, distinct)))} tried"
