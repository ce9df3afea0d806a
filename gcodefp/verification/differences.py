"""Where two documents or two tables differ, in words."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any

SAME_NUMBER = 1e-9
"""Differences below this are rounding, whatever the tolerance."""


def differences(due: Any, found: Any, tolerance: float = 0.0, where: str = "") -> Iterator[str]:
    """Where a JSON document is not what it has to be.

    Args:
        tolerance: how much numbers may differ, relative to the larger one.
        where: the path of keys to these two.
    """
    if isinstance(due, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys([*due, *found]):
            path = f"{where}.{key}" if where else str(key)
            if key not in found:
                yield f"{path} is missing"
            elif key not in due:
                yield f"{path} should not be there"
            else:
                yield from differences(due[key], found[key], tolerance, path)
    elif _is_list(due) and _is_list(found) and len(due) == len(found):
        for index, pair in enumerate(zip(due, found, strict=True)):
            yield from differences(*pair, tolerance, f"{where}[{index}]")
    elif not _same(due, found, tolerance):
        yield f"{where} is {found!r}, it should be {due!r}"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _same(due: Any, found: Any, tolerance: float) -> bool:
    if _is_number(due) and _is_number(found) and tolerance:
        return isclose(due, found, rel_tol=tolerance, abs_tol=SAME_NUMBER)
    return type(due) is type(found) and bool(due == found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table_differences(due: str, found: str, key: Sequence[str]) -> Iterator[str]:
    """Where a CSV text is not what it has to be.

    Args:
        key: the columns that name a line.
    """
    if due == found:
        return
    wanted, there = (_lines(text, key) for text in (due, found))
    for name in dict.fromkeys([*wanted, *there]):
        if name not in there:
            yield f"{name} is missing"
        elif name not in wanted:
            yield f"{name} should not be there"
        else:
            yield from differences(wanted[name], there[name], where=name)
    if wanted == there:
        yield "its lines, or their columns, are in another order than they should be"


def _lines(text: str, key: Sequence[str]) -> dict[str, dict[str, str]]:
    """Lines by name, as `run 0002, epoch 3`."""
    rows = csv.DictReader(io.StringIO(text))
    return {", ".join(f"{name} {row[name]}" for name in key): dict(row) for row in rows}
