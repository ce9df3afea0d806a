"""The files of a finished pipeline, from which figures and report are made."""

import argparse
from collections.abc import Set
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field

from gcodefp.dataset.document import DatasetForReport
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import REBUILD as DATASET_REBUILD
from gcodefp.documents import Document as Model
from gcodefp.documents import Provenance, read_document, truncated
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import CONTROL_FORMAT, CONTROL_REBUILD
from gcodefp.evaluation.documents import ControlDocument, MetricsDocument
from gcodefp.evaluation.names import EVALUATION_FORMAT, EVALUATION_REBUILD, EXPLANATION_REBUILD
from gcodefp.provenance import results_roots, without_private_folders
from gcodefp.reporting.predictions import (
    JsonContent,
    Predictions,
    StoredExplanation,
    read_explanation,
    read_predictions,
)
from gcodefp.sweeps.sweep_file import BEST_REBUILD, read_best
from gcodefp.sweeps.sweep_file import FORMAT as SWEEP_FORMAT
from gcodefp.sweeps.sweep_file import REBUILD as SWEEP_REBUILD
from gcodefp.sweeps.values import leaf

CONTROL_NOTE = "LEAK: negative control ({}) beats its reference baseline without sensing the motion"
RESULTS_FLAGS = {
    "dataset": "dataset.json",
    "sweep": "sweep.json",
    "best": "folder of select_best",
    "evaluation": "folder of evaluate",
    "explanation": "folder of explain",
}
"""Argument of `read_results`, and flag of the steps -> what it names."""


class _Parameter(Model):
    distribution: str
    values: list[Any] | None = Field(None, min_length=1)


class _Rules(Model):
    conditions: dict[str, str] = Field(default_factory=dict)


class SweepDocument(Model):
    """sweep.json, format gcodefp-sweep-1."""

    provenance: Provenance
    id: str
    method: str
    seed: int
    training_code: str
    parameters: dict[str, _Parameter]
    as_written: dict[str, Any] = Field(default_factory=dict)
    rules: _Rules = _Rules()
    pareto: dict[str, Literal["maximize", "minimize"]] | None = Field(
        None, min_length=2, max_length=2
    )


@dataclass(frozen=True)
class Results:
    """The files of one pipeline.

    Attributes:
        dataset, sweep, winner, evaluation: dataset.json, sweep.json, best/run.json and
            evaluation/metrics.json.
        runs: best/runs.csv, all runs, winner first.
        curves: best/curves.csv, all epochs of all runs.
        work: best/work.csv, the time and process of each epoch; runs trained elsewhere have none.
        predictions: evaluation/predictions.npz.
        explanation: explanation/explanation.json and .npz.
        roots: paths of the results folder, which `redact_paths` hides; None: shown.
    """

    dataset: JsonContent
    sweep: JsonContent
    winner: JsonContent
    evaluation: JsonContent
    runs: pd.DataFrame
    curves: pd.DataFrame
    work: pd.DataFrame
    predictions: Predictions
    explanation: StoredExplanation
    roots: Set[PurePath] | None = frozenset()

    @property
    def searched(self) -> dict[str, JsonContent]:
        """Hyperparameter -> what the sweep, or its first phase, draws it from."""
        return {leaf(path): entry for path, entry in self.sweep["parameters"].items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that every figure and page shows in red; empty for a valid evaluation."""
        warnings = [LEAKY_NOTE] if self.evaluation["leaky"] else []
        warnings += [CONTROLLER_NOTE] if self.evaluation["controller_is_input"] else []
        leaks = (c["what"] for c in self.evaluation["controls"] if not c["fails"])
        return (*warnings, *map(CONTROL_NOTE.format, leaks))

    @property
    def documents(self) -> dict[str, JsonContent]:
        """File -> its content, of all JSON documents."""
        return {
            "dataset.json": self.dataset,
            "sweep.json": self.sweep,
            "best/run.json": self.winner,
            "evaluation/metrics.json": self.evaluation,
            "explanation/explanation.json": self.explanation.document,
        }

    def redact_paths(self, content: Any) -> Any:
        """A document without the absolute paths of the author's machine, unless they are shown."""
        return content if self.roots is None else without_private_folders(content, self.roots)


def read_results(
    dataset: Path,
    sweep: Path,
    best: Path,
    evaluation: Path,
    explanation: Path,
    show_paths: bool = False,
) -> Results:
    """Reads the files of a pipeline.

    Args:
        dataset, sweep: dataset.json and sweep.json.
        best, evaluation, explanation: the folders of select_best, evaluate and explain.

    Raises:
        UserError: a file is missing or damaged, or is of another sweep, checkpoint or test.
    """
    metrics = read_result(evaluation / "metrics.json")
    winner = read_best(best / "run.json")
    runs = read_table(best / "runs.csv", RUN_COLUMNS)
    if winner["run"] not in set(runs["run"]) or runs["run"].duplicated().any():
        raise UserError(
            f"{best / 'runs.csv'}: run: has not the winner {truncated(winner['run'])}, or a run "
            f"twice; rebuild it with: {BEST_REBUILD}"
        )
    results = Results(
        dataset=read_result(dataset),
        sweep=read_result(sweep),
        winner=winner,
        evaluation=metrics,
        runs=runs,
        curves=read_table(best / "curves.csv", CURVE_COLUMNS, runs),
        work=read_table(best / "work.csv", WORK_COLUMNS, runs),
        predictions=read_predictions(evaluation / "predictions.npz", metrics),
        explanation=read_explanation(explanation),
    )
    if results.sweep["id"] not in results.winner["sweeps"]:
        raise UserError(
            f"{best / 'run.json'}: is of sweep {', '.join(results.winner['sweeps'])}, {sweep} is "
            f"{results.sweep['id']}; rebuild it with: {BEST_REBUILD}"
        )
    _check_evaluation(results, evaluation / "metrics.json")
    _check_explanation(results, explanation / "explanation.json")
    inputs = chain.from_iterable(d["provenance"]["inputs"] for d in results.documents.values())
    results = replace(results, roots=None if show_paths else results_roots(inputs))
    texts = results.runs.select_dtypes(exclude="number")
    return replace(
        results,
        dataset=results.redact_paths(results.dataset),
        sweep=results.redact_paths(results.sweep),
        winner=results.redact_paths(results.winner),
        evaluation=results.redact_paths(results.evaluation),
        runs=results.runs.assign(
            **{str(n): results.redact_paths(c.tolist()) for n, c in texts.items()}
        ),
        explanation=replace(
            results.explanation, document=results.redact_paths(results.explanation.document)
        ),
    )


RESULT_FILES: dict[str, tuple[str, type[Model], str]] = {
    "dataset.json": (DATASET_FORMAT, DatasetForReport, DATASET_REBUILD),
    "sweep.json": (SWEEP_FORMAT, SweepDocument, SWEEP_REBUILD),
    "control.json": (CONTROL_FORMAT, ControlDocument, CONTROL_REBUILD),
    "metrics.json": (EVALUATION_FORMAT, MetricsDocument, EVALUATION_REBUILD),
}
"""Name of a file -> its format, what it has to be, and the command that rebuilds it."""


def read_result(path: Path) -> dict[str, Any]:
    """Reads one of RESULT_FILES. Raises UserError: it is missing or damaged."""
    return read_document(path, *RESULT_FILES[path.name])


def _check_evaluation(results: Results, path: Path) -> None:
    """Raises UserError unless it is of the winner's checkpoint and of the own test split."""
    if external := results.evaluation["external"]:
        raise UserError(
            f"{path}: is of other recordings, {external}; figures and report are of the "
            f"pipeline's own test split: {EVALUATION_REBUILD}"
        )
    # The input that both have in common is the checkpoint.
    scored, selected = (
        set(document["provenance"]["inputs"].values())
        for document in (results.evaluation, results.winner)
    )
    if not scored & selected:
        raise UserError(
            f"{path}: is of another checkpoint than the winner's; rebuild it with: "
            f"{EVALUATION_REBUILD}"
        )


def _check_explanation(results: Results, path: Path) -> None:
    """Raises UserError unless it is of the checkpoint and the test split that were evaluated."""
    explained, scored = (
        document["provenance"]["inputs"]
        for document in (results.explanation.document, results.evaluation)
    )
    other = [name for name, digest in explained.items() if digest not in scored.values()]
    if other or results.explanation.document["rows"] != results.evaluation["rows"]:
        raise UserError(
            f"{path}: is of other files than were evaluated ({', '.join(other)}); rebuild it with: "
            f"{EXPLANATION_REBUILD}"
        )


class _Column(NamedTuple):
    """Numbers of a table from `low` to `high`; whether a row may have none."""

    low: float
    high: float
    is_optional: bool = True


MANY = 1e15
EPOCHS = 1e5
RUN_COLUMNS = {
    "best_value": _Column(-1e300, 1e300),
    "best_epoch": _Column(1, EPOCHS),
    "epochs": _Column(0, EPOCHS),
    "seconds": _Column(0, MANY),
    "parameters": _Column(0, MANY),
}
CURVE_COLUMNS = {"epoch": _Column(1, EPOCHS, is_optional=False)}
WORK_COLUMNS = {
    "utc_seconds": _Column(0, 1e11, is_optional=False),
    "pid": _Column(0, MANY, is_optional=False),
    "epoch": _Column(0, EPOCHS, is_optional=False),
}
STATES = {"finished": "finished", "stopped": "stopped early", "failed": "failed"}
"""State in runs.csv, in the order of the ranking -> its label."""


def read_table(
    path: Path, columns: dict[str, _Column], runs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Reads runs.csv, or a table about its runs.

    Args:
        columns: the numbers that it has to have.
        runs: runs.csv, for the other tables.

    Raises:
        UserError: the file is missing or truncated, lacks a column, or has a wrong value.
    """
    texts = {"run": str, "sweep": str, "state": str, "device": str, "host": str, "reason": str}
    try:
        table = pd.read_csv(path, dtype=texts, low_memory=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {BEST_REBUILD}") from None
    except (ValueError, LookupError, OverflowError) as error:
        raise UserError(
            f"{path}: is not a table ({error}); rebuild it with: {BEST_REBUILD}"
        ) from None
    needed = ["run", *(["state", "device", "reason"] if runs is None else []), *columns]
    if missing := [name for name in needed if name not in table]:
        raise UserError(f"{path}: has no column {missing[0]}; rebuild it with: {BEST_REBUILD}")
    numbers = (
        list(columns) if runs is None else [name for name in map(str, table) if name not in texts]
    )
    for name in numbers:
        column = columns.get(name, _Column(-np.inf, np.inf))
        parsed = pd.to_numeric(table[name], errors="coerce").astype(float)
        wrong = parsed.isna() & (table[name].notna() | (not column.is_optional))
        wrong |= (parsed < column.low) | (parsed > column.high)
        wrong |= (parsed % 1 != 0) & (name == "epoch")
        _refuse(path, table, name, wrong)
        is_whole = name in ("epoch", "pid")
        table[name] = parsed.astype(int) if is_whole else parsed
    names = table["run"].str.fullmatch(r"\d{1,9}").fillna(False).astype(bool)
    _refuse(path, table, "run", ~names if runs is None else ~table["run"].isin(runs["run"]))
    if runs is None:
        _refuse(path, table, "state", ~table["state"].isin(STATES))
    elif columns is CURVE_COLUMNS:
        _refuse(path, table, "epoch", table.duplicated(["run", "epoch"]))
    return table


def _refuse(path: Path, table: pd.DataFrame, name: str, wrong: "pd.Series[bool]") -> None:
    """Raises UserError, with the first value, if any is wrong."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = truncated(repr(table[name].tolist()[row]))
        raise UserError(
            f"{path}: line {row + 2}: {name} is {value}; rebuild it with: {BEST_REBUILD}"
        )


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each file or folder that results are read from."""
    for name, content in RESULTS_FLAGS.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=content)
    help_text = "show absolute paths, which name folders of this machine"
    parser.add_argument("--show-paths", action="store_true", help=help_text)


def results_from_flags(arguments: argparse.Namespace) -> Results:
    """Reads the files and folders of RESULTS_FLAGS; raises as `read_results`."""
    paths = {name: getattr(arguments, name) for name in RESULTS_FLAGS}
    return read_results(**paths, show_paths=arguments.show_paths)
