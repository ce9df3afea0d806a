"""The files of a sweep that has ended: its runs as tables, and the best run."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field

from gcodefp.documents import Document as Model
from gcodefp.documents import Provenance, read_document
from gcodefp.errors import UserError, shown
from gcodefp.model.run_files import SYSTEM_FILE
from gcodefp.provenance import results_roots, without_private_folders
from gcodefp.sweeps.ranking import column_of
from gcodefp.sweeps.sweep_file import BEST_REBUILD, read_best
from gcodefp.sweeps.sweep_file import FORMAT as SWEEP_FORMAT
from gcodefp.sweeps.sweep_file import REBUILD as SWEEP_REBUILD
from gcodefp.sweeps.system_metrics import SYSTEM_COLUMNS, SYSTEM_FIELDS

JsonContent = Mapping[str, Any]
"""Content of a JSON file."""


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
    training_code: str | None
    program: dict[str, Any] | None = None
    parameters: dict[str, _Parameter]
    as_written: dict[str, Any] = Field(default_factory=dict)
    rules: _Rules = _Rules()
    pareto: dict[str, Literal["maximize", "minimize"]] | None = Field(
        None, min_length=2, max_length=2
    )


@dataclass(frozen=True, kw_only=True)
class SweepResults:
    """The files of a sweep.

    Attributes:
        sweep, best_run: sweep.json and best/run.json.
        runs: best/runs.csv, all runs, best first.
        curves: best/curves.csv, all epochs of all runs.
        work: best/work.csv, the time and process of each epoch; runs trained elsewhere have none.
        system: best/system.csv, samples of what each run used of its computer.
        roots: paths of the results folder, which `redact_paths` hides; None: shown.
    """

    sweep: JsonContent
    best_run: JsonContent
    runs: pd.DataFrame
    curves: pd.DataFrame
    work: pd.DataFrame
    system: pd.DataFrame = field(default_factory=pd.DataFrame)
    roots: Set[PurePath] | None = frozenset()

    @property
    def has_script(self) -> bool:
        """Whether a user script, not this project's trainer, trained the runs."""
        return self.sweep.get("program") is not None

    @property
    def step(self) -> str:
        """What a line of `curves` is: a user script logs when it likes."""
        return "step" if self.has_script else "epoch"

    @property
    def on_split(self) -> str:
        """Start of a subtitle: where the metric was measured, unless only its name says so."""
        return "" if self.has_script else "val split; "

    @property
    def searched(self) -> dict[str, JsonContent]:
        """Hyperparameter -> what the sweep, or its first phase, draws it from."""
        return {self.column(path): entry for path, entry in self.sweep["parameters"].items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that every figure and page shows in red."""
        return ()

    @property
    def documents(self) -> dict[str, JsonContent]:
        """File -> its content, of all JSON documents."""
        return {"sweep.json": self.sweep, "best/run.json": self.best_run}

    def column(self, path: str) -> str:
        """The column of `runs` with the hyperparameter at a path of the sweep."""
        return column_of(path, self.has_script)

    def redact_paths(self, content: Any) -> Any:
        """A document without the absolute paths of the author's computer, unless they are shown."""
        return content if self.roots is None else without_private_folders(content, self.roots)

    def redacted(self) -> Self:
        """The same without the absolute paths of the author's computer."""
        inputs = chain.from_iterable(d["provenance"]["inputs"] for d in self.documents.values())
        results = replace(self, roots=results_roots(inputs))
        texts = results.runs.select_dtypes(exclude="number")
        columns = {str(n): results.redact_paths(c.tolist()) for n, c in texts.items()}
        documents = {n: results.redact_paths(d) for n, d in vars(self).items() if type(d) is dict}
        return replace(results, runs=results.runs.assign(**columns), **documents)


def read_sweep_results(sweep: Path, best: Path) -> SweepResults:
    """Reads the files of a sweep; paths are not redacted.

    Args:
        sweep: sweep.json.
        best: the folder of select_best.

    Raises:
        UserError: a file is missing or damaged, or is of another sweep.
    """
    best_run = read_best(best / "run.json")
    runs = read_table(best / "runs.csv", RUN_COLUMNS)
    if best_run["run"] not in set(runs["run"]) or runs["run"].duplicated().any():
        raise UserError(
            f"{best / 'runs.csv'}: run: lacks the best run {shown(best_run['run'], str)}, or has a "
            f"run twice; rebuild it with: {BEST_REBUILD}"
        )
    results = SweepResults(
        sweep=read_document(sweep, SWEEP_FORMAT, SweepDocument, SWEEP_REBUILD),
        best_run=best_run,
        runs=runs,
        curves=read_table(best / "curves.csv", CURVE_COLUMNS, runs),
        work=read_table(best / "work.csv", WORK_COLUMNS, runs),
        system=read_table(best / SYSTEM_FILE, SAMPLE_COLUMNS, runs),
        roots=None,
    )
    if results.sweep["id"] not in best_run["sweeps"]:
        raise UserError(
            f"{best / 'run.json'}: is of sweep {', '.join(best_run['sweeps'])}, {sweep} is "
            f"{results.sweep['id']}; rebuild it with: {BEST_REBUILD}"
        )
    return results


SCRIPT_EVALUATION_FORMAT = "gcodefp-program-evaluation-1"


class ScriptEvaluation(Model):
    """evaluation.json of a sweep of a user script: what the user's own command printed."""

    provenance: Provenance
    command: list[str]
    result: dict[str, Any]


def read_script_evaluation(path: Path) -> dict[str, Any]:
    """Reads what `evaluate_script` wrote. Raises UserError: it is missing or damaged."""
    rebuild = "snakemake --cores all --forcerun evaluate_script"
    return read_document(path, SCRIPT_EVALUATION_FORMAT, ScriptEvaluation, rebuild)


MANY, EPOCHS = 1e15, 1e6
Bounds = tuple[float, float]
COUNT: Bounds = (0, MANY)
EPOCH: Bounds = (1, EPOCHS)
RUN_COLUMNS: dict[str, Bounds] = {
    "best_value": (-1e300, 1e300), "best_epoch": EPOCH, "epochs": (0, EPOCHS), "seconds": COUNT,
    "parameters": COUNT, **dict.fromkeys(SYSTEM_FIELDS, COUNT),
}  # fmt: skip
CURVE_COLUMNS: dict[str, Bounds] = {"epoch": EPOCH}
WORK_COLUMNS: dict[str, Bounds] = {"utc_seconds": (0, 1e11), "pid": COUNT, "epoch": (0, EPOCHS)}
SAMPLE_COLUMNS: dict[str, Bounds] = dict.fromkeys(SYSTEM_COLUMNS, COUNT) | {"seconds": COUNT}
"""Of each table: the numbers that it has to have, with their bounds."""
REQUIRED = ("epoch", "utc_seconds", "pid")
"""The numbers that no row may lack; nor `seconds` in a table about the runs."""
STATES = {"finished": "finished", "stopped": "pruned or stopped", "failed": "failed"}
"""State in runs.csv, in the order of the ranking -> its label."""
TEXTS = {"run": str, "sweep": str, "state": str, "device": str, "host": str, "reason": str}


def read_table(
    path: Path, columns: dict[str, Bounds], runs: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Reads runs.csv, or a table about its runs.

    Args:
        columns: the numbers that it has to have.
        runs: runs.csv, for the other tables.

    Raises:
        UserError: the file is missing or truncated, lacks a column, or has a wrong value.
    """
    try:
        table = pd.read_csv(path, dtype=TEXTS, low_memory=False)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {BEST_REBUILD}") from None
    except (ValueError, LookupError, OverflowError) as error:
        raise UserError(
            f"{path}: is not a table ({error}); rebuild it with: {BEST_REBUILD}"
        ) from None
    needed, numbers = ["run", *columns], [name for name in map(str, table) if name not in TEXTS]
    if runs is None:  # Hyperparameters may be texts; earlier versions had no system metrics.
        table = table.assign(**{n: np.nan for n in SYSTEM_FIELDS if n not in table})
        needed, numbers = [*needed, "state", "device", "reason"], [*columns]
    if columns is WORK_COLUMNS:
        needed.append("host")
    if missing := [name for name in needed if name not in table]:
        raise UserError(f"{path}: has no column {missing[0]}; rebuild it with: {BEST_REBUILD}")
    for name in numbers:
        low, high = columns.get(name, (-np.inf, np.inf))
        parsed = pd.to_numeric(table[name], errors="coerce").astype(float)
        # A user script may log a metric that is called as one of them.
        is_required = name in columns and (
            name in REQUIRED or (name == "seconds" and runs is not None)
        )
        wrong = parsed.isna() & (table[name].notna() | is_required)
        wrong |= (parsed < low) | (parsed > high) | ((parsed % 1 != 0) & (name == "epoch"))
        _check_values(path, table, name, wrong)
        is_whole = name in columns and name in ("epoch", "pid")
        table[name] = parsed.astype(int) if is_whole else parsed
    if runs is None:
        names = table["run"].str.fullmatch(r"\d{1,9}").fillna(False).astype(bool)
        _check_values(path, table, "run", ~names)
        _check_values(path, table, "state", ~table["state"].isin(STATES))
        return table
    _check_values(path, table, "run", ~table["run"].isin(runs["run"]))
    if columns is CURVE_COLUMNS:
        _check_values(path, table, "epoch", table.duplicated(["run", "epoch"]))
    return table


def _check_values(path: Path, table: pd.DataFrame, name: str, wrong: "pd.Series[bool]") -> None:
    """Raises UserError, with the first value, if any is wrong."""
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = shown(table[name].tolist()[row])
        raise UserError(
            f"{path}: line {row + 2}: {name} is {value}; rebuild it with: {BEST_REBUILD}"
        )
