"""What a layout maps a column to, `toolhead.Ax [mm/s^2]` or `line`, with its unit's conversion."""

import re
from functools import cache
from typing import Any, Literal, NamedTuple

from gcodefp.errors import did_you_mean
from gcodefp.recordings import columns

RUNNING = "running"
STATE = "state"
ROLES: dict[str, tuple[str, str | None]] = {
    "line": (columns.LINE, None),
    "block": (columns.BLOCK, None),
    "unit": (columns.UNIT, None),
    "x": (columns.POSITION_MM[0], "mm"),
    "y": (columns.POSITION_MM[1], "mm"),
    "z": (columns.POSITION_MM[2], "mm"),
    "feed": ("feed", "mm/min"),
    "state": (STATE, None),
    "running": (RUNNING, None),
}
"""What the controller reports -> canonical column and unit."""
TEXT_ROLES = ("block", "unit", "state")

_TARGET = re.compile(r"(?P<name>[^\[\]]+?)\s*(?:\[\s*(?P<unit>[^\[\]]+?)\s*\])?")
_HUGE_POWER = re.compile(r"(\^|\*\*)\s*[(-]*\s*\d+\s*(\d|\^|\*\*)")
"""Powers of two digits and powers of powers, with which pint computes for ever."""
MAX_UNIT_CHARACTERS = 40
_SPELLINGS = {
    "g": "standard_gravity",
    "mg": "millistandard_gravity",
    "dps": "degree / second",
    "gauss": "cgs_gauss",
    "mgauss": "millicgs_gauss",
    "c": "degC",
    "celsius": "degC",
    "uT": "microtesla",
}
"""Texts that pint understands otherwise (a g is a gram), or not at all."""


class Target(NamedTuple):
    """What a column becomes: `value * scale + offset` in the canonical unit, or a text.

    Attributes:
        column: its canonical name.
        kind: `text`, `number` or `boolean`.
        is_label: whether the controller reports it, so that prediction does not read it.
    """

    column: str
    kind: Literal["text", "number", "boolean"]
    is_label: bool
    scale: float = 1.0
    offset: float = 0.0


@cache
def parse_target(text: str) -> Target:
    """The target that a text of a layout names.

    Raises ValueError: it names no role and no quantity, or its unit cannot be converted.
    """
    match = _TARGET.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not of the form NODE.QUANTITY [unit]")
    name, unit = match["name"].strip(), match["unit"]
    if name in ROLES:
        column, canonical_unit = ROLES[name]
        if name in TEXT_ROLES or name == "running":
            _refuse_unit(text, unit)
            return Target(column, "text" if name in TEXT_ROLES else "boolean", True)
        return Target(column, "number", True, *_conversion(text, unit, canonical_unit))
    node, _, quantity = name.rpartition(".")
    quantities = {q.casefold(): q for group in columns.NODE_QUANTITIES.values() for q in group}
    if not node and name not in columns.MACHINE_COLUMNS["motor"]:
        hint = did_you_mean(name, (*ROLES, *columns.MACHINE_COLUMNS["motor"]))
        raise ValueError(f"{text!r} names no role and no NODE.QUANTITY; {hint}")
    if node and quantity.casefold() not in quantities:
        raise ValueError(
            f"{text!r}: {quantity!r} is no quantity; {did_you_mean(quantity, quantities.values())}"
        )
    column = f"{node}.{quantities[quantity.casefold()]}" if node else name
    return Target(column, "number", False, *_conversion(text, unit, columns.channel_unit(column)))


def _refuse_unit(text: str, unit: str | None) -> None:
    if unit is not None:
        raise ValueError(f"{text!r}: this has no unit; remove [{unit}]")


def _conversion(text: str, unit: str | None, canonical_unit: str | None) -> tuple[float, float]:
    """Scale and offset from a unit to the canonical one."""
    if canonical_unit is None or canonical_unit in columns.WITHOUT_UNIT:
        if unit is not None and unit.casefold() not in ("raw", "level", "counts", "-"):
            _refuse_unit(text, unit)
        return 1.0, 0.0
    if unit is None:
        raise ValueError(f"{text!r} needs its unit in brackets, such as [{canonical_unit}]")
    if unit == canonical_unit:
        return 1.0, 0.0
    if len(unit) > MAX_UNIT_CHARACTERS or _HUGE_POWER.search(unit):
        raise ValueError(f"{text!r}: {unit!r} is not a unit")
    import pint  # Slow: only laboratories with other units need it.

    registry = _registry()
    try:
        zero, one = (_in_unit(registry, value, unit, canonical_unit) for value in (0.0, 1.0))
    except pint.DimensionalityError:
        raise ValueError(f"{text!r}: {unit} cannot be converted to {canonical_unit}") from None
    except Exception:  # pint raises many kinds, some of the parser's.
        raise ValueError(f"{text!r}: {unit!r} is not a unit") from None
    return one - zero, zero


def _in_unit(registry: Any, value: float, unit: str, canonical_unit: str) -> float:
    source, target = (_SPELLINGS.get(text, text) for text in (unit, canonical_unit))
    return float(registry.Quantity(value, source).to(target).magnitude)


@cache
def _registry() -> Any:
    import pint

    registry: Any = pint.UnitRegistry(autoconvert_offset_to_baseunit=True)
    # pint's own gauss belongs to another system of units.
    registry.define("cgs_gauss = 1e-4 * tesla")
    return registry
