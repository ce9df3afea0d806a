"""What may stand as a value in a sweep: JSON's values, and numbers that YAML reads as numbers."""

import math
from collections.abc import Mapping
from typing import Any

from gcodefp.errors import UserError


def number_text(number: float) -> str:
    """As YAML 1.1 reads it again: a power of ten needs a point before and a sign after the e."""
    mantissa, separator, exponent = repr(number).partition("e")
    if not separator:
        return mantissa
    point = "" if "." in mantissa else ".0"
    return f"{mantissa}{point}e{int(exponent):+d}"


def number_in(text: Any) -> int | float | None:
    """The number that a text is meant to be; None if it is none."""
    if not isinstance(text, str):
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def reject_text_number(value: Any, where: str) -> None:
    """YAML 1.1 reads `1e-5`, without a point, as text."""
    if (number := number_in(value)) is not None:
        raise UserError(
            f"{where}: YAML reads {value!r} as text, not as a number; write {number_text(number)}"
        )


def reject_foreign(value: Any, where: str) -> None:
    """A value goes through JSON to the run, which has no dates and no infinite numbers."""
    reject_text_number(value, where)
    if isinstance(value, dict):
        raise UserError(
            f"{where}: {value!r} is a mapping; for hyperparameters in a group write "
            "`parameters:` in place of it, and each with a `value:` or `values:` of its own"
        )
    if isinstance(value, list):
        for index, item in enumerate(value):
            reject_foreign(item, f"{where}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: {value!r} is no finite number")
    elif value is not None and not isinstance(value, bool | int | float | str):
        raise UserError(
            f"{where}: YAML reads {value!s} as a {type(value).__name__}; write it in quotes "
            "for a text"
        )


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


def key_path(path: str) -> str:
    """Where a parameter stands in a sweep YAML, for messages."""
    return "parameters." + path.replace(SEPARATOR, ".parameters.")
