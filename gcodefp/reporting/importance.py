"""How much each hyperparameter decides whether a run is among the best.

Optuna's PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255) compares the distribution of
the best runs over a hyperparameter's values with that of all runs.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.reporting.results import Results
from gcodefp.reporting.sweep_runs import VariedParameter, is_maximized, is_repeat, varied_parameters

MIN_RUNS = 10
BEST_SHARE, MIN_BEST = 0.1, 5
"""The best runs are a tenth of all, but at least five, as the method needs."""


class Importance(NamedTuple):
    """Shares of all importance; P hyperparameters, the most important first.

    Attributes:
        shares: (P,) sum to 1.
        runs: how many runs are compared; stopped ones count, failed ones and repeats do not.
        best: how many of them are the best runs.
    """

    names: tuple[str, ...]
    shares: NDArray[np.float64]
    runs: int
    best: int


def measure_importance(results: Results) -> Importance | str:
    """The importance of each hyperparameter that varied, or a sentence why there is none."""
    values = results.runs["best_value"].to_numpy(float)
    is_counted = np.isfinite(values) & (results.runs["state"] != "failed").to_numpy()
    is_counted &= ~is_repeat(results)
    parameters = [
        parameter
        for parameter in varied_parameters(results)
        if parameter.values[is_counted].nunique() > 1
    ]
    values = values[is_counted]
    if len(values) < MIN_RUNS:
        runs = "Only one run has" if len(values) == 1 else f"Only {len(values)} runs have"
        return f"{runs} a value; importance needs at least {MIN_RUNS}."
    if not parameters:
        return "These runs have the same values of all searched hyperparameters."
    if values.min() == values.max():
        return "All runs have the same value, so that no hyperparameter is important."
    best = max(MIN_BEST, int(np.ceil(BEST_SHARE * len(values))))
    losses = -values if is_maximized(results) else values
    divergences = _ped_anova(parameters, is_counted, losses, best)
    if not divergences.sum() > 0:
        return "The best runs are spread over all hyperparameters as the others are."
    order = np.argsort(-divergences, kind="stable")
    names = tuple(parameters[index].name for index in order)
    return Importance(names, divergences[order] / divergences.sum(), len(values), best)


def _ped_anova(
    parameters: Sequence[VariedParameter],
    is_counted: NDArray[np.bool_],
    losses: NDArray[np.float64],
    best: int,
) -> NDArray[np.float64]:
    """(P,) the divergence of the best runs from all runs.

    Args:
        is_counted: (runs,) which of the runs are compared.
        losses: one for each of them; less is better.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    columns = {parameter.name: _latent(parameter)[is_counted] for parameter in parameters}
    # Numbers of a range by their latent number, uniform in (0, 1), as in Bayesian search.
    spaces: dict[str, Any] = {
        parameter.name: optuna.distributions.FloatDistribution(0.0, 1.0)
        if parameter.choices is None
        else optuna.distributions.CategoricalDistribution(range(len(parameter.choices)))
        for parameter in parameters
    }
    for run, loss in enumerate(losses.tolist()):
        # A run that does not use a hyperparameter has none in its trial.
        used = [name for name, column in columns.items() if np.isfinite(column[run])]
        space = {name: spaces[name] for name in used}
        params = {name: spaces[name].to_external_repr(columns[name][run]) for name in used}
        study.add_trial(optuna.create_trial(value=loss, params=params, distributions=space))
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best / len(losses))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The evaluator is experimental.
        divergences = evaluator.evaluate(study, list(columns))
    return np.array([divergences[name] for name in columns])


def _latent(varied: VariedParameter) -> NDArray[np.float64]:
    """(runs,) choices by index, numbers by latent number; nan where a run does not use it."""
    if varied.choices is not None:
        return varied.coordinates
    return np.array([_latent_number(varied, number) for number in varied.coordinates.tolist()])


def _latent_number(varied: VariedParameter, number: float) -> float:
    """A later phase's number may lie outside the range; it counts as the nearer end."""
    if np.isnan(number):
        return np.nan
    parameter = varied.parameter
    latent = parameter.latent(int(number) if parameter.choices else number)
    if latent is None:
        return 0.0 if number < float(parameter.value(0.5)) else 1.0  # type: ignore[arg-type]
    return latent
