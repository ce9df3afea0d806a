"""What may surprise about a sweep that runs here."""

import math
from collections.abc import Iterator
from typing import Any

from gcodefp.learning.hyperparameters import Hyperparameters
from gcodefp.search.distributions import Parameter
from gcodefp.search.nesting import SEPARATOR, leaf
from gcodefp.search.space import configurations
from gcodefp.search.specification import Specification

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
