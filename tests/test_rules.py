import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sweep_documents import RATE, specification

from gcodefp.errors import UserError
from gcodefp.search import sampling
from gcodefp.search.rules import NO_RULES, Rules, names_of, read_rules
from gcodefp.search.sampling import Earlier, Exhausted, Plan, check_possible, propose, total_runs
from gcodefp.search.space import OPEN, configurations
from gcodefp.search.specification import Specification

SMALL = {
    "optimizer": {"values": ["adam", "sgd"]},
    "momentum": {"values": [0.5, 0.9]},
    "num_layers": {"min": 1, "max": 3},
}
MIXED = {
    "optimizer": {"values": ["adam", "sgd"]},
    "momentum": {"min": 0.1, "max": 0.9},
    "learning_rate": RATE,
}
ONLY_SGD = {"momentum": "optimizer == 'sgd'"}


def ruled(parameters: Mapping[str, Any], method: str = "random", **rules: Any) -> Specification:
    sweep = specification(method=method, parameters=parameters)
    return replace(sweep, rules=read_rules(sweep.parameters, **rules))


def run(sweep: Specification, runs: int, seed: int = 0) -> list[Earlier]:
    """So many runs one after another, each with the loss 1."""
    plan, earlier = Plan(sweep, seed), []
    for number in range(runs):
        made = plan.propose(number, earlier)
        earlier.append(Earlier(made.hyperparameters, made.latent, 1.0))
    return earlier


def test_no_rules_change_nothing() -> None:
    values = {"a/b": 1}
    assert NO_RULES.active(values) == values
    assert NO_RULES.allow(values)
    assert NO_RULES.describe() == {}


# Constraints


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_every_run_satisfies_the_constraints(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SUGGESTIONS", 1)
    constraints = ["num_layers > 1 or optimizer == 'adam'", "momentum * num_layers < 2"]
    sweep = ruled(SMALL, method, constraints=constraints)
    wanted = [
        (m, n, o)
        for m, n, o in itertools.product([0.5, 0.9], [1, 2, 3], ["adam", "sgd"])
        if (n > 1 or o == "adam") and m * n < 2
    ]
    given = [tuple(run.hyperparameters.values()) for run in run(sweep, len(wanted))]
    assert sorted(given) == sorted((m, n, o) for m, n, o in wanted)
    with pytest.raises(Exhausted):
        run(sweep, len(wanted) + 1)
    assert len(configurations(sweep) or ()) == len(wanted)


def test_a_constraint_may_read_the_trainer_s_defaults_and_dotted_paths() -> None:
    groups = {"model": {"parameters": {"d_model": {"values": [64, 96, 128]}}}}
    sweep = ruled(groups, "grid", constraints=["model.d_model % 64 == 0", "d_model > 16 * nhead"])
    assert [c.hyperparameters for c in configurations(sweep) or ()] == [{"model": {"d_model": 128}}]


@pytest.mark.parametrize(
    ("rules", "parts"),
    [
        ({"constraints": ["a b"]}, ["sweep.constraints[0]", "'a b'", "is no expression"]),
        (
            {"constraints": ["num_layers > 0", "nhed > 1"]},
            ["sweep.constraints[1]", "'nhed'", "did you mean 'nhead'?"],
        ),
        ({"constraints": ["optimizer / 2"]}, ["sweep.constraints[0]", "optimizer", "unsupported"]),
        ({"conditions": {"dropout": "True"}}, ["sweep.conditions", "'dropout'", "no parameter"]),
        ({"conditions": {"momentum": "optimizer ="}}, ["sweep.conditions.momentum", "expression"]),
        (
            {"conditions": {"momentum": "num_layers > 1", "num_layers": "optimizer == 'sgd'"}},
            ["sweep.conditions.momentum", "num_layers", "`and`"],
        ),
        ({"conditions": {"momentum": "momentum > 1"}}, ["depends on momentum"]),
        ({"first": [{}]}, ["sweep.first[0]", "must map"]),
        ({"first": [["a"]]}, ["sweep.first[0]", "must map"]),
        ({"first": [{"num_layer": 1}]}, ["sweep.first[0]", "did you mean 'num_layers'?"]),
        (
            {"first": [{"num_layers": 2}, {"num_layers": 4}]},
            ["sweep.first[1].num_layers: 4", "min 1, max 3"],
        ),
    ],
)
def test_bad_rules_are_told(rules: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        ruled(SMALL, **rules)
    for part in parts:
        assert part in str(error.value)


# Conditions


def test_a_grid_has_combinations_that_differ_in_nothing_once() -> None:
    sweep = ruled(SMALL, "grid", conditions=ONLY_SGD)
    # adam: 3 numbers of layers; sgd: 3 with 2 momenta.
    assert Plan(sweep, 0).size(None) == 3 + 3 * 2
    given = [run.hyperparameters for run in run(sweep, 9)]
    assert len({str(values) for values in given}) == 9
    assert all(("momentum" in values) == (values["optimizer"] == "sgd") for values in given)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_what_is_not_drawn_is_left_open(method: str) -> None:
    runs = run(ruled(MIXED, method, conditions=ONLY_SGD), 10)
    optimizers = {run.hyperparameters["optimizer"] for run in runs}
    assert optimizers == {"adam", "sgd"}
    for made in runs:
        has = made.hyperparameters["optimizer"] == "sgd"
        assert ("momentum" in made.hyperparameters) == has
        assert set(made.latent) == set(MIXED)
        assert (made.latent["momentum"] == OPEN) == (not has)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_small_conditional_space_is_given_out_whole_and_once(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SUGGESTIONS", 1)
    sweep = ruled(SMALL, method, conditions=ONLY_SGD)
    assert len({str(run.hyperparameters) for run in run(sweep, 9)}) == 9
    with pytest.raises(Exhausted):
        run(sweep, 10)


def test_a_condition_in_a_group_leaves_no_empty_group() -> None:
    groups = {
        "optimizer": {"values": ["adam", "sgd"]},
        "more": {"parameters": {"momentum": {"values": [0.5]}}},
    }
    sweep = ruled(groups, "grid", conditions={"more.momentum": "optimizer == 'sgd'"})
    assert [run.hyperparameters for run in run(sweep, 2)] == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "more": {"momentum": 0.5}},
    ]


# First


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


# sweep.json


def test_rules_are_read_again_as_they_are_described() -> None:
    parameters = specification(parameters=SMALL).parameters
    rules = read_rules(parameters, ["num_layers < 3"], ONLY_SGD, [{"momentum": 0.9}], 3)
    described = rules.describe()["rules"]
    again = read_rules(parameters, **described)
    assert isinstance(again, Rules)
    assert again.describe() == rules.describe()
    assert described["width"] == 3


def test_names_of_a_run_are_its_own_and_the_defaults() -> None:
    names = names_of({"model/d_model": 96, "lr": 1})
    assert (names["d_model"], names["model.d_model"], names["lr"], names["nhead"]) == (96, 96, 1, 4)
    names = names_of({"a/type": 1, "b/type": 2})
    assert "type" not in names
    assert (names["a.type"], names["b.type"]) == (1, 2)


def test_a_constraint_on_what_a_run_does_not_have_says_so() -> None:
    parameters = {"kind": {"values": ["a", "b"]}, "depth": {"values": [1, 2]}}
    conditions = {"depth": "kind == 'a'"}
    with pytest.raises(
        UserError, match=r"sweep.constraints\[0\]: 'depth < 2' .*'depth' has no value"
    ):
        ruled(parameters, conditions=conditions, constraints=["depth < 2"])
    sweep = ruled(parameters, conditions=conditions, constraints=["kind == 'b' or depth < 2"])
    assert len(run(sweep, 2)) == 2


def test_first_values_are_those_of_the_sweep_and_are_never_switched_off() -> None:
    grid = {"d_model": {"values": [64, 128]}, "num_layers": {"values": [1, 2]}}
    sweep = ruled(grid, method="grid", first=[{"d_model": 128.0, "num_layers": 2}])
    assert [made.hyperparameters for made in run(sweep, 4)] == [
        {"d_model": 128, "num_layers": 2},
        {"d_model": 64, "num_layers": 1},
        {"d_model": 64, "num_layers": 2},
        {"d_model": 128, "num_layers": 1},
    ]
    assert Plan(sweep, 0).size(None) == 4
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


def test_a_constraint_is_true_or_false() -> None:
    with pytest.raises(UserError, match=r"'d_model % nhead' is 0, neither true nor false"):
        ruled({"d_model": {"value": 64}}, constraints=["d_model % nhead"])


def test_constraints_that_nothing_satisfies_are_told() -> None:
    sweep = ruled({"dropout": {"min": 0.0, "max": 0.4}}, constraints=["dropout > 1"])
    with pytest.raises(UserError, match=r"no configuration is possible.*'dropout > 1'"):
        check_possible(sweep, 0)
    with pytest.raises(Exhausted, match="5000 draws in a row"):
        propose(sweep, 0, 0, [])


def test_a_grid_too_large_to_be_counted_has_a_cap() -> None:
    names = ("learning_rate", "dropout", "weight_decay", "noise_std", "label_smoothing")
    many = {name: {"values": [(i + 1) / 100 for i in range(40)]} for name in names}
    assert total_runs(replace(specification(method="grid", parameters=many), run_cap=5)) == 5
