"""Ranks the ended runs of one or several sweeps, selects the winner, and writes both as tables."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import SYSTEM_FILE, WORK_COLUMNS, read_metrics, read_work
from gcodefp.sweeps.run_folder import (
    REBUILD,
    SCORED_STATES,
    TERMINAL_STATES,
    RunFolder,
    run_folders,
)
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.system_metrics import (
    SYSTEM_COLUMNS,
    SYSTEM_FIELDS,
    read_system,
    system_summary,
)
from gcodefp.sweeps.values import dotted, leaf

OUTCOME_FIELDS = ("state", "failure", "reason", "best_value", "best_epoch", "epochs", "seconds",
         "parameters", "device", "host")  # fmt: skip
"""What run.json has of every run, besides its hyperparameters."""


def column_of(path: str, is_external: bool) -> str:
    """The column of runs.csv with a hyperparameter, by its path in the sweep.

    This project's trainer has no groups; another program has `optimizer.lr` and `model.lr`.
    """
    return hyperparameter_column(dotted(path) if is_external else leaf(path))


def hyperparameter_column(name: str) -> str:
    """Its name, and W&B's prefix if a run has a value of its own with that name, as `epochs`."""
    is_fact = name in ("run", "sweep", *OUTCOME_FIELDS, *SYSTEM_FIELDS)
    return f"config.{name}" if is_fact else name


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


def runs_of_all(sweeps: Sequence[SweepFile], runs: Path) -> list[EndedRun]:
    """The runs of several sweeps that have ended, numbered consecutively.

    Args:
        runs: the folder that keeps the runs of all sweeps.
    """
    runs_so_far: list[EndedRun] = []
    before = 0
    for sweep in sweeps:
        ended = ended_runs(runs / sweep.sweep_id, sweep.run_limit)
        for run in ended:
            runs_so_far.append(replace(run, number=before + run.number, is_repeat=sweep.is_repeat))
        before += max([sweep.total, *(run.number + 1 for run in ended)])
    return runs_so_far


def common_objective(specifications: Sequence[Specification]) -> Objective:
    """The metric of several sweeps. Raises UserError: the metrics or the programs differ."""
    programs = {
        f"{s.program.name} with command {list(s.program.command)}"
        if s.program
        else "gcodefp's trainer"
        for s in specifications
    }
    if len(programs) > 1:
        names = " and ".join(sorted(programs))
        raise UserError(f"the sweeps of all phases need the same program; they have {names}")
    objectives = {specification.objective for specification in specifications}
    if len(objectives) > 1:
        names = " and ".join(sorted(f"{o.goal} {o.metric}" for o in objectives))
        raise UserError(f"the sweeps of all phases need the same metric; they have {names}")
    return objectives.pop()


def ranked(runs: Sequence[EndedRun], objective: Objective) -> list[EndedRun]:
    """Best first; ties go to the smaller model, then to the earlier run.

    Stopped runs rank behind all finished ones, failed runs behind both.
    """

    def key(run: EndedRun) -> tuple[int, float, int, int]:
        state = TERMINAL_STATES.index(run.content["state"])
        if run.content["state"] not in SCORED_STATES:
            return state, 0.0, 0, run.number
        loss = objective.loss(run.content["best_value"])
        return state, loss, run.content["parameters"] or 0, run.number

    return sorted(runs, key=key)


def best_runs(sweeps: Sequence[SweepFile], runs: Path, objective: Objective) -> list[EndedRun]:
    """The runs of several sweeps that have a value, best first. Raises UserError: there is none."""
    order = ranked(runs_of_all(sweeps, runs), objective)
    counted = [run for run in order if run.content["state"] in SCORED_STATES]
    if not counted:
        raise UserError(f"{runs}: no run has a value; all of them failed")
    return counted


def configuration(run: EndedRun) -> str:
    """A run's hyperparameters without the seed, as JSON."""
    values = run.content["hyperparameters"]
    return json.dumps({n: v for n, v in values.items() if n != "seed"}, sort_keys=True)


def repeat_groups(runs: Sequence[EndedRun], objective: Objective) -> list[list[EndedRun]]:
    """The repeats of each configuration, ranked; the configuration with the best mean first.

    Configurations with a failed repeat rank last.
    """
    groups: dict[str, list[EndedRun]] = {}
    for run in ranked([run for run in runs if run.is_repeat], objective):
        groups.setdefault(configuration(run), []).append(run)

    def key(group: list[EndedRun]) -> tuple[bool, float, int]:
        values = [
            run.content["best_value"] for run in group if run.content["state"] in SCORED_STATES
        ]
        loss = objective.loss(fmean(values)) if values else math.inf
        return len(values) < len(group), loss, group[0].content["parameters"] or 0

    return sorted(groups.values(), key=key)


class Selection(NamedTuple):
    """The ranking of all runs, the winner first.

    Attributes:
        repeats: the repeats of each configuration, best mean first.
    """

    objective: Objective
    ranking: list[EndedRun]
    repeats: list[list[EndedRun]]

    @property
    def winner(self) -> EndedRun:
        return self.ranking[0]


def select_of_sweeps(sweeps: Sequence[SweepFile], runs: Path) -> Selection:
    """Ranks the runs of sweeps that have ended.

    Args:
        runs: the folder that keeps the runs of all sweeps.

    Raises UserError: the sweeps have different metrics, or no run has ended.
    """
    objective = common_objective([sweep.specification for sweep in sweeps])
    ended = runs_of_all(sweeps, runs)
    if not ended:
        names = ", ".join(sweep.sweep_id for sweep in sweeps)
        raise UserError(f"{runs}: has no run of sweep {names} that has ended")
    return select(ended, objective)


def select(runs: Sequence[EndedRun], objective: Objective) -> Selection:
    """Ranks runs; with repeats, the best run of the configuration with the best mean wins."""
    repeats = repeat_groups(runs, objective)
    order = ranked(runs, objective)
    winner = repeats[0][0] if repeats else order[0]
    return Selection(objective, [winner, *(run for run in order if run is not winner)], repeats)


def describe_selection(selection: Selection, sweeps: Sequence[SweepFile]) -> dict[str, Any]:
    """The content of best/run.json without provenance and the score of the checkpoint."""
    winner, objective = selection.winner, selection.objective
    combined = sweeps[0].specification.options.combined.texts
    # What another program left is in its run's folder; of ours the checkpoint is copied.
    folder = {"folder": f"{winner.folder.sweep}/{winner.folder.path.name}"}
    content = {k: v for k, v in winner.content.items() if k not in ("format", "provenance")}
    return {
        "run": winner.name,
        **(folder if sweeps[0].program else {}),
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
    values = [run.content["best_value"] for run in repeats if run.content["state"] in SCORED_STATES]
    return {
        "runs": [run.name for run in repeats],
        "values": values,
        "mean": fmean(values) if values else None,
        "standard_deviation": stdev(values) if len(values) > 1 else None,
    }


def runs_csv(
    ranking: Sequence[EndedRun], more: Mapping[str, Mapping[str, Any]] | None = None
) -> str:
    """One line a run, in the order of the ranking.

    Args:
        more: run -> further columns.
    """
    names = sorted({name for run in ranking for name in run.content["hyperparameters"]})
    rows: list[dict[str, Any]] = [
        {"run": run.name, "sweep": run.folder.sweep}
        | {fact: run.content[fact] for fact in OUTCOME_FIELDS}
        | system_summary(run.folder.path)
        | {hyperparameter_column(name): run.content["hyperparameters"].get(name) for name in names}
        | dict((more or {}).get(run.name, {}))
        for run in ranking
    ]
    return _csv(rows)


def curves_csv(ranking: Sequence[EndedRun]) -> str:
    """One line for each epoch of each run, by number."""
    rows: list[dict[str, Any]] = []
    for run in sorted(ranking, key=lambda run: run.number):
        for epoch in read_metrics(run.folder.path / "metrics.csv"):
            own = {"run": run.name, "epoch": int(epoch["epoch"])}
            rows.append(own | epoch | own)
    names = dict.fromkeys(["run", "epoch", *(name for row in rows for name in row)])
    return _csv(rows, [*names])


def work_csv(ranking: Sequence[EndedRun]) -> str:
    """One line for each time that a process started a run or ended an epoch of it, by run."""
    rows = [
        {"run": run.name, **moment}
        for run in sorted(ranking, key=lambda run: run.number)
        for moment in read_work(run.folder.path / "work.csv")
    ]
    return _csv(rows, ["run", *WORK_COLUMNS])


def system_csv(ranking: Sequence[EndedRun]) -> str:
    """One line for each sample of what a run uses of its machine, by run."""
    rows = [
        {"run": run.name, **sample}
        for run in sorted(ranking, key=lambda run: run.number)
        for sample in read_system(run.folder.path / SYSTEM_FILE)
    ]
    return _csv(rows, ["run", *SYSTEM_COLUMNS])


def _csv(rows: Sequence[dict[str, Any]], names: Sequence[str] | None = None) -> str:
    text = io.StringIO()
    columns = names or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
