"""The `parameters` of a sweep: W&B's entries, each checked and made into a distribution.

A path such as `model/d_model` names a parameter in a group: W&B hands groups to a run nested, a
search sees all parameters side by side. W&B's names may hold points, but no slash.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gcodefp.errors import did_you_mean, shown
from gcodefp.schema import Section, validated
from gcodefp.sweeps.distributions import ARGUMENTS, DISTRIBUTIONS, MAX_DISTINCT, Parameter

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
SEPARATOR = "/"
MAX_NUMBER = 1e300
"""Numbers beyond it overflow in the arithmetic of distributions."""
MAX_EXPONENT = 20.0
"""exp() of more is no hyperparameter's value."""


class Fixable(ValueError):
    """What is wrong, where one other value is right; `check_sweep --fix` writes it.

    Attributes:
        new: what to write in place of the value, or of the value's `key`.
    """

    def __init__(self, message: str, new: Any, reason: str, key: str | None = None) -> None:
        super().__init__(message)
        self.new, self.reason, self.key = new, reason, key


def number_text(number: float) -> str:
    """As YAML 1.1 reads it again: a power of ten needs a point before and a sign after the e."""
    mantissa, separator, exponent = repr(number).partition("e")
    if not separator:
        return mantissa
    point = "" if "." in mantissa else ".0"
    return f"{mantissa}{point}e{int(exponent):+d}"


def check_number_text(value: Any) -> None:
    """Refuses a text such as `1e-5`, which YAML 1.1 does not read as a number."""
    for kind in (int, float) if isinstance(value, str) else ():
        try:
            number = kind(value)
        except ValueError:
            continue
        if abs(number) <= MAX_NUMBER:
            text = number_text(number)
            message = f"YAML reads {value!r} as a string, not as a number; write {text}"
            raise Fixable(message, number, "YAML reads it as a string")
        return


def _number(value: Any) -> int | float:
    check_number_text(value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and abs(value) <= MAX_NUMBER):
        raise ValueError(f"{shown(value)} is not a number")
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{value!r} must be above 0")
    return value


def _json_value(value: Any) -> Any:
    """The value itself if JSON holds it, which has no dates and no infinite numbers."""
    if isinstance(value, dict):
        raise ValueError(
            f"{shown(value)} is a mapping; for hyperparameters in a group write `parameters:` in "
            "place of it, and each with a `value:` or `values:` of its own"
        )
    for item in value if isinstance(value, list) else ():
        _json_value(item)
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        raise ValueError(f"{shown(value)} is not a finite number")
    if value is not None and not isinstance(value, list | int | float | str):
        raise ValueError(
            f"YAML reads {value!s} as a {type(value).__name__}; write it in quotes for a string"
        )
    return value


def hyperparameter_value(value: Any) -> Any:
    """The value itself if a run can have it. Raises ValueError: it is meant as another, or none."""
    for item in value if isinstance(value, list) else [value]:
        check_number_text(item)
    return _json_value(value)


def _name(name: Any) -> Any:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError("a name begins with a letter and holds letters, digits, '_', '-' and '.'")
    return name


def _mapping(block: Any) -> Any:
    if not isinstance(block, Mapping) or not block:
        raise ValueError(f"{shown(block)} must map hyperparameters to distributions")
    return block


Number = Annotated[int | float, BeforeValidator(_number)]
"""An int stays one: a sweep's id depends on it."""
PositiveNumber = Annotated[Number, AfterValidator(_positive)]
Plain = Annotated[Any, BeforeValidator(_json_value)]
Value = Annotated[Any, BeforeValidator(hyperparameter_value)]
Name = Annotated[str, BeforeValidator(_name)]
IS_MAPPING = BeforeValidator(_mapping)


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
        names, keys = ARGUMENTS[distribution], self.model_fields_set
        for key in sorted(keys - {*names, "distribution"}):
            raise ValueError(f"{key} is not a key of {distribution}; {did_you_mean(key, names)}")
        if missing := {"value", "values", "probabilities", "min", "max"}.intersection(names) - keys:
            needed = ", ".join(repr(key) for key in sorted(missing))
            raise ValueError(f"{needed} is missing; it has {', '.join(sorted(keys))}")
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
        if "probabilities" in keys:
            return "categorical_w_probabilities"
        if "values" in keys or "value" in keys:
            return "categorical" if "values" in keys else "constant"
        if {"min", "max"} <= keys:
            if type(self.min) is not type(self.max):
                _refuse_two_kinds(self.min, self.max)
            return "int_uniform" if isinstance(self.min, int) else "uniform"
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


def _refuse_two_kinds(low: float, high: float) -> None:
    """W&B's distribution depends on the kind; 1 to 4.0 may be meant as either."""
    message = (
        f"min {low!r} and max {high!r} are a whole number and a float; write both as floats "
        f"({float(low)!r}, {float(high)!r}) or both as whole numbers"
    )
    if float(low).is_integer() and float(high).is_integer():
        raise ValueError(message)
    key, number = ("min", low) if isinstance(low, int) else ("max", high)
    raise Fixable(message, float(number), "min and max have to be of one kind", key)


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
    if _are_values(distribution, low, high):
        message = (
            f"the bounds of {distribution} are natural-log exponents: {low!r} to {high!r} "
            f"means values from exp({low!r}) to exp({high!r}); for values from {low!r} to {high!r} "
            f"write `distribution: {distribution}_values`"
        )
        reason = f"its bounds are exponents; {low!r} and {high!r} are values"
        raise Fixable(message, f"{distribution}_values", reason, key="distribution")
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


def _are_values(distribution: str, low: float, high: float) -> bool:
    """Whether bounds that W&B takes for natural-log exponents are meant as values.

    Both in (0, 1] would mean values between 1 and 2.7: a small rate or a share is meant.
    """
    if "log_uniform" not in distribution or distribution.endswith("_values"):
        return False
    largest = -low if distribution.startswith("inv_") else high
    return 0 < low <= high <= 1 or largest > MAX_EXPONENT


def read_parameter(config: Any, where: str) -> Parameter:
    """One entry of `parameters`, checked; `where` names file and keys.

    Raises UserError: with the key, the value and what would be right.
    """
    return validated(Entry, config, where).parameter()


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


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """{"model/d_model": 64} as {"model": {"d_model": 64}}."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        *groups, name = path.split(SEPARATOR)
        inner = nested
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = value
    return nested


def flatten(nested: Mapping[str, Any], group: str = "") -> dict[str, Any]:
    """The inverse of `nest`."""
    values: dict[str, Any] = {}
    for name, value in nested.items():
        path = f"{group}{name}"
        values |= flatten(value, path + SEPARATOR) if isinstance(value, Mapping) else {path: value}
    return values


def leaf(path: str) -> str:
    """The parameter's own name, without its groups."""
    return path.rpartition(SEPARATOR)[2]


def dotted(path: str) -> str:
    """A path as users write it: `model.d_model`."""
    return path.replace(SEPARATOR, ".")


def key_path(path: str) -> str:
    """The keys of a parameter in a sweep YAML, for messages."""
    return "parameters." + path.replace(SEPARATOR, ".parameters.")
