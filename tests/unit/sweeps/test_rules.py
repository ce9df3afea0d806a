"""Constraints and conditions of a sweep, and how sweep.json tells them."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from ruled_sweeps import MIXED, ONLY_SGD, SMALL, ruled, run
from sweep_documents import specification

from gcodefp.errors import UserError
from gcodefp.sweeps import sampling
from gcodefp.sweeps.rules import NO_RULES, Rules, names_of, read_rules
from gcodefp.sweeps.sampling import (
    ConfigurationSequence,
    Exhausted,
    check_possible,
    propose,
    total_runs,
)
from gcodefp.sweeps.space import OPEN, configurations


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
    assert ConfigurationSequence(sweep, 0).size(None) == 3 + 3 * 2
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
