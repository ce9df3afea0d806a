"""The points that a sweep tries first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruled_sweeps import MIXED, ONLY_SGD, SMALL, ruled, run

from gcodefp.errors import UserError
from gcodefp.sweeps.sampling import ConfigurationSequence, propose


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_first_points_come_first_and_exactly(method: str) -> None:
    parameters = SMALL if method == "grid" else MIXED
    point = {"optimizer": "sgd", "momentum": 0.5}
    exact = [point, {"optimizer": "adam"}]
    if method != "grid":
        exact.append({"learning_rate": 0.0123456789012345678})
    runs = run(ruled(parameters, method, first=exact), 5)
    for asked, made in zip(exact, runs, strict=False):
        assert asked.items() <= made.hyperparameters.items()
        assert set(made.hyperparameters) == set(parameters)
    assert len({str(made.hyperparameters) for made in runs}) == 5
    # Bayesian search is told where they lie.
    if method == "bayes":
        assert runs[0].latent["momentum"] == pytest.approx(0.5)
        assert runs[0].latent["optimizer"] == 0.75


@settings(max_examples=20, deadline=None)
@given(rate=st.floats(0.001, 0.1), momentum=st.floats(0.1, 0.9))
def test_any_value_of_the_range_is_tried_exactly(rate: float, momentum: float) -> None:
    point = {"learning_rate": rate, "momentum": momentum}
    made = propose(ruled(MIXED, first=[point]), 0, 0, [])
    assert point.items() <= made.hyperparameters.items()


def test_the_rest_of_a_first_point_is_a_function_of_the_seed() -> None:
    sweep = ruled(MIXED, first=[{"optimizer": "sgd"}])
    assert propose(sweep, 1, 0, []) == propose(sweep, 1, 0, []) != propose(sweep, 2, 0, [])


def test_a_first_point_may_name_a_group_both_ways() -> None:
    groups = {"model": {"parameters": {"d_model": {"values": [64, 96]}}}}
    for point in ({"model": {"d_model": 96}}, {"model.d_model": 96}, {"d_model": 96}):
        made = propose(ruled(groups, first=[point]), 0, 0, [])
        assert made.hyperparameters == {"model": {"d_model": 96}}


def test_a_first_point_that_breaks_a_constraint_is_told() -> None:
    sweep = ruled(SMALL, constraints=["num_layers < 3"], first=[{"num_layers": 3}])
    with pytest.raises(UserError, match=r"sweep.first\[0\].*breaks a constraint"):
        propose(sweep, 0, 0, [])


def test_first_values_are_those_of_the_sweep_and_are_never_switched_off() -> None:
    grid = {"d_model": {"values": [64, 128]}, "num_layers": {"values": [1, 2]}}
    sweep = ruled(grid, method="grid", first=[{"d_model": 128.0, "num_layers": 2}])
    assert [made.hyperparameters for made in run(sweep, 4)] == [
        {"d_model": 128, "num_layers": 2},
        {"d_model": 64, "num_layers": 1},
        {"d_model": 64, "num_layers": 2},
        {"d_model": 128, "num_layers": 1},
    ]
    assert ConfigurationSequence(sweep, 0).size(None) == 4
    momentum = {"momentum": {"min": 0.5, "max": 0.9}, "optimizer": {"values": ["adamw", "sgd"]}}
    for seed in range(5):
        sweep = ruled(momentum, conditions=ONLY_SGD, first=[{"momentum": 0.6}])
        given = propose(sweep, seed, 0, []).hyperparameters
        assert given == {"momentum": 0.6, "optimizer": "sgd"}
    sweep = ruled(momentum, conditions=ONLY_SGD, first=[{"momentum": 0.6, "optimizer": "adamw"}])
    with pytest.raises(UserError, match=r"sweep.first\[0\].*condition"):
        propose(sweep, 0, 0, [])
    with pytest.raises(UserError, match=r"first\[0\].momentum: YAML reads '6e-1' as text"):
        ruled(momentum, first=[{"momentum": "6e-1"}])
