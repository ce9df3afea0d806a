"""What a sweep of many agents costs on one folder: runs that do nothing, and none lost or double.

python benchmarks/bench_scale.py                             64 agents, 100 to 1,000 runs
python benchmarks/bench_scale.py --agents 1 16 --runs 2000 --folder /nfs/scratch
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from bench_overhead import OVERHEAD_SPACE, trivial
from sweep_documents import specification

from gcodefp.sweeps.local_engine import LeasedRun, LocalEngine
from gcodefp.sweeps.run_folder import run_folders

START_SECONDS = 120
"""All agents are there by then, or one of them has failed."""


class Cost(NamedTuple):
    """Milliseconds per run: by the wall clock, and of all processors together."""

    wall: float
    processor: float


def agent(method: str, runs: int, folder: Path, start: Any) -> None:
    """Works like an agent; notes each run that it ends in one write."""
    sweep = specification(method=method, run_cap=runs, parameters=OVERHEAD_SPACE)
    engine = LocalEngine(sweep, 1, runs, folder / "sweep")
    done = os.open(folder / "done.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def objective(leased: LeasedRun) -> dict[str, Any]:
        content = trivial(leased)
        os.write(done, f"{leased.folder.number}\n".encode())
        return content

    start.wait(START_SECONDS)
    engine.work(objective, lambda: None)


def measure(method: str, agents: int, runs: int, parent: Path | None) -> Cost:
    """Lets agents work on a sweep, and checks that each run was done once."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir=parent) as name:
        folder, start = Path(name), context.Barrier(agents + 1)
        arguments = (method, runs, folder, start)
        processes = [context.Process(target=agent, args=arguments) for _ in range(agents)]
        for process in processes:
            process.start()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start.wait(START_SECONDS)
        started = time.perf_counter()
        for process in processes:
            process.join()
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        check(folder, runs, [process.exitcode for process in processes])
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(1000 * wall / runs, 1000 * spent / runs)


def check(folder: Path, runs: int, codes: list[int | None]) -> None:
    """No run is lost, none was done twice, none is too many."""
    assert not any(codes), codes
    done = Counter(int(line) for line in (folder / "done.txt").read_text().split())
    assert done == Counter(range(runs)), "lost or double runs"
    folders = run_folders(folder / "sweep")
    assert [run.number for run in folders] == list(range(runs))
    assert all(run.has_ended() for run in folders)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[64])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--method", choices=["random", "bayes"], default="random")
    parser.add_argument("--folder", type=Path, help="on the storage that is to be measured")
    arguments = parser.parse_args()
    print("| agents | runs | wall ms a run | processor ms a run |\n| --- | --- | --- | --- |")
    for agents, runs in product(arguments.agents, arguments.runs):
        cost = measure(arguments.method, agents, runs, arguments.folder)
        print(f"| {agents} | {runs} | {cost.wall:.1f} | {cost.processor:.1f} |", flush=True)


if __name__ == "__main__":
    main()
