"""Trouble on demand: errors, broken connections, delays and outages."""

import fnmatch
from dataclasses import dataclass
from typing import Any


@dataclass
class Fault:
    """Trouble for the requests whose kind matches a pattern.

    Attributes:
        match: a pattern of kinds, such as `UpsertBucket`, `file_stream`, `upload` or `*`.
        status: the HTTP status of the answer; None answers as usual.
        drops_response: whether the connection breaks after the request counted.
        delay: seconds until the request counts.
        times: how many requests it still meets; None for all of them.
    """

    match: str
    status: int | None = None
    drops_response: bool = False
    delay: float = 0.0
    times: int | None = None


class Faults:
    """The faults that are switched on; the first that meets a request is the one it gets."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def add(self, match: str, **trouble: Any) -> None:
        """Switches a fault on; see Fault."""
        self._active.append(Fault(match, **trouble))

    def next_for(self, kind: str) -> Fault | None:
        """The fault that a request meets, which is counted."""
        for fault in self._active:
            if fault.times != 0 and fnmatch.fnmatchcase(kind, fault.match):
                fault.times = None if fault.times is None else fault.times - 1
                return fault
        return None
