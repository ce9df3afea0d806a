"""How far the best runs' values of each hyperparameter are from those of all runs, by Optuna."""

import warnings
from collections.abc import Sequence

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from gcodefp.findings.sweep_runs import Varied

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
