"""metrics.csv: one line an epoch, appended; a line torn by a crash is dropped when read."""

import csv
import io
import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcodefp.files import write_text

Row = dict[str, float]


def read_metrics(path: Path) -> list[Row]:
    """All whole lines; an absent file has none."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    return [
        {name: float(value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(whole))
    ]


def append_metrics(path: Path, row: Mapping[str, float]) -> None:
    """Appends one epoch; the first one writes the header too."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(row), lineterminator="\n")
    if not path.exists():
        writer.writeheader()
    writer.writerow(row)
    with path.open("a", encoding="utf-8") as handle:
        handle.write(text.getvalue())
        handle.flush()
        os.fsync(handle.fileno())


def truncate_metrics(path: Path, epochs: int) -> list[Row]:
    """Keeps the first epochs, drops what a killed process wrote beyond its checkpoint."""
    kept = {row["epoch"]: row for row in read_metrics(path) if row["epoch"] <= epochs}
    rows = [kept[epoch] for epoch in sorted(kept)]
    if not rows:
        path.unlink(missing_ok=True)
        return []
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "epoch": int(row["epoch"])} for row in rows)
    write_text(path, text.getvalue())
    return rows


# work.csv: who worked on a run and when; appended, so that a killed process leaves its traces.
#
# Each process writes a line when it begins or goes on, with the epochs that are there already, and
# one after each of its epochs.

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
