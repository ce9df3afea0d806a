"""What the agents of a crew do, and the diary that they write of it."""

import math
import os
import random
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaos_crew import METRIC, SLEEP_SECONDS


class Diary:
    """Written by all processes of a crew; opened before an agent becomes somebody else."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / "diary", flags, 0o666)

    def note(self, what: str, number: int = -1, value: float = 0, pid: int = 0) -> None:
        line = f"{what} {pid or os.getpid()} {time.monotonic()} {number} {value}\n"
        os.write(self._file, line.encode())


def train_for_real(told: Mapping[str, Any], diary: Diary) -> int:
    """gcodefp.agent; a run begins with the number of its epochs."""
    from gcodefp import agent
    from gcodefp.model.run_files import read_metrics
    from gcodefp.sweeps import training

    usual = training.train

    def noted(*arguments: Any) -> Any:
        folder = arguments[3]
        done = len(read_metrics(folder / "metrics.csv"))
        diary.note("begin", int(folder.name), done)
        if int(folder.name) in told.get("deadly", ()):
            os.kill(os.getpid(), signal.SIGKILL)
        return usual(*arguments)

    training.train = noted
    return agent.main(told["flags"])


def pretend(told: Mapping[str, Any], diary: Diary) -> int:
    """An engine with an objective that takes its time and writes epochs; nobody may be in twice."""
    from sweep_documents import specification

    from gcodefp.errors import UserError
    from gcodefp.model.run_files import append_metrics, read_metrics, truncate_metrics
    from gcodefp.sweeps.local_engine import LocalEngine, Trial

    def objective(trial: Trial) -> dict[str, Any]:
        metrics, inside = trial.folder.path / "metrics.csv", trial.folder.path / "inside"
        if inside.is_symlink():
            check_gone(inside)
            inside.unlink(missing_ok=True)
        inside.symlink_to(str(os.getpid()))
        done = len(truncate_metrics(metrics, len(read_metrics(metrics))))
        diary.note("begin", trial.folder.number, done)
        for epoch in range(done + 1, told["epochs"] + 1):
            time.sleep(random.random() * told["epoch_seconds"])
            append_metrics(metrics, {"epoch": epoch, METRIC: 0.5})
            trial.should_stop()
        inside.unlink()
        return {"state": "finished", "best_value": 0.5}

    engine = LocalEngine(specification(), told["seed"], told["total"], Path(told["runs"]))
    try:
        engine.work(objective, lambda: None)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def calculate(told: Mapping[str, Any], diary: Diary) -> int:
    """An engine with a loss by formula; how long it takes is chance, and some runs fail."""
    from dataclasses import replace

    from sweep_documents import specification

    from gcodefp.model.run_files import append_metrics
    from gcodefp.sweeps.local_engine import LocalEngine, Trial
    from gcodefp.sweeps.rules import Rules

    def objective(trial: Trial) -> dict[str, Any]:
        diary.note("begin", trial.folder.number)
        (trial.folder.path / "begun").touch()
        for other in told["meets"].get(str(trial.folder.number), ()):
            while not (runs / f"{other:04d}" / "begun").exists():
                time.sleep(SLEEP_SECONDS)
        dropout = trial.hyperparameters["dropout"]
        rate = math.log10(trial.hyperparameters["learning_rate"])
        shown = []
        for epoch in range(1, told["epochs"] + 1):
            time.sleep(random.random() * told["epoch_seconds"])
            shown.append((rate + 2) ** 2 + 4 * (dropout - 0.2) ** 2 + (1 + dropout) / epoch)
            row = {"epoch": epoch, "val/loss": shown[-1]}
            append_metrics(trial.folder.path / "metrics.csv", row)
            if dropout > 0.4 and epoch == 2:
                return {"state": "failed", "reason": "it has forgotten too much"}
            if trial.should_stop():
                return {"state": "stopped", "best_value": min(shown)}
        return {"state": "finished", "best_value": min(shown)}

    runs = Path(told["runs"])
    sweep = replace(specification(**told["sweep"]), rules=Rules(width=told["width"]))
    LocalEngine(sweep, told["seed"], told["total"], runs).work(objective, lambda: None)
    return 0


BODIES = {"train": train_for_real, "pretend": pretend, "calculate": calculate}


def check_gone(inside: Path) -> None:
    """Another process that was in a run must have been killed; a zombie is that too."""
    if inside.readlink().name == str(os.getpid()):
        return
    try:
        stat = Path("/proc", inside.readlink(), "stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return
    assert stat.rpartition(")")[2].split()[0] in "ZX", f"two in {inside}: {stat}"
