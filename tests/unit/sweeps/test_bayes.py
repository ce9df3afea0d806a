"""What Bayesian search does with the runs that it is told of; what it finds: bench_sweep.py."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from gcodefp.model.hyperparameters import Objective
from gcodefp.sweeps import bayes
from gcodefp.sweeps.bayes import STARTUP_RUNS, suggest
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.sampling import Observation
from gcodefp.sweeps.specification import Specification

UNIT = Parameter("uniform", {"min": 0.0, "max": 1.0})
LIST = Parameter("categorical", {}, (1, 2, 4, 8))
NAMES = Parameter("categorical", {}, ("a", "b", "c", "d"))
UNEQUAL = Parameter("categorical_w_probabilities", {}, ("x", "y"), (0.9, 0.1))


def space(**parameters: Parameter) -> Specification:
    objective = Objective("val/loss", "minimize")
    return Specification("bayes", objective, dict(sorted(parameters.items())), None, None, {})


MIXED = space(unit=UNIT, ordered=LIST, names=NAMES, unequal=UNEQUAL)
PLANE = space(x=UNIT, y=UNIT)


def runs(
    sweep: Specification, seed: int, count: int, loss: Callable[..., float]
) -> list[Observation]:
    """Runs that end before the next one is asked for."""
    earlier: list[Observation] = []
    for number in range(count):
        latent = suggest(sweep, 1000 * seed + number, earlier)
        earlier.append(Observation({}, latent, loss(**latent)))
    return earlier


def at(losses: Sequence[float | None], **latents: Sequence[float]) -> list[Observation]:
    rows = [dict(zip(latents, row, strict=True)) for row in zip(*latents.values(), strict=True)]
    return [Observation({}, row, loss) for row, loss in zip(rows, losses, strict=True)]


def bowl(x: float, y: float) -> float:
    return (x - 0.3) ** 2 + (y - 0.8) ** 2


@pytest.mark.parametrize("seed", range(5))
def test_the_first_runs_are_spread_evenly(seed: int) -> None:
    earlier: list[Observation] = []
    for number in range(STARTUP_RUNS):
        latent = suggest(PLANE, 1000 * seed + number, earlier)
        earlier.append(Observation({}, latent, None))
    for name in ("x", "y"):
        # From the first on, each is in another eighth.
        start = earlier[0].latent[name]
        eighths = [int((run.latent[name] - start) % 1.0 * STARTUP_RUNS) for run in earlier]
        assert sorted(eighths) == list(range(STARTUP_RUNS))


def test_the_first_runs_differ_from_sweep_to_sweep_and_may_be_asked_for_again() -> None:
    first = [suggest(PLANE, seed, []) for seed in range(3)]
    assert len({point["x"] for point in first}) == 3
    earlier = [Observation({}, first[0], None)]
    again = [suggest(PLANE, seed, earlier)["x"] for seed in range(3)]
    assert len(set(again)) == 3


def test_a_model_speaks_at_the_third_result() -> None:
    # All others go on, as with many workers.
    points = np.random.default_rng(0).random((10, 2))
    x, y = points.T.tolist()

    def asked(losses: list[float]) -> Any:
        return suggest(PLANE, 0, at([*losses, *[None] * (10 - len(losses))], x=x, y=y))

    assert asked([0.1, 0.2]) == asked([0.2, 0.1])
    assert asked([0.1, 0.2, 0.3]) != asked([0.3, 0.2, 0.1])


@pytest.mark.parametrize("gaussian_process_runs", [150, 0])
def test_it_finds_the_minimum(monkeypatch: pytest.MonkeyPatch, gaussian_process_runs: int) -> None:
    monkeypatch.setattr(bayes, "GAUSSIAN_PROCESS_RUNS", gaussian_process_runs)
    found = runs(PLANE, 0, 24, bowl)
    assert min(run.loss or 0 for run in found) < (0.002 if gaussian_process_runs else 0.02)
    last = [run.loss or 0 for run in found[-8:]]
    assert np.median(last) < np.median([run.loss or 0 for run in found[:8]]) / 2


def test_the_same_is_suggested_again_at_every_stage() -> None:
    for count in (0, 5, 12):
        earlier = runs(MIXED, 1, count, lambda **latent: latent["unit"])
        assert suggest(MIXED, 7, earlier) == suggest(MIXED, 7, earlier)


@pytest.mark.parametrize("gaussian_process_runs", [150, 0])
def test_unordered_choices_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, gaussian_process_runs: int
) -> None:
    # Only c is good, and its neighbours in the list are the worst.
    monkeypatch.setattr(bayes, "GAUSSIAN_PROCESS_RUNS", gaussian_process_runs)
    cost = {"a": 0.7, "b": 1.0, "c": 0.0, "d": 1.0}

    def loss(**latent: float) -> float:
        return cost[str(NAMES.value(latent["names"]))] + (latent["unit"] - 0.5) ** 2

    found = runs(space(names=NAMES, unit=UNIT), 3, 24, loss)
    chosen = [NAMES.value(run.latent["names"]) for run in found[12:]]
    assert chosen.count("c") >= 7


def test_choices_are_middles_of_their_share_and_never_repeat_while_others_are_left() -> None:
    sweep = space(ordered=LIST, unequal=UNEQUAL, names=NAMES)
    found = runs(sweep, 2, 28, lambda **latent: latent["ordered"] + latent["unequal"])
    assert {run.latent["ordered"] for run in found} <= {0.125, 0.375, 0.625, 0.875}
    assert {round(run.latent["unequal"], 9) for run in found} == {0.45, 0.95}
    # The first runs are not checked; the caller does that.
    modelled = [tuple(run.latent.values()) for run in found[STARTUP_RUNS:]]
    before = {tuple(run.latent.values()) for run in found[:STARTUP_RUNS]}
    assert len(set(modelled)) == len(modelled)
    assert before.isdisjoint(modelled)


def test_it_keeps_away_from_failures() -> None:
    # x < 0.5 fails; the best that is known lies next to it.
    x = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95]
    losses = [math.inf if u < 0.5 else u for u in x]
    y = np.linspace(0.05, 0.95, 10)[[3, 7, 1, 9, 5, 2, 8, 0, 6, 4]].tolist()
    chosen = [suggest(PLANE, seed, at(losses, x=x, y=y))["x"] for seed in range(5)]
    assert min(chosen) > 0.45


def test_it_keeps_away_from_what_runs() -> None:
    x = np.linspace(0.05, 0.95, 10).tolist()
    losses: list[float | None] = [(u - 0.5) ** 2 for u in x]
    for seed in range(6):
        x.append(suggest(space(x=UNIT), seed, at(losses, x=x))["x"])
        losses.append(None)
    assert np.diff(sorted(x)).min() >= 0.01
    assert np.mean(np.abs(np.array(x[10:]) - 0.5) < 0.1) > 0.8


def test_how_far_a_loss_is_beyond_all_bounds_makes_no_difference() -> None:
    points = np.random.default_rng(1).random((14, 2))
    x, y = points.T.tolist()
    losses: list[float | None] = [bowl(*point) for point in points]
    losses[3] = 1e6
    far = suggest(PLANE, 0, at(losses, x=x, y=y))
    losses[3] = 1e30
    assert suggest(PLANE, 0, at(losses, x=x, y=y)) == far
    losses[3] = 0.0
    assert suggest(PLANE, 0, at(losses, x=x, y=y)) != far


def test_equal_losses_and_long_lists_are_no_trouble() -> None:
    sweep = space(big=Parameter("int_uniform", {}, range(1, 1_000_001)), unit=UNIT)
    found = runs(sweep, 0, 10, lambda **_: 1.0)
    assert len({run.latent["big"] for run in found}) == 10


@pytest.mark.parametrize("dimensions", [1, 20])
def test_many_dimensions(dimensions: int) -> None:
    sweep = space(**{f"p{n:02d}": (UNIT, LIST, NAMES)[n % 3] for n in range(dimensions)})
    found = runs(sweep, 0, 12, lambda **latent: sum(latent.values()))
    assert all(0 < u < 1 for run in found for u in run.latent.values())
    assert np.mean([run.loss or 0 for run in found[8:]]) < np.mean(
        [run.loss or 0 for run in found[:8]]
    )
