"""The tables of the report page, as dicts that the templates fill in.

A table has `header`, the names of its columns, and `rows`, lists of cells.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from gcodefp.errors import UserError
from gcodefp.evaluation.controls import comparisons, leak_warnings, no_leak
from gcodefp.evaluation.names import CENTRE_METRICS, PREDICTORS
from gcodefp.reporting.protocols_table import NOTE, columns, conclusions, read_protocols, warnings
from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_results import JsonContent, SweepResults
from gcodefp.reporting.sweep_runs import (
    PROCESS,
    differing_hyperparameters,
    pareto_front,
    repeated_epochs,
    work_intervals,
)
from gcodefp.reporting.wording import (
    METRIC_TITLES,
    NOTHING,
    PREDICTOR_KINDS,
    RULES,
    cell_text,
    interval,
    interval_text,
    unit_format,
)
from gcodefp.sweeps.ranking import OUTCOME_FIELDS, hyperparameter_column
from gcodefp.sweeps.system_metrics import SYSTEM_FIELDS
from gcodefp.terminal import duration

Table = dict[str, list[Any]]


class Cell(NamedTuple):
    """A value, and its interval in small print."""

    value: str
    small: str


def interval_cell(text: str, count: str = "") -> Cell:
    """`34.8 % [15.2, 55.1]` as a cell."""
    value, _, limits = text.partition(" [")
    return Cell(value, f"[{limits}{count}" if limits else "")


def metric_table(scores: JsonContent, metrics: Sequence[str], with_counts: bool) -> dict[str, Any]:
    """`sections` have the predictors of a kind, each with a cell per metric.

    Args:
        with_counts: whether cells have the metric's denominator; else sections have a note.
    """
    sections = []
    for kind, group in PREDICTOR_KINDS.items():
        names = [name for name in PREDICTORS if name in scores and PREDICTORS[name].kind == kind]
        rows = [(n, [_cell(m, scores[n][m], with_counts) for m in metrics]) for n in names]
        note = "" if with_counts else group.note
        sections += [{"title": group.title, "note": note, "rows": rows}] if rows else []
    header = [f"{METRIC_TITLES[m]}, {unit_format(m).unit}" for m in metrics]
    return {"header": header, "sections": sections}


def _cell(metric: str, score: JsonContent, with_counts: bool) -> Cell:
    unit = unit_format(metric)
    count = f", n={score['n']:,}" if with_counts else ""
    return interval_cell(interval_text(score, unit.form, unit.factor), count)


def window_length_table(evaluation: JsonContent) -> dict[str, Any]:
    """`sections` have a row for each predictor, of each of CENTRE_METRICS; `header` the windows."""
    entries, doubtful = evaluation["ladder"], evaluation["doubtful_lags"]
    notes = {
        "within_1s": "all recordings" if doubtful else "",
        "within_1s_certain": f"without {', '.join(doubtful)}, whose lag, and so whose truth, is "
        "doubtful",
        "program": "",
    }
    header = [
        "whole recording"
        if entry["rows"] is None
        else f"{entry['rows']} rows, {entry['seconds']:.3g} s"
        for entry in entries
    ]
    names = [name for name in PREDICTORS if entries and name in entries[0]["models"]]
    sections = [
        {
            "title": f"{METRIC_TITLES[registered]}, {unit_format(registered).unit}",
            "note": notes[metric],
            "rows": [
                (name, [_cell(registered, e["models"][name][metric], False) for e in entries])
                for name in names
            ],
        }
        for metric, registered in CENTRE_METRICS.items()
        if doubtful or metric == registered
    ]
    return {"header": header, "sections": sections if names else []}


def control_summary(evaluation: JsonContent) -> dict[str, Any] | None:
    """Names of the controls, a sentence for each leak, and a table."""
    controls = evaluation.get("controls")
    if not controls:
        return None
    rows = [
        [control["what"], name, what, interval(score["score"]), score["limit"],
         interval(score["limit_score"]), "no leak" if no_leak(score) else "LEAK"]
        for control in controls
        for what, name, score in comparisons(control)
    ]  # fmt: skip
    header = [
        "control",
        "predictor",
        "compared",
        "share of rows",
        "reference baseline",
        "its share",
        "",
    ]
    return {
        "names": [control["what"] for control in controls],
        "leaks": [sentence for control in controls for sentence in leak_warnings(control)],
        "table": {"header": header, "rows": rows},
    }


def best_run_tables(results: SweepResults) -> dict[str, Table]:
    """The best run's hyperparameters that were `searched`, and the `others`."""
    header = ["hyperparameter", "value", "from"]
    tables: dict[str, Table] = {
        key: {"header": header, "rows": []} for key in ("searched", "others")
    }
    for name, value in results.best_run["hyperparameters"].items():
        drawn = results.searched.get(hyperparameter_column(name), {"distribution": "default"})
        is_fixed = drawn["distribution"] in ("default", "constant")
        row = [name, cell_text(value), _source(drawn)]
        tables["others" if is_fixed else "searched"]["rows"].append(row)
    return tables


def _source(parameter: JsonContent) -> str:
    kind = parameter["distribution"]
    if kind == "constant":
        return "fixed by the sweep"
    if "values" in parameter:
        return "one of " + ", ".join(map(cell_text, parameter["values"]))
    arguments = (f"{k} {cell_text(v)}" for k, v in parameter.items() if k != "distribution")
    return " ".join([kind, ", ".join(arguments)]).strip()


def runs_table(results: SweepResults) -> Table:
    """All runs, best first, with the hyperparameters that differ."""
    facts = ["state", "best_value", "best_epoch", "epochs", "seconds"]
    facts += [] if results.has_script else ["parameters"]
    facts += [name for name in SYSTEM_FIELDS if results.runs[name].notna().any()]
    sweeps = ["sweep"] if len(results.best_run["sweeps"]) > 1 and "sweep" in results.runs else []
    names = ["run", *sweeps, *facts, *differing_hyperparameters(results), "reason"]
    rows = [[cell_text(value) for value in row] for row in results.runs[names].to_numpy(object)]
    header = [
        name.replace("_", " ").replace("epoch", results.step).replace(" mb", " MB")
        if name in (*OUTCOME_FIELDS, *SYSTEM_FIELDS)
        else name
        for name in names
    ]
    return {"header": header, "rows": rows}


def pareto_table(results: SweepResults) -> Table | None:
    """The non-dominated runs, with what differs between runs; None without two quantities."""
    front = pareto_front(results)
    if isinstance(front, str):
        return None
    best, names = front.runs[front.is_best], differing_hyperparameters(results)
    values, others = front.values[front.is_best].tolist(), best[names].to_numpy(object)
    cells = zip(best["run"], values, others, strict=True)
    rows = [[run, *map(cell_text, [*own, *more])] for run, own, more in cells]
    return {"header": ["run", *front.goals, *names], "rows": rows}


def result_table(result: JsonContent) -> Table:
    """What the user's own evaluation printed."""
    return {"header": ["", "value"], "rows": [[name, cell_text(v)] for name, v in result.items()]}


def cleaning_table(dataset: JsonContent) -> Table:
    """How many rows or samples each rule changed, and in how many recordings."""
    counts, recordings = dataset["counts"], dataset["recordings"].values()
    rows = [
        [text, f"{counts.get(rule, 0):,}", sum(entry.get(rule, 0) > 0 for entry in recordings)]
        for rule, text in RULES.items()
    ]
    return {"header": ["rule", "count", "recordings"], "rows": rows}


def cost_tables(results: SweepResults, benchmarks: Path | None = None) -> dict[str, Any]:
    """The cost of all runs, and of each stage.

    Args:
        benchmarks: folder of Snakemake's benchmark files; it need not be there.
    """
    runs, best_run = results.runs, results.best_run
    parts = {"all runs": runs}
    parts |= {str(state): rows for state, rows in runs.groupby("state", sort=False)}
    if runs["device"].notna().any():
        devices = runs.groupby(runs["device"].fillna("unknown"), sort=False)
        parts |= {f"device {device}": rows for device, rows in devices}
    repeats = [name for group in best_run["seeds"] for name in group["runs"]]
    if repeats:
        parts["repeats with other seeds"] = runs[runs["run"].isin(repeats)]
    # A run that failed early has no epochs and no seconds in the table.
    rows = [
        [name, f"{len(part):,}", f"{int(part['epochs'].sum()):,}", duration(part["seconds"].sum())]
        for name, part in parts.items()
    ]
    stages = stage_costs(benchmarks)
    intervals = work_intervals(results.work, results.has_script)
    return {
        "total": "{1} runs, {2} {step}s, {3} of training".format(*rows[0], step=results.step),
        "parts": {"header": ["", "runs", f"{results.step}s", "trained"], "rows": rows},
        "processes": len(intervals[PROCESS].drop_duplicates()),
        "repeated_epochs": repeated_epochs(intervals),
        "stages": stages,
        "stages_total": duration(sum(seconds for _, seconds, *_ in stages)),
        "parameters": cell_text(best_run["parameters"]),
        "seconds": cell_text(best_run["seconds"]),
        "device": best_run["device"] or NOTHING,
    }


BENCHMARK_COLUMNS = ("s", "cpu_time", "max_rss")


def stage_costs(benchmarks: Path | None) -> list[tuple[str, float, float, float]]:
    """Name, wall-clock seconds, CPU seconds and peak memory in MB of each job, longest first.

    The page's own job is excluded: its benchmark is written after the page.
    """
    stages: list[tuple[str, float, float, float]] = []
    for path in sorted(benchmarks.rglob("*.tsv")) if benchmarks else []:
        name = path.relative_to(benchmarks or path).with_suffix("").as_posix()
        rows = pd.read_csv(path, sep="\t", encoding_errors="replace").tail(1)
        if len(rows) and name != "report":
            # Snakemake writes `NA` or `-` for jobs that end before it measures.
            numbers = (pd.to_numeric(rows[key], "coerce").item() for key in BENCHMARK_COLUMNS)
            seconds, cpu_seconds, memory_mb = (n if math.isfinite(n) else 0.0 for n in numbers)
            stages.append((name, seconds, cpu_seconds, memory_mb))
    return sorted(stages, key=lambda stage: -stage[1])


def protocol_section(results: Results, path: Path | None) -> dict[str, Any]:
    """Content of protocols.json for the page; `state` is none, unreadable or shown.

    `conclusions` are empty unless they are about the best run of these results.
    """
    section: dict[str, Any] = {
        "state": "none", "rebuild": results.protocols_command, "provenance": None,
        "conclusions": [],
    }  # fmt: skip
    if path is None or not path.is_file():
        return section
    try:
        document = results.redact_paths(read_protocols(path))
    except UserError:
        return {**section, "state": "unreadable"}
    rows = []
    for row in document["protocols"]:
        name, *texts = columns(row).values()
        cells = list(map(interval_cell, texts))
        rows.append({"name": name, "warnings": warnings(row), "cells": cells})
    others = _other_best_run(document["winner"], results.best_run)
    return {
        **section,
        "state": "shown",
        "conclusions": [] if others else conclusions(document["protocols"]),
        "header": list(columns(document["protocols"][0])),
        "rows": rows,
        "excluded": document["left_out"],
        "others": others,
        "note": NOTE,
        "provenance": document["provenance"],
    }


def _other_best_run(winner: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """Settings in which the best run of the table differs from that of the page."""
    values = [{**w["hyperparameters"], "sweep": ", ".join(w["sweeps"])} for w in (winner, own)]
    # A sweep's id is a hash of the data and the training code too.
    pairs = {name: [part.get(name, "not set") for part in values] for name in values[0] | values[1]}
    return [f"{name} {a} (the best run's: {b})" for name, (a, b) in sorted(pairs.items()) if a != b]
