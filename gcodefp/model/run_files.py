"""The files that a run appends to: metrics.csv and work.csv; an incomplete last line is ignored."""

import csv
import io
import os
import platform
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.files import write_text

Row = dict[str, float]

RETRAIN = "remove this run's folder and train the run again"
WORK_COLUMNS = ("utc_seconds", "host", "pid", "epoch")
"""Columns of work.csv, which records the processes that train a run. Each appends a line when it
starts or resumes the run, with the completed epochs, and one after each epoch."""
SYSTEM_FILE = "system.csv"
"""What the processes of a run used of their machine; `sweeps/system_metrics.py` writes it."""


def read_metrics(path: Path) -> list[Row]:
    """All complete lines of metrics.csv, one per epoch; none if the file is missing.

    Raises UserError: a line is not a row of numbers with an epoch.
    """
    try:
        header, *lines = list(csv.reader(complete_lines(path))) or [[]]
        if wrong := [line for line in lines if len(line) != len(header)]:
            raise ValueError(f"{len(wrong[0])} values for {len(header)} columns")
        rows = [dict(zip(header, map(float, line), strict=True)) for line in lines]
        if not all(row["epoch"].is_integer() for row in rows):
            raise ValueError("an epoch is not a whole number")
    except KeyError:
        raise UserError(f"{path}: has no column epoch; {RETRAIN}") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: is damaged ({error}); {RETRAIN}") from None
    return rows


def check_epochs(path: Path, epochs: int) -> None:
    """Raises UserError unless metrics.csv has the epochs 1 to `epochs`, each once and in order."""
    # Only the first column: this is done for each of many runs.
    header, *lines = [line.partition(",")[0] for line in complete_lines(path)] or ["epoch"]
    if header != "epoch" or lines != [str(epoch) for epoch in range(1, epochs + 1)]:
        shown = " ".join(lines[:20])[:100] or "none"
        raise UserError(f"{path}: has epochs {shown} instead of 1 to {epochs}; {RETRAIN}")


def append_metrics(path: Path, row: Mapping[str, float]) -> None:
    """Appends one epoch, to a new file with the header."""
    text = _to_csv([row], with_header=not path.exists())
    with path.open("a", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def truncate_metrics(path: Path, epochs: int) -> list[Row]:
    """Keeps the first epochs; drops those that a killed process wrote after its last checkpoint."""
    by_epoch = {row["epoch"]: row for row in read_metrics(path) if row["epoch"] <= epochs}
    rows = [by_epoch[epoch] for epoch in sorted(by_epoch)]
    if rows:
        write_text(path, _to_csv({**row, "epoch": int(row["epoch"])} for row in rows))
    else:
        path.unlink(missing_ok=True)
    return rows


def _to_csv(rows: Iterable[Mapping[str, float]], with_header: bool = True) -> str:
    rows, text = list(rows), io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    if with_header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def append_work(path: Path, epoch: int) -> None:
    """Records the time at which this process completed an epoch; 0 is the start of the run."""
    append_line(path, WORK_COLUMNS, f"{time.time():.3f},{platform.node()},{os.getpid()},{epoch}")


def append_line(path: Path, columns: Sequence[str], line: str) -> None:
    """Appends a line, to a new file behind the header."""
    content = path.read_bytes() if path.exists() else b""
    if not content:
        line = ",".join(columns) + "\n" + line
    elif not content.endswith(b"\n"):  # The last write was interrupted.
        line = "\n" + line
    with path.open("a", encoding="utf-8") as handle:
        handle.write(line + "\n")


def read_work(path: Path) -> list[dict[str, Any]]:
    """All complete lines of work.csv; none if the file is missing (a run trained elsewhere)."""
    entries = []
    for line in complete_lines(path):
        with suppress(ValueError):  # The header, or an incomplete line.
            seconds, host, pid, epoch = line.split(",")
            values = (float(seconds), host, int(pid), int(epoch))
            entries.append(dict(zip(WORK_COLUMNS, values, strict=True)))
    return entries


def copy_unfinished(source: Path, target: Path) -> int:
    """Copies the last complete state of an unfinished run into an empty folder; its epochs' number.

    Its process may still write: last.pt comes first, as metrics.csv has the epochs of any last.pt.
    """
    with suppress(FileNotFoundError):
        os.link(source / "last.pt", target / "last.pt")  # It is replaced, never changed.
    for name in ("metrics.csv", "work.csv", SYSTEM_FILE):
        with suppress(FileNotFoundError):
            shutil.copyfile(source / name, target / name)
    return max(len(complete_lines(target / "metrics.csv")) - 1, 0)


def complete_lines(path: Path) -> list[str]:
    """The lines of a file but for an incomplete last one; none if the file is missing."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()
