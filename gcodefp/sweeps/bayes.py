"""Bayesian search: the next hyperparameters, from the results of the other runs.

The first runs are spread evenly. From the third result on a Gaussian process proposes them;
unfinished runs have the loss that it expects of them, so that it searches elsewhere. Its cost grows
with the cube of their number; in a long sweep Optuna takes over. See docs/sweep_benchmark.md.
"""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist
from scipy.special import ndtr
from scipy.stats import qmc
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import ThreadpoolController

from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.specification import Observation, Specification, UnitPoint, varying

Array = NDArray[np.float64]

STARTUP_RUNS, STARTUP_RESULTS, GAUSSIAN_PROCESS_RUNS = 8, 3, 150
MIN_DISTANCE = 0.01  # of its range; a run that differs less in every parameter adds little
LOSS_CLIP = 20.0  # as many times above the median loss as the best is below
MAX_LOSS = 1e150  # differences of larger ones overflow
UNIT_INTERVAL, BOUNDS = FloatDistribution(0.0, 1.0), (1e-6, 1e6)
NOISE_SHARE = 0.02  # of the losses' variance, before the fit
MAX_CHOICES, MAX_UNORDERED = 1_000_000, 1_000  # a feature for each unordered choice
RANDOM_CANDIDATES, PERTURBED_CANDIDATES, ROUNDS, KEPT = 1000, 250, 5, 10
BLOCK = 128  # candidates at a time: what they make for 150 runs fits into a processor's cache
THREADS = ThreadpoolController()  # of the libraries above; looking for them takes longer than a fit

_last_fit: dict[bytes, GaussianProcessRegressor] = {}


def suggest(specification: Specification, seed: int, earlier: Sequence[Observation]) -> UnitPoint:
    """The next run, as a point of the unit cube.

    Args:
        earlier: runs that ended, failed or are unfinished; the sampler avoids the unfinished ones.
    """
    # The last digits of a sum depend on how threads share it.
    with THREADS.limit(limits=1):
        return _suggest(specification, seed, earlier)


def _suggest(specification: Specification, seed: int, earlier: Sequence[Observation]) -> UnitPoint:
    names = varying(specification)
    axes = [_axis(specification.parameters[name]) for name in names]
    points = np.array([[run.unit_point[name] for name in names] for run in earlier])
    points = _snapped(axes, points.reshape(len(earlier), len(axes)))
    losses = np.array([math.nan if run.loss is None else run.loss for run in earlier])
    if len(earlier) < STARTUP_RUNS or np.isfinite(losses).sum() < STARTUP_RESULTS:
        chosen = _sobol_point(points, np.random.default_rng(seed))
    elif len(earlier) < GAUSSIAN_PROCESS_RUNS:
        chosen = _maximize_expected_improvement(axes, points, losses, np.random.default_rng(seed))
    else:
        chosen = _suggest_tpe(axes, points, losses, seed)
    return dict(zip(names, map(float, _snapped(axes, chosen[None])[0]), strict=True))


class _Axis(NamedTuple):
    """One axis of the unit cube: its choices' parts of (0, 1), in a row, if it has any."""

    ends: Array
    middles: Array
    is_unordered: bool

    def choice(self, u: Array) -> NDArray[np.intp]:
        return np.minimum(np.searchsorted(self.ends, u, side="right"), len(self.ends) - 1)


def _axis(parameter: Parameter) -> _Axis:
    """Choices are in order if they are ascending numbers, or too many to be told apart."""
    choices, size = parameter.choices, len(parameter.choices)
    if size > MAX_CHOICES:
        return _Axis(np.array([]), np.array([]), False)
    shares = np.array(parameter.probabilities or np.full(size, 1 / max(size, 1)))
    listed = () if isinstance(choices, range) else choices
    numbers = [c for c in listed if isinstance(c, int | float) and not isinstance(c, bool)]
    is_unordered = len(numbers) < len(listed) or sorted(set(numbers)) != list(listed)
    is_unordered &= size <= MAX_UNORDERED
    return _Axis(np.cumsum(shares), np.cumsum(shares) - shares / 2, is_unordered)


def _snapped(axes: Sequence[_Axis], points: Array) -> Array:
    """Points with each choice in the middle of its share: equal choices are equal points."""
    columns = [
        axis.middles[axis.choice(u)] if len(axis.ends) else u
        for axis, u in zip(axes, points.T, strict=True)
    ]
    return np.array(columns).reshape(points.T.shape).T


def _features(axes: Sequence[_Axis], points: Array) -> Array:
    """What the model sees: choices without an order are all equally far apart."""
    columns = [
        math.sqrt(0.5) * np.eye(len(axis.ends))[axis.choice(u)] if axis.is_unordered else u[:, None]
        for axis, u in zip(axes, points.T, strict=True)
    ]
    return np.hstack(columns)


def _sobol_point(points: Array, random: np.random.Generator) -> Array:
    """The next of a Sobol sequence from the first run on, with some jitter."""
    number, dimensions = points.shape
    jitter = np.asarray(random.random(dimensions))
    if not points.size:
        return jitter
    sobol = qmc.Sobol(dimensions, scramble=False).fast_forward(number).random(1)[0]
    return np.asarray((points[0] + sobol + jitter / STARTUP_RUNS) % 1.0)


def _maximize_expected_improvement(
    axes: Sequence[_Axis], points: Array, losses: Array, random: np.random.Generator
) -> Array:
    """The point of the highest expected improvement: of many, then of those near the best."""
    ended, targets = ~np.isnan(losses), _targets(losses)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # A variance of -1e-17 is no problem.
        improvement = _model(_features(axes, points), ended, targets)
        kept = points[ended][np.argsort(targets[ended], kind="stable")[:KEPT]]
        candidates = random.random((RANDOM_CANDIDATES, len(axes)))
        for _ in range(ROUNDS):
            candidates = _snapped(axes, np.vstack([candidates, _perturb(axes, kept, random)]))
            features = _features(axes, candidates)
            blocks = np.split(features, [*range(BLOCK, len(features) - BLOCK // 2, BLOCK)])
            values = np.concatenate([improvement(block) for block in blocks])
            order = np.argsort(-values, kind="stable")
            kept = candidates = candidates[order[:KEPT]]
    return np.asarray(kept[0])


def _perturb(axes: Sequence[_Axis], centres: Array, random: np.random.Generator) -> Array:
    """Points that differ from a centre in one coordinate or a few."""
    points = centres[random.integers(len(centres), size=PERTURBED_CANDIDATES)]
    changed = random.random(points.shape) < 1.5 / len(axes)
    changed[np.arange(len(points)), random.integers(len(axes), size=len(points))] = True
    scale = random.choice([0.03, 0.1, 0.25], size=(len(points), 1))
    moved = np.clip(points + scale * random.normal(size=points.shape), 1e-6, 1 - 1e-6)
    jumps = (random.random(points.shape) < 0.3) | [axis.is_unordered for axis in axes]
    return np.where(changed, np.where(jumps, random.random(points.shape), moved), points)


def _targets(losses: Array) -> Array:
    """Losses at unit scale, a failed run's as the worst, bad ones' as logarithms with a limit.

    How bad a bad run is says little, and one that diverged must not dwarf the others.
    """
    losses = np.where(np.isfinite(losses), np.clip(losses, -MAX_LOSS, MAX_LOSS), losses)
    finite = losses[np.isfinite(losses)]
    scale = max(np.median(finite) - finite.min(), 1e-300)
    excess = (np.minimum(losses, finite.max()) - np.median(finite)) / scale
    squeezed = np.where(excess > 0, np.log1p(np.clip(excess, 0, LOSS_CLIP)), excess)
    return np.asarray((squeezed - np.nanmean(squeezed)) / max(np.nanstd(squeezed), 1e-12))


def _model(features: Array, ended: NDArray[np.bool_], targets: Array) -> Callable[[Array], Array]:
    """Expected improvement over the best run, by features; negative where a run is already."""
    process = _fitted(features[ended], targets[ended])
    kernel = process.kernel_
    expected = kernel(features, process.X_train_) @ process.alpha_
    noise, best = kernel.k2.noise_level, expected.min()
    # As GaussianProcessRegressor.fit and predict, bit by bit; its checks take longer than the rest.
    covariance = kernel(features)
    covariance[np.diag_indices_from(covariance)] += process.alpha
    factor = cholesky(covariance, lower=True, check_finite=False)
    weights = cho_solve((factor, True), np.where(ended, targets, expected), check_finite=False)

    def improvement(points: Array) -> Array:
        covariance = kernel.k1.k1.constant_value * kernel.k1.k2(points, features)
        mean = covariance @ weights
        solved = solve_triangular(factor, covariance.T, lower=True, check_finite=False)
        variance = kernel.diag(points) - np.einsum("ij,ji->i", solved.T, solved)
        deviation = np.sqrt(np.maximum(variance, 0.0))
        deviation = np.sqrt(np.maximum(deviation**2 - noise, 1e-12))
        gain = (best - mean) / deviation
        density = np.exp(-(gain**2) / 2.0) / math.sqrt(2.0 * math.pi)
        value = deviation * (gain * ndtr(gain) + density)
        nearest = cdist(points, features, "chebyshev").min(axis=1)
        return np.where(nearest < MIN_DISTANCE, -1.0, value)

    return improvement


def _fitted(features: Array, targets: Array) -> GaussianProcessRegressor:
    """The model of the runs that ended; the same for all that are proposed from them."""
    key = features.tobytes() + targets.tobytes()
    if key not in _last_fit:
        kernel = ConstantKernel(1.0, BOUNDS) * Matern(np.ones(features.shape[1]), BOUNDS, nu=2.5)
        kernel += WhiteKernel(NOISE_SHARE, BOUNDS)
        _last_fit.clear()
        process = GaussianProcessRegressor(kernel, optimizer=_fit_kernel_map)
        _last_fit[key] = process.fit(features, targets)
    return _last_fit[key]


def _fit_kernel_map(
    objective: Callable[[Array], tuple[float, Array]], start: Array, bounds: Array
) -> tuple[Array, float]:
    """The kernel's parameters by likelihood and a prior: a dozen runs alone do not fix them."""
    spread = np.append(np.ones(len(start) - 1), 2.0)  # Noise differs most.

    def penalised(theta: Array) -> tuple[float, Array]:
        value, gradient = objective(theta)
        deviation = (theta - start) / spread
        return value + deviation @ deviation / 2, gradient + deviation / spread

    result = minimize(penalised, start, jac=True, bounds=bounds, options={"maxiter": 30})
    return result.x, result.fun


def _suggest_tpe(axes: Sequence[_Axis], points: Array, losses: Array, seed: int) -> Array:
    """The point by Optuna's tree-structured Parzen estimator, whose cost grows slowly."""
    space: dict[str, BaseDistribution] = {
        str(n): CategoricalDistribution(a.middles.tolist()) if a.is_unordered else UNIT_INTERVAL
        for n, a in enumerate(axes)
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
    study = optuna.create_study(sampler=sampler)
    for loss, point in zip(_targets(losses).tolist(), points.tolist(), strict=True):
        value = None if math.isnan(loss) else loss
        state = TrialState.RUNNING if value is None else TrialState.COMPLETE
        params = dict(zip(space, point, strict=True))
        study.add_trial(create_trial(state=state, value=value, params=params, distributions=space))
    trial = study.ask(space)
    return np.array([trial.params[name] for name in space])
