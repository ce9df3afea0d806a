"""The fork server of the pools in worker_pool.py: reads their configurations from stdin.

It imports torch once, so that a forked agent starts at once and a kill hits work, not an import. It
forks a manager for each pool, which forks the agents, kills them, and starts others.
"""

import codecs
import json
import math
import os
import random
import signal
import socket
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from worker_pool import POLL_SECONDS, PoolConfig


class EventLog:
    """Written by all processes of a pool; opened before an agent changes its user."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / "events", flags, 0o666)

    def in_runs(self) -> set[int]:
        """The processes that have started a run and not ended it."""
        lines = (self._folder / "events").read_text(encoding="utf-8").splitlines()
        last = {int(line.split()[1]): line.split()[0] for line in lines}
        return {pid for pid, kind in last.items() if kind in ("start", "stopped")}

    def write(self, kind: str, number: int = -1, value: float = 0, pid: int = 0) -> None:
        line = f"{kind} {pid or os.getpid()} {time.monotonic()} {number} {value}\n"
        os.write(self._file, line.encode())


def train(arguments: Mapping[str, Any], events: EventLog) -> int:
    """gcodefp.agent; a start has the number of epochs that were done before."""
    from gcodefp import agent
    from gcodefp.model.run_files import read_metrics
    from gcodefp.sweeps import training

    original = training.train

    def logged(*parts: Any, **options: Any) -> Any:
        number = int(parts[3].parent.name)
        events.write("start", number, len(read_metrics(parts[3] / "metrics.csv")))
        if number in arguments.get("deadly", ()):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*parts, **options)

    training.train = logged
    return agent.main(arguments["flags"])


def work(arguments: Mapping[str, Any], events: EventLog) -> int:
    """An engine whose objective has a loss by formula and epochs of random length; some runs fail.

    No two agents may be in one run.
    """
    from sweep_documents import specification

    from gcodefp.errors import UserError
    from gcodefp.model.run_files import append_metrics, read_metrics, truncate_metrics
    from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
    from gcodefp.sweeps.search_options import SearchOptions

    options = SearchOptions(width=arguments.get("width"))
    sweep = replace(specification(**arguments.get("sweep", {})), options=options)
    runs, metric = Path(arguments["runs"]), sweep.objective.metric

    def objective(run: LeasedRun) -> dict[str, Any]:
        number, metrics = run.folder.number, run.lease.files / "metrics.csv"
        inside = run.folder.path / "inside"
        if inside.is_symlink():
            check_killed(inside)
            inside.unlink(missing_ok=True)
        inside.symlink_to(str(os.getpid()))
        done = len(truncate_metrics(metrics, len(read_metrics(metrics))))
        events.write("start", number, done)
        (run.folder.path / "started").write_text("")
        for other in arguments.get("waits_for", {}).get(str(number), ()):
            while not (runs / f"{other:04d}" / "started").exists():
                time.sleep(POLL_SECONDS)
        dropout = run.hyperparameters.get("dropout", 0.0)
        rate = math.log10(run.hyperparameters["learning_rate"])
        state = "finished"
        for epoch in range(done + 1, arguments["epochs"] + 1):
            time.sleep(random.random() * arguments["epoch_seconds"])
            loss = (rate + 2) ** 2 + 4 * (dropout - 0.2) ** 2 + (1 + dropout) / epoch
            append_metrics(metrics, {"epoch": epoch, metric: loss})
            if dropout > 0.4 and epoch == 2:
                state = "failed"
            elif run.should_prune():
                state = "stopped"
            if state != "finished":
                break
        inside.unlink()
        best_value = min(row[metric] for row in read_metrics(metrics))
        return {"state": state, "reason": "too much dropout", "best_value": best_value}

    engine = LocalEngine(sweep, arguments["seed"], arguments["total"], runs)
    try:
        engine.work(objective, lambda: None)
    except UserError as error:
        os.write(2, f"{error}\n".encode())  # At once: print's two writes mix with other agents'.
        return 1
    return 0


TASKS = {"train": train, "work": work}


def check_killed(inside: Path) -> None:
    """Another process that was in a run must have been killed; it may be a zombie."""
    pid = int(inside.readlink().name)
    if pid == os.getpid():
        return
    try:
        status = psutil.Process(pid).status()
    except (psutil.NoSuchProcess, FileNotFoundError):
        return
    assert status in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD), f"two in {inside}: {status}"


def log_ends(events: EventLog) -> None:
    """Logs every end of a run before it is written, with 1 if the run was over already."""
    from gcodefp.sweeps.run_folder import RunFolder

    original = RunFolder.end

    def end(folder: RunFolder, content: Mapping[str, Any], lease: Any) -> None:
        events.write("end", folder.number, int(folder.has_ended()))
        original(folder, content, lease)

    RunFolder.end = end  # type: ignore[method-assign]


def jumping_clock() -> None:
    """The clock, and the times of touched files, jump by hours."""
    now, touch = time.time, os.utime
    time.time = lambda: now() + random.uniform(-9, 9) * 3600

    def utime(path: Path) -> None:
        touch(path, (time.time(), time.time()))

    os.utime = utime  # type: ignore[assignment]


def patch(patches: Mapping[str, float]) -> None:
    for name, value in patches.items():
        module, _, constant = name.rpartition(".")
        assert hasattr(sys.modules[module], constant), name
        setattr(sys.modules[module], constant, value)


def fork_agent(config: PoolConfig, events: EventLog) -> int:
    """Starts an agent; returns its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        random.seed(os.getpid())
        patch(config.patches)
        if config.lease_seconds is not None:
            lease = "gcodefp.sweeps.lease"
            beats = {"LEASE_SECONDS": config.lease_seconds, "HEARTBEAT_SECONDS": 0.1}
            patch({f"{lease}.{name}": value for name, value in beats.items()})
        log_ends(events)
        name = f"host-{os.getpid()}"
        if config.own_hosts:
            socket.gethostname = lambda: name
        if config.clocks_jump:
            jumping_clock()
        if config.user is not None:
            os.setuid(config.user)
        code = TASKS[config.task](config.arguments, events)
    except BaseException:
        with (Path(config.folder) / "errors").open("a") as errors:
            errors.write(traceback.format_exc())
    os._exit(code)


def manage(config: PoolConfig) -> int:
    """Keeps agents at work until all have ended by themselves; 1 if that takes too long."""
    events, source = EventLog(Path(config.folder)), random.Random(config.seed)
    left = {"kill": config.kills, "stop": config.stops}
    working = {fork_agent(config, events) for _ in range(config.agents)}
    stopped: dict[int, float] = {}
    now = time.monotonic()
    deadline = now + config.deadline_seconds
    due = dict.fromkeys(left, now + config.kill_seconds)
    try:
        while working and now < deadline:
            time.sleep(POLL_SECONDS)
            now = time.monotonic()
            for kind in [kind for kind, count in left.items() if count and now > due[kind]]:
                candidates = working & events.in_runs() - stopped.keys()
                candidates = candidates if kind == "stop" else working
                if not candidates:
                    continue
                left[kind] -= 1
                due[kind] = now + source.uniform(0.2, 1.8) * config.kill_seconds
                pid = source.choice(sorted(candidates))
                if kind == "kill":
                    os.kill(pid, signal.SIGKILL)
                else:
                    os.kill(pid, signal.SIGSTOP)
                    stopped[pid] = now + source.uniform(0.5, 2.5) * config.lease_seconds
                    events.write("stopped", pid=pid)
            for pid in [pid for pid, end in stopped.items() if now > end]:
                del stopped[pid]
                if pid in working:
                    os.kill(pid, signal.SIGCONT)
            for pid in sorted(working):
                ended, status = os.waitpid(pid, os.WNOHANG)
                if not ended:
                    continue
                working.remove(pid)
                if os.WIFSIGNALED(status):
                    events.write("killed", pid=pid)
                    working.add(fork_agent(config, events))
                else:
                    events.write("exit", value=os.WEXITSTATUS(status), pid=pid)
    finally:
        for pid in working:
            os.kill(pid, signal.SIGKILL)
    return int(bool(working))


def manager(config: PoolConfig) -> None:
    """A process between the server and the agents, whose log it opens."""
    folder, code = Path(config.folder), 1
    try:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.dup2(log, 2)
        code = manage(config)
    finally:
        draft = folder / "code.tmp"
        draft.write_text(str(code), encoding="utf-8")
        draft.rename(folder / "code")
        os._exit(code)


def main() -> None:
    """Runs one pool after the other; starts no thread, as forks would lose it."""
    import sweep_documents  # noqa: F401
    import torch
    import torch._dynamo  # Imported with the first optimizer, which takes seconds.

    from gcodefp import agent  # noqa: F401
    from gcodefp.sweeps import bayes, training  # noqa: F401

    torch.set_num_threads(1)
    codecs.lookup("ascii")  # Loaded late; an agent of another user may not read Python's files.
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            manager(PoolConfig(**json.loads(line)))
        print(pid, flush=True)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
