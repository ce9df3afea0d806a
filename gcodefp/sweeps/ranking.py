"""Ranks the ended runs of one or several sweeps, selects the best one, and writes both as tables.

A sweep may compare its runs by two quantities besides (`sweep.pareto`).
"""

import csv
import io
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError, did_you_mean
from gcodefp.model.hyperparameters import Objective, usual_goal
from gcodefp.model.run_files import SYSTEM_FILE, WORK_COLUMNS, read_metrics, read_work
from gcodefp.sweeps.parameters import dotted, leaf
from gcodefp.sweeps.run_folder import (
    REBUILD,
    SCORED_STATES,
    TERMINAL_STATES,
    RunFolder,
    run_folders,
)
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.system_metrics import SYSTEM_COLUMNS, SYSTEM_FIELDS, read_system, system_summary

OUTCOME_FIELDS = ("state", "failure", "reason", "best_value", "best_epoch", "epochs", "seconds",
         "parameters", "device", "host")  # fmt: skip
"""What run.json has of every run, besides its hyperparameters."""
COSTS = ("parameters", "seconds")
"""Quantities that run.json has of every run; less is better. `parameters`: number of weights."""
ON_FRONT = "non_dominated"
"""Of runs.csv: yes, no, or empty for a run without both quantities."""


def column_of(path: str, has_script: bool) -> str:
    """The column of runs.csv with a hyperparameter, by its path in the sweep.

    This project's trainer has no groups; a user script has `optimizer.lr` and `model.lr`.
    """
    return hyperparameter_column(dotted(path) if has_script else leaf(path))


def hyperparameter_column(name: str) -> str:
    """Its name, and W&B's prefix if a run has a value of its own with that name, as `epochs`."""
    is_taken = name in ("run", "sweep", *OUTCOME_FIELDS, *SYSTEM_FIELDS)
    return f"config.{name}" if is_taken else name


@dataclass(frozen=True)
class EndedRun:
    """A run that has ended.

    Attributes:
        content: its run.json.
        number: continued from the earlier sweeps.
        is_repeat: whether it repeats one of the best configurations with another seed.
    """

    folder: RunFolder
    content: Mapping[str, Any]
    number: int
    is_repeat: bool = False

    @property
    def name(self) -> str:
        """Four digits: the folder's name, if there is one sweep."""
        return f"{self.number:04d}"

    @property
    def is_scored(self) -> bool:
        """Whether it has a value."""
        return self.content["state"] in SCORED_STATES

    @property
    def configuration(self) -> str:
        """Its hyperparameters without the seed, as JSON."""
        values = self.content["hyperparameters"]
        return json.dumps({n: v for n, v in values.items() if n != "seed"}, sort_keys=True)


def ended_runs(sweep_folder: Path, run_limit: float = math.inf) -> list[EndedRun]:
    """The runs of a sweep that have ended, by number, below `run_limit`.

    Raises UserError: one of them is damaged.
    """
    runs = []
    for folder in run_folders(sweep_folder):
        if folder.number < run_limit and (content := folder.read_outcome()) is not None:
            missing = [key for key in (*OUTCOME_FIELDS, "hyperparameters") if key not in content]
            if missing:
                raise UserError(f"{folder.path / 'run.json'}: {missing[0]}: is missing; {REBUILD}")
            runs.append(EndedRun(folder, content, folder.number))
    return runs


def common_objective(specifications: Sequence[Specification]) -> Objective:
    """The metric of several sweeps. Raises UserError: the metrics or the scripts differ."""
    scripts = {
        f"{p.name} with command {list(p.command)}" if (p := s.script) else "gcodefp's trainer"
        for s in specifications
    }
    objectives = {specification.objective for specification in specifications}
    metrics = {f"{o.goal} {o.metric}" for o in objectives}
    for kind, names in (("program", scripts), ("metric", metrics)):
        if len(names) > 1:
            listed = " and ".join(sorted(names))
            raise UserError(f"the sweeps of all phases need the same {kind}; they have {listed}")
    return objectives.pop()


def ranked(runs: Iterable[EndedRun], objective: Objective) -> list[EndedRun]:
    """Best first; ties go to the smaller network, then to the earlier run.

    Stopped runs rank behind all finished ones, failed runs behind both.
    """

    def key(run: EndedRun) -> tuple[int, float, int, int]:
        state = TERMINAL_STATES.index(run.content["state"])
        if not run.is_scored:
            return state, 0.0, 0, run.number
        loss = objective.loss(run.content["best_value"])
        return state, loss, run.content["parameters"] or 0, run.number

    return sorted(runs, key=key)


class Selection(NamedTuple):
    """The ranking of all runs, the best one first.

    Attributes:
        repeats: the repeats of each configuration, best mean first.
    """

    objective: Objective
    ranking: list[EndedRun]
    repeats: list[list[EndedRun]]

    @property
    def best(self) -> EndedRun:
        return self.ranking[0]

    @property
    def scored(self) -> list[EndedRun]:
        """The runs that have a value, best first. Raises UserError: there is none."""
        if scored := [run for run in self.ranking if run.is_scored]:
            return scored
        folder = self.best.folder.path.parent.parent
        raise UserError(f"{folder}: no run has a value; all of them failed")


def select_of_sweeps(sweeps: Sequence[SweepFile], runs: Path) -> Selection:
    """Ranks the ended runs of sweeps, numbered consecutively; `runs` keeps those of all sweeps.

    With repeats, the best run of the configuration with the best mean wins.

    Raises UserError: the sweeps have different metrics, or no run has ended.
    """
    objective = common_objective([sweep.specification for sweep in sweeps])
    all_runs, before = list[EndedRun](), 0
    for sweep in sweeps:
        ended = ended_runs(runs / sweep.sweep_id, sweep.run_limit)
        for run in ended:
            all_runs.append(replace(run, number=before + run.number, is_repeat=sweep.is_repeat))
        before += max([sweep.total, *(run.number + 1 for run in ended)])
    if not all_runs:
        names = ", ".join(sweep.sweep_id for sweep in sweeps)
        raise UserError(f"{runs}: has no run of sweep {names} that has ended")
    order = ranked(all_runs, objective)
    repeats = _repeats(order, objective)
    best = repeats[0][0] if repeats else order[0]
    return Selection(objective, [best, *(run for run in order if run is not best)], repeats)


def _repeats(ranking: Sequence[EndedRun], objective: Objective) -> list[list[EndedRun]]:
    """The repeats of each configuration; the best mean first, those with a failed repeat last."""
    groups: dict[str, list[EndedRun]] = {}
    for run in ranking:
        if run.is_repeat:
            groups.setdefault(run.configuration, []).append(run)

    def key(group: list[EndedRun]) -> tuple[bool, float, int]:
        values = [run.content["best_value"] for run in group if run.is_scored]
        loss = objective.loss(fmean(values)) if values else math.inf
        return len(values) < len(group), loss, group[0].content["parameters"] or 0

    return sorted(groups.values(), key=key)


def describe_selection(selection: Selection, sweeps: Sequence[SweepFile]) -> dict[str, Any]:
    """The content of best/run.json without provenance and the score of the checkpoint."""
    best, objective = selection.best, selection.objective
    combined = sweeps[0].specification.options.combined.texts
    # What a user script left is in its run's folder; of ours the checkpoint is copied.
    folder = {"folder": f"{best.folder.sweep_id}/{best.folder.path.name}"}
    content = {k: v for k, v in best.content.items() if k not in ("format", "provenance")}
    return {
        "run": best.name,
        **(folder if sweeps[0].script else {}),
        **content,
        "metric": objective.metric,
        "goal": objective.goal,
        "runs": len(selection.ranking),
        "sweeps": [sweep.sweep_id for sweep in sweeps],
        "seeds": [_seed_statistics(group) for group in selection.repeats],
        **({"combined": dict(combined)} if combined else {}),
    }


def _seed_statistics(repeats: Sequence[EndedRun]) -> dict[str, Any]:
    """Mean and standard deviation of one configuration over seeds."""
    values = [run.content["best_value"] for run in repeats if run.is_scored]
    return {
        "runs": [run.name for run in repeats],
        "values": values,
        "mean": fmean(values) if values else None,
        "standard_deviation": stdev(values) if len(values) > 1 else None,
    }


def tables(ranking: Sequence[EndedRun], pareto: Mapping[str, Any] | None = None) -> dict[str, str]:
    """File -> CSV text: the runs in their order; epochs, work and use of the computer by number."""

    def by_run(rows_of: Callable[[Path], Iterable[Mapping[str, Any]]], file: str) -> list[Any]:
        runs = sorted(ranking, key=lambda run: run.number)
        # A user script may log a metric `run`.
        return [{**row, "run": r.name} for r in runs for row in rows_of(r.folder.path / file)]

    curves = [row | {"epoch": int(row["epoch"])} for row in by_run(read_metrics, "metrics.csv")]
    names = dict.fromkeys(["run", "epoch", *(name for row in curves for name in row)])
    return {
        "runs.csv": runs_csv(ranking, pareto),
        "curves.csv": _csv(curves, names),
        "work.csv": _csv(by_run(read_work, "work.csv"), ["run", *WORK_COLUMNS]),
        SYSTEM_FILE: _csv(by_run(read_system, SYSTEM_FILE), ["run", *SYSTEM_COLUMNS]),
    }


def runs_csv(ranking: Sequence[EndedRun], pareto: Mapping[str, Any] | None = None) -> str:
    """One line a run, in the order of the ranking."""
    names = sorted({name for run in ranking for name in run.content["hyperparameters"]})
    rows: list[dict[str, Any]] = [
        {"run": run.name, "sweep": run.folder.sweep_id}
        | {field: run.content[field] for field in OUTCOME_FIELDS}
        | system_summary(run.folder.path)
        | {hyperparameter_column(name): run.content["hyperparameters"].get(name) for name in names}
        | dict((pareto or {}).get(run.name, {}))
        for run in ranking
    ]
    return _csv(rows, dict.fromkeys(name for row in rows for name in row))


def _csv(rows: Iterable[Mapping[str, Any]], names: Iterable[str]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


# Two quantities: the runs that no other beats in both.


def read_pareto(
    names: Sequence[str], objective: Objective, logged: Collection[str] | None, where: str
) -> dict[str, str]:
    """Each quantity with its goal: the sweep's own, or that of the metric's name.

    Args:
        logged: all metrics that runs log; None: a user script may log any.

    Raises UserError: a metric is not logged, or its name does not tell which values are better.
    """
    goals = {}
    for name in names:
        if logged is None and name == "parameters":
            raise UserError(
                f"{where}: 'parameters' is not known of the runs of a user script; name seconds, "
                "or a metric that the script logs"
            )
        if logged is not None and name not in (*logged, *COSTS):
            raise UserError(
                f"{where}: {name!r} is not logged; {did_you_mean(name, [*logged, *COSTS])}"
            )
        goal = objective.goal if name == objective.metric else usual_goal(name)
        goals[name] = "minimize" if name in COSTS else goal or ""
        if not goals[name]:
            raise UserError(
                f"{where}: {name!r} does not tell whether more or less is better; make it the "
                "sweep's metric, whose goal is known, or end its name with _loss or _acc"
            )
    return goals


def non_dominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether no other row of losses (N, quantities) is as low in all and lower in one."""
    no_worse = np.all(losses[:, None] <= losses[None], axis=2)
    better = np.any(losses[:, None] < losses[None], axis=2)
    return np.asarray(~np.any(no_worse & better, axis=0))


def pareto_columns(selection: Selection, goals: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Run -> its columns of runs.csv: the quantities that are not there yet, and ON_FRONT."""
    columns: dict[str, dict[str, Any]] = {}
    losses: dict[str, list[float]] = {}
    present = (*COSTS, selection.objective.metric)
    for run in selection.ranking:
        values = {name: _value(run, name, selection.objective) for name in goals}
        columns[run.name] = {n: v for n, v in values.items() if n not in present} | {ON_FRONT: None}
        row = [Objective(n, goals[n]).loss(v) for n, v in values.items() if v is not None]
        if len(row) == len(goals):
            losses[run.name] = row
    on_front = non_dominated(np.array([*losses.values()]).reshape(len(losses), len(goals)))
    for name, is_best in zip(losses, on_front, strict=True):
        columns[name][ON_FRONT] = "yes" if is_best else "no"
    return columns


def _value(run: EndedRun, name: str, objective: Objective) -> float | None:
    """At the run's best epoch, whose weights are kept; None if the run has none."""
    if not run.is_scored:
        return None
    if name in COSTS:
        return run.content[name]
    if name == objective.metric:
        return run.content["best_value"]
    best = run.content["best_epoch"]
    value = next((row.get(name) for row in run.folder.metrics() if row["epoch"] == best), None)
    return value if value is not None and np.isfinite(value) else None
