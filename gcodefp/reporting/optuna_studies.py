"""A sweep, its later phases and its repeats as Optuna studies in optuna-dashboard; writes nothing.

Run N is trial N. A trial that Optuna calls running may be unfinished, without an agent: its
attribute `state` is then `interrupted`. A number without a run, such as that of a removed folder,
is waiting.
"""

import ipaddress
import json
import logging
import math
import platform
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
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
from gcodefp.sweeps.parameters import dotted
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.sweeps.sweep_status import RunStatus, StatusReader, SweepStatus

logger = logging.getLogger(__name__)

STATES = {"finished": TrialState.COMPLETE, "stopped": TrialState.PRUNED, "failed": TrialState.FAIL}
METRIC_NAMES = "study:metric_names"
"""What Study.set_metric_names sets, which warns that it is experimental."""
HOST = re.compile(r"(?:([\w.-]+)|\[([\da-f:.]+)\])(?::\d+)?", re.ASCII | re.I)

Environment = dict[str, Any]
Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class Study:
    """One sweep, as all that the page shows of it."""

    objective: Objective
    attributes: Mapping[str, Any]
    trials: Sequence[FrozenTrial]


class Dashboard:
    """optuna-dashboard over sweep.json and those of its phases and repeats, as a WSGI application.

    Each request is answered from one snapshot of the run folders.
    """

    def __init__(self, sweep: Path, runs: Path, host: str = "localhost") -> None:
        """Takes the first snapshot.

        Args:
            sweep: sweep.json; phases and repeats lie below its folder.
            runs: the folder that keeps the runs of all sweeps.
            host: a name by which browsers may address this server.

        Raises UserError: sweep.json is missing, or cannot be read.
        """
        self._host_names = {"localhost", platform.node().lower(), host.lower()}
        self._first = sweep
        self._runs = runs
        self._followed: dict[Path, tuple[SweepFile, StatusReader]] = {}
        self._studies: dict[str, Study | None] = {}
        self._warned: set[str] = set()
        self._follow(sweep)
        self._update()

    def __call__(self, environment: Environment, start: Callable[..., Any]) -> Iterable[bytes]:
        """Handles a request; refuses changes, and hosts of other names."""
        if (denial := self._denial(environment)) is None:
            environment.setdefault("HTTP_ACCEPT_ENCODING", "")  # optuna-dashboard needs it.
            return self._application(environment, start)
        status, reason = denial
        start(status, [("Content-Type", "application/json"), ("Allow", "GET, HEAD")])
        return [json.dumps({"reason": reason}).encode()]

    def _denial(self, environment: Environment) -> tuple[str, str] | None:
        """Status and reason; None for a request that is in order."""
        if environment["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return "405 Method Not Allowed", "this page is read-only"
        # Any page can have a name that resolves to this address (DNS rebinding), but no such name
        # is an address or this host's.
        match = HOST.fullmatch(environment.get("HTTP_HOST", ""))
        name = (match[1] or match[2]).lower() if match else ""
        if name not in self._host_names:
            try:
                ipaddress.ip_address(name)
            except ValueError:
                return "403 Forbidden", f"no name of this host: {name!r}; use its IP address"
        return None

    def follow(self, seconds: float) -> None:
        """Takes snapshots forever, `seconds` apart."""
        pause = threading.Event()
        while not pause.wait(seconds):
            try:
                self._update()
            except Exception as error:  # A file server may be unavailable for a while.
                self._warn(f"the page is not updated: {type(error).__name__}: {error}")

    def _update(self) -> None:
        """A sweep whose file cannot be read is not updated."""
        folder = self._first.parent
        phases = sorted(folder.glob("phase_*/sweep.json"), key=lambda path: (len(str(path)), path))
        paths = [self._first, *phases, *folder.glob("repeats/sweep.json")]
        for path in paths:
            try:
                self._follow(path)
            except Exception as error:  # The other sweeps are still shown.
                self._warn(f"{path} is not followed: {error}")
        snapshot = {}
        for path in filter(self._followed.__contains__, paths):
            sweep, reader = self._followed[path]
            name = "" if path == self._first else f" {path.parent.name}"
            snapshot[sweep.sweep_id + name] = study(sweep, reader.read())
        # Removed sweeps keep their ids, so that no other sweep takes their addresses.
        studies = dict.fromkeys(self._studies) | snapshot
        if studies != self._studies:
            # A new application: it caches trials, which is wrong once a run's folder is removed.
            self._application = optuna_dashboard.wsgi(_storage(studies))
            self._studies = studies

    def _follow(self, path: Path) -> None:
        sweep = read_sweep(path)
        if path not in self._followed or self._followed[path][0].document != sweep.document:
            self._followed[path] = sweep, StatusReader(sweep, self._runs / sweep.sweep_id)

    def _warn(self, message: str) -> None:
        if message not in self._warned:
            logger.warning("%s", message)
        self._warned.add(message)


def study(sweep: SweepFile, status: SweepStatus) -> Study:
    """A sweep's runs, by number from 0 without a gap."""
    parameters = sweep.specification.parameters
    fixed = {path: p.choices[0] for path, p in parameters.items() if len(p.choices) == 1}
    space = {}
    for path in status.varying:
        assigned = [r.hyperparameters[path] for r in status.runs if path in r.hyperparameters]
        if kind := _distribution(parameters[path], [_scalar(value) for value in assigned]):
            space[path] = kind
    runs = {run.number: run for run in status.runs}
    attributes = {
        "method": status.method,
        "runs wanted": status.total,
        "runs over": status.ended_count,
        "no further run begins": status.end_reason,
        **{dotted(path): _scalar(value) for path, value in fixed.items()},
    }
    trials = [
        _trial(number, runs.get(number), space) for number in range(max(runs, default=-1) + 1)
    ]
    return Study(status.objective, _without_none(attributes), trials)


def _without_none(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _storage(studies: Mapping[str, Study | None]) -> InMemoryStorage:
    """The studies by name; the n-th has the id n, also if earlier ones are None (removed)."""
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


def _trial(number: int, run: RunStatus | None, space: Space) -> FrozenTrial:
    """Without a run a trial is waiting.

    A trial without hyperparameters has the distributions of all: the parallel coordinates show only
    parameters that no trial lacks.
    """
    if run is None:
        run, state = RunStatus(number, "", False), TrialState.WAITING
    else:
        state = _state(run)
    values = {path: _scalar(value) for path, value in run.hyperparameters.items()}
    fitting = {
        path: values[path]
        for path, kind in space.items()
        if path in values
        and (isinstance(kind, CategoricalDistribution) or _is_number(values[path]))
    }
    host, pid = (run.agent.host, run.agent.pid) if run.agent else (run.host, None)
    attributes = {"state": run.state or None, "failure": run.reason, "host": host, "pid": pid,
                  "seconds": run.seconds, "parameters": run.weight_count, **run.system}  # fmt: skip
    return FrozenTrial(
        number=number,
        trial_id=number,
        state=state,
        value=run.best if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        datetime_start=_time(run.assigned_at),
        datetime_complete=_time(run.ended_at) if state.is_finished() else None,
        params={dotted(path): value for path, value in fitting.items()},
        distributions={dotted(path): space[path] for path in (fitting if values else space)},
        user_attrs=_without_none(attributes),
        system_attrs={},
        intermediate_values=dict(enumerate(run.values, 1)),
    )


def _state(run: RunStatus) -> TrialState:
    """A complete trial needs a value and parameters, or else Optuna fails on it."""
    has_value = run.best is not None and math.isfinite(run.best)
    if run.state == "finished" and not (has_value and run.hyperparameters):
        return TrialState.FAIL
    return STATES.get(run.state, TrialState.FAIL if run.has_ended else TrialState.RUNNING)


def _time(at: float | None) -> datetime | None:
    """Without a time zone, as Optuna has it."""
    return None if at is None else datetime.fromtimestamp(at)


def _distribution(parameter: Parameter, values: Sequence[Any]) -> BaseDistribution | None:
    """Wide enough for the values of all runs; None if it has no bounds and no run has a value."""
    if parameter.choices and parameter.distribution != "int_uniform":
        choices = map(_scalar, parameter.choices)
        return CategoricalDistribution(list(dict.fromkeys([*choices, *values])))
    numbers = [value for value in values if _is_number(value)]
    is_log = "log" in parameter.distribution and all(value > 0 for value in numbers)
    numbers += [end for end in _ends(parameter) if math.isfinite(end) and (end > 0 or not is_log)]
    if not numbers:
        return None
    low, high = min(numbers), max(numbers)
    step = parameter.arguments["q"] if parameter.is_quantized and not is_log else None
    if all(isinstance(value, int) for value in numbers):
        return IntDistribution(low, high, log=is_log, step=int(step or 1))
    return FloatDistribution(low, high, log=is_log, step=step)


def _ends(parameter: Parameter) -> Sequence[Any]:
    """The lowest and the highest value, which may be infinite."""
    if parameter.choices:
        return parameter.choices[0], parameter.choices[-1]
    ends = parameter.quantile(0.0), parameter.quantile(1.0)
    if parameter.is_quantized and all(map(math.isfinite, ends)):
        return parameter.value(0.0), parameter.value(1.0)
    # Through a logarithm and back, 0.0005 is 0.0005000000000000001.
    return [float(f"{end:.12g}") for end in ends]


def _scalar(value: Any) -> Any:
    """A value of a type that Optuna supports."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
