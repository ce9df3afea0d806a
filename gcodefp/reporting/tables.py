"""The tables of the report, as rows of text that the template only lays out."""

from itertools import groupby
from typing import Any

import pandas as pd

from gcodefp.findings.moves import Toolpath
from gcodefp.findings.results import Document, Results
from gcodefp.findings.words import RULES
from gcodefp.reporting.sweep_data import run_columns
from gcodefp.sweep.runs_table import FACTS

Table = dict[str, list[Any]]
"""`head`: names of the columns; `rows`: lists of cells."""


def sample_table(path: Toolpath) -> list[tuple[str, str, str, int, bool]]:
    """Second, true and read block, rows and whether it is right, for each stretch of rows."""
    rows = zip(path.seconds, path.true_blocks, path.read_blocks, strict=True)
    stretches = [list(same) for _, same in groupby(rows, key=lambda row: row[1:])]
    return [
        (f"{s[0][0]:.1f}", str(s[0][1]), str(s[0][2]), len(s), bool(s[0][1] == s[0][2]))
        for s in stretches
    ]


def winner_tables(results: Results) -> dict[str, Table]:
    """Hyperparameter, the winner's value, and what the sweep drew it from; `others` are fixed."""
    tables: dict[str, Table] = {
        key: {"head": ["hyperparameter", "value", "from"], "rows": []}
        for key in ("searched", "others")
    }
    for name, value in results.winner["hyperparameters"].items():
        drawn = results.searched.get(name)
        is_fixed = drawn is None or drawn["distribution"] == "constant"
        row = [name, _cell(value), _searched(drawn)]
        tables["others" if is_fixed else "searched"]["rows"].append(row)
    return tables


def _searched(parameter: Document | None) -> str:
    if parameter is None:
        return "default"
    if parameter["distribution"] == "constant":
        return "fixed by the sweep"
    rest = {key: value for key, value in parameter.items() if key != "distribution"}
    if "values" in rest:
        return "one of " + ", ".join(_cell(value) for value in rest["values"])
    if "min" in rest:
        step = f", step {_cell(rest['q'])}" if "q" in rest else ""
        low, high = _cell(rest["min"]), _cell(rest["max"])
        return f"{parameter['distribution']} {low} to {high}{step}"
    return f"{parameter['distribution']} " + ", ".join(f"{k} {_cell(v)}" for k, v in rest.items())


def runs_table(results: Results) -> Table:
    """All runs, winner first; columns and rows are those of `sweep_data`."""
    names = run_columns(results)
    rows = [[_cell(value) for value in row] for row in results.runs[names].to_numpy(object)]
    return {"head": [name.replace("_", " ") if name in FACTS else name for name in names],
            "rows": rows}  # fmt: skip


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "-"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    # Whole numbers that stand beside a missing one are floats in the table.
    return f"{int(value):,}" if float(value).is_integer() and abs(value) >= 1 else f"{value:.4g}"


def split_table(dataset: Document) -> list[dict[str, Any]]:
    """Each split with its counts and the names of its recordings."""
    return [
        {"name": name, "count": len(split["recordings"]), **split}
        for name, split in dataset["splits"].items()
    ]


def cleaning_table(dataset: Document) -> list[tuple[str, str, int]]:
    """What each rule does, how much it touched, and in how many recordings."""
    recordings = dataset["recordings"].values()
    return [
        (
            text,
            f"{dataset['counts'].get(rule, 0):,}",
            sum(recording.get(rule, 0) > 0 for recording in recordings),
        )
        for rule, text in RULES.items()
    ]
