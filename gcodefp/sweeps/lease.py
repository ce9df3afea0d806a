"""Which process works on a run: leases that a killed process cannot keep and two cannot both take.

A lease is a file `lease.N` in the run's folder. The highest N is the run's lease; an empty file has
no holder. It is made as a hard link, which fails if the name exists (on NFS too), and its holder
touches it while it works. A lease is free when its process is gone, seen at once on the same host,
or when it was not touched for LEASE_SECONDS of the watcher's own monotonic clock, so that no host's
time of day matters. A process that saw lease N free may make lease N + 1 and no other: numbers only
grow, so that a slow process cannot drive out one that took the run after it had looked.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import NamedTuple

LEASE_SECONDS = 60.0
HEARTBEAT_SECONDS = 5.0

_released: set[Path] = set()
"""Leases that this process no longer holds. One that it could not give back, since the file server
was lost or the folder not writable, names a living process and would be held while that lives."""


class LeaseState(Enum):
    """A run's lease, as a watcher sees it."""

    FREE = "no process works on the run"
    HELD = "its holder was seen at work"
    UNKNOWN = "its holder, on another host, was not seen at work yet"


class LeaseLost(Exception):
    """Another agent has taken this run over, because this one stood still for too long."""


class LeaseWatch:
    """Watches leases, and remembers when it first saw each heartbeat."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float, bool]] = {}

    def state(self, folder: Path) -> LeaseState:
        """The state of a run's lease."""
        return self.state_of(_newest(folder))

    def state_of(self, lease: Path | None) -> LeaseState:
        """The state of a run whose newest lease is this one."""
        if lease is None:
            return LeaseState.FREE
        try:
            text = lease.read_text(encoding="utf-8")
            beat = lease.stat().st_mtime_ns
        except FileNotFoundError:
            return LeaseState.FREE
        if not text:
            return LeaseState.FREE
        is_alive = _holder_is_alive(lease, text)
        if is_alive is not None:
            return LeaseState.HELD if is_alive else LeaseState.FREE
        now = time.monotonic()
        seen_beat, since, moved = self._seen.get(lease, (beat, now, False))
        if beat != seen_beat:
            since, moved = now, True
        self._seen[lease] = (beat, since, moved)
        if now - since > LEASE_SECONDS:
            return LeaseState.FREE
        return LeaseState.HELD if moved else LeaseState.UNKNOWN


class Lease:
    """A lease that this process holds."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def killed_holders(self) -> int:
        """The number of earlier holders in a row that were killed before they gave it back."""
        earlier = (lease for lease in self._path.parent.glob("lease.*") if lease != self._path)
        return sum(1 for lease in earlier if lease.stat().st_size)

    def check(self) -> None:
        """Raises LeaseLost if another process has taken the run."""
        if _newest(self._path.parent) != self._path:
            raise LeaseLost(f"{self._path.parent}: taken over by another agent")

    def beat(self) -> None:
        """Touches the lease, which shows that the holder is at work."""
        with suppress(OSError):
            os.utime(self._path)


@contextmanager
def holding(folder: Path, watch: LeaseWatch) -> Iterator[Lease | None]:
    """Takes a free run's lease, with a heartbeat until the block ends; None if it is not free.

    The lease is given back at the end of the block, also after an exception.
    """
    folder.mkdir(parents=True, exist_ok=True)
    newest = _newest(folder)
    path = folder / f"lease.{_number(newest) + 1 if newest else 1}"
    if watch.state_of(newest) is not LeaseState.FREE or not _make(path):
        yield None
        return
    lease, is_done = Lease(path), threading.Event()

    def heartbeat() -> None:
        while not is_done.wait(HEARTBEAT_SECONDS):
            lease.beat()

    thread = threading.Thread(target=heartbeat, name=f"heartbeat of {folder.name}", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        is_done.set()
        thread.join()
        _released.add(path)
        _give_back(path)


def _make(path: Path) -> bool:
    """Makes this process the holder of a new lease; False if another process was faster."""
    draft = path.with_name(f".lease.{uuid.uuid4().hex}.tmp")
    try:
        draft.write_text(json.dumps(_identity(os.getpid())), encoding="utf-8")
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    if _newest(path.parent) == path:
        return True
    # Other holders came and went since the lease was seen free, and removed this number.
    path.unlink(missing_ok=True)
    return False


def _give_back(path: Path) -> None:
    """Empties a lease, so that its number is not made again, and removes those before it."""
    if _newest(path.parent) != path:
        return
    for old in path.parent.glob("lease.*"):
        if _number(old) < _number(path):
            old.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        os.truncate(path, 0)


def _number(lease: Path) -> int:
    return int(lease.name.rpartition(".")[2])


def _newest(folder: Path) -> Path | None:
    return max(folder.glob("lease.*"), key=_number, default=None)


def _identity(pid: int) -> dict[str, str | int | None]:
    return {"host": socket.gethostname(), "pid": pid, "process": _process(pid)}


def _process(pid: int) -> str | None:
    """Identifies a process beyond its reusable number; None without Linux's /proc.

    Boot id, PID namespace, and the process's start in clock ticks since boot. psutil has neither of
    the first two, and its start times move with the time of day.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else f"{boot} {namespace} {fields[19]}"


def _holder_is_alive(lease: Path, text: str) -> bool | None:
    """Whether the lease's process lives and works; None if this host cannot see that process."""
    holder = _read_identity(text)
    if holder is None:  # A crashed host may leave a file of zeros; the heartbeat decides.
        return None
    if lease in _released and holder == _identity(os.getpid()):
        return False
    mine = _process(os.getpid())
    theirs = holder["process"]
    if holder["host"] != socket.gethostname() or mine is None or theirs is None:
        return None
    # Another boot: this host before its restart, or another host of the same name.
    if str(theirs).split()[:2] != mine.split()[:2]:
        return None
    return _process(int(holder["pid"] or 0)) == theirs


def _read_identity(text: str) -> dict[str, str | int | None] | None:
    """The holder that a lease names; None if its content is garbage."""
    with suppress(ValueError):
        holder = json.loads(text)
        if isinstance(holder, dict) and holder.keys() >= {"host", "pid", "process"}:
            return holder
    return None


class Holder(NamedTuple):
    """The last process that took a run's lease, and the seconds since it touched the lease.

    The age is negative where this host's clock is behind.
    """

    host: str
    pid: int
    age_seconds: float


def lease_holder(folder: Path) -> Holder | None:
    """The process that took a run's lease and did not give it back, alive or not; for display."""
    newest = _newest(folder)
    with suppress(FileNotFoundError, UnicodeDecodeError):
        holder = _read_identity(newest.read_text(encoding="utf-8")) if newest else None
        if newest and holder:
            age_seconds = time.time() - newest.stat().st_mtime
            return Holder(str(holder["host"]), int(holder["pid"] or 0), age_seconds)
    return None
