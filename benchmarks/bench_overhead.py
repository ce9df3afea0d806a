"""What an ask and the bookkeeping of a run cost: agents whose runs do nothing, beside Optuna's."""

import json
import logging
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from bench_tables import ROOT
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sweep_documents import RATE, specification

from gcodefp.model.run_files import append_metrics
from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine

OVERHEAD = ROOT / "results/bench/overhead.json"


def trivial(leased: LeasedRun) -> dict[str, Any]:
    """A run that does nothing but report three times."""
    for epoch in (1, 2, 3):
        append_metrics(leased.lease.files / "metrics.csv", {"epoch": epoch, "val/gcode_acc": 0.5})
        leased.should_prune()
    value = float(leased.hyperparameters["learning_rate"])
    ended = {"state": "finished", "failure": None, "epochs": 3, "seconds": 0.1}
    return ended | {"best_value": value, "parameters": 1}


def agent(method: str, runs: int, folder: Path, start: Any, spent: Any) -> None:
    """Works like an agent of the local engine; puts the seconds of its asks into `spent`."""
    sweep = specification(method=method, run_cap=runs, parameters=OVERHEAD_SPACE)
    engine = LocalEngine(sweep, 1, runs, folder)
    assign, asks = engine.scheduler.assign, []

    def timed(run: Any) -> Any:
        begin = time.perf_counter()
        result = assign(run)
        asks.append(time.perf_counter() - begin)
        return result

    engine.scheduler.assign = timed  # type: ignore[method-assign]
    start.wait()
    try:
        engine.work(trivial, lambda: None)
    finally:
        spent.put(sum(asks))


OVERHEAD_SPACE = {
    "learning_rate": RATE,
    "dropout": {"min": 0.0, "max": 0.5},
    "num_layers": {"min": 1, "max": 4},
    "batch_size": {"values": [8, 16, 64]},
}


def cpu_seconds() -> float:
    """Of this process, and of its children that have ended."""
    return sum(os.times()[:4])


def engine_overhead(method: str, runs: int, agents: int) -> tuple[float, float, float]:
    """Seconds per run: of an ask and of everything by the wall clock, and of the processors."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir=OVERHEAD.parent) as folder:
        cpu = cpu_seconds()
        start, spent = context.Barrier(agents + 1), context.SimpleQueue()
        arguments = (method, runs, Path(folder), start, spent)
        agents_at_work = [context.Process(target=agent, args=arguments) for _ in range(agents)]
        for process in agents_at_work:
            process.start()
        start.wait()
        begin = time.perf_counter()
        asks = sum(spent.get() for _ in agents_at_work)
        wall = time.perf_counter() - begin
        for process in agents_at_work:
            process.join()
    return asks / runs, wall / runs, (cpu_seconds() - cpu) / runs


def optuna_overhead(storage: str, runs: int) -> tuple[float, float, float]:
    """The same of a study in one process, with random search."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asks = 0.0
    with tempfile.TemporaryDirectory(dir=OVERHEAD.parent) as folder:
        backend: Any = RDBStorage(f"sqlite:///{folder}/study.db")
        if storage == "journal":
            backend = JournalStorage(JournalFileBackend(f"{folder}/journal.log"))
        study = optuna.create_study(storage=backend, sampler=optuna.samplers.RandomSampler(seed=1))
        begin, cpu = time.perf_counter(), cpu_seconds()
        for _ in range(runs):
            before = time.perf_counter()
            trial = study.ask()
            trial.suggest_float("learning_rate", 0.001, 0.1, log=True)
            trial.suggest_float("dropout", 0.0, 0.5)
            trial.suggest_int("num_layers", 1, 4)
            trial.suggest_categorical("batch_size", [8, 16, 64])
            asks += time.perf_counter() - before
            for epoch in (1, 2, 3):
                trial.report(0.5, epoch)
            study.tell(trial, 0.5)
        wall, cpu = time.perf_counter() - begin, cpu_seconds() - cpu
        if storage != "journal":
            backend.remove_session()
            backend.engine.dispose()
    return asks / runs, wall / runs, cpu / runs


def measure_overhead() -> None:
    """Fills results/bench/overhead.json."""
    OVERHEAD.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    engines = [("random", n) for n in (10, 100, 1000)] + [("bayes", n) for n in (10, 100)]
    for (method, runs), agents in product(engines, (1, 4, 16)):
        rows.append(
            [f"local engine, {method}", runs, agents, *engine_overhead(method, runs, agents)]
        )
        logging.info("%s", rows[-1])
    for storage, runs in product(("journal", "sqlite"), (10, 100, 1000)):
        rows.append([f"Optuna, {storage}, random", runs, 1, *optuna_overhead(storage, runs)])
        logging.info("%s", rows[-1])
        OVERHEAD.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def overhead_table() -> Iterator[str]:
    """The lines of the table of costs."""
    yield "| engine | runs | agents | ask, ms | a run, ms | CPU, ms | times Optuna's journal, CPU |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    rows = json.loads(OVERHEAD.read_text(encoding="utf-8"))
    journal = {row[1]: row[-1] for row in rows if row[0] == "Optuna, journal, random"}
    for name, runs, agents, *seconds in rows:
        cells = " | ".join(f"{1000 * value:.1f}" for value in seconds)
        yield f"| {name} | {runs} | {agents} | {cells} | {seconds[-1] / journal[runs]:.1f} |"
