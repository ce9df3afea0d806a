"""All runs of a sweep as CSV: what each was given, how it ended, its curves, who worked on it."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from gcodefp.learning.metrics_file import read_metrics
from gcodefp.learning.work_file import NAMES, read_work
from gcodefp.sweep.table import EndedRun

FACTS = ("state", "failure", "reason", "best_value", "best_epoch", "epochs", "seconds",
         "parameters", "device", "host")  # fmt: skip


def runs_csv(ranking: Sequence[EndedRun]) -> str:
    """One line a run, in the given order."""
    names = sorted({name for run in ranking for name in run.content["hyperparameters"]})
    rows: list[dict[str, Any]] = [
        {"run": run.name, "sweep": run.folder.sweep}
        | {fact: run.content[fact] for fact in FACTS}
        | {name: run.content["hyperparameters"].get(name) for name in names}
        for run in ranking
    ]
    return _csv(rows)


def curves_csv(ranking: Sequence[EndedRun]) -> str:
    """One line for each epoch of each run, by number."""
    rows: list[dict[str, Any]] = []
    for run in sorted(ranking, key=lambda run: run.number):
        for epoch in read_metrics(run.folder.path / "metrics.csv"):
            rows.append({"run": run.name, **epoch, "epoch": int(epoch["epoch"])})
    return _csv(rows)


def work_csv(ranking: Sequence[EndedRun]) -> str:
    """One line for each moment at which a process began a run or ended an epoch of it, by run."""
    rows = [
        {"run": run.name, **moment}
        for run in sorted(ranking, key=lambda run: run.number)
        for moment in read_work(run.folder.path / "work.csv")
    ]
    return _csv(rows, ["run", *NAMES])


def _csv(rows: Sequence[dict[str, Any]], names: Sequence[str] | None = None) -> str:
    text = io.StringIO()
    found = names or list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, fieldnames=found, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
