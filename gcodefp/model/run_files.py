"""The files that a run appends to: metrics.csv and work.csv, whose torn last lines are ignored."""

import csv
import io
import os
import platform
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gcodefp.files import write_text

Row = dict[str, float]

WORK_COLUMNS = ("utc_seconds", "host", "pid", "epoch")
"""Columns of work.csv, which records the processes that worked on a run. Each appends a line when
it starts or resumes the run, with the epochs done by then, and one after each of its epochs."""


def read_metrics(path: Path) -> list[Row]:
    """All whole lines of metrics.csv, one an epoch; an absent file has none."""
    lines = csv.DictReader(_complete_lines(path))
    return [{name: float(value) for name, value in row.items()} for row in lines]


def append_metrics(path: Path, row: Mapping[str, float]) -> None:
    """Appends one epoch; the first one writes the header too."""
    text = _to_csv([row], with_header=not path.exists())
    with path.open("a", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def truncate_metrics(path: Path, epochs: int) -> list[Row]:
    """Keeps the first epochs, without those that a killed process wrote beyond its checkpoint."""
    by_epoch = {row["epoch"]: row for row in read_metrics(path) if row["epoch"] <= epochs}
    rows = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    if not rows:
        path.unlink(missing_ok=True)
        return []
    write_text(path, _to_csv({**row, "epoch": int(row["epoch"])} for row in rows))
    return rows


def append_work(path: Path, epoch: int) -> None:
    """Records that this process has just reached an epoch; 0 is the start of the run."""
    line = f"{time.time():.3f},{platform.node()},{os.getpid()},{epoch}\n"
    content = path.read_bytes() if path.exists() else b""
    if not content:
        line = ",".join(WORK_COLUMNS) + "\n" + line
    elif not content.endswith(b"\n"):  # A full disk, or a kill, has torn the last line.
        line = "\n" + line
    with path.open("a", encoding="utf-8") as handle:
        handle.write(line)


def read_work(path: Path) -> list[dict[str, Any]]:
    """All whole lines of work.csv; an absent file, as of a run trained elsewhere, has none."""
    parsed = (_parse_work(line.split(",")) for line in _complete_lines(path))
    return [entry for entry in parsed if entry is not None]


def _parse_work(cells: list[str]) -> dict[str, Any] | None:
    """None for the header and for torn lines."""
    try:
        seconds, host, pid, epoch = cells
        values = (float(seconds), host, int(pid), int(epoch))
    except ValueError:
        return None
    return dict(zip(WORK_COLUMNS, values, strict=True))


def _complete_lines(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()


def _to_csv(rows: Iterable[Mapping[str, float]], with_header: bool = True) -> str:
    rows, text = list(rows), io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if with_header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
