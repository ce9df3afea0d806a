"""Identifies a process beyond its number, which the system uses again."""

import os
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path

import psutil


def describe_process() -> dict[str, str | int | None]:
    """This process: its host, number and identity, as a lease names its holder."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "process": own_process()}


@cache
def _cached_identity(pid: int) -> str:
    if (process := process_identity(pid)) is None:  # Not kept: /proc may be readable the next time.
        raise OSError(f"process {pid} cannot be identified")
    return process


def own_process() -> str | None:
    """The identity of this process; None where it cannot be read."""
    with suppress(OSError):
        return _cached_identity(os.getpid())
    return None


def process_identity(pid: int) -> str | None:
    """Identifies a process beyond its reusable number; None if it is not there.

    Boot id, PID namespace, and the process's start in clock ticks since boot. psutil has neither of
    the first two, and its start times move with the time of day on Linux; it is for systems without
    /proc, such as macOS.
    """
    if not Path("/proc/self/stat").exists():
        return _identity_without_proc(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if stat[0] == b"Z" else f"{_boot()} {int(stat[19])}"
    except OSError:
        return None


@cache
def _boot() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _identity_without_proc(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{psutil.boot_time():.0f} - {process.create_time()}"
    except psutil.Error:
        return None
