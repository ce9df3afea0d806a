"""Sweeps as Optuna's studies, for whatever draws studies; nothing is decided by them.

Run N is trial N. A trial that Optuna calls running may be half-done with nobody at work: its
attribute `state` tells. A number that no run has, such as that of a folder taken away, is waiting.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from gcodefp.learning.objective import Objective
from gcodefp.monitor.overview import RunLine
from gcodefp.monitor.phases import Seen
from gcodefp.monitor.search_space import distribution, fits, scalar
from gcodefp.search.nesting import SEPARATOR

STATES = {
    "finished": TrialState.COMPLETE,
    "stopped": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
METRIC_NAMES = "study:metric_names"
"""What Study.set_metric_names sets, which warns that it is experimental."""

Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Study:
    """One sweep; equal to another if a visitor would see no difference."""

    objective: Objective
    attributes: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


def study(seen: Seen) -> Study:
    """A sweep's runs, by number from 0 without a gap."""
    sweep, overview = seen.sweep, seen.overview
    parameters = sweep.specification.parameters
    space = {
        path: kind
        for path in overview.varying
        if (kind := distribution(parameters[path], _given(path, overview.runs)))
    }
    begun = {run.number: run for run in overview.runs}
    attributes = {
        "method": overview.method,
        "runs wanted": overview.total,
        "runs over": overview.over,
        "no further run begins": overview.closed,
        **{_dotted(path): p.choices[0] for path, p in parameters.items() if len(p.choices) == 1},
    }
    numbers = range(max(begun, default=-1) + 1)
    return Study(
        overview.objective,
        {name: value for name, value in attributes.items() if value is not None},
        [_trial(begun[n], space) if n in begun else _not_begun(n, space) for n in numbers],
    )


def storage(studies: Mapping[str, Study | None]) -> InMemoryStorage:
    """The studies by name; the n-th has the id n, whether those before it are there (not None)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    made = InMemoryStorage()
    for name, content in studies.items():
        goal = content.objective.goal if content else "maximize"
        study_id = made.create_new_study([StudyDirection[goal.upper()]], name)
        if content is None:
            made.delete_study(study_id)
            continue
        made.set_study_system_attr(study_id, METRIC_NAMES, [content.objective.metric])
        for key, value in content.attributes.items():
            made.set_study_user_attr(study_id, key, value)
        for trial in content.trials:
            made.create_new_trial(study_id, trial)
    return made


def _trial(run: RunLine, space: Space) -> FrozenTrial:
    values = {path: scalar(value) for path, value in run.hyperparameters.items()}
    taken = {p: values[p] for p in space if p in values and fits(space[p], values[p])}
    state = _state(run)
    return FrozenTrial(
        number=run.number,
        trial_id=run.number,
        state=state,
        value=run.best if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        datetime_start=_time(run.given_at),
        datetime_complete=_time(run.ended_at) if state.is_finished() else None,
        params={_dotted(path): value for path, value in taken.items()},
        distributions=_distributions({p: space[p] for p in taken} if values else space),
        user_attrs=_attributes(run),
        system_attrs={},
        intermediate_values=dict(enumerate(run.values, 1)),
    )


def _not_begun(number: int, space: Space) -> FrozenTrial:
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=TrialState.WAITING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params={},
        distributions=_distributions(space),
        user_attrs={},
        system_attrs={},
        intermediate_values={},
    )


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    """Also of what a trial does not have yet: what no trial lacks is drawn unless unticked."""
    return {_dotted(path): kind for path, kind in space.items()}


def _state(run: RunLine) -> TrialState:
    """A complete trial needs a value and parameters, or else Optuna fails on it."""
    has_value = run.best is not None and math.isfinite(run.best)
    if run.state == "finished" and not (has_value and run.hyperparameters):
        return TrialState.FAIL
    return STATES.get(run.state, TrialState.FAIL if run.over else TrialState.RUNNING)


def _attributes(run: RunLine) -> dict[str, Any]:
    attributes = {
        "state": run.state,
        "failure": run.reason,
        "host": run.agent.host if run.agent else run.host,
        "pid": run.agent.pid if run.agent else None,
        "seconds": run.seconds,
        "parameters": run.parameters,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def _given(path: str, runs: Sequence[RunLine]) -> list[Any]:
    hyperparameters = (run.hyperparameters for run in runs)
    return [scalar(values[path]) for values in hyperparameters if path in values]


def _dotted(path: str) -> str:
    return path.replace(SEPARATOR, ".")


def _time(at: float | None) -> datetime | None:
    """Without a time zone, as Optuna has it."""
    return None if at is None else datetime.fromtimestamp(at)
