"""Where two documents, two tables or two sets of arrays differ, in words."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


def array_differences(
    due: Mapping[str, NDArray[Any]],
    found: Mapping[str, NDArray[Any]],
    tolerance: float,
    granted: float,
) -> Iterator[str]:
    """Which arrays of an NPZ file are not what they have to be.

    Args:
        tolerance: how much numbers may differ, relative and absolute.
        granted: share of the rows of an array that may be others.
    """
    for name in dict.fromkeys([*due, *found]):
        if name not in due or name not in found:
            yield f"{name} {'is missing' if name in due else 'should not be there'}"
        elif due[name].shape != found[name].shape:
            yield f"{name} has the shape {found[name].shape}, it should have {due[name].shape}"
        elif (other := _other_rows(due[name], found[name], tolerance)) > granted * len(due[name]):
            yield f"{name} is another at {other} of {len(due[name])} rows"


def _other_rows(due: NDArray[Any], found: NDArray[Any], tolerance: float) -> int:
    if due.dtype.kind == "f" and found.dtype.kind == "f":
        same = np.isclose(due, found, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        same = np.asarray(due == found)
    return int((~same).reshape(len(due), -1).any(axis=1).sum())
