"""The hyperparameters of a sweep's runs, without rules."""

import itertools
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_documents import RATE, WHERE, specification

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import parse_hyperparameters
from gcodefp.sweeps.parameters import flatten, key_path, nest
from gcodefp.sweeps.sampling import (
    ConfigurationSequence,
    Exhausted,
    Proposal,
    configurations,
    total_runs,
)
from gcodefp.sweeps.specification import Observation, Specification
from gcodefp.sweeps.trainable import check_trainable

MIXED = {
    "learning_rate": RATE,
    "dropout": {"min": 0.0, "max": 0.5},
    "num_layers": {"min": 1, "max": 4},
    "batch_size": {"values": [8, 16, 64]},
    "optimizer": {"values": ["adam", "sgd"], "probabilities": [0.9, 0.1]},
    "max_epochs": {"value": 3},
}
SMALL = {"num_layers": {"values": [1, 2, 3]}, "optimizer": {"values": ["adam", "sgd"]}}
GROUPS = {
    "model": {
        "parameters": {
            "d_model": {"values": [32, 64]},
            "inner": {"parameters": {"num_layers": {"min": 1, "max": 3}}},
        }
    },
    "dropout": {"values": [0.1, 0.2]},
    "optim.izer": {"parameters": {"optimizer": {"value": "sgd"}, "momentum": {"value": 0.5}}},
}


def loss_of(hyperparameters: Any) -> float:
    return (math.log(hyperparameters["learning_rate"]) + 4) ** 2 + hyperparameters["dropout"]


def observed(proposal: Proposal, loss: float | None) -> Observation:
    return Observation(proposal.hyperparameters, proposal.unit_point, loss)


def observe(
    sweep: Specification, seed: int, runs: int, losses: Any = (1.0,) * 99
) -> list[Observation]:
    """Runs one after another."""
    earlier: list[Observation] = []
    for number, loss in zip(range(runs), losses, strict=False):
        made = ConfigurationSequence(sweep, seed).propose(number, earlier)
        earlier.append(observed(made, loss(made.hyperparameters) if callable(loss) else loss))
    return earlier


def keys(runs: list[Any]) -> list[str]:
    return [json.dumps(run.hyperparameters, sort_keys=True) for run in runs]


def test_grid_sorts_keys_and_varies_the_last_fastest() -> None:
    parameters = {
        "num_layers": {"min": 1, "max": 2},
        "batch_size": {"values": [32, 8]},
        "dropout": {"distribution": "q_uniform", "min": 0.0, "max": 0.3, "q": 0.1},
        "max_epochs": {"value": 3},
    }
    sweep = specification(method="grid", run_cap=None, parameters=parameters)
    names = ["batch_size", "dropout", "max_epochs", "num_layers"]
    made = [
        dict(ConfigurationSequence(sweep, 0).propose(number, []).hyperparameters)
        for number in range(12)
    ]
    assert made == [
        dict(zip(names, values, strict=True))
        for values in itertools.product([32, 8], [0, 0.1, 0.2], [3], [1, 2])
    ]
    with pytest.raises(Exhausted):
        ConfigurationSequence(sweep, 0).propose(12, [])
    assert ConfigurationSequence(sweep, 0).size(None) == total_runs(sweep) == 12
    for cap, total in ((5, 5), (12, 12), (13, 12)):
        capped = specification(method="grid", parameters=parameters, run_cap=cap)
        assert total_runs(capped) == total


def test_random_search_is_a_function_of_seed_and_number() -> None:
    sweep = specification(parameters=MIXED)
    first = [ConfigurationSequence(sweep, 7).propose(number, []) for number in range(6)]
    earlier = [observed(made, 1.0) for made in first]
    for number in reversed(range(6)):
        assert ConfigurationSequence(sweep, 7).propose(number, earlier) == first[number]
    assert ConfigurationSequence(sweep, 8).propose(0, []) != first[0]
    assert len(set(keys(first))) == 6


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_nothing_repeats_and_a_small_space_ends(method: str) -> None:
    sweep = specification(method=method, parameters=SMALL)
    # Failed and open runs count as assigned.
    earlier = observe(sweep, 3, 6, itertools.cycle((0.5, None, math.inf)))
    assert len(set(keys(earlier))) == 6
    with pytest.raises(Exhausted):
        ConfigurationSequence(sweep, 3).propose(6, earlier)


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_impossible_combinations_are_never_proposed(method: str) -> None:
    parameters = {"d_model": {"values": [12, 16, 20]}, "nhead": {"values": [4, 8]}}
    sweep = specification(method=method, parameters=parameters, run_cap=9)
    earlier = observe(sweep, 0, 4)
    pairs = {(run.hyperparameters["d_model"], run.hyperparameters["nhead"]) for run in earlier}
    assert pairs == {(12, 4), (16, 4), (16, 8), (20, 4)}
    with pytest.raises(Exhausted):
        ConfigurationSequence(sweep, 0).propose(4, earlier)
    constant = specification(method=method, parameters={"learning_rate": {"value": 0.1}})
    only = ConfigurationSequence(constant, 0).propose(0, [])
    assert only == Proposal({"learning_rate": 0.1}, {})
    with pytest.raises(Exhausted):
        ConfigurationSequence(constant, 0).propose(1, [observed(only, 1.0)])


def test_bayes_is_a_function_of_seed_and_results() -> None:
    sweep = specification(method="bayes", parameters=MIXED)
    first, repeated = (observe(sweep, 1, 9, itertools.repeat(loss_of)) for _ in range(2))
    assert first == repeated
    assert keys(first)[0] != keys(observe(sweep, 2, 1))[0]
    better = [run._replace(loss=-(run.loss or 0.0)) for run in first]
    assert ConfigurationSequence(sweep, 1).propose(9, first) != ConfigurationSequence(
        sweep, 1
    ).propose(9, better)


# Groups

NAME = st.text("abc._-", min_size=1, max_size=3)
LEAF = st.integers() | st.text() | st.none() | st.lists(st.integers())
TREES = st.recursive(
    st.dictionaries(NAME, LEAF, min_size=1),
    lambda inner: st.dictionaries(NAME, LEAF | inner, min_size=1),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(tree=TREES)
def test_nesting_is_the_inverse_of_flattening(tree: dict[str, Any]) -> None:
    flat = flatten(tree)
    assert not any(isinstance(value, dict) for value in flat.values())
    assert nest(flat) == tree
    assert flatten(nest(flat)) == flat
    assert key_path("a/b.c/d") == "parameters.a.parameters.b.c.parameters.d"


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_run_has_its_groups_and_the_trainer_takes_them(method: str) -> None:
    sweep = specification(method=method, parameters=GROUPS)
    check_trainable(sweep, WHERE)
    assert list(sweep.parameters) == [
        "dropout", "model/d_model", "model/inner/num_layers", "optim.izer/momentum",
        "optim.izer/optimizer",
    ]  # fmt: skip
    earlier = observe(sweep, 0, 4)
    for values in (run.hyperparameters for run in earlier):
        assert set(values) == {"dropout", "model", "optim.izer"}
        assert set(values["model"]) == {"d_model", "inner"}
        taken = parse_hyperparameters(values)
        assert taken.d_model == values["model"]["d_model"]
        assert taken.num_layers == values["model"]["inner"]["num_layers"]
        assert (taken.optimizer, taken.momentum) == ("sgd", 0.5)
    assert len(set(keys(earlier))) == 4
    with pytest.raises(UserError, match="seed is set twice"):
        parse_hyperparameters({"a": {"seed": 1}, "seed": 2})


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
@pytest.mark.parametrize(
    ("values", "distinct"),
    [
        ([16, 16.0], [16]),
        ([16.0, 16], [16.0]),
        ([0, 0.0, -0.0], [0]),
        ([-0.0, 0], [-0.0]),
        ([1, True, 1.0, "1x", False, 0], [1, True, "1x", False, 0]),
        ([[8, 4.0], [8.0, 4], [8, True]], [[8, 4.0], [8, True]]),
        ([2**53, float(2**53), 1e300], [2**53, 1e300]),
    ],
)
def test_equal_numbers_are_one_configuration_and_stay_as_written(
    method: str, values: list[Any], distinct: list[Any]
) -> None:
    sweep = specification(method=method, parameters={"x": {"values": values}, "y": {"value": 3.0}})
    assert len(configurations(sweep) or ()) == len(distinct)
    with pytest.raises(Exhausted):
        observe(sweep, 0, len(distinct) + 1)
    made = [dict(run.hyperparameters) for run in observe(sweep, 0, len(distinct))]
    assert all(repr(run["x"]) in map(repr, values) and repr(run["y"]) == "3.0" for run in made)
    if method == "grid":
        assert [repr(run["x"]) for run in made] == list(map(repr, distinct))
