"""How much each hyperparameter decided whether a run was among the best.

PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255) compares how the best runs are spread
over a hyperparameter's values with how all runs are; what only some runs have is weighted by how
many have it (Conditional PED-ANOVA, arXiv 2601.20800).
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import Varied, is_maximized, repeats, varied

BEST_RUNS = 5
"""So many runs, or a tenth of all, are `the best`; the method asks for at least five."""
ANY_LATENT = FloatDistribution(0.0, 1.0)


def best_count(runs: int) -> int:
    """How many of so many runs are `the best`."""
    return max(BEST_RUNS, int(np.ceil(runs / 10)))


class Study:
    """The runs as Optuna's trials, several copies of each, so that resamples need no new ones."""

    def __init__(self, every: Sequence[Varied], counted: NDArray[np.bool_], copies: int) -> None:
        """What a run does not use is left out of its trials."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._names = [one.name for one in every]
        self._copies = copies
        self._study = optuna.create_study()
        columns = {one.name: _column(one)[counted] for one in every}
        spaces = {one.name: _distribution(one) for one in every}
        for run in range(int(counted.sum())):
            has = [name for name, column in columns.items() if np.isfinite(column[run])]
            params = {name: _value(columns[name][run], spaces[name]) for name in has}
            space = {name: spaces[name] for name in has}
            trial = create_trial(value=0.0, params=params, distributions=space)
            self._study.add_trials([trial] * copies)

    def divergences(
        self, losses: NDArray[np.float64], counts: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """(P,) how far the best runs' values are from those of all, before they are made shares.

        Args:
            losses: (runs,) the less, the better.
            counts: (runs,) how often each run is there, from 0 to `copies`.
        """
        present = np.arange(self._copies) < counts[:, None]
        of_trials = np.where(present, losses[:, None], np.inf).ravel().tolist()

        def loss(trial: FrozenTrial) -> float:
            return of_trials[trial.number]  # Optuna leaves out what is infinite.

        total = int(counts.sum())
        evaluator = PedAnovaImportanceEvaluator(target_quantile=best_count(total) / total)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of few runs; chance and spread tell more of that.
            found = evaluator.evaluate(self._study, self._names, target=loss)
        return np.array([found[name] for name in self._names])


def _value(number: float, space: BaseDistribution) -> int | float:
    return int(number) if isinstance(space, CategoricalDistribution) else float(number)


def _distribution(one: Varied) -> BaseDistribution:
    """As Bayesian search sees it: numbers of a range by their latent number, uniform in (0, 1)."""
    if one.choices is None:
        return ANY_LATENT
    return CategoricalDistribution(range(len(one.choices)))


def _column(one: Varied) -> NDArray[np.float64]:
    """(runs,) choices by index, numbers by latent number; nan where there is none."""
    if one.choices is not None:
        return one.places
    return np.array([_latent(one, place) for place in one.places.tolist()])


def _latent(one: Varied, number: float) -> float:
    """A later phase's number may lie outside; it counts as the nearer end."""
    if np.isnan(number):
        return np.nan
    found = one.parameter.latent(int(number) if one.parameter.choices else number)
    if found is None:
        return 0.0 if number < float(one.parameter.value(0.5)) else 1.0  # type: ignore[arg-type]
    return found


FEWEST_RUNS = 2 * BEST_RUNS
RESAMPLES = (40, 100)
"""At least and at most; long sweeps get fewer."""
MOST_EVALUATED = 8000
"""Runs in all resamples."""
SHUFFLES = (99, 199)
MOST_SHUFFLED = 40_000
"""As for resamples, which cost more."""
CHANCE_LEVEL = 0.95
SPREAD_PERCENTILES = (5.0, 95.0)
TINY = 1e-12


class Importance(NamedTuple):
    """Shares of all importance; P hyperparameters, the most important first.

    Attributes:
        shares: (P,) sum to 1.
        low, high: (P,) 5th and 95th percentile over bootstrap resamples of the runs.
        chance: (P,) on the same scale; if nothing decided, no hyperparameter would pass its own in
            95 of 100 sweeps.
        runs: how many it rests on; stopped ones count, failed ones and repeats do not.
        best: how many of them are compared with all.
    """

    names: tuple[str, ...]
    shares: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    chance: NDArray[np.float64]
    runs: int
    best: int

    @property
    def beyond_chance(self) -> tuple[str, ...]:
        """The hyperparameters that are more important than chance makes them."""
        above = zip(self.names, self.shares > self.chance, strict=True)
        return tuple(name for name, is_above in above if is_above)


def measure_importance(results: Results) -> Importance | str:
    """The importance of each hyperparameter that varied, or a sentence why there is none."""
    counted = _counted(results)
    every = _differing(results, counted)
    losses = results.runs["best_value"].to_numpy(float)[counted]
    losses = -losses if is_maximized(results) else losses
    if reason := _reason_against(every, losses):
        return reason
    random = np.random.default_rng(0)
    resamples = int(np.clip(MOST_EVALUATED / len(losses), *RESAMPLES))
    shares = np.full(len(losses), 1 / len(losses))
    drawn = random.multinomial(len(losses), shares, size=resamples)
    study = Study(every, counted, copies=int(drawn.max()))
    once = np.ones(len(losses), int)
    found = study.divergences(losses, once)
    if not found.sum() > 0:
        return "The best runs are spread over all hyperparameters as the others are."
    again = [_shares(study.divergences(losses, counts)) for counts in drawn]
    study = Study(every, counted, copies=1)
    shuffles = int(np.clip(MOST_SHUFFLED / len(losses), *SHUFFLES))
    shuffled = [study.divergences(random.permutation(losses), once) for _ in range(shuffles)]
    order = np.argsort(-found, kind="stable")
    low, high = np.percentile(again, SPREAD_PERCENTILES, axis=0)
    return Importance(
        tuple(every[index].name for index in order),
        _shares(found)[order],
        low[order],
        high[order],
        chance_limits(np.array(shuffled))[order] / found.sum(),
        len(losses),
        best_count(len(losses)),
    )


def importance_order(results: Results) -> tuple[str, ...]:
    """Hyperparameters, the most important first; empty if that cannot be told."""
    counted = _counted(results)
    every = _differing(results, counted)
    losses = results.runs["best_value"].to_numpy(float)[counted]
    if _reason_against(every, losses):
        return ()
    losses = -losses if is_maximized(results) else losses
    found = Study(every, counted, copies=1).divergences(losses, np.ones(len(losses), int))
    return tuple(every[index].name for index in np.argsort(-found, kind="stable"))


def _counted(results: Results) -> NDArray[np.bool_]:
    """(runs,) which runs it rests on."""
    has_value = np.isfinite(results.runs["best_value"].to_numpy(float))
    failed = (results.runs["state"] == "failed").to_numpy()
    return has_value & ~failed & ~repeats(results)


def _differing(results: Results, counted: NDArray[np.bool_]) -> list[Varied]:
    return [one for one in varied(results) if one.values[counted].nunique() > 1]


def _reason_against(every: Sequence[Varied], losses: NDArray[np.float64]) -> str | None:
    if len(losses) < FEWEST_RUNS:
        runs = "Only one run has" if len(losses) == 1 else f"Only {len(losses)} runs have"
        return f"{runs} a value; at least {FEWEST_RUNS} are needed to tell what decides."
    if not every:
        return "These runs have the same values of all searched hyperparameters."
    if losses.min() == losses.max():
        return "All runs have the same value, so that nothing decides."
    return None


def chance_limits(shuffled: NDArray[np.float64]) -> NDArray[np.float64]:
    """(P,) limits that none of the hyperparameters passes in 95 of 100 sweeps where none decides.

    Of S shuffles it is the ceil(0.95 (S + 1))-th least: the sweep itself is one more shuffle then
    (Davison and Hinkley 1997, section 4.2).

    Args:
        shuffled: (S, P) divergences. In units of their means they are taken as alike.
    """
    means = np.maximum(shuffled.mean(axis=0), TINY)
    largest = np.sort((shuffled / means).max(axis=1))
    rank = int(np.ceil(CHANCE_LEVEL * (len(largest) + 1)))
    return np.asarray(means * largest[min(rank, len(largest)) - 1])


def _shares(divergences: NDArray[np.float64]) -> NDArray[np.float64]:
    total = divergences.sum()
    return divergences / total if total > 0 else np.zeros_like(divergences)
