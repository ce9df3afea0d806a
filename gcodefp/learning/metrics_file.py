"""metrics.csv: one line an epoch, appended; a line torn by a crash is dropped when read."""

import csv
import io
import os
from collections.abc import Mapping
from pathlib import Path

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
