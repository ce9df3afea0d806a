"""Draws from the distributions that a sweep's parameters may have."""

import math
import random
from collections.abc import Mapping
from statistics import NormalDist
from typing import Any


def draw(parameter: Mapping[str, Any], source: random.Random) -> Any:
    """One value of a parameter, nested ones as dicts."""
    if "parameters" in parameter:
        return {name: draw(inner, source) for name, inner in parameter["parameters"].items()}
    if "value" in parameter:
        return parameter["value"]
    if "values" in parameter:
        weights = parameter.get("probabilities")
        return source.choices(parameter["values"], weights=weights)[0]
    return _number(parameter, kind(parameter), source.uniform(1e-12, 1 - 1e-12), source)


def kind(parameter: Mapping[str, Any]) -> str:
    """The distribution, the one that W&B infers if none is named."""
    if "distribution" in parameter:
        return str(parameter["distribution"])
    whole = all(isinstance(parameter.get(bound), int) for bound in ("min", "max"))
    return "int_uniform" if whole else "uniform"


def _number(parameter: Mapping[str, Any], name: str, u: float, source: random.Random) -> Any:
    quantised = name.startswith("q_")
    value = _continuous(parameter, name.removeprefix("q_"), u, source)
    if not quantised:
        return value
    q = parameter.get("q", 1)
    rounded = round(value / q) * q
    return int(rounded) if isinstance(q, int) else rounded


def _continuous(parameter: Mapping[str, Any], name: str, u: float, source: random.Random) -> Any:
    low, high = parameter.get("min", 0), parameter.get("max", 1)
    between = low + u * (high - low)
    normal = NormalDist(parameter.get("mu", 0), parameter.get("sigma", 1) or 1)
    if name == "int_uniform":
        return source.randint(low, high)
    if name == "uniform":
        return between
    if name == "log_uniform":
        return math.exp(between)
    if name == "inv_log_uniform":
        return math.exp(-(high - u * (high - low)))
    if name in ("log_uniform_values", "inv_log_uniform_values"):
        return math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
    if name == "normal":
        return normal.inv_cdf(u)
    if name == "log_normal":
        return math.exp(normal.inv_cdf(u))
    if name == "beta":
        return source.betavariate(parameter["a"], parameter["b"])
    raise ValueError(f"no distribution {name!r}")
