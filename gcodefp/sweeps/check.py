"""How a sweep is understood: its settings as plain text, notes on them, and all that is wrong."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from gcodefp.errors import MAX_SHOWN_LENGTH, UserError
from gcodefp.model.hyperparameters import Hyperparameters, Objective, usual_goal
from gcodefp.schema import validated
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.expressions import read_combined
from gcodefp.sweeps.parameters import SEPARATOR, dotted, leaf, read_parameter
from gcodefp.sweeps.sampling import combinations, configurations, never_true, total_runs
from gcodefp.sweeps.specification import MetricConfig, Specification, read_specification, varying
from gcodefp.sweeps.trainable import metric_problems, parameter_problems
from gcodefp.sweeps.user_script.command import SCRIPT_KEYS, has_script

UNUSED = (*SCRIPT_KEYS, "project", "entity")
EXPONENTS = ("log_uniform", "q_log_uniform", "inv_log_uniform")
LINEAR = {"uniform": "log_uniform_values", "q_uniform": "q_log_uniform_values",
          "int_uniform": "q_log_uniform_values, q: 1"}  # fmt: skip
"""Distributions of a linear range, and what draws from the same range by its logarithm."""
DECADES = 2
"""How many a range spans that is seldom meant to be linear."""
SAMPLES = 5
MAX_LISTED = 8
Keys = tuple[str | int, ...]
"""Keys and list indices from the root of a document."""


def describe_specification(specification: Specification) -> str:
    """All that decides a sweep's runs, aligned, and notes on what may surprise."""
    listed = configurations(specification)
    possible = None if listed is None else len(listed)
    parts = [_aligned(_settings(specification, possible)), _aligned(_parameters(specification))]
    if notes := [*_notes(specification, possible)]:
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
    if specification.script:
        yield "program", specification.script.name
        yield "command", " ".join(specification.script.command)
    yield "metric", f"{objective.metric}, {objective.goal}"
    yield ("target", "none" if target is None else f"{target:g}: no run starts once one reached it")
    yield "impute", f"{specification.impute} for failed runs; while running: {running}"
    yield "early_terminate", _early_termination(specification)
    yield "run_cap", str(specification.run_cap or "none")
    yield "space", "infinite" if size is None else f"{size} configurations{counted}"
    if specification.method == "grid":
        yield "runs of the grid", str(total_runs(specification))
    for constraint in options.constraints:
        yield "constraint", constraint.text
    for path, condition in options.conditions.items():
        yield "condition", f"{dotted(path)}: {condition.text}"
    for point in options.first_points:
        yield "first", ", ".join(f"{dotted(path)} {value}" for path, value in point.items())
    if options.width is not None:
        yield "width", str(options.width)


def _early_termination(specification: Specification) -> str:
    rule = specification.early_terminate
    if rule is None:
        return "none"
    if specification.script:
        after = f"after {', '.join(map(str, rule.brackets[:SAMPLES]))}, … values of the metric"
    else:
        brackets = ", ".join(map(str, _reached_brackets(specification)))
        epochs = f"after epochs {brackets}" if brackets else "after no epoch"
        after = f"{epochs} (of {_most_epochs(specification)})"
    compared = "value there" if rule.strict else "best value so far"
    return f"hyperband {after}; a run continues if its {compared} is among the best 1/{rule.eta:g}"


def _most_epochs(specification: Specification) -> int:
    for path, parameter in specification.parameters.items():
        if leaf(path) == "max_epochs":
            values = () if isinstance(parameter.choices, range) else parameter.choices
            return int(max(float(value or 0) for value in (*values, parameter.value(1.0))))
    return Hyperparameters().max_epochs


def _reached_brackets(specification: Specification) -> list[int]:
    rule = specification.early_terminate
    brackets = rule.brackets if rule else ()
    return [bracket for bracket in brackets if bracket <= _most_epochs(specification)]


def _parameters(specification: Specification) -> Iterator[tuple[str, ...]]:
    random, vary = np.random.default_rng(0), varying(specification)
    yield "parameter", "distribution", "arguments", "varies", f"{SAMPLES} samples"
    for path, parameter in specification.parameters.items():
        yield (
            dotted(path),
            parameter.distribution + (" (inferred)" if _is_inferred(specification, path) else ""),
            _arguments(parameter),
            "yes" if path in vary else "no",
            ", ".join(_short(parameter.value(float(u))) for u in random.random(SAMPLES)),
        )


def _is_inferred(specification: Specification, path: str) -> bool:
    entry: Any = specification.document
    for name in path.split(SEPARATOR):
        entry = entry["parameters"][name]
    return "distribution" not in entry


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


def _notes(specification: Specification, possible: int | None) -> Iterator[str]:
    """What may surprise, in the search and in each parameter."""
    document, objective = specification.document, specification.objective
    metric, script = document.get("metric"), specification.script
    if metric is None:
        yield f"no metric in the file: {objective.metric} decides, {objective.goal}"
    elif "goal" not in metric:
        yield "the metric has no goal: it is minimized, as in W&B"
    if (warning := goal_warning(objective)) is not None:
        yield warning
    if specification.run_cap is None and specification.method != "grid":
        method = specification.method
        yield f"no run_cap: set sweep.run_cap in the configuration; method {method} has no end"
    if script:
        yield f"{script.name} trains: names and values of its hyperparameters are not checked"
    if specification.early_terminate and not (script or _reached_brackets(specification)):
        yield "no run gets as far as a bracket: hyperband prunes none"
    if possible is not None and possible < (specification.run_cap or 0):
        yield f"the search ends after {possible} runs: there are no more configurations"
    for path, parameter in specification.parameters.items():
        yield from (f"{dotted(path)}: {note}" for note in _parameter_notes(parameter))
        if parameter.distribution == "normal" and _is_inferred(specification, path):
            yield f"{dotted(path)}: W&B itself wants `distribution: normal` to be written"
    for condition in never_true(specification):
        yield f"{condition.where}: {condition.text!r} is never true: no run has the parameter"
    if unused := [key for key in UNUSED if key in document and not (script and key in SCRIPT_KEYS)]:
        yield f"not used here, only by `wandb sweep`: {', '.join(unused)}"


def goal_warning(objective: Objective) -> str | None:
    """A note where the goal is the wrong way round for a metric's name."""
    direction = usual_goal(objective.metric)
    if direction in (None, objective.goal):
        return None
    better, wins = ("larger", "lowest") if direction == "maximize" else ("smaller", "highest")
    return (
        f"{objective.metric} is better when {better}, but the run with the {wins} one wins; "
        f"is goal: {direction} meant?"
    )


def _parameter_notes(parameter: Parameter) -> Iterator[str]:
    if "min" not in parameter.arguments:
        return
    distribution = parameter.distribution
    low, high = parameter.arguments["min"], parameter.arguments["max"]
    if distribution == "inv_log_uniform":
        low, high = math.exp(-high), math.exp(-low)
    elif distribution in EXPONENTS:
        low, high = math.exp(low), math.exp(high)
    if distribution in LINEAR and 0 < low * 10**DECADES <= high:
        yield (
            f"{0.9 * high / (high - low):.0%} of the draws from {low:g} to {high:g} are above "
            f"{high / 10:g}; is distribution: {LINEAR[distribution]} meant?"
        )
    least, most = (float(parameter.value(u) or 0) for u in (0.0, 1.0))
    if parameter.is_quantized and (least < low or most > high):
        outside = least if least < low else most
        yield f"rounded to a multiple of q it may be {outside:g}, as in W&B"
    if distribution in EXPONENTS:
        yield (
            f"its bounds are exponents; W&B's newest schema wants {distribution}_values, "
            f"here with min: {low:.6g} and max: {high:.6g}"
        )


def problems(document: Any, where: str, combined: Mapping[str, str] | None = None) -> list[str]:
    """Every message of the schema and of the trainer, which knows the `combined` metrics too."""
    # A user script combines its metrics itself; `with_options` refuses the key.
    metrics = read_combined({} if has_script(document) else combined or {})
    messages: list[str] = []
    try:
        read_specification(document, where)
    except UserError as error:
        messages = str(error).split("\n")
    if not isinstance(document, Mapping) or has_script(document):
        return messages
    # The trainer's messages are about what can be read; what cannot be has one already.
    with suppress(UserError):
        if document.get("metric") is not None:
            metric = validated(MetricConfig, document["metric"], where)
            messages += metric_problems(Objective(metric.name, metric.goal), where, metrics.texts)
    parameters = {}
    for path, entry in entries(document.get("parameters")):
        with suppress(UserError):
            name = SEPARATOR.join(str(key) for key in path[1:] if key != "parameters")
            parameters[name] = read_parameter(entry, where)
    return [*messages, *parameter_problems(parameters, where)]


def entries(block: Any, path: Keys = ("parameters",)) -> Iterator[tuple[Keys, Any]]:
    """Every parameter of a document with its keys, those of groups in place of the group."""
    if not isinstance(block, Mapping):
        return
    for name, entry in block.items():
        if isinstance(entry, Mapping) and set(entry) == {"parameters"}:
            yield from entries(entry["parameters"], (*path, name, "parameters"))
        else:
            yield (*path, name), entry
