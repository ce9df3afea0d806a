"""The `parameters` of a sweep: what W&B infers when `distribution` is left out, and every check."""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gcodefp.errors import did_you_mean, shown
from gcodefp.schema import Section, validated
from gcodefp.sweeps.distributions import ARGUMENTS, DISTRIBUTIONS, MAX_DISTINCT, Parameter
from gcodefp.sweeps.values import SEPARATOR, Number, PositiveNumber, hyperparameter_value

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
INFERRED = {
    "probabilities": "categorical_w_probabilities",
    "values": "categorical",
    "value": "constant",
}
MAX_EXPONENT = 20.0
"""exp() of more is no hyperparameter's value."""


def _name(name: Any) -> Any:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError("a name begins with a letter and holds letters, digits, '_', '-' and '.'")
    return name


def _parameters(block: Any) -> Any:
    if not isinstance(block, Mapping) or not block:
        raise ValueError(f"{shown(block)} must map hyperparameters to distributions")
    return block


Value = Annotated[Any, BeforeValidator(hyperparameter_value)]
Name = Annotated[str, BeforeValidator(_name)]
IS_MAPPING = BeforeValidator(_parameters)


class Entry(Section):
    """One parameter, or a group of them, which a run gets nested."""

    distribution: Literal[*DISTRIBUTIONS] | None = None  # type: ignore[valid-type]
    value: Value = None
    values: Annotated[list[Value], Field(min_length=1)] = Field([])
    probabilities: list[Number] = Field([])
    min: Number = 0
    max: Number = 0
    mu: Number = 0.0
    sigma: PositiveNumber = 1.0
    a: PositiveNumber = 1.0
    b: PositiveNumber = 1.0
    q: PositiveNumber = 1.0
    parameters: Annotated[dict[Name, "Entry"], IS_MAPPING] | None = None

    def parameter(self) -> Parameter:
        """The distribution and its arguments. Raises ValueError: they do not belong together."""
        distribution = self.distribution or self._inferred()
        names = ARGUMENTS[distribution]
        for key in sorted(self.model_fields_set - {*names, "distribution"}):
            raise ValueError(f"{key} is not a key of {distribution}; {did_you_mean(key, names)}")
        needed = {"value", "values", "probabilities", "min", "max"}.intersection(names)
        if missing := needed - self.model_fields_set:
            keys = ", ".join(repr(key) for key in sorted(missing))
            raise ValueError(
                f"{keys} is missing; it has {', '.join(sorted(self.model_fields_set))}"
            )
        if distribution == "constant":
            return Parameter(distribution, {}, (self.value,))
        if "values" in names:
            if "probabilities" in names:
                _check_probabilities(self.probabilities, self.values)
            return Parameter(distribution, {}, tuple(self.values), tuple(self.probabilities))
        arguments = {name: getattr(self, name) for name in names}
        if "min" in arguments:
            _check_range(distribution, arguments)
        if distribution != "int_uniform":
            return Parameter(distribution, arguments)
        low, high = int(self.min), int(self.max)
        return Parameter(distribution, {"min": low, "max": high}, range(low, high + 1))

    def _inferred(self) -> str:
        """W&B's distribution for a parameter that names none."""
        keys = self.model_fields_set
        for key, distribution in INFERRED.items():
            if key in keys:
                return distribution
        if {"min", "max"} <= keys:
            low, high = self.min, self.max
            if type(low) is not type(high):
                raise ValueError(
                    f"min {low!r} and max {high!r} are a whole number and a float; write both as "
                    f"floats ({float(low)!r}, {float(high)!r}) or both as whole numbers"
                )
            return "int_uniform" if isinstance(low, int) else "uniform"
        if keys & {"mu", "sigma"}:
            return "normal"
        raise ValueError(
            f"needs value, values, or min and max; it has {', '.join(sorted(keys)) or 'nothing'}"
        )

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, entry: Any) -> Any:
        if not isinstance(entry, Mapping):
            value = shown(entry)
            raise ValueError(
                f"{value} is not a mapping; write `value: {value}` below it for a constant"
            )
        return entry

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.parameters is not None:
            if more := sorted(self.model_fields_set - {"parameters"}):
                raise ValueError(
                    f"has parameters of its own and, besides, {more}; keep one or the other"
                )
            return self
        parameter = self.parameter()
        try:
            values = [parameter.value(u) for u in (0.0, 0.25, 0.5, 0.75, 1.0)]
            is_finite = all(not isinstance(v, float) or math.isfinite(v) for v in values)
        except (OverflowError, ValueError):
            is_finite = False
        if not is_finite:
            raise ValueError(f"{parameter.distribution} reaches infinite values; make it narrower")
        return self


ParameterMapping = Annotated[dict[Name, Entry], IS_MAPPING]


def _check_probabilities(shares: list[float], values: list[Any]) -> None:
    if len(shares) != len(values):
        raise ValueError(
            f"probabilities {shown(shares)} needs one number for each of {shown(values)}"
        )
    if min(shares) < 0 or not math.isclose(sum(shares), 1.0, abs_tol=1e-6):
        raise ValueError(f"probabilities {shown(shares)} must be at least 0 and sum to 1")


def _check_range(distribution: str, arguments: Mapping[str, float]) -> None:
    low, high, q = arguments["min"], arguments["max"], arguments.get("q")
    if low > high:
        raise ValueError(f"min {low!r} is above max {high!r}; exchange them")
    if low == high:
        raise ValueError(f"min and max are both {low!r}; write `value: {low!r}` instead")
    if distribution.endswith("_values") and low <= 0:
        raise ValueError(f"min: {low!r} must be above 0 for {distribution}")
    if plainly_values(distribution, low, high):
        raise ValueError(
            f"the bounds of {distribution} are natural-log exponents: {low!r} to {high!r} "
            f"means values from exp({low!r}) to exp({high!r}); for values from {low!r} to {high!r} "
            f"write `distribution: {distribution}_values`"
        )
    if distribution == "int_uniform":
        for bound in (low, high):
            if bound != int(bound):
                raise ValueError(f"{bound!r} is not whole, as int_uniform needs it")
        if high - low >= MAX_DISTINCT:
            raise ValueError(
                f"{shown(low)} to {shown(high)} are more whole numbers than can be drawn; make "
                "max smaller"
            )
    if distribution == "q_log_uniform":
        low, high = math.exp(low), math.exp(high)
    if q is not None and q > high - low:
        raise ValueError(
            f"q: {q!r} is larger than the range {low:.6g} to {high:.6g}; make q smaller"
        )


def plainly_values(distribution: str, low: float, high: float) -> bool:
    """Whether bounds that W&B takes for natural-log exponents are meant as values.

    Both in (0, 1] would mean values between 1 and 2.7: a small rate or a share is meant.
    """
    if "log_uniform" not in distribution or distribution.endswith("_values"):
        return False
    largest = -low if distribution.startswith("inv_") else high
    return 0 < low <= high <= 1 or largest > MAX_EXPONENT


def flat_parameters(block: Mapping[str, Entry], group: str = "") -> dict[str, Parameter]:
    """All parameters, those of groups too, by path and sorted by it."""
    parameters: dict[str, Parameter] = {}
    for name in sorted(block):
        inner, path = block[name].parameters, f"{group}{name}"
        if inner is None:
            parameters[path] = block[name].parameter()
        else:
            parameters |= flat_parameters(inner, path + SEPARATOR)
    return parameters


def read_parameter(config: Any, where: str) -> Parameter:
    """One entry of `parameters`, checked.

    Args:
        where: file and path of keys, for the error message.

    Raises UserError: with the key, the value and what would be right.
    """
    return validated(Entry, config, where).parameter()
