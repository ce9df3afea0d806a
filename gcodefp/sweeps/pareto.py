"""Two objectives of a sweep: the values of its runs, and the runs that no other beats in both."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError, did_you_mean
from gcodefp.model.hyperparameters import Objective, usual_goal
from gcodefp.sweeps.ranking import EndedRun
from gcodefp.sweeps.run_folder import SCORED_STATES

FACTS = ("parameters", "seconds")
"""What run.json has of every run; less is better."""
COLUMN = "non_dominated"
"""Of runs.csv: yes, no, or empty for a run without both values."""


def read_objectives(
    names: Sequence[str], objective: Objective, logged: Collection[str] | None, where: str
) -> dict[str, str]:
    """Each objective with its goal: the sweep's own, or that of the metric's name.

    Args:
        objective: of the sweep.
        logged: all metrics that runs log; None: another program may log any.

    Raises UserError: a metric is not logged, or its name does not tell which values are better.
    """
    goals = {}
    for name in names:
        if logged is None:
            if name == "parameters":
                raise UserError(
                    f"{where}: 'parameters' is not known of another program's runs; name seconds, "
                    "or a metric that the program logs"
                )
        elif name not in logged and name not in FACTS:
            raise UserError(
                f"{where}: {name!r} is not logged; {did_you_mean(name, [*logged, *FACTS])}"
            )
        goal = objective.goal if name == objective.metric else usual_goal(name)
        goals[name] = "minimize" if name in FACTS else goal or ""
        if not goals[name]:
            raise UserError(
                f"{where}: {name!r} does not tell whether more or less is better; make it the "
                "sweep's metric, whose goal is known, or end its name with _loss or _acc"
            )
    return goals


def non_dominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) whether no other row of losses (N, objectives) is as low in all and lower in one."""
    no_worse = np.all(losses[:, None] <= losses[None], axis=2)
    better = np.any(losses[:, None] < losses[None], axis=2)
    return np.asarray(~np.any(no_worse & better, axis=0))


def pareto_columns(
    ranking: Sequence[EndedRun], goals: Mapping[str, str], objective: Objective
) -> dict[str, dict[str, Any]]:
    """Run -> its columns of runs.csv: the objectives that are not there yet, and COLUMN."""
    columns: dict[str, dict[str, Any]] = {run.name: {} for run in ranking}
    counted, losses = [], []
    for run in ranking:
        values = {name: _value(run, name, objective) for name in goals}
        new = {n: v for n, v in values.items() if n not in FACTS and n != objective.metric}
        columns[run.name] |= new | {COLUMN: None}
        row = [Objective(n, goals[n]).loss(v) for n, v in values.items() if v is not None]
        if len(row) == len(goals):
            counted.append(run.name)
            losses.append(row)
    if counted:
        for name, is_best in zip(counted, non_dominated(np.array(losses)), strict=True):
            columns[name][COLUMN] = "yes" if is_best else "no"
    return columns


def _value(run: EndedRun, name: str, objective: Objective) -> float | None:
    """At the run's best epoch, whose weights are kept; None if the run has none."""
    if run.content["state"] not in SCORED_STATES:
        return None
    if name in FACTS:
        return run.content[name]
    if name == objective.metric:
        return run.content["best_value"]
    best = run.content["best_epoch"]
    value = next((row.get(name) for row in run.folder.metrics() if row["epoch"] == best), None)
    return value if value is not None and np.isfinite(value) else None
