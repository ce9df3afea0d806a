"""A sweep's parameters as Optuna's distributions, and the values that fit them."""

import math
from collections.abc import Sequence
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gcodefp.search.distributions import Parameter


def distribution(parameter: Parameter, given: Sequence[Any]) -> BaseDistribution | None:
    """Wide enough for all that was given; None while nothing tells how wide that is."""
    if parameter.choices and parameter.distribution != "int_uniform":
        return CategoricalDistribution(list(dict.fromkeys([*parameter.choices, *given])))
    numbers = [value for value in given if _is_number(value)]
    is_log = "log" in parameter.distribution and all(value > 0 for value in numbers)
    numbers += [end for end in _ends(parameter) if math.isfinite(end) and (end > 0 or not is_log)]
    if not numbers:
        return None
    low, high = min(numbers), max(numbers)
    step = parameter.arguments["q"] if parameter.is_quantized and not is_log else None
    if all(isinstance(value, int) for value in numbers):
        return IntDistribution(low, high, log=is_log, step=int(step or 1))
    return FloatDistribution(low, high, log=is_log, step=step)


def _ends(parameter: Parameter) -> Sequence[float]:
    """The lowest and the highest value, which may be infinite."""
    if parameter.choices:
        return parameter.choices[0], parameter.choices[-1]  # type: ignore[return-value]
    ends = parameter.quantile(0.0), parameter.quantile(1.0)
    if parameter.is_quantized and all(map(math.isfinite, ends)):
        return parameter.value(0.0), parameter.value(1.0)  # type: ignore[return-value]
    # Through a logarithm and back, 0.0005 is 0.0005000000000000001.
    return [float(f"{end:.12g}") for end in ends]


def scalar(value: Any) -> Any:
    """A value of a kind that Optuna knows."""
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def fits(kind: BaseDistribution, value: Any) -> bool:
    """Whether a value can be a parameter's; files may hold anything."""
    return isinstance(kind, CategoricalDistribution) or _is_number(value)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
