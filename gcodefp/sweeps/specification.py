"""A sweep as W&B's schema writes it, read and checked, with W&B's hyperband."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from gcodefp.errors import UserError, shown
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, Objective
from gcodefp.schema import Section, validated
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.parameters import (
    Number,
    ParameterMapping,
    Plain,
    PositiveNumber,
    check_number_text,
    flat_parameters,
    key_path,
)
from gcodefp.sweeps.search_options import NO_OPTIONS, SearchOptions
from gcodefp.sweeps.user_script.command import UserScript, read_script
from gcodefp.yaml_input import load_yaml, read_text

Imputed = Literal["worst", "best", "latest"]
MAX_RUNS = 1_000_000
"""Each run has a folder of its own."""
CAP_NAMES = ("max_runs", "count")
"""What users of other tools write for run_cap."""
MAX_BRACKET = 10_000_000
MAX_BRACKETS = 100_000
"""Of the brackets' computation; only an eta that is next to 1 has more."""

UnitPoint = Mapping[str, float]
"""A point in the unit cube of the parameters that vary."""


class Observation(NamedTuple):
    """Another run: its hyperparameters, and its loss (lower is better); None while it is open.

    A failed run without a value has an infinite one.
    """

    hyperparameters: Mapping[str, Any]
    unit_point: UnitPoint
    loss: float | None


@dataclass(frozen=True)
class Hyperband:
    """W&B's `early_terminate: hyperband`, by the rules of its search engine.

    Successive halving: a run is compared, at the newest bracket that it has reached, with all runs
    that have reached it. W&B calls such a number of values a bracket, which is a rung of ASHA; the
    brackets of the paper (Li et al. 2018) are something else, which W&B does not have.

    Attributes:
        brackets: ascending; a run is at bracket b once the metric has b values.
        eta: a run must be among the best 1/eta at each bracket.
        strict: compare the run's value at the bracket; otherwise its best value so far.
    """

    brackets: tuple[int, ...]
    eta: float
    strict: bool

    def should_prune(
        self, history: Sequence[float], others: Sequence[Sequence[float]], goal: str
    ) -> bool:
        """Whether a run with these values so far is pruned.

        Args:
            history: finite values of the metric of this run, in order.
            others: those of all other runs of the sweep.
            goal: maximize or minimize.
        """
        reached = [bracket for bracket in self.brackets if bracket <= len(history)]
        if not reached:
            return False
        bracket = reached[-1]
        sign = -1.0 if goal == "maximize" else 1.0
        losses = sorted(
            sign * values[bracket - 1] for values in (history, *others) if bracket <= len(values)
        )
        # In the order of W&B's engine, so that both round alike: 1/49 of 49 runs is 0.99….
        threshold = losses[int(1.0 / self.eta * len(losses))]
        if self.strict:
            return sign * history[bracket - 1] > threshold
        return min(sign * value for value in history) > threshold

    def describe(self) -> dict[str, Any]:
        """For the sweep's id, in which brackets are `bands`."""
        return {"bands": self.brackets, "eta": self.eta, "strict": self.strict}


class EarlyTerminate(Section):
    """`early_terminate` of a sweep YAML."""

    type: Literal["hyperband"]
    min_iter: PositiveNumber | None = None
    max_iter: PositiveNumber | None = None
    s: PositiveNumber | None = None
    eta: PositiveNumber = 3
    strict: bool = True

    def rule(self) -> Hyperband:
        """The rule with its brackets. Raises ValueError: there are no brackets, or too many."""
        brackets = list(islice(self._bracket_epochs(), MAX_BRACKETS + 1))
        if not brackets:
            raise ValueError("no bracket at or above 1; make max_iter larger or eta smaller")
        if len(brackets) > MAX_BRACKETS:
            raise ValueError(
                f"eta: {self.eta!r} makes more than {MAX_BRACKETS} brackets; try eta: 2"
            )
        return Hyperband(tuple(sorted(set(brackets))), self.eta, self.strict)

    def _bracket_epochs(self) -> Iterator[int]:
        """Multiplied and divided step by step, as W&B does, so that both round alike."""
        if self.max_iter is not None and self.s is not None:
            bracket = self.max_iter / self.eta
            for _ in range(math.ceil(self.s)):
                if bracket < 1:
                    break
                yield int(bracket)
                bracket /= self.eta
        elif self.min_iter is not None:
            bracket = self.min_iter
            while bracket <= MAX_BRACKET:
                yield int(bracket)
                bracket *= self.eta

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.eta <= 1:
            raise ValueError(f"eta: {self.eta!r} must be above 1")
        if self.max_iter is not None and self.s is None:
            raise ValueError("max_iter needs s, the number of brackets below it; add s: 2")
        if self.max_iter is None and self.min_iter is None:
            raise ValueError(
                "needs the first epoch that decides, such as min_iter: 5, or max_iter and s"
            )
        if self.min_iter is not None and self.min_iter < 1:
            raise ValueError(f"min_iter: {self.min_iter!r} must be at least 1")
        self.rule()
        return self


def read_hyperband(config: Any, where: str) -> Hyperband | None:
    """Reads and checks `early_terminate`; None if there is none."""
    return None if config is None else validated(EarlyTerminate, config, where).rule()


def _run_cap(value: Any) -> Any:
    check_number_text(value)
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
    goal: Literal["maximize", "minimize"] = "minimize"
    target: Number | None = None
    impute: Imputed = "worst"
    impute_while_running: Annotated[Imputed | None, BeforeValidator(_while_running)] = None


class SweepYaml(Section):
    """The keys of a sweep YAML."""

    method: Literal["grid", "random", "bayes"]
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
        """Only Bayesian search and hyperband look at it before the end."""
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
        script: what trains the runs; None for this project's trainer.
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
    script: UserScript | None = None

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
            "early_terminate": self.early_terminate and self.early_terminate.describe(),
        }
        if self.method == "bayes":
            content["impute"] = [self.impute, self.impute_while_running]
        if self.script:
            content["program"] = self.script.describe()
        return content | self.options.describe()


def varying(specification: Specification) -> list[str]:
    """The paths of the parameters that have more than one value."""
    return [path for path, p in specification.parameters.items() if len(p.choices) != 1]


def load_specification(path: Path) -> Specification:
    """Reads a sweep YAML. Raises UserError: with the file, the key, the value and the fix."""
    document = load_yaml(read_text(path), str(path), warn=True)
    return with_script(read_specification(document, str(path)), str(path))


def with_script(specification: Specification, where: str) -> Specification:
    """The sweep with the user script that its YAML names.

    Raises UserError: there is no such script, or the sweep has no metric.
    """
    script = read_script(specification.document, where)
    if script and specification.document.get("metric") is None:
        raise UserError(
            f"{where}: metric: is missing; add the name of one that {script.name} logs and its "
            "goal, such as {name: val/accuracy, goal: maximize}: it decides which run is best"
        )
    return replace(specification, script=script)


def read_specification(document: Any, where: str) -> Specification:
    """Checks a sweep as a mapping, without its script; `where` names its origin in messages."""
    if not isinstance(document, Mapping):
        raise UserError(f"{where}: a sweep is a mapping with the keys method, metric, parameters")
    sweep = validated(SweepYaml, document, where)
    metric, parameters = sweep.metric, flat_parameters(sweep.parameters)
    for path, parameter in parameters.items() if sweep.method == "grid" else ():
        if not parameter.grid() or parameter.probabilities:
            raise UserError(
                f"{where}: {key_path(path)}: a grid cannot hold all of {parameter.distribution}; "
                "list its values, or use method random or bayes"
            )
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
