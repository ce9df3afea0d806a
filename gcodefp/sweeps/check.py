"""How a sweep is understood, as plain text."""

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import yaml

from gcodefp.command_line import positive
from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, Hyperparameters
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.rules import read_rules
from gcodefp.sweeps.sampling import ConfigurationSequence
from gcodefp.sweeps.space import COUNTABLE, combinations, configurations, varying
from gcodefp.sweeps.specification import METHODS, Specification, read_specification
from gcodefp.sweeps.trainable import untrainable
from gcodefp.sweeps.values import SEPARATOR, leaf

UNUSED = ("program", "command", "project", "entity")
EXPONENTS = ("log_uniform", "q_log_uniform", "inv_log_uniform")


def dotted(path: str) -> str:
    """A path as users write it."""
    return path.replace(SEPARATOR, ".")


def most_epochs(specification: Specification) -> int:
    """The most epochs of a run."""
    for path, parameter in specification.parameters.items():
        if leaf(path) == "max_epochs":
            values = parameter.support() or [parameter.value(1.0)]
            return int(max(float(value) for value in values if value is not None))
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


def notes_on(specification: Specification) -> Iterator[str]:
    """Notes, one a line, on the search and on each parameter."""
    document, objective = specification.document, specification.objective
    metric = document.get("metric")
    if metric is None:
        yield f"no metric in the file: {objective.metric} decides, {objective.goal}"
    elif "goal" not in metric:
        yield "the metric has no goal: it is minimized, as in W&B"
    if objective.metric.endswith("_acc") and objective.goal == "minimize":
        yield f"{objective.metric} is better when larger; is goal: maximize meant?"
    if specification.run_cap is None and specification.method != "grid":
        method = specification.method
        yield f"no run_cap: set sweep.run_cap in the configuration; method {method} has no end"
    if specification.early_terminate and not reached_bands(specification):
        yield "no run gets as far as a band: early termination ends none"
    possible = configurations(specification)
    if possible is not None and len(possible) < (specification.run_cap or 0):
        yield f"the search ends after {len(possible)} runs: there are no more configurations"
    for path, parameter in specification.parameters.items():
        yield from (f"{dotted(path)}: {note}" for note in _parameter_notes(parameter))
    for path in (p for p in specification.parameters if is_inferred(specification, p)):
        if specification.parameters[path].distribution == "normal":
            yield f"{dotted(path)}: W&B itself wants `distribution: normal` to be written"
    if unused := [key for key in UNUSED if key in document]:
        yield f"not used here, only by `wandb sweep`: {', '.join(unused)}"


def _parameter_notes(parameter: Parameter) -> Iterator[str]:
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
SEED = 0
LONGEST_LIST = 8


def explain(specification: Specification, more: Sequence[str] = ()) -> str:
    """All that decides a sweep's runs, aligned, and notes on what may surprise.

    Args:
        more: notes besides those that the sweep itself asks for.
    """
    parts = [_aligned(_settings(specification)), _aligned(_parameters(specification))]
    if notes := [*more, *notes_on(specification)]:
        parts.append("\n".join(["notes", *(f"- {note}" for note in notes)]))
    return "\n\n".join(parts)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _settings(specification: Specification) -> list[tuple[str, str]]:
    objective, rules = specification.objective, specification.rules
    target, running = specification.target, specification.impute_while_running
    rows = [
        ("method", specification.method),
        ("metric", f"{objective.metric}, {objective.goal}"),
        ("target", "none" if target is None else f"{target:g}: no run starts once one reached it"),
        (
            "impute",
            f"{specification.impute} for failed runs; while running: {running or 'nothing'}",
        ),
        ("early termination", _bands(specification)),
        ("run_cap", "none" if specification.run_cap is None else str(specification.run_cap)),
        ("space", _space(specification)),
    ]
    if specification.method == "grid":
        rows.append(("runs of the grid", _grid_size(specification)))
    rows += [("constraint", constraint.text) for constraint in rules.constraints]
    rows += [
        ("condition", f"{dotted(path)}: {condition.text}")
        for path, condition in (rules.conditions or {}).items()
    ]
    rows += [("first", ", ".join(f"{dotted(k)} {v}" for k, v in p.items())) for p in rules.first]
    if rules.width is not None:
        rows.append(("width", str(rules.width)))
    return rows


def _grid_size(specification: Specification) -> str:
    most = specification.run_cap or COUNTABLE
    size = ConfigurationSequence(specification, SEED).size(most)
    return f"{most} or more" if size == most and specification.run_cap is None else str(size)


def _bands(specification: Specification) -> str:
    rule = specification.early_terminate
    if rule is None:
        return "none"
    bands = ", ".join(map(str, reached_bands(specification)))
    after = f"after epochs {bands}" if bands else "after no epoch"
    compared = "value there" if rule.strict else "best value so far"
    return (
        f"hyperband {after} (of {most_epochs(specification)}); a run goes on if its "
        f"{compared} is among the best 1/{rule.eta:g}"
    )


def _space(specification: Specification) -> str:
    size = combinations(specification)
    if size is None:
        return "infinite"
    if size > COUNTABLE:
        return f"{size} configurations"
    possible = len(configurations(specification) or ())
    return f"{size} configurations, {possible} of them possible"


def _parameters(specification: Specification) -> list[tuple[str, ...]]:
    random = np.random.default_rng(SEED)
    rows: list[tuple[str, ...]] = [
        ("parameter", "distribution", "arguments", "varies", f"{SAMPLES} samples")
    ]
    vary = varying(specification)
    for path, parameter in specification.parameters.items():
        samples = [parameter.value(float(u)) for u in random.random(SAMPLES)]
        inferred = " (inferred)" if is_inferred(specification, path) else ""
        rows.append(
            (
                dotted(path),
                parameter.distribution + inferred,
                _arguments(parameter),
                "yes" if path in vary else "no",
                ", ".join(map(_short, samples)),
            )
        )
    return rows


def _arguments(parameter: Parameter) -> str:
    if parameter.arguments:
        return ", ".join(f"{name} {_short(value)}" for name, value in parameter.arguments.items())
    shown = ", ".join(map(_short, parameter.choices[:LONGEST_LIST]))
    if len(parameter.choices) > LONGEST_LIST:
        shown += f", ... ({len(parameter.choices)} values)"
    if parameter.probabilities:
        shown += " with probabilities " + ", ".join(map(_short, parameter.probabilities))
    return shown


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# All that is wrong with a sweep, where reading it tells only the first.
#
# Each part is read by its own reader in a sweep in which all else is right.

Document = dict[str, Any]
GOOD: Document = {
    "method": "random",
    "metric": {"name": DEFAULT_OBJECTIVE.metric, "goal": DEFAULT_OBJECTIVE.goal},
    "parameters": {"seed": {"value": 0}},
}


def problems(document: Any, where: str) -> list[str]:
    """Every message that reading the sweep and the trainer have for it; none if it runs here."""
    if not isinstance(document, Mapping):
        return _messages(document, where)
    found: list[str] = []
    good = dict(GOOD)
    for key, part in _parts(document):
        messages = _messages(part, where)
        found += messages
        if not messages and key in document:
            good[key] = document[key]
    readable: Document = {}
    for entry in _entries(document.get("parameters")):
        messages = _messages(good | {"parameters": entry}, where)
        found += messages
        if not messages:
            _merge(readable, entry)
    specification = read_specification(good | ({"parameters": readable} if readable else {}), where)
    found += map(str, untrainable(specification, where))
    # What is wrong with no part alone, if there is such a thing.
    return list(dict.fromkeys(found)) or _messages(document, where)


def _parts(document: Mapping[str, Any]) -> Iterator[tuple[str, Document]]:
    """Each key with a good sweep that has it as it stands here, or misses it as it is here."""
    method = document.get("method")
    for key in {"method": 0, "metric": 0, **document}:
        if key == "metric" and document.get("metric") is None:
            # Only Bayesian search and early termination need one.
            rest = {k: v for k, v in GOOD.items() if k != "metric"}
            rule = {"early_terminate": {"type": "hyperband", "min_iter": 1}}
            needs = rule if "early_terminate" in document else {}
            yield key, rest | needs | ({"method": method} if method in METHODS else {})
        elif key != "parameters":
            yield key, GOOD | {key: document.get(key)}


def _entries(block: Any) -> Iterator[Any]:
    """Mappings with a single parameter each, nested as it is; what is no mapping, as it is."""
    if not isinstance(block, Mapping) or not block:
        yield block
        return
    for name, entry in block.items():
        if isinstance(entry, Mapping) and set(entry) == {"parameters"}:
            for inner in _entries(entry["parameters"]):
                yield {name: {"parameters": inner}}
        else:
            yield {name: entry}


def _merge(into: Document, entry: Mapping[str, Any]) -> None:
    for name, value in entry.items():
        if name in into:
            _merge(into[name]["parameters"], value["parameters"])
        else:
            into[name] = (
                {"parameters": dict(value["parameters"])} if "parameters" in value else value
            )


def _messages(document: Any, where: str) -> list[str]:
    try:
        read_specification(document, where)
    except UserError as error:
        return [str(error)]
    return []


def add_rule_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `sweep` in the configuration that are not in the YAML."""
    group = parser.add_argument_group("rules besides the YAML")
    add = group.add_argument
    add("--constraint", action="append", default=[], help="'d_model %% nhead == 0'; may repeat")
    add(
        "--condition",
        action="append",
        default=[],
        help="\"momentum: optimizer == 'sgd'\": when the parameter is drawn; may repeat",
    )
    add(
        "--first",
        action="append",
        default=[],
        help="'{learning_rate: 0.004}': a configuration to try first; may repeat",
    )
    add(
        "--width",
        type=positive,
        help="how many runs may go on at a time in a search that repeats bit by bit",
    )


def with_rules(
    specification: Specification, arguments: argparse.Namespace, first: Sequence[str] | None = None
) -> Specification:
    """The sweep with the rules that these flags ask for.

    Args:
        first: instead of the first points that the flags name.

    Raises:
        UserError: a flag is not what it should be.
    """
    conditions: dict[str, Any] = {}
    for text in arguments.condition:
        name, separator, expression = text.partition(":")
        if not separator:
            raise UserError(f'--condition {text!r}: write "NAME: EXPRESSION"')
        conditions[name.strip()] = expression.strip()
    rules = read_rules(
        specification.parameters,
        constraints=arguments.constraint,
        conditions=conditions,
        first=[_mapping(text) for text in (arguments.first if first is None else first)],
        width=_width(specification, arguments.width),
    )
    return replace(specification, rules=rules)


def _width(specification: Specification, width: int | None) -> int | None:
    """None where it decides nothing: such runs repeat bit by bit without it."""
    if width and specification.impute_while_running:
        raise UserError(
            "metric.impute_while_running depends on timing; leave it out, or set no sweep.width"
        )
    return width if specification.looks_at_results else None


def _mapping(text: str) -> Mapping[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = None
    if not isinstance(value, Mapping):
        raise UserError(f"--first {text!r}: write a mapping such as '{{learning_rate: 0.004}}'")
    return value
