"""Runs without a network, for the tests of whatever works with run folders; imports no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gcodefp.model.run_files import append_metrics
from gcodefp.sweeps.local_engine import LeasedRun
from gcodefp.sweeps.run_folder import RunFolder, run_folder

METRIC = "val/gcode_acc"
EPOCHS = 4


def objective(leased: LeasedRun) -> dict[str, Any]:
    """Without a network: run N reaches 0.1 N + 0.04 in its third epoch; every fourth fails."""
    number = leased.folder.number
    for epoch in range(1, EPOCHS + 1):
        value = 0.1 * number + 0.01 * (epoch if epoch < EPOCHS else 1) + 0.01
        row = {"epoch": epoch, METRIC: round(value, 4), "seconds": 2.5 * epoch}
        append_metrics(leased.lease.files / "metrics.csv", row)
    if number % 4 == 3:
        return {"state": "failed", "failure": "diverged", "reason": "loss is nan"}
    ended = {"state": "finished", "failure": None, "epochs": EPOCHS, "seconds": 12.0}
    return ended | {"best_value": round(0.1 * number + 0.04, 4), "parameters": 1000}


def write_epochs(run: RunFolder, values: Sequence[float], metric: str = METRIC) -> None:
    for epoch, value in enumerate(values, 1):
        append_metrics(run.files / "metrics.csv", {"epoch": epoch, metric: value})


def write_run(folder: Path, number: int, state: str | None, values: Sequence[float]) -> None:
    run = run_folder(folder, number)
    run.assign({"learning_rate": 0.01}, {"learning_rate": 0.5})
    write_epochs(run, values)
    if state is not None:
        run.end({"state": state, "best_value": None if state == "failed" else max(values)})
