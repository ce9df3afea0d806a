"""One repair of a sweep, and the ways to find one that hold for all its parts."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gcodefp.search.names import nearest
from gcodefp.search.scalars import number_in, number_text

Path = tuple[str | int, ...]
CAP_NAMES = ("max_runs", "count")


class Change(Enum):
    """What a repair does at its path."""

    VALUE = "value"
    KEY = "key"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True)
class Repair:
    """One change to a sweep.

    Attributes:
        path: keys and list indices from the root; of what is changed, added or removed.
        old: the value or the key as it stands; for an addition, the key that it comes after.
        new: the value or the key that takes its place.
        why: for the user.
    """

    change: Change
    path: Path
    old: Any
    new: Any
    why: str

    def describe(self) -> str:
        """One line for the user."""
        place = ".".join(str(part) for part in self.path)
        old, new = _shown(self.old), _shown(self.new)
        done = {
            Change.VALUE: f"{old} -> {new}",
            Change.KEY: f"renamed {self.new}",
            Change.ADD: f"added, {new}",
            Change.REMOVE: f"{old} removed",
        }[self.change]
        return f"{place}: {done} ({self.why})"


Repairs = Iterator[Repair]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return number_text(value) if isinstance(value, float) else repr(value)


def keys(path: Path, block: Mapping[Any, Any], known: Collection[str], why: str) -> Repairs:
    """Misspelt keys of a block."""
    for key in block:
        if key in known or (key in CAP_NAMES and not path):
            continue
        meant = nearest(str(key), known)
        if meant is not None and meant not in block:
            yield Repair(Change.KEY, (*path, key), key, meant, why)


def at(document: Any, path: Path) -> Any:
    """What stands there; None if nothing does."""
    for part in path:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def word(document: Any, path: Path, known: tuple[str, ...]) -> Repairs:
    """A misspelt or cut-off word, such as `max` for maximize."""
    asked = at(document, path)
    if not isinstance(asked, str) or asked in known:
        return
    begun = [other for other in known if len(asked) > 2 and other.startswith(asked.lower())]
    meant = begun[0] if len(begun) == 1 else nearest(asked, known)
    if meant is not None:
        yield Repair(Change.VALUE, path, asked, meant, f"the {path[-1]} that is meant")


def numbers(document: Any, path: Path) -> Repairs:
    """Texts that are meant as numbers, here and in a list here."""
    value = at(document, path)
    if isinstance(value, list):
        for index in range(len(value)):
            yield from numbers(document, (*path, index))
    number = number_in(value)
    if number is not None:
        yield Repair(Change.VALUE, path, value, number, "YAML reads it as text")
