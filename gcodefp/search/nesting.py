"""Nested parameters: W&B hands them to a run nested, a search sees them side by side.

A path such as `model/d_model` names a parameter; W&B's names may hold points, but no slash.
"""

from collections.abc import Mapping
from typing import Any

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
