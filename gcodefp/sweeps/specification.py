"""A sweep as W&B's schema writes it, read and checked."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gcodefp.errors import UserError, did_you_mean
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, Objective
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.hyperband import Hyperband, read_hyperband
from gcodefp.sweeps.parameters import read_parameters
from gcodefp.sweeps.rules import NO_RULES, Rules
from gcodefp.sweeps.values import key_path

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
METRIC_KEYS = ("name", "goal", "target", "impute", "impute_while_running")
IMPUTE = ("worst", "best", "latest")


@dataclass(frozen=True)
class Specification:
    """A sweep that the local engine can run.

    Attributes:
        method: grid, random or bayes.
        parameters: path -> distribution, sorted by path; `model/d_model` is a nested one.
        run_cap: the sweep's total of runs; None only for a grid, which has an end.
        target: no run starts once one has reached this value of the metric.
        impute: what a failed run counts as in Bayesian search: the worst value of all runs, or its
            own best or latest one.
        impute_while_running: the same for runs that go on; None leaves their value open.
        document: the YAML as written.
        rules: what the configuration adds to it.
    """

    method: str
    objective: Objective
    parameters: Mapping[str, Parameter]
    early_terminate: Hyperband | None
    run_cap: int | None
    document: Mapping[str, Any]
    target: float | None = None
    impute: str = "worst"
    impute_while_running: str | None = None
    rules: Rules = field(default=NO_RULES)

    @property
    def looks_at_results(self) -> bool:
        """Whether what other runs have shown decides about a run."""
        ends_by_results = self.early_terminate is not None or self.target is not None
        return self.method == "bayes" or ends_by_results

    def deciding(self) -> dict[str, Any]:
        """What decides a run's hyperparameters and end; not how many runs are wanted."""
        decides: dict[str, Any] = {
            "method": self.method,
            "metric": [self.objective.metric, self.objective.goal],
            "parameters": {name: p.describe() for name, p in self.parameters.items()},
            "early_terminate": vars(self.early_terminate) if self.early_terminate else None,
        }
        if self.method == "bayes":
            decides["impute"] = [self.impute, self.impute_while_running]
        return decides | self.rules.describe()


def load_document(path: Path) -> Any:
    """The content of a YAML file.

    Raises:
        UserError: there is no such file, or it is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; set sweep.file to a sweep YAML") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not YAML ({error})") from None


def load_specification(path: Path) -> Specification:
    """Reads a sweep YAML.

    Raises:
        UserError: with the file, the key, the value and the way out.
    """
    return read_specification(load_document(path), str(path))


def read_specification(document: Any, where: str) -> Specification:
    """Checks a sweep as a mapping; `where` names its origin in messages."""
    if not isinstance(document, Mapping):
        raise UserError(f"{where}: a sweep is a mapping with the keys method, metric, parameters")
    for key in document:
        if key in ("max_runs", "count"):
            way_out = "remove it" if "run_cap" in document else f"write run_cap: {document[key]}"
            raise UserError(f"{where}: {key} is no key of W&B's schema; {way_out}")
        if key not in KEYS:
            raise UserError(f"{where}: unknown key {key!r}; {did_you_mean(str(key), KEYS)}")
    method = document.get("method")
    if method not in METHODS:
        raise UserError(f"{where}: method: {method!r}; {did_you_mean(str(method), METHODS)}")
    parameters = read_parameters(document.get("parameters"), where)
    cap = document.get("run_cap")
    if cap is not None and (isinstance(cap, bool) or not isinstance(cap, int) or cap < 1):
        raise UserError(f"{where}: run_cap: {cap!r} must be a whole number of at least 1")
    if method == "grid":
        _check_grid(parameters, where)
    return Specification(
        method=method,
        parameters=parameters,
        early_terminate=read_hyperband(
            document.get("early_terminate"), f"{where}: early_terminate"
        ),
        run_cap=cap,
        document=document,
        **_read_metric(document, f"{where}: metric"),
    )


def _read_metric(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields that come from `metric`; grid and random search may leave it out, as in W&B."""
    config = document.get("metric")
    if config is None and document["method"] != "bayes" and "early_terminate" not in document:
        return {"objective": DEFAULT_OBJECTIVE}
    if not isinstance(config, Mapping) or "name" not in config:
        raise UserError(
            f"{where}: {config!r} needs a name, such as {DEFAULT_OBJECTIVE.metric}, and a goal"
        )
    for key in config:
        if key not in METRIC_KEYS:
            raise UserError(f"{where}.{key}: unknown; {did_you_mean(str(key), METRIC_KEYS)}")
    goal = config.get("goal", "minimize")
    if goal not in ("maximize", "minimize"):
        raise UserError(f"{where}.goal: {goal!r} must be maximize or minimize")
    target = config.get("target")
    is_number = isinstance(target, int | float) and not isinstance(target, bool)
    if target is not None and not (is_number and math.isfinite(target)):
        raise UserError(f"{where}.target: {target!r} is no number")
    # YAML reads a bare `false` as no text.
    running = str(config.get("impute_while_running", False)).lower()
    return {
        "objective": Objective(str(config["name"]), goal),
        "target": target,
        "impute": _imputed(config.get("impute", "worst"), f"{where}.impute"),
        "impute_while_running": (
            None if running == "false" else _imputed(running, f"{where}.impute_while_running")
        ),
    }


def _imputed(value: Any, where: str) -> str:
    if value not in IMPUTE:
        raise UserError(f"{where}: {value!r}; {did_you_mean(str(value), IMPUTE)}")
    return str(value)


def _check_grid(parameters: Mapping[str, Parameter], where: str) -> None:
    for path, parameter in parameters.items():
        if not parameter.grid() or parameter.probabilities:
            raise UserError(
                f"{where}: {key_path(path)}: a grid cannot hold all of {parameter.distribution}; "
                "list its values, or use method random or bayes"
            )
