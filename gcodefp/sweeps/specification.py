"""A sweep as W&B's schema writes it, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from gcodefp.errors import UserError, shown
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, Objective
from gcodefp.schema import Section, validated
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.hyperband import EarlyTerminate, Hyperband
from gcodefp.sweeps.parameters import ParameterMapping, flat_parameters
from gcodefp.sweeps.program import Program, read_program
from gcodefp.sweeps.search_options import NO_OPTIONS, SearchOptions
from gcodefp.sweeps.values import Number, Plain, key_path
from gcodefp.yaml_input import load_yaml, read_text

Method = Literal["grid", "random", "bayes"]
METHODS = get_args(Method)
Goal = Literal["maximize", "minimize"]
Imputed = Literal["worst", "best", "latest"]
MAX_RUNS = 1_000_000
"""Each run has a folder of its own."""
CAP_NAMES = ("max_runs", "count")
"""What users of other tools write for run_cap."""


def _run_cap(value: Any) -> Any:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if value is not None and not (is_whole and 1 <= value <= MAX_RUNS):
        raise ValueError(f"{shown(value)} must be a whole number from 1 to {MAX_RUNS}")
    return value


def _while_running(value: Any) -> Any:
    """YAML reads a bare `false` as no string."""
    return None if str(value).lower() == "false" else value


class MetricConfig(Section):
    """The metric of a sweep; without a goal it is minimized."""

    name: str
    goal: Goal = "minimize"
    target: Number | None = None
    impute: Imputed = "worst"
    impute_while_running: Annotated[Imputed | None, BeforeValidator(_while_running)] = None


class Sweep(Section):
    """The keys of a sweep YAML."""

    method: Method
    early_terminate: EarlyTerminate | None = None
    metric: MetricConfig | None = Field(None, validate_default=True)
    parameters: ParameterMapping
    run_cap: Annotated[int | None, BeforeValidator(_run_cap)] = None
    program: Plain = None
    command: Plain = None
    name: Plain = None
    description: Plain = None
    project: Plain = None
    entity: Plain = None

    @field_validator("metric")
    @classmethod
    def _is_needed(cls, metric: MetricConfig | None, info: ValidationInfo) -> MetricConfig | None:
        """Only Bayesian search and early termination look at it before the end."""
        is_used = info.data.get("method") == "bayes" or info.data.get("early_terminate")
        if metric is None and is_used:
            raise ValueError(f"None needs a name, such as {DEFAULT_OBJECTIVE.metric}, and a goal")
        return metric

    @classmethod
    def suggest_fix(cls, key: str, value: Any) -> str:
        if key in CAP_NAMES:
            return f"no key of W&B's schema; write run_cap: {shown(value)} in place of it"
        return super().suggest_fix(key, value)


@dataclass(frozen=True)
class Specification:
    """A sweep that the local engine can run.

    Attributes:
        method: grid, random or bayes.
        parameters: path -> distribution, sorted by path; `model/d_model` is in a group.
        run_cap: the sweep's total of runs; None only for a grid, which has an end.
        target: no run starts once one has reached this value of the metric.
        impute: the value of a failed run in Bayesian search: the worst of all runs, or its own best
            or latest one.
        impute_while_running: the same for unfinished runs; None leaves them without a value.
        document: the YAML as written.
        options: constraints and others, from the configuration.
        program: what trains the runs; None for this project's trainer.
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
    options: SearchOptions = field(default=NO_OPTIONS)
    program: Program | None = None

    @property
    def depends_on_results(self) -> bool:
        """Whether the results of other runs decide about a run."""
        ends_by_results = self.early_terminate is not None or self.target is not None
        return self.method == "bayes" or ends_by_results

    def identity_content(self) -> dict[str, Any]:
        """What decides the hyperparameters and the end of a run; not the number of runs."""
        content: dict[str, Any] = {
            "method": self.method,
            "metric": [self.objective.metric, self.objective.goal],
            "parameters": {name: p.describe() for name, p in self.parameters.items()},
            "early_terminate": vars(self.early_terminate) if self.early_terminate else None,
        }
        if self.method == "bayes":
            content["impute"] = [self.impute, self.impute_while_running]
        if self.program:
            content["program"] = self.program.describe()
        return content | self.options.describe()


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a sweep YAML, for editors."""
    return Sweep.model_json_schema() | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "W&B sweep that gcodefp runs",
    }


def load_specification(path: Path) -> Specification:
    """Reads a sweep YAML. Raises UserError: with the file, the key, the value and the fix."""
    document = load_yaml(read_text(path), str(path), warn=True)
    return with_program(read_specification(document, str(path)), str(path))


def with_program(specification: Specification, where: str) -> Specification:
    """The sweep with the program that its YAML names.

    Raises UserError: there is no such script, or the sweep has no metric.
    """
    program = read_program(specification.document, where)
    if program and specification.document.get("metric") is None:
        raise UserError(
            f"{where}: metric: is missing; add the name of one that {program.name} logs and its "
            "goal, such as {name: val/accuracy, goal: maximize}: it decides which run is best"
        )
    return replace(specification, program=program)


def read_specification(document: Any, where: str) -> Specification:
    """Checks a sweep as a mapping, without its program; `where` names its origin in messages."""
    if not isinstance(document, Mapping):
        raise UserError(f"{where}: a sweep is a mapping with the keys method, metric, parameters")
    sweep = validated(Sweep, document, where)
    metric, parameters = sweep.metric, flat_parameters(sweep.parameters)
    if sweep.method == "grid":
        _check_grid(parameters, where)
    values: dict[str, Any] = metric.model_dump(exclude={"name", "goal"}) if metric else {}
    return Specification(
        method=sweep.method,
        objective=Objective(metric.name, metric.goal) if metric else DEFAULT_OBJECTIVE,
        parameters=parameters,
        early_terminate=sweep.early_terminate.rule() if sweep.early_terminate else None,
        run_cap=sweep.run_cap,
        document=document,
        **values,
    )


def _check_grid(parameters: Mapping[str, Parameter], where: str) -> None:
    for path, parameter in parameters.items():
        if not parameter.grid() or parameter.probabilities:
            raise UserError(
                f"{where}: {key_path(path)}: a grid cannot hold all of {parameter.distribution}; "
                "list its values, or use method random or bayes"
            )
