"""The tables of the report, as rows of text that the template only lays out."""

import shlex
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from gcodefp.findings.moves import Toolpath
from gcodefp.findings.results import Document, Results
from gcodefp.findings.words import RULES

Table = dict[str, list[Any]]
"""`head`: names of the columns; `rows`: lists of cells."""

FACTS = ("run", "state", "best_value", "best_epoch", "epochs", "seconds", "parameters")


def sample_table(path: Toolpath) -> list[tuple[str, str, str, int, bool]]:
    """Second, true and read block, rows and whether it is right, for each stretch of rows."""
    rows = zip(path.seconds, path.true_blocks, path.read_blocks, strict=True)
    stretches = [list(same) for _, same in groupby(rows, key=lambda row: row[1:])]
    return [
        (f"{s[0][0]:.1f}", str(s[0][1]), str(s[0][2]), len(s), bool(s[0][1] == s[0][2]))
        for s in stretches
    ]


def winner_table(results: Results) -> list[tuple[str, str, str]]:
    """Hyperparameter, the winner's value, and what the sweep searched."""
    searched = results.searched
    return [
        (name, _cell(value), _searched(searched.get(name)))
        for name, value in results.winner["hyperparameters"].items()
    ]


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
    """All runs, winner first, with the hyperparameters that the sweep searched."""
    searched = [
        name
        for name, parameter in results.searched.items()
        if parameter["distribution"] != "constant" and name in results.runs
    ]
    columns = [*FACTS, *searched, "reason"]
    rows = [[_cell(value) for value in row] for row in results.runs[columns].to_numpy(object)]
    head = [name.replace("_", " ") for name in FACTS] + [*searched, "reason"]
    return {"head": head, "rows": rows}


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


def origins(results: Results) -> list[dict[str, Any]]:
    """Where each file comes from: time, command line, commit, host and inputs."""
    documents = {
        "dataset.json": results.dataset,
        "sweep.json": results.sweep,
        "best/run.json": results.winner,
        "evaluation/metrics.json": results.evaluation,
        "explanation/explanation.json": results.explanation.document,
    }
    return [_origin(name, document["provenance"]) for name, document in documents.items()]


def _origin(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    program, *arguments = provenance["argv"]
    git = provenance["git"]
    return {
        "file": name,
        "utc": provenance["utc"],
        "command": shlex.join(["python", "-m", f"gcodefp.{Path(program).stem}", *arguments]),
        "commit": git["commit"] if git else "unknown (no git checkout)",
        "dirty": bool(git and git["dirty"]),
        "host": f"{provenance['host']} ({provenance['machine']})",
        "inputs": sorted(provenance["inputs"].items()),
    }


def versions(results: Results) -> list[tuple[str, str]]:
    """Package -> version, all of them where the steps did not run with the same."""
    found: dict[str, set[str]] = {}
    for document in (results.dataset, results.sweep, results.winner, results.evaluation):
        provenance = document["provenance"]
        for name, version in {"python": provenance["python"], **provenance["packages"]}.items():
            found.setdefault(name, set()).add(version or "not installed")
    return [(name, " and ".join(sorted(known))) for name, known in found.items()]
