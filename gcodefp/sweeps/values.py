"""Values of a sweep: JSON's values, numbers that YAML reads as numbers, and groups of them."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from gcodefp.errors import shown

MAX_NUMBER = 1e300
"""Numbers beyond it overflow in the arithmetic of distributions."""


def number_text(number: float) -> str:
    """As YAML 1.1 reads it again: a power of ten needs a point before and a sign after the e."""
    mantissa, separator, exponent = repr(number).partition("e")
    if not separator:
        return mantissa
    point = "" if "." in mantissa else ".0"
    return f"{mantissa}{point}e{int(exponent):+d}"


def parse_number(text: Any) -> int | float | None:
    """The number that a text is meant to be; None if it is none."""
    if not isinstance(text, str):
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if abs(number) <= MAX_NUMBER else None
    return None


def check_number_text(value: Any) -> None:
    """Refuses a text such as `1e-5`, which YAML 1.1 does not read as a number.

    Raises ValueError: it is one.
    """
    if (number := parse_number(value)) is not None:
        raise ValueError(
            f"YAML reads {value!r} as a string, not as a number; write {number_text(number)}"
        )


def number(value: Any) -> int | float:
    """The value itself if it is a number that can be computed with.

    Raises ValueError: it is not.
    """
    check_number_text(value)
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not abs(value) <= MAX_NUMBER
    ):
        raise ValueError(f"{shown(value)} is not a number")
    return value


def json_value(value: Any) -> Any:
    """The value itself if JSON holds it, which has no dates and no infinite numbers.

    Raises ValueError: it does not.
    """
    if isinstance(value, dict):
        raise ValueError(
            f"{shown(value)} is a mapping; for hyperparameters in a group write `parameters:` in "
            "place of it, and each with a `value:` or `values:` of its own"
        )
    for item in value if isinstance(value, list) else ():
        json_value(item)
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        raise ValueError(f"{shown(value)} is not a finite number")
    if value is not None and not isinstance(value, list | int | float | str):
        raise ValueError(
            f"YAML reads {value!s} as a {type(value).__name__}; write it in quotes for a string"
        )
    return value


def _positive(value: float) -> float:
    if value <= 0:
        raise ValueError(f"{value!r} must be above 0")
    return value


Number = Annotated[int | float, BeforeValidator(number)]
"""An int stays one: a sweep's id depends on it."""
PositiveNumber = Annotated[Number, AfterValidator(_positive)]
Plain = Annotated[Any, BeforeValidator(json_value)]


def hyperparameter_value(value: Any) -> Any:
    """The same for a run's hyperparameter, where a text is not meant as a number."""
    for item in value if isinstance(value, list) else [value]:
        check_number_text(item)
    return json_value(value)


# Nested parameters: W&B hands them to a run nested, a search sees them side by side.
#
# A path such as `model/d_model` names a parameter; W&B's names may hold points, but no slash.

SEPARATOR = "/"


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
        if isinstance(value, Mapping):
            values |= flatten(value, path + SEPARATOR)
        else:
            values[path] = value
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
