"""Bayesian search's use of other runs; how good it is: benchmarks/bench_sweep.py."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor

from gcodefp.model.hyperparameters import Objective
from gcodefp.sweeps import bayes
from gcodefp.sweeps.bayes import STARTUP_RUNS, suggest
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.specification import Observation, Specification

UNIT = Parameter("uniform", {"min": 0.0, "max": 1.0})
LIST = Parameter("categorical", {}, (1, 2, 4, 8))
NAMES = Parameter("categorical", {}, ("a", "b", "c", "d"))
UNEQUAL = Parameter("categorical_w_probabilities", {}, ("x", "y"), (0.9, 0.1))


def space(**parameters: Parameter) -> Specification:
    objective = Objective("val/loss", "minimize")
    return Specification("bayes", objective, dict(sorted(parameters.items())), None, None, {})


def test_expected_improvement_is_that_of_scikit_learns_process_bit_by_bit() -> None:
    random = np.random.default_rng(0)
    features, points, losses = random.random((30, 3)), random.random((500, 3)), random.random(30)
    ended = np.arange(30) < 24
    targets = np.where(ended, losses, np.nan)
    improvement = bayes._model(features, ended, targets)(points)

    fitted = bayes._fitted(features[ended], targets[ended])
    expected = fitted.predict(features)
    process = GaussianProcessRegressor(fitted.kernel_, optimizer=None)
    process.fit(features, np.where(ended, targets, expected))
    mean, deviation = process.predict(points, return_std=True)
    deviation = np.sqrt(np.maximum(deviation**2 - fitted.kernel_.k2.noise_level, 1e-12))
    gain = (expected.min() - mean) / deviation
    value = deviation * (gain * norm.cdf(gain) + norm.pdf(gain))
    is_far = improvement != -1.0
    assert is_far.mean() > 0.9
    np.testing.assert_array_equal(improvement[is_far], value[is_far])


MIXED = space(unit=UNIT, ordered=LIST, names=NAMES, unequal=UNEQUAL)
PLANE = space(x=UNIT, y=UNIT)


def runs(
    sweep: Specification, seed: int, count: int, loss: Callable[..., float]
) -> list[Observation]:
    """Runs that end before the next one starts."""
    earlier: list[Observation] = []
    for number in range(count):
        point = suggest(sweep, 1000 * seed + number, earlier)
        earlier.append(Observation({}, point, loss(**point)))
    return earlier


def at(losses: Sequence[float | None], **points: Sequence[float]) -> list[Observation]:
    rows = [dict(zip(points, row, strict=True)) for row in zip(*points.values(), strict=True)]
    return [Observation({}, row, loss) for row, loss in zip(rows, losses, strict=True)]


@pytest.fixture(params=[150, 0], ids=["Gaussian process", "tree"])
def model_runs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Up to how many runs the Gaussian process is the model."""
    monkeypatch.setattr(bayes, "GAUSSIAN_PROCESS_RUNS", request.param)
    return int(request.param)


def bowl(x: float, y: float) -> float:
    return (x - 0.3) ** 2 + (y - 0.8) ** 2


@pytest.mark.parametrize("seed", range(3))
def test_first_runs_are_spread_evenly(seed: int) -> None:
    earlier: list[Observation] = []
    for number in range(STARTUP_RUNS):
        point = suggest(PLANE, 1000 * seed + number, earlier)
        earlier.append(Observation({}, point, None))
    for name in ("x", "y"):
        # From the first on, each is in another eighth.
        start = earlier[0].unit_point[name]
        eighths = [int((run.unit_point[name] - start) % 1.0 * STARTUP_RUNS) for run in earlier]
        assert sorted(eighths) == list(range(STARTUP_RUNS))


def test_model_is_used_from_the_third_result_on() -> None:
    # All others are open, as with many workers.
    x, y = np.random.default_rng(0).random((10, 2)).T.tolist()

    def suggestion(losses: list[float]) -> Any:
        return suggest(PLANE, 0, at([*losses, *[None] * (10 - len(losses))], x=x, y=y))

    assert suggestion([0.1, 0.2]) == suggestion([0.2, 0.1])
    assert suggestion([0.1, 0.2, 0.3]) != suggestion([0.3, 0.2, 0.1])


def test_minimum_of_a_bowl(model_runs: int) -> None:
    losses = [run.loss or 0 for run in runs(PLANE, 0, 24, bowl)]
    assert min(losses) < (0.002 if model_runs else 0.02)
    assert np.median(losses[-8:]) < np.median(losses[:8]) / 2


@pytest.mark.usefixtures("model_runs")
def test_unordered_choices_are_told_apart() -> None:
    # Only c is good, and its neighbours in the list are the worst.
    cost = {"a": 0.7, "b": 1.0, "c": 0.0, "d": 1.0}

    def loss(**point: float) -> float:
        return cost[str(NAMES.value(point["names"]))] + (point["unit"] - 0.5) ** 2

    last = runs(space(names=NAMES, unit=UNIT), 3, 24, loss)[12:]
    assert [NAMES.value(run.unit_point["names"]) for run in last].count("c") >= 7


def test_choices_are_middles_of_their_share_and_do_not_repeat() -> None:
    sweep = space(ordered=LIST, unequal=UNEQUAL, names=NAMES)
    made = runs(sweep, 2, 28, lambda **point: point["ordered"] + point["unequal"])
    assert {run.unit_point["ordered"] for run in made} <= {0.125, 0.375, 0.625, 0.875}
    assert {round(run.unit_point["unequal"], 9) for run in made} == {0.45, 0.95}
    # The first runs are not checked; the caller does that.
    modelled = [tuple(run.unit_point.values()) for run in made[STARTUP_RUNS:]]
    assert len(set(modelled)) == len(modelled)
    assert {tuple(run.unit_point.values()) for run in made[:STARTUP_RUNS]}.isdisjoint(modelled)


def test_failures_are_avoided() -> None:
    # x < 0.5 fails; the best run lies next to it.
    x = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]
    losses = [math.inf if u < 0.5 else u for u in x]
    y = np.linspace(0.05, 0.95, 10)[[3, 7, 1, 9, 5, 2, 8, 0, 6, 4]].tolist()
    assert min(suggest(PLANE, seed, at(losses, x=x, y=y))["x"] for seed in range(5)) > 0.45


def test_open_runs_are_avoided() -> None:
    x = np.linspace(0.05, 0.95, 10).tolist()
    losses: list[float | None] = [(u - 0.5) ** 2 for u in x]
    for seed in range(6):
        x.append(suggest(space(x=UNIT), seed, at(losses, x=x))["x"])
        losses.append(None)
    assert np.diff(sorted(x)).min() >= 0.01
    assert np.mean(np.abs(np.array(x[10:]) - 0.5) < 0.1) > 0.8


def test_how_bad_a_very_bad_loss_is_makes_no_difference() -> None:
    points = np.random.default_rng(1).random((14, 2))
    x, y = points.T.tolist()
    losses: list[float | None] = [bowl(*point) for point in points]

    def suggestion(loss: float) -> Any:
        losses[3] = loss
        return suggest(PLANE, 0, at(losses, x=x, y=y))

    assert suggestion(1e6) == suggestion(1e30) != suggestion(0.0)


@pytest.mark.parametrize(
    "choices", [range(1, 1_000_001), range(10**12), tuple(map(str, range(30_000)))]
)
def test_equal_losses_and_long_lists(choices: Any) -> None:
    made = runs(space(big=Parameter("categorical", {}, choices), unit=UNIT), 0, 10, lambda **_: 1.0)
    assert len({run.unit_point["big"] for run in made}) == 10


@pytest.mark.usefixtures("model_runs")
@pytest.mark.parametrize(
    "huge", [[1e308], [-1e308], [1e308, -1e308], [1e308] * 9, [1e308, math.inf], [5e-324, -1e308]]
)
def test_huge_losses_do_not_end_the_search(huge: list[float]) -> None:
    x, y = np.random.default_rng(1).random((14, 2)).T.tolist()
    losses = [*huge, *(bowl(*point) for point in zip(x, y, strict=True))][:14]
    point = suggest(PLANE, 0, at(losses, x=x, y=y))
    assert all(0 < u < 1 for u in point.values())
