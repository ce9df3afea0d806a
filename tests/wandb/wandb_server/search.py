"""What the next run of a sweep tries; for bayes the service searches, this draws at random."""

import itertools
import random
from collections.abc import Mapping
from typing import Any

from .distributions import draw, kind

METHODS = ("grid", "random", "bayes", "custom")


def choose(config: Mapping[str, Any], number: int, seed: str) -> dict[str, Any] | None:
    """The configuration of a sweep's run, counted from 0; None after the last point of a grid.

    The same seed and number give the same configuration, whoever asks when.
    """
    parameters = config.get("parameters", {})
    if config.get("method") != "grid":
        source = random.Random(f"{seed} {number}")
        return {name: draw(parameter, source) for name, parameter in parameters.items()}
    points = list(itertools.islice(_grid(parameters), number, number + 1))
    return points[0] if points else None


def problems(config: Mapping[str, Any]) -> list[str]:
    """What the service's search engine would refuse, in its words."""
    if config.get("method") not in METHODS:
        return [f"{config.get('method')!r} is not one of {list(METHODS)!r}"]
    if not config.get("parameters"):
        return ["'parameters' is a required property"]
    return []


def _grid(parameters: Mapping[str, Any]) -> Any:
    """All combinations: keys sorted, the last one varies fastest."""
    names = sorted(parameters)
    for values in itertools.product(*(_values(parameters[name]) for name in names)):
        yield dict(zip(names, values, strict=True))


def _values(parameter: Mapping[str, Any]) -> list[Any]:
    if "parameters" in parameter:
        return list(_grid(parameter["parameters"]))
    if "value" in parameter:
        return [parameter["value"]]
    if "values" in parameter:
        return list(parameter["values"])
    name = kind(parameter)
    if name == "int_uniform":
        return list(range(parameter["min"], parameter["max"] + 1))
    if name == "q_uniform":
        steps = round((parameter["max"] - parameter["min"]) / parameter.get("q", 1))
        return [parameter["min"] + step * parameter.get("q", 1) for step in range(steps)]
    raise ValueError(f"a grid has no use for the distribution {name!r}")
