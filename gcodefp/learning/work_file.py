"""work.csv: who worked on a run and when; appended, so that a killed process leaves its traces.

Each process writes a line when it begins or goes on, with the epochs that are there already, and
one after each of its epochs.
"""

import csv
import io
import os
import platform
import time
from pathlib import Path
from typing import Any

NAMES = ("utc_seconds", "host", "pid", "epoch")


def append_work(path: Path, epoch: int) -> None:
    """Notes that this process has just reached an epoch; 0 is the begin."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if not path.exists():
        writer.writerow(NAMES)
    writer.writerow([f"{time.time():.3f}", platform.node(), os.getpid(), epoch])
    with path.open("a", encoding="utf-8") as handle:
        handle.write(text.getvalue())


def read_work(path: Path) -> list[dict[str, Any]]:
    """All whole lines; an absent file, as of a run that was trained elsewhere, has none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    return [
        {"utc_seconds": float(seconds), "host": host, "pid": int(pid), "epoch": int(epoch)}
        for seconds, host, pid, epoch in list(csv.reader(io.StringIO(whole)))[1:]
    ]
