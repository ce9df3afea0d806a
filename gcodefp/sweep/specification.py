"""A sweep as W&B's schema writes it, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gcodefp.errors import UserError, did_you_mean
from gcodefp.learning.hyperparameters import KNOWN, hyperparameters_from
from gcodefp.learning.objective import METRICS, Objective
from gcodefp.sweep.distributions import Parameter
from gcodefp.sweep.hyperband import Hyperband, read_hyperband
from gcodefp.sweep.parameters import read_parameter

METHODS = ("grid", "random", "bayes")
KEYS = (
    "method",
    "metric",
    "parameters",
    "early_terminate",
    "run_cap",
    "program",
    "command",
    "name",
    "description",
    "project",
    "entity",
)
METRIC_KEYS = ("name", "goal", "target", "impute")


@dataclass(frozen=True)
class Specification:
    """A sweep that the local engine can run.

    Attributes:
        method: grid, random or bayes.
        parameters: name -> distribution, sorted by name.
        run_cap: the sweep's total of runs; None only for a grid, which has an end.
        document: the YAML as written.
    """

    method: str
    objective: Objective
    parameters: Mapping[str, Parameter]
    early_terminate: Hyperband | None
    run_cap: int | None
    document: Mapping[str, Any]

    def deciding(self) -> dict[str, Any]:
        """What decides a run's hyperparameters and end; not how many runs are wanted."""
        return {
            "method": self.method,
            "metric": [self.objective.metric, self.objective.goal],
            "parameters": {name: p.describe() for name, p in self.parameters.items()},
            "early_terminate": vars(self.early_terminate) if self.early_terminate else None,
        }


def load_specification(path: Path) -> Specification:
    """Reads a sweep YAML.

    Raises:
        UserError: with the file, the key, the value and the way out.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; set sweep.file to a sweep YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({error})") from None
    return read_specification(document, str(path))


def read_specification(document: Any, where: str) -> Specification:
    """Checks a sweep as a mapping; `where` names its origin in messages."""
    if not isinstance(document, Mapping):
        raise UserError(f"{where}: a sweep is a mapping with the keys method, metric, parameters")
    for key in document:
        if key in ("max_runs", "count"):
            raise UserError(
                f"{where}: {key} is no key of W&B's schema; write run_cap: {document[key]}"
            )
        if key not in KEYS:
            raise UserError(f"{where}: unknown key {key!r}; {did_you_mean(str(key), KEYS)}")
    method = document.get("method")
    if method not in METHODS:
        raise UserError(f"{where}: method: {method!r}; {did_you_mean(str(method), METHODS)}")
    parameters = _read_parameters(document.get("parameters"), where)
    cap = document.get("run_cap")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise UserError(f"{where}: run_cap: {cap!r} must be a whole number of at least 1")
    if method == "grid":
        _check_grid(parameters, where)
    return Specification(
        method=method,
        objective=_read_objective(document.get("metric"), where),
        parameters=parameters,
        early_terminate=read_hyperband(
            document.get("early_terminate"), f"{where}: early_terminate"
        ),
        run_cap=cap,
        document=document,
    )


def _read_parameters(config: Any, where: str) -> dict[str, Parameter]:
    if not isinstance(config, Mapping) or not config:
        raise UserError(
            f"{where}: parameters: {config!r} must map hyperparameters to distributions"
        )
    parameters = {}
    for name in sorted(config, key=str):
        path = f"{where}: parameters.{name}"
        if name not in KNOWN:
            raise UserError(f"{path}: no such hyperparameter; {did_you_mean(str(name), KNOWN)}")
        parameters[name] = read_parameter(config[name], path)
        _check_values(name, parameters[name], where)
    return parameters


def _check_values(name: str, parameter: Parameter, where: str) -> None:
    """Every value that could be drawn must be one that the trainer takes."""
    if parameter.distribution == "int_uniform":
        values: list[Any] = [parameter.choices[0], parameter.choices[-1]]
    else:
        values = list(parameter.choices) or [parameter.value(0.0), parameter.value(1.0)]
    for value in values:
        asked = {"d_model": 2, "nhead": 1} | {name: value} | _partner(name, value)
        try:
            hyperparameters_from(asked, f"{where}: parameters")
        except UserError as error:
            reached = "" if parameter.choices else f" (the distribution reaches {value:g})"
            raise UserError(f"{error}{reached}") from None


def _partner(name: str, value: Any) -> dict[str, Any]:
    """The other of d_model and nhead, so that only the value itself is checked here."""
    return {"d_model": value * 2} if name == "nhead" and isinstance(value, int) else {}


def _read_objective(config: Any, where: str) -> Objective:
    if not isinstance(config, Mapping) or "name" not in config:
        raise UserError(
            f"{where}: metric: {config!r} needs a name, such as val/gcode_acc, and a goal"
        )
    for key in config:
        if key not in METRIC_KEYS:
            raise UserError(
                f"{where}: metric.{key}: unknown; {did_you_mean(str(key), METRIC_KEYS)}"
            )
    if config["name"] not in METRICS:
        raise UserError(
            f"{where}: metric.name: {config['name']!r} is not logged by the trainer; "
            f"{did_you_mean(str(config['name']), METRICS)}"
        )
    goal = config.get("goal", "minimize")
    if goal not in ("maximize", "minimize"):
        raise UserError(f"{where}: metric.goal: {goal!r} must be maximize or minimize")
    return Objective(config["name"], goal)


def _check_grid(parameters: Mapping[str, Parameter], where: str) -> None:
    for name, parameter in parameters.items():
        if not parameter.grid():
            raise UserError(
                f"{where}: parameters.{name}: a grid cannot hold all of {parameter.distribution}; "
                "list its values, or use method random or bayes"
            )
