"""work.csv: who worked on a run and when; appended, so that a killed process leaves its traces.

Each process writes a line when it begins or goes on, with the epochs that are there already, and
one after each of its epochs.
"""

import os
import platform
import time
from pathlib import Path
from typing import Any

NAMES = ("utc_seconds", "host", "pid", "epoch")


def append_work(path: Path, epoch: int) -> None:
    """Notes that this process has just reached an epoch; 0 is the begin."""
    moment = f"{time.time():.3f},{platform.node()},{os.getpid()},{epoch}\n"
    written = path.read_bytes() if path.exists() else b""
    if not written:
        moment = ",".join(NAMES) + "\n" + moment
    elif not written.endswith(b"\n"):  # A full disk, or a kill, has torn the last line.
        moment = "\n" + moment
    with path.open("a", encoding="utf-8") as handle:
        handle.write(moment)


def read_work(path: Path) -> list[dict[str, Any]]:
    """All whole lines; an absent file, as of a run that was trained elsewhere, has none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [moment for line in whole if (moment := _moment(line.split(","))) is not None]


def _moment(cells: list[str]) -> dict[str, Any] | None:
    """None for the header and for torn lines."""
    try:
        seconds, host, pid, epoch = cells
        return {
            "utc_seconds": float(seconds),
            "host": host,
            "pid": int(pid),
            "epoch": int(epoch),
        }
    except ValueError:
        return None
