"""Trouble on demand: errors, broken connections, delays and outages."""

import fnmatch
from dataclasses import dataclass, field


@dataclass
class Fault:
    """Trouble for the requests whose kind matches a pattern.

    Attributes:
        match: a pattern of kinds, such as `UpsertBucket`, `file_stream`, `upload` or `*`.
        status: the HTTP status of the answer; None answers as usual.
        drop: `request` breaks the connection before the request counts, `response` after it did.
        delay: seconds until the request counts.
        times: how many requests it meets; None for all of them.
        met: how many requests it met so far.
    """

    match: str
    status: int | None = None
    drop: str | None = None
    delay: float = 0.0
    times: int | None = None
    met: int = field(default=0, init=False)

    def meets(self, kind: str) -> bool:
        """Whether it is this request's turn; then it is counted."""
        left = self.times is None or self.met < self.times
        if not (left and fnmatch.fnmatchcase(kind, self.match)):
            return False
        self.met += 1
        return True


class Faults:
    """The faults that are switched on; the first that meets a request is the one it gets."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def add(
        self,
        match: str,
        *,
        status: int | None = None,
        drop: str | None = None,
        delay: float = 0.0,
        times: int | None = None,
    ) -> Fault:
        """Switches a fault on; see Fault."""
        fault = Fault(match, status, drop, delay, times)
        self._active.append(fault)
        return fault

    def next_for(self, kind: str) -> Fault | None:
        """The fault that a request meets."""
        return next((fault for fault in list(self._active) if fault.meets(kind)), None)
