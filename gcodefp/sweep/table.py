"""All runs of one or several sweeps as rows, and which of them is the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from gcodefp.errors import UserError
from gcodefp.learning.objective import Objective
from gcodefp.search.specification import Specification
from gcodefp.sweep.run_folder import COUNTED, ENDED, RunFolder, run_folders
from gcodefp.sweep.sweep_file import SweepFile


@dataclass(frozen=True)
class EndedRun:
    """A run that is over.

    Attributes:
        content: its run.json.
        number: counted on over the sweeps before.
        is_repeat: of a configuration that was among the best, with another seed.
    """

    folder: RunFolder
    content: Mapping[str, Any]
    number: int
    is_repeat: bool = False

    @property
    def name(self) -> str:
        """Four digits, as its folder is named in a single sweep."""
        return f"{self.number:04d}"


def ended_runs(sweep_folder: Path, first_beyond: float = math.inf) -> list[EndedRun]:
    """The runs of a sweep that are over, by number, those before the first beyond it."""
    pairs = ((folder, folder.ended()) for folder in run_folders(sweep_folder))
    return [
        EndedRun(folder, content, folder.number)
        for folder, content in pairs
        if content is not None and folder.number < first_beyond
    ]


def runs_of_all(sweeps: Sequence[SweepFile], runs: Path) -> list[EndedRun]:
    """The runs of several sweeps that are over, numbered on from one to the next.

    Args:
        runs: the folder that keeps the runs of all sweeps.
    """
    found: list[EndedRun] = []
    before = 0
    for sweep in sweeps:
        ended = ended_runs(runs / sweep.sweep_id, sweep.first_beyond)
        for run in ended:
            found.append(replace(run, number=before + run.number, is_repeat=sweep.is_repeat))
        before += max([sweep.total, *(run.number + 1 for run in ended)])
    return found


def common_objective(specifications: Sequence[Specification]) -> Objective:
    """The metric of several sweeps.

    Raises:
        UserError: they have not the same.
    """
    objectives = {specification.objective for specification in specifications}
    if len(objectives) > 1:
        names = " and ".join(sorted(f"{o.goal} {o.metric}" for o in objectives))
        raise UserError(f"the sweeps of all phases need the same metric; they have {names}")
    return objectives.pop()


def ranked(runs: Sequence[EndedRun], objective: Objective) -> list[EndedRun]:
    """Best first; ties go to the smaller model, then to the earlier run.

    Runs that were stopped come behind all that finished, failed ones behind these.
    """

    def key(run: EndedRun) -> tuple[int, float, int, int]:
        state = ENDED.index(run.content["state"])
        if run.content["state"] not in COUNTED:
            return state, 0.0, 0, run.number
        loss = objective.loss(run.content["best_value"])
        return state, loss, run.content["parameters"] or 0, run.number

    return sorted(runs, key=key)


def best_runs(sweeps: Sequence[SweepFile], runs: Path, objective: Objective) -> list[EndedRun]:
    """The runs of several sweeps that have a value, best first.

    Raises:
        UserError: there is none.
    """
    order = ranked(runs_of_all(sweeps, runs), objective)
    counted = [run for run in order if run.content["state"] in COUNTED]
    if not counted:
        raise UserError(f"{runs}: no run has a result to go by; all of them failed")
    return counted


def configuration(run: EndedRun) -> tuple[tuple[str, Any], ...]:
    """What two runs that differ in their seed alone have in common."""
    values = run.content["hyperparameters"]
    return tuple(sorted((name, value) for name, value in values.items() if name != "seed"))


def repeated(runs: Sequence[EndedRun], objective: Objective) -> list[list[EndedRun]]:
    """The repeats of each configuration, best first within; the best mean first.

    A configuration of which a repeat has failed comes behind all others.
    """
    groups: dict[Any, list[EndedRun]] = {}
    for run in ranked([run for run in runs if run.is_repeat], objective):
        groups.setdefault(configuration(run), []).append(run)

    def key(group: list[EndedRun]) -> tuple[bool, float, int]:
        values = [run.content["best_value"] for run in group if run.content["state"] in COUNTED]
        loss = objective.loss(fmean(values)) if values else math.inf
        return len(values) < len(group), loss, group[0].content["parameters"] or 0

    return sorted(groups.values(), key=key)
