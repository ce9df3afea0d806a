"""Bayesian search: Optuna's samplers over what the earlier runs have shown."""

import math
import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from gcodefp.sweep.distributions import Parameter
from gcodefp.sweep.sampling import Earlier, varying
from gcodefp.sweep.specification import Specification

GAUSSIAN_PROCESS_RUNS = 60
"""A Gaussian process finds more with few runs; beyond, its cost grows with their cube."""
STARTUP_RUNS = 8


def suggest(
    specification: Specification, seed: int, earlier: Sequence[Earlier]
) -> dict[str, float]:
    """Latent numbers, in (0, 1), of the next run.

    Args:
        earlier: runs that ended, failed or still go on; the sampler keeps away from the latter.
    """
    space = {name: _distribution(specification.parameters[name]) for name in varying(specification)}
    study = optuna.create_study(direction="minimize", sampler=_sampler(seed, len(earlier)))
    for run in earlier:
        state, value = TrialState.RUNNING, None
        if run.loss is not None:
            finite = math.isfinite(run.loss)
            state = TrialState.COMPLETE if finite else TrialState.FAIL
            value = run.loss if finite else None
        params = {name: _coordinate(space[name], run.latent[name]) for name in space}
        study.add_trial(create_trial(state=state, value=value, params=params, distributions=space))
    trial = study.ask(space)
    return {name: _latent(space[name], trial.params[name]) for name in space}


def _sampler(seed: int, earlier: int) -> optuna.samplers.BaseSampler:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if earlier < GAUSSIAN_PROCESS_RUNS:
        return optuna.samplers.GPSampler(seed=seed, n_startup_trials=STARTUP_RUNS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=STARTUP_RUNS, multivariate=True, constant_liar=True
        )


def _distribution(parameter: Parameter) -> BaseDistribution:
    """Equally likely choices by index, in order if they are ascending numbers; else u itself."""
    choices = parameter.choices
    if not choices or parameter.probabilities:
        return FloatDistribution(0.0, 1.0)
    if isinstance(choices, range) or _ascending(choices):
        return IntDistribution(0, len(choices) - 1)
    return CategoricalDistribution(range(len(choices)))


def _ascending(choices: Sequence[object]) -> bool:
    numbers = [c for c in choices if isinstance(c, int | float) and not isinstance(c, bool)]
    return len(numbers) == len(choices) and sorted(set(numbers)) == list(choices)


def _size(distribution: BaseDistribution) -> int | None:
    if isinstance(distribution, IntDistribution):
        return distribution.high + 1
    return len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else None


def _coordinate(distribution: BaseDistribution, latent: float) -> float:
    size = _size(distribution)
    return latent if size is None else min(int(latent * size), size - 1)


def _latent(distribution: BaseDistribution, coordinate: float) -> float:
    size = _size(distribution)
    return float(coordinate) if size is None else (coordinate + 0.5) / size
