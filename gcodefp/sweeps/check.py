"""How a sweep is understood: its settings as plain text, notes on them, and all that is wrong."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from gcodefp.errors import MAX_SHOWN_LENGTH, UserError
from gcodefp.model.hyperparameters import Hyperparameters, Objective, usual_goal
from gcodefp.schema import validated
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.expressions import read_combined
from gcodefp.sweeps.parameters import read_parameter
from gcodefp.sweeps.program import PROGRAM_KEYS, is_external
from gcodefp.sweeps.sampling import total_runs
from gcodefp.sweeps.space import combinations, configurations, never_true, varying
from gcodefp.sweeps.specification import MetricConfig, Specification, read_specification
from gcodefp.sweeps.trainable import metric_problems, parameter_problems, trainer_problems
from gcodefp.sweeps.values import SEPARATOR, dotted, leaf

UNUSED = (*PROGRAM_KEYS, "project", "entity")
EXPONENTS = ("log_uniform", "q_log_uniform", "inv_log_uniform")
Path = tuple[str | int, ...]
"""Keys and list indices from the root of a document."""


def most_epochs(specification: Specification) -> int:
    """The most epochs of a run."""
    for path, parameter in specification.parameters.items():
        if leaf(path) == "max_epochs":
            is_range = isinstance(parameter.choices, range)
            values = () if is_range else parameter.choices
            return int(max(float(value or 0) for value in (*values, parameter.value(1.0))))
    return Hyperparameters().max_epochs


def reached_bands(specification: Specification) -> list[int]:
    """The bands that a run can reach."""
    rule = specification.early_terminate
    return [band for band in rule.bands if band <= most_epochs(specification)] if rule else []


def is_inferred(specification: Specification, path: str) -> bool:
    """Whether the YAML names no distribution for a parameter."""
    entry: Any = specification.document
    for name in path.split(SEPARATOR):
        entry = entry["parameters"][name]
    return "distribution" not in entry


def notes_on(specification: Specification, possible: int | None) -> Iterator[str]:
    """Notes, one a line, on the search and on each parameter.

    Args:
        possible: how many configurations are possible; None where they are not counted.
    """
    document, objective = specification.document, specification.objective
    metric = document.get("metric")
    if metric is None:
        yield f"no metric in the file: {objective.metric} decides, {objective.goal}"
    elif "goal" not in metric:
        yield "the metric has no goal: it is minimized, as in W&B"
    if (doubt := goal_warning(objective)) is not None:
        yield doubt
    if specification.run_cap is None and specification.method != "grid":
        method = specification.method
        yield f"no run_cap: set sweep.run_cap in the configuration; method {method} has no end"
    if program := specification.program:
        yield f"{program.name} trains: names and values of its hyperparameters are not checked"
    if specification.early_terminate and not (program or reached_bands(specification)):
        yield "no run gets as far as a band: early termination ends none"
    if possible is not None and possible < (specification.run_cap or 0):
        yield f"the search ends after {possible} runs: there are no more configurations"
    for path, parameter in specification.parameters.items():
        yield from (f"{dotted(path)}: {note}" for note in _parameter_notes(parameter))
    for path in (p for p in specification.parameters if is_inferred(specification, p)):
        if specification.parameters[path].distribution == "normal":
            yield f"{dotted(path)}: W&B itself wants `distribution: normal` to be written"
    for condition in never_true(specification):
        yield f"{condition.where}: {condition.text!r} is never true: no run has the parameter"
    if unused := [
        key for key in UNUSED if key in document and not (program and key in PROGRAM_KEYS)
    ]:
        yield f"not used here, only by `wandb sweep`: {', '.join(unused)}"


def goal_warning(objective: Objective) -> str | None:
    """A note where the goal is the wrong way round for a metric's name."""
    usual = usual_goal(objective.metric)
    if usual in (None, objective.goal):
        return None
    better, wins = ("larger", "lowest") if usual == "maximize" else ("smaller", "highest")
    return (
        f"{objective.metric} is better when {better}, but the run with the {wins} one wins; "
        f"is goal: {usual} meant? check_sweep --fix writes it"
    )


LINEAR = {"uniform": "log_uniform_values", "q_uniform": "q_log_uniform_values",
          "int_uniform": "q_log_uniform_values, q: 1"}  # fmt: skip
"""Distributions of a linear range, and what draws from the same range by its logarithm."""
DECADES = 2
"""How many a range spans that is seldom meant to be linear."""


def _parameter_notes(parameter: Parameter) -> Iterator[str]:
    if parameter.distribution in LINEAR:
        low, high = _bounds(parameter)
        if 0 < low * 10**DECADES <= high:
            yield (
                f"{0.9 * high / (high - low):.0%} of the draws from {low:g} to {high:g} are above "
                f"{high / 10:g}; is distribution: {LINEAR[parameter.distribution]} meant?"
            )
    if (outside := _outside(parameter)) is not None:
        yield f"rounded to a multiple of q it may be {outside}, as in W&B"
    if parameter.distribution in EXPONENTS:
        low, high = _bounds(parameter)
        yield (
            f"its bounds are exponents; W&B's newest schema wants {parameter.distribution}_values, "
            f"here with min: {low:.6g} and max: {high:.6g}"
        )


def _bounds(parameter: Parameter) -> tuple[float, float]:
    """The least and the largest value, before it is rounded."""
    low, high = parameter.arguments["min"], parameter.arguments["max"]
    if parameter.distribution == "inv_log_uniform":
        return math.exp(-high), math.exp(-low)
    return (math.exp(low), math.exp(high)) if parameter.distribution in EXPONENTS else (low, high)


def _outside(parameter: Parameter) -> str | None:
    """A value beyond its bounds, which W&B's rounding makes possible."""
    if not parameter.is_quantized or "min" not in parameter.arguments:
        return None
    low, high = _bounds(parameter)
    least, most = (float(parameter.value(u) or 0) for u in (0.0, 1.0))
    if least < low:
        return f"{least:g}"
    return f"{most:g}" if most > high else None


SAMPLES = 5
MAX_LISTED = 8


def describe_specification(specification: Specification, more_notes: Sequence[str] = ()) -> str:
    """All that decides a sweep's runs, aligned, and notes on what may surprise."""
    listed = configurations(specification)
    possible = None if listed is None else len(listed)
    parts = [_aligned(_settings(specification, possible)), _aligned(_parameters(specification))]
    if notes := [*notes_on(specification, possible), *more_notes]:
        parts.append("\n".join(["notes", *(f"- {note}" for note in notes)]))
    return "\n\n".join(parts)


def _aligned(rows: Iterable[Sequence[str]]) -> str:
    listed = list(rows)
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in listed)


def _settings(specification: Specification, possible: int | None) -> Iterator[tuple[str, str]]:
    objective, options, target = (
        specification.objective,
        specification.options,
        specification.target,
    )
    size, running = combinations(specification), specification.impute_while_running or "nothing"
    counted = "" if possible is None else f", {possible} of them possible"
    yield "method", specification.method
    if specification.program:
        yield "program", specification.program.name
        yield "command", " ".join(specification.program.command)
    yield "metric", f"{objective.metric}, {objective.goal}"
    yield ("target", "none" if target is None else f"{target:g}: no run starts once one reached it")
    yield "impute", f"{specification.impute} for failed runs; while running: {running}"
    yield "early termination", _bands(specification)
    yield "run_cap", str(specification.run_cap or "none")
    yield "space", "infinite" if size is None else f"{size} configurations{counted}"
    if specification.method == "grid":
        yield "runs of the grid", str(total_runs(specification))
    for constraint in options.constraints:
        yield "constraint", constraint.text
    for path, condition in options.conditions.items():
        yield "condition", f"{dotted(path)}: {condition.text}"
    for point in options.first:
        yield "first", ", ".join(f"{dotted(path)} {value}" for path, value in point.items())
    if options.width is not None:
        yield "width", str(options.width)


def _bands(specification: Specification) -> str:
    rule = specification.early_terminate
    if rule is None:
        return "none"
    if specification.program:
        after = f"after {', '.join(map(str, rule.bands[:SAMPLES]))}, … values of the metric"
    else:
        bands = ", ".join(map(str, reached_bands(specification)))
        epochs = f"after epochs {bands}" if bands else "after no epoch"
        after = f"{epochs} (of {most_epochs(specification)})"
    compared = "value there" if rule.strict else "best value so far"
    return f"hyperband {after}; a run continues if its {compared} is among the best 1/{rule.eta:g}"


def _parameters(specification: Specification) -> Iterator[tuple[str, ...]]:
    random, vary = np.random.default_rng(0), varying(specification)
    yield "parameter", "distribution", "arguments", "varies", f"{SAMPLES} samples"
    for path, parameter in specification.parameters.items():
        yield (
            dotted(path),
            parameter.distribution + (" (inferred)" if is_inferred(specification, path) else ""),
            _arguments(parameter),
            "yes" if path in vary else "no",
            ", ".join(_short(parameter.value(float(u))) for u in random.random(SAMPLES)),
        )


def _arguments(parameter: Parameter) -> str:
    if parameter.arguments:
        return ", ".join(f"{name} {_short(value)}" for name, value in parameter.arguments.items())
    shown = ", ".join(map(_short, parameter.choices[:MAX_LISTED]))
    if len(parameter.choices) > MAX_LISTED:
        shown += f", ... ({len(parameter.choices)} values)"
    if parameter.probabilities:
        shown += " with probabilities " + ", ".join(map(_short, parameter.probabilities))
    return shown


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:MAX_SHOWN_LENGTH]


# All that is wrong with a sweep.


def problems(document: Any, where: str, combined: Mapping[str, str] | None = None) -> list[str]:
    """Every message of the schema and of the trainer; none if the sweep runs here.

    Args:
        combined: metrics that the configuration combines, as `sweep.combined` has them.
    """
    # Another program combines its metrics itself; `with_options` refuses the key.
    metrics = read_combined({} if is_external(document) else combined or {})
    try:
        specification = read_specification(document, where)
        if is_external(document):
            return []
        options = replace(specification.options, combined=metrics)
        return list(trainer_problems(replace(specification, options=options), where))
    except UserError as error:
        messages = str(error).split("\n")
    if not isinstance(document, Mapping) or is_external(document):
        return messages
    # The trainer's messages are about what can be read; what cannot be has one already.
    with suppress(UserError):
        metric = validated(MetricConfig, document.get("metric"), where)
        messages += metric_problems(Objective(metric.name, metric.goal), where, metrics.texts)
    parameters = {}
    for path, entry in entries(document.get("parameters")):
        with suppress(UserError):
            name = SEPARATOR.join(str(key) for key in path[1:] if key != "parameters")
            parameters[name] = read_parameter(entry, where)
    return [*messages, *parameter_problems(parameters, where)]


def entries(block: Any, path: Path = ("parameters",)) -> Iterator[tuple[Path, Any]]:
    """Every parameter of a document with its keys, those of groups in place of the group."""
    if not isinstance(block, Mapping):
        return
    for name, entry in block.items():
        if isinstance(entry, Mapping) and set(entry) == {"parameters"}:
            yield from entries(entry["parameters"], (*path, name, "parameters"))
        else:
            yield (*path, name), entry
