"""Constraints, conditions and first points, and the runs that a sweep has with them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from sweep_documents import RATE, specification

from gcodefp.errors import UserError
from gcodefp.sweeps import sampling
from gcodefp.sweeps.sampling import (
    INACTIVE_UNIT,
    ConfigurationSequence,
    Exhausted,
    check_possible,
    configurations,
    never_true,
    total_runs,
)
from gcodefp.sweeps.search_options import named_values, read_options
from gcodefp.sweeps.specification import Observation, Specification

RANGE = {"min": 0.5, "max": 0.9}
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
    return replace(sweep, options=read_options(sweep.parameters, **rules))


def run(sweep: Specification, runs: int, seed: int = 0) -> list[Observation]:
    """So many runs one after another, each with the loss 1."""
    plan, earlier = ConfigurationSequence(sweep, seed), []
    for number in range(runs):
        made = plan.propose(number, earlier)
        earlier.append(Observation(made.hyperparameters, made.unit_point, 1.0))
    return earlier


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_every_run_satisfies_the_constraints(method: str) -> None:
    sweep = ruled(SMALL, method, constraints=["num_layers < 3", "optimizer == 'sgd'"])
    runs = run(sweep, 4)
    assert all(made.hyperparameters["num_layers"] < 3 for made in runs)
    assert {made.hyperparameters["optimizer"] for made in runs} == {"sgd"}
    assert len(configurations(sweep) or ()) == 4
    with pytest.raises(Exhausted):
        run(sweep, 5)


@pytest.mark.parametrize(
    ("rules", "parts"),
    [
        ({"constraints": ["a b"]}, ["sweep.constraints[0]", "'a b'", "is not an expression"]),
        (
            {"constraints": ["num_layers > 0", "nhed > 1"]},
            ["sweep.constraints[1]", "'nhed'", "did you mean 'nhead'?"],
        ),
        (
            {"constraints": ["optimizer / 2"]},
            ["sweep.constraints[0]", "optimizer", "is not a number"],
        ),
        ({"constraints": ["num_layers % 2"]}, ["neither true nor false; compare it"]),
        ({"conditions": {"dropout": "True"}}, ["sweep.conditions", "'dropout'", "not a parameter"]),
        ({"conditions": {"momentum": "optimizer ="}}, ["sweep.conditions.momentum", "expression"]),
        (
            {"conditions": {"momentum": "num_layers > 1", "num_layers": "optimizer == 'sgd'"}},
            ["sweep.conditions.momentum", "num_layers", "`and`"],
        ),
        ({"conditions": {"momentum": "momentum > 1"}}, ["depends on momentum"]),
        ({"first": [{}]}, ["sweep.first[0]", "must map"]),
        ({"first": [["a"]]}, ["sweep.first[0]", "must map"]),
        (
            {"first": [{"momentum": 10**399}]},
            ["sweep.first[0].momentum: 1000", "not a finite number"],
        ),
        ({"first": [{"momentum": [0.5]}]}, ["sweep.first[0].momentum: [0.5] is not in the"]),
        ({"first": [{"momentum": True}]}, ["sweep.first[0].momentum: True is not in the"]),
        (
            {"first": [{"num_layers": 1, "a": {"num_layers": 2}}]},
            ["sweep.first[0]: 'a/num_layers' is not a parameter"],
        ),
        ({"first": [{"num_layer": 1}]}, ["sweep.first[0]", "did you mean 'num_layers'?"]),
        (
            {"first": [{"momentum": "5e-1"}]},
            ["sweep.first[0].momentum: YAML reads '5e-1' as a string"],
        ),
        (
            {"first": [{"num_layers": 2}, {"num_layers": 4}]},
            ["sweep.first[1].num_layers: 4", "min 1, max 3"],
        ),
    ],
)
def test_bad_rules_are_named(rules: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(UserError) as error:
        ruled(SMALL, **rules)
    for part in parts:
        assert part in str(error.value)


def test_constraints_that_nothing_satisfies_end_the_search() -> None:
    sweep = ruled({"dropout": {"min": 0.0, "max": 0.4}}, constraints=["dropout > 1"])
    with pytest.raises(UserError, match=r"no configuration is possible.*'dropout > 1'"):
        check_possible(sweep, 0)
    with pytest.raises(Exhausted, match="5000 draws in a row"):
        ConfigurationSequence(sweep, 0).propose(0, [])
    grid = ruled({"seed": {"min": 0, "max": 10**9}}, "grid", constraints=["seed < 0"])
    with pytest.raises(UserError, match="more than 100000 combinations break"):
        total_runs(grid)


# Conditions


@pytest.mark.parametrize(
    ("text", "is_never_true"),
    [
        ("optimizer == 'sdg'", True),
        ("optimizer == 'sgd'", False),
        ("num_layers > 3", True),
        ("num_layers == 3 and optimizer == 'adam'", False),
        ("dropout > 0.5", True),
        ("dropout > 0.39", False),
        ("False", True),
        ("nhead == 5", True),  # The sweep leaves it at its default.
        ("nhead == 4", False),
    ],
)
def test_condition_that_is_never_true_is_found(text: str, is_never_true: bool) -> None:
    parameters = SMALL | {"dropout": {"min": 0.0, "max": 0.4}}
    sweep = ruled(parameters, conditions={"momentum": text})
    assert [c.text for c in never_true(sweep)] == [text] * is_never_true


def test_grid_has_combinations_that_differ_in_nothing_once() -> None:
    sweep = ruled(SMALL, "grid", conditions=ONLY_SGD)
    # adam: 3 numbers of layers; sgd: 3 with 2 momenta.
    assert ConfigurationSequence(sweep, 0).size(None) == 3 + 3 * 2
    assigned = [run.hyperparameters for run in run(sweep, 9)]
    assert len({str(values) for values in assigned}) == 9
    assert all(("momentum" in values) == (values["optimizer"] == "sgd") for values in assigned)


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_conditional_parameters_are_absent_and_open(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = run(ruled(MIXED, method, conditions=ONLY_SGD), 10)
    assert {run.hyperparameters["optimizer"] for run in runs} == {"adam", "sgd"}
    for made in runs:
        has = made.hyperparameters["optimizer"] == "sgd"
        assert ("momentum" in made.hyperparameters) == has
        assert set(made.unit_point) == set(MIXED)
        assert (made.unit_point["momentum"] == INACTIVE_UNIT) == (not has)
    # A small space is tried whole and once.
    monkeypatch.setattr(sampling, "SUGGESTIONS", 1)
    sweep = ruled(SMALL, method, conditions=ONLY_SGD)
    runs = run(sweep, 9)
    assert len({str(run.hyperparameters) for run in runs}) == 9
    for made in runs:
        for name, value in made.hyperparameters.items():
            assert sweep.parameters[name].value(made.unit_point[name]) == value
    with pytest.raises(Exhausted):
        run(sweep, 10)


def test_condition_in_a_group_leaves_no_empty_group() -> None:
    groups = {
        "optimizer": {"values": ["adam", "sgd"]},
        "more": {"parameters": {"momentum": {"values": [0.5]}}},
    }
    sweep = ruled(groups, "grid", conditions={"more.momentum": "optimizer == 'sgd'"})
    assert [run.hyperparameters for run in run(sweep, 2)] == [
        {"optimizer": "adam"},
        {"optimizer": "sgd", "more": {"momentum": 0.5}},
    ]


# First points


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_first_points_come_first_and_exactly(method: str) -> None:
    parameters = SMALL if method == "grid" else MIXED
    points: list[dict[str, Any]] = [{"optimizer": "sgd", "momentum": 0.5}, {"optimizer": "adam"}]
    if method != "grid":
        points.append({"learning_rate": 0.0123456789012345678})
    runs = run(ruled(parameters, method, first=points), 5)
    for point, made in zip(points, runs, strict=False):
        assert point.items() <= made.hyperparameters.items()
        assert set(made.hyperparameters) == set(parameters)
    assert len({str(made.hyperparameters) for made in runs}) == 5
    if method != "grid":
        # What the points omit is drawn for each anew.
        rates = [made.hyperparameters["learning_rate"] for made in runs[:2]]
        assert rates[0] != rates[1]
    if method == "bayes":
        assert runs[0].unit_point["momentum"] == pytest.approx(0.5)
        assert runs[0].unit_point["optimizer"] == 0.75


def test_first_point_of_a_grid_is_not_repeated_and_has_its_type() -> None:
    grid = {"d_model": {"values": [64, 128]}, "num_layers": {"values": [1, 2]}}
    sweep = ruled(grid, method="grid", first=[{"d_model": 128.0, "num_layers": 2}])
    runs = [tuple(made.hyperparameters.values()) for made in run(sweep, 4)]
    assert runs == [(128, 2), (64, 1), (64, 2), (128, 1)]
    assert isinstance(runs[0][0], int)
    assert ConfigurationSequence(sweep, 0).size(None) == 4


def test_first_point_holds_its_condition_and_constraints() -> None:
    momentum = {"momentum": RANGE, "optimizer": {"values": ["adamw", "sgd"]}}
    for seed in range(5):
        sweep = ruled(momentum, conditions=ONLY_SGD, first=[{"momentum": 0.6}])
        made = ConfigurationSequence(sweep, seed).propose(0, []).hyperparameters
        assert made == {"momentum": 0.6, "optimizer": "sgd"}
    for rules in (
        {"conditions": ONLY_SGD, "first": [{"momentum": 0.6, "optimizer": "adamw"}]},
        {"constraints": ["momentum < 0.6"], "first": [{"momentum": 0.8}]},
    ):
        with pytest.raises(UserError, match=r"sweep.first\[0\].*breaks a constraint or a cond"):
            ConfigurationSequence(ruled(momentum, **rules), 0).propose(0, [])


def test_names_of_a_run_are_its_own_and_the_defaults() -> None:
    names = named_values({"model/d_model": 96, "lr": 1})
    assert (names["d_model"], names["model.d_model"], names["lr"], names["nhead"]) == (96, 96, 1, 4)
    names = named_values({"a/type": 1, "b/type": 2})
    assert "type" not in names
    assert (names["a.type"], names["b.type"]) == (1, 2)


def test_grid_too_large_to_be_counted_needs_a_cap() -> None:
    names = ("learning_rate", "dropout", "weight_decay", "noise_std", "label_smoothing")
    many = {name: {"values": [(i + 1) / 100 for i in range(40)]} for name in names}
    sweep = specification(method="grid", parameters=many, run_cap=None)
    assert total_runs(replace(sweep, run_cap=5)) == 5
    with pytest.raises(UserError, match="run_cap: the grid has 102400000 combinations"):
        total_runs(sweep)
    long = specification(method="grid", parameters={"seed": {"min": 0, "max": 10**9}}, run_cap=2)
    assert [
        ConfigurationSequence(long, 0).propose(k, []).hyperparameters["seed"] for k in range(2)
    ] == [0, 1]
