"""Which process works on a run: claims that a killed process cannot keep and two cannot both make.

A claim is a file `lease.N` in the run's folder, and the highest N counts. It names its generation,
the folder `generation.N-…` in which its holder alone writes. Acquiring a free run,
releasing it and ending it are the same operation: making claim N + 1 after claim N, as a hard link,
which fails if the name exists (on NFS too). One process succeeds. A stalled (paused) holder whose
run another acquired can therefore not end it, and it writes into a folder that no claim names.

A claim has no holder when the run was released or has ended. Otherwise the lease has expired when
the holder's process is gone, seen at once on the same host, or when the claim was not renewed for
LEASE_SECONDS of the watcher's own monotonic clock, so that no host's time of day matters.
"""

import json
import os
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from gcodefp.cluster.process import describe_process, own_process, process_identity
from gcodefp.errors import UserError
from gcodefp.model.run_files import copy_unfinished

LEASE_SECONDS = 60.0
HEARTBEAT_SECONDS = 5.0
POLL_SECONDS = 1.0
SCRIPT_FOLDER, OUTPUT, JSON_LINES = "program", "output.log", "json_lines"
"""Of a generation of a user script: what it keeps, such as its checkpoint, its output, and the
folder of what its attempts may write as JSON lines."""
LOGGED = (OUTPUT, JSON_LINES, "wandb")
"""What it has logged; all of this moves to the next generation, the folder last."""
CLAIM = re.compile(r"lease\.\d+")
GENERATION = re.compile(r"generation\.\d+-[0-9a-f]{32}")

_released: set[str | None] = set()
"""Generations that this process no longer holds. One that it could not release, since the file
server was lost or the folder not writable, names a living process and would be held while that
lives."""


class LeaseState(Enum):
    """A run's lease, as a watcher sees it."""

    FREE = "no process works on the run"
    HELD = "its holder was seen at work"
    UNKNOWN = "its holder, on another host, was not seen at work yet"


class LeaseLost(Exception):
    """Another agent has acquired this run, because this one stalled for too long."""


class Claim(NamedTuple):
    """The content of a file `lease.N`.

    Attributes:
        holder: host, pid and process; None if the run was released or has ended, empty if the
            file is damaged.
        generation: the name of its folder; None where an earlier version wrote the lease, whose
            files lie in the run's own folder.
        epochs: how many were done when the claim was made.
        kills: holders that were killed after the last of these epochs.
        is_end: whether the generation has the whole run.
    """

    path: Path
    holder: Mapping[str, Any] | None
    generation: str | None = None
    epochs: int = 0
    kills: int = 0
    is_end: bool = False

    @property
    def number(self) -> int:
        return int(self.path.name.rpartition(".")[2])

    def renewed_ns(self) -> int:
        """When the holder renewed it, by the file server's clock."""
        return self.path.stat().st_mtime_ns


def newest_claim(folder: Path, names: Sequence[str] | None = None) -> Claim | None:
    """The claim that counts; None if no process has acquired the run yet.

    Args:
        names: what lies in the folder, if the caller has looked just now.
    """
    path = folder
    for _ in range(3):
        leases = (n for n in (names_in(folder) if names is None else names) if CLAIM.fullmatch(n))
        names = None
        newest = max(leases, key=lambda name: int(name[6:]), default=None)
        if newest is None:
            return None
        path = folder / newest
        with suppress(FileNotFoundError):  # Removed just now, with the others.
            return _read_claim(path)
    return Claim(path, {})


def names_in(folder: Path) -> list[str]:
    """The names of a run's files; none if its folder is missing or closed to this user."""
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        return os.listdir(folder)  # noqa: PTH208  Agents look all the time, and need the names alone.
    return []


def _read_claim(path: Path) -> Claim:
    text = path.read_bytes()
    if not text:  # An earlier version released the run.
        return Claim(path, None)
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        content = json.loads(text)
        holder = content["holder"] if "generation" in content else content
        generation = content.get("generation")
        counts = content.get("epochs", 0), content.get("kills", 0)
        if (
            (holder is None or {"host", "pid", "process"} <= holder.keys())
            and (holder is None or type(holder["pid"]) is int)
            and (generation is None or GENERATION.fullmatch(generation))
            and all(type(count) is int for count in counts)
        ):
            return Claim(path, holder, generation, *counts, content.get("is_end") is True)
    return Claim(path, {})  # A crashed host may leave a file of zeros; the heartbeat decides.


class LeaseWatch:
    """Watches leases, and remembers when it first saw each renewal."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float, bool]] = {}

    def state(self, folder: Path) -> LeaseState:
        """The state of a run's lease."""
        return self.state_of(newest_claim(folder))

    def wait(self, folder: Path) -> LeaseState:
        """The state once it is known: FREE or HELD."""
        while (state := self.state(folder)) is LeaseState.UNKNOWN:
            time.sleep(POLL_SECONDS)
        return state

    def state_of(self, claim: Claim | None) -> LeaseState:
        """The state of a run whose newest claim is this one."""
        if claim is None or claim.holder is None:
            return LeaseState.FREE
        is_alive = _is_alive(claim)
        if is_alive is not None:
            return LeaseState.HELD if is_alive else LeaseState.FREE
        try:
            renewed = claim.renewed_ns()
        except FileNotFoundError:
            return LeaseState.FREE
        now = time.monotonic()
        before, since, moved = self._seen.get(claim.path, (renewed, now, False))
        if renewed != before:
            since, moved = now, True
        self._seen[claim.path] = (renewed, since, moved)
        if now - since > LEASE_SECONDS:
            return LeaseState.FREE
        return LeaseState.HELD if moved else LeaseState.UNKNOWN


class Lease:
    """A run that this process holds.

    Attributes:
        files: the folder in which it writes.
        kills: how often in a row the run's process was killed since its last completed epoch.
    """

    def __init__(self, claim: Claim) -> None:
        assert claim.generation is not None, "made by this version"
        self._claim = claim
        self.files = claim.path.parent / claim.generation
        self.kills = claim.kills

    def check(self) -> None:
        """Raises LeaseLost if another process has acquired the run, or the run was removed."""
        newest, held = newest_claim(self._claim.path.parent), self._claim
        if newest is None or (newest.path, newest.generation) != (held.path, held.generation):
            raise LeaseLost(f"{self._claim.path.parent}: taken over by another agent, or removed")

    def renew(self) -> None:
        """Shows that the holder is at work."""
        with suppress(OSError):
            os.utime(self._claim.path)

    def end(self) -> None:
        """Makes what lies in `files` the whole run; raises LeaseLost if it is no longer held."""
        self._supersede(is_end=True)

    def release(self) -> None:
        """Makes the run free, if it is still held; otherwise removes what no claim names."""
        _released.add(self._claim.generation)
        try:
            if self._claim.holder is not None:
                self._supersede(is_end=False)
        except LeaseLost:
            shutil.rmtree(self.files, ignore_errors=True)

    def _supersede(self, is_end: bool) -> None:
        self.check()
        path = self._claim.path.with_name(f"lease.{self._claim.number + 1}")
        claim = self._claim._replace(path=path, holder=None, is_end=is_end)
        try:
            was_made = _make(claim)
        except FileNotFoundError:
            was_made = False  # The run's folder was removed.
        if not was_made:
            raise LeaseLost(f"{path.parent}: taken over by another agent, or removed")
        self._claim = claim


@contextmanager
def acquire(folder: Path, watch: LeaseWatch) -> Iterator[Lease | None]:
    """Acquires a free run, renewed until the block ends; None if it is not free.

    The run is released at the end of the block, also after an exception.

    Raises LeaseLost: a file could not be read or written, as the run was taken over or removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lease = _acquire(folder, watch)
    if lease is None:
        yield None
        return
    is_done = threading.Event()

    def heartbeat() -> None:
        while not is_done.wait(HEARTBEAT_SECONDS):
            lease.renew()

    thread = threading.Thread(target=heartbeat, name=f"heartbeat of {folder.name}", daemon=True)
    thread.start()
    try:
        yield lease
    except (OSError, UserError):
        lease.check()  # Its files are gone if it was lost.
        raise
    finally:
        is_done.set()
        thread.join()
        lease.release()


def _acquire(folder: Path, watch: LeaseWatch) -> Lease | None:
    """Claims a free run, with a copy of its state; None if it is not free or another is faster."""
    names = names_in(folder)
    before = newest_claim(folder, names)
    if watch.state_of(before) is not LeaseState.FREE or (before and before.is_end):
        return None
    before = before or Claim(folder / "lease.0", None)
    generation = f"generation.{before.number + 1}-{uuid.uuid4().hex}"
    files = folder / generation
    files.mkdir()
    try:
        epochs = copy_unfinished(folder / (before.generation or "."), files) if names else 0
        kills = before.kills if epochs <= before.epochs else 0
        if before.holder is not None and before.generation not in _released:
            kills += 1
        path, holder = folder / f"lease.{before.number + 1}", describe_process()
        # An epoch that was logged and not saved counts once, however often it is.
        claim = Claim(path, holder, generation, max(epochs, before.epochs), kills)
        lease = Lease(claim) if _make(claim) else None
    except BaseException:
        shutil.rmtree(files, ignore_errors=True)
        raise
    if lease and names:
        _take_over_script_files(folder, files)
    if superseded := before.generation if lease else generation:
        shutil.rmtree(folder / superseded, ignore_errors=True)
    return lease


def _take_over_script_files(folder: Path, files: Path) -> None:
    """Moves what the script of earlier holders keeps, away from a stalled holder.

    Only after the claim; a holder that was killed just then leaves it in the generation before.
    """
    kept = folder.glob(f"generation.*/{SCRIPT_FOLDER}")
    for newest in sorted(kept, key=_generation_number, reverse=True):
        for name in (*LOGGED, SCRIPT_FOLDER):
            if not (files / name).exists():
                with suppress(OSError):
                    (newest.parent / name).rename(files / name)


def _generation_number(kept: Path) -> int:
    return int(kept.parent.name.partition("-")[0].rpartition(".")[2])


def _make(claim: Claim) -> bool:
    """Makes a claim; False if another process was faster."""
    # In its own folder: where the run was removed, and created again by another process, it fails.
    draft = claim.path.parent / str(claim.generation) / f".lease.{uuid.uuid4().hex}.tmp"
    content = claim._asdict()
    del content["path"]
    try:
        with draft.open("w", encoding="utf-8") as handle:
            handle.write(json.dumps(content))
            handle.flush()
            os.fsync(handle.fileno())
        os.link(draft, claim.path)
    except FileExistsError:
        return False
    finally:
        draft.unlink(missing_ok=True)
    return True


def _is_alive(claim: Claim) -> bool | None:
    """Whether a claim's process lives and works; None if this host cannot see that process."""
    holder = claim.holder
    if not holder:
        return None
    if claim.generation is not None and claim.generation in _released:
        return False
    mine = own_process()
    recorded = holder["process"]
    if holder["host"] != socket.gethostname() or mine is None or recorded is None:
        return None
    # Another boot: this host before its restart, or another host of the same name.
    if str(recorded).split()[:2] != mine.split()[:2]:
        return None
    return process_identity(int(holder["pid"])) == recorded


class Holder(NamedTuple):
    """The last process that acquired a run and did not release it, alive or not.

    Attributes:
        age_seconds: since it renewed its claim; negative where this host's clock is behind.
    """

    host: str
    pid: int
    age_seconds: float
    lease: LeaseState

    @property
    def at_work(self) -> bool:
        """Whether it works; on another host a fresh lease counts until its heartbeat was seen."""
        if self.lease is LeaseState.UNKNOWN:
            return self.age_seconds <= LEASE_SECONDS
        return self.lease is LeaseState.HELD


def lease_holder(folder: Path, watch: LeaseWatch | None = None) -> Holder | None:
    """The process that has a run's lease, for display; None if none has."""
    with suppress(FileNotFoundError):
        claim = newest_claim(folder)
        if claim and claim.holder:
            age_seconds = time.time() - claim.renewed_ns() / 1e9
            state = (watch or LeaseWatch()).state_of(claim)
            return Holder(str(claim.holder["host"]), claim.holder["pid"], age_seconds, state)
    return None
