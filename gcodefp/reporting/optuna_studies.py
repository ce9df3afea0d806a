"""A sweep, its later phases and its repeats, as long as they come and go; writes nothing."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from gcodefp.model.hyperparameters import Objective
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.observer import Observer, Overview, RunLine
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.sweeps.values import SEPARATOR

logger = logging.getLogger(__name__)


class Seen(NamedTuple):
    """One sweep at one moment; its name begins with its id."""

    name: str
    sweep: SweepFile
    overview: Overview


class Phases:
    """Looks again and again, and follows a sweep that is extended, or another in its place."""

    def __init__(self, sweep: Path, runs: Path) -> None:
        """Begins to follow sweep.json and those below its folder.

        Args:
            runs: the folder that keeps the runs of all sweeps.

        Raises:
            UserError: sweep.json is missing, or cannot be read.
        """
        self._first = sweep
        self._runs = runs
        self._followed: dict[Path, tuple[SweepFile, Observer]] = {}
        self._told: set[str] = set()
        self._follow(sweep)

    def look(self) -> list[Seen]:
        """All sweeps as they are now; one whose file cannot be read stays as it was."""
        below = self._first.parent
        phases = sorted(below.glob("phase_*/sweep.json"), key=_phase)
        paths = [self._first, *phases, *below.glob("repeats/sweep.json")]
        for path in paths:
            try:
                self._follow(path)
            except Exception as error:  # Whatever one file holds, the others are shown.
                self._tell(f"{path} is not followed: {error}")
        followed = [(path, *self._followed[path]) for path in paths if path in self._followed]
        return [
            Seen(self._name(path, sweep), sweep, observer.overview())
            for path, sweep, observer in followed
        ]

    def _follow(self, path: Path) -> None:
        sweep = read_sweep(path)
        known = self._followed.get(path)
        if known is None or known[0].document != sweep.document:
            self._followed[path] = sweep, Observer(sweep, self._runs / sweep.sweep_id)

    def _name(self, path: Path, sweep: SweepFile) -> str:
        return sweep.sweep_id if path == self._first else f"{sweep.sweep_id} {path.parent.name}"

    def _tell(self, message: str) -> None:
        if message not in self._told:
            logger.warning("%s", message)
        self._told.add(message)


def _phase(path: Path) -> tuple[int, str]:
    """phase_2 before phase_10."""
    return len(path.parent.name), path.parent.name


def distribution(parameter: Parameter, given: Sequence[Any]) -> BaseDistribution | None:
    """Wide enough for all that was given; None while nothing tells how wide that is."""
    if parameter.choices and parameter.distribution != "int_uniform":
        return CategoricalDistribution(list(dict.fromkeys([*parameter.choices, *given])))
    numbers = [value for value in given if _is_number(value)]
    is_log = "log" in parameter.distribution and all(value > 0 for value in numbers)
    numbers += [end for end in _ends(parameter) if math.isfinite(end) and (end > 0 or not is_log)]
    if not numbers:
        return None
    low, high = min(numbers), max(numbers)
    step = parameter.arguments["q"] if parameter.is_quantized and not is_log else None
    if all(isinstance(value, int) for value in numbers):
        return IntDistribution(low, high, log=is_log, step=int(step or 1))
    return FloatDistribution(low, high, log=is_log, step=step)


def _ends(parameter: Parameter) -> Sequence[float]:
    """The lowest and the highest value, which may be infinite."""
    if parameter.choices:
        return parameter.choices[0], parameter.choices[-1]  # type: ignore[return-value]
    ends = parameter.quantile(0.0), parameter.quantile(1.0)
    if parameter.is_quantized and all(map(math.isfinite, ends)):
        return parameter.value(0.0), parameter.value(1.0)  # type: ignore[return-value]
    # Through a logarithm and back, 0.0005 is 0.0005000000000000001.
    return [float(f"{end:.12g}") for end in ends]


def scalar(value: Any) -> Any:
    """A value of a kind that Optuna knows."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def fits(kind: BaseDistribution, value: Any) -> bool:
    """Whether a value can be a parameter's; files may hold anything."""
    return isinstance(kind, CategoricalDistribution) or _is_number(value)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


# Sweeps as Optuna's studies, for whatever draws studies; nothing is decided by them.
#
# Run N is trial N. A trial that Optuna calls running may be half-done with nobody at work: its
# attribute `state` tells. A number that no run has, such as that of a folder taken away, is
# waiting.

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
        datetime_start=_time(run.assigned_at),
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
