from typing import Any

import pytest
from sweep_documents import WHERE, specification

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import KNOWN
from gcodefp.sweeps.trainable import (
    ALIASES,
    accepts,
    check_trainable,
    hyperparameter_meant,
    metric_meant,
    nearest,
    untrainable,
)

BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "hyperparameter": (
        {"parameters": {"learning_rat": {"value": 0.1}}},
        ["parameters.learning_rat", "did you mean 'learning_rate'?"],
    ),
    "alias": (
        {"parameters": {"lr": {"value": 0.1}}},
        ["parameters.lr", "it is called 'learning_rate' here"],
    ),
    "in two groups": (
        {"parameters": {"a": {"parameters": {"seed": {"value": 1}}}, "seed": {"value": 2}}},
        ["parameters.seed: seed stands at parameters.a.parameters.seed too", "keep one"],
    ),
    "nhead": (
        {"parameters": {"nhead": {"values": [3, 4]}, "d_model": {"values": [64, 128]}}},
        ["parameters.nhead: 3 divides no value of d_model, [64, 128]", "remove it"],
    ),
    "metric": (
        {"metric": {"name": "val/gcode_accuracy"}},
        # Without a goal it is minimized.
        ["metric.name: 'val/gcode_accuracy'", "write 'val/loss'"],
    ),
    "metric of maximize": (
        {"metric": {"name": "val/acc", "goal": "maximize"}},
        ["metric.name: 'val/acc'", "write 'val/aligned_acc'"],
    ),
    "range": (
        {"parameters": {"learning_rate": {"values": [0.1, -0.1]}}},
        ["parameters.learning_rate: -0.1", "above 0"],
    ),
    "range of draws": (
        {"parameters": {"learning_rate": {"min": -0.5, "max": 0.5}}},
        ["parameters.learning_rate: -0.49", "(the distribution reaches -0.5)", "above 0"],
    ),
    "in a group": (
        {"parameters": {"model": {"parameters": {"d_model": {"values": [7]}}}}},
        ["model.parameters: d_model 7 is odd"],
    ),
    "range of heads": (
        {"parameters": {"nhead": {"min": 5, "max": 7}, "d_model": {"value": 64}}},
        ["parameters.nhead: 5 divides no value of d_model, [64]"],
    ),
    "width of the default heads": (
        {"parameters": {"d_model": {"values": [64, 66]}}},
        ["parameters.d_model: 66 is divided by no value of nhead, [4]"],
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_the_trainer_cannot_take_is_named_with_a_way_out(bad: str) -> None:
    changes, parts = BAD[bad]
    with pytest.raises(UserError) as error:
        check_trainable(specification(**changes), WHERE)
    for part in (WHERE, *parts):
        assert part in str(error.value)


def test_a_range_of_widths_is_fine_as_long_as_one_fits() -> None:
    parameters = {"nhead": {"min": 3, "max": 5}, "d_model": {"values": [64, 128]}}
    check_trainable(specification(parameters=parameters), WHERE)


def test_widths_without_end_are_not_counted() -> None:
    width = {"distribution": "q_log_normal", "mu": 4.0, "sigma": 0.01, "q": 2}
    check_trainable(specification(parameters={"d_model": width}), WHERE)


def test_all_is_told_at_once() -> None:
    sweep = specification(
        metric={"name": "f1"},
        parameters={"lr": {"value": 1}, "zzz": {"value": 1}, "dropout": {"value": 2}},
    )
    messages = [str(problem) for problem in untrainable(sweep, WHERE)]
    assert len(messages) == 4
    for part, message in zip(("f1", "dropout: 2", ".lr", ".zzz"), messages, strict=True):
        assert part in message


def test_combinations_are_judged_unless_they_are_another_trainer_s() -> None:
    assert accepts({"model/d_model": 64, "optimizer/nhead": 4})
    assert not accepts({"model/d_model": 64, "optimizer/nhead": 5})
    assert not accepts({"dropout": 2.0})
    assert accepts({"dropout": 2.0, "depth": 4})


def test_every_alias_leads_to_a_hyperparameter_and_hides_none() -> None:
    assert set(ALIASES.values()) <= set(KNOWN)
    assert not set(ALIASES) & set(KNOWN)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learning_rat", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("Weight-Decay", "weight_decay"),
        ("num_epochs", "max_epochs"),
        ("LR", "learning_rate"),
        # Alike, but other things.
        ("num_workers", None),
        ("lr_decay", None),
        ("min_epochs", None),
        ("dropout2", None),
        ("type", None),
    ],
)
def test_what_a_name_is_meant_to_be(name: str, meant: str | None) -> None:
    assert hyperparameter_meant(name) == meant


def test_two_equally_near_words_are_no_answer() -> None:
    assert nearest("adama", ["adamb", "adamc"]) is None
    assert nearest("bayesian", ["bayes", "grid", "random"]) == "bayes"
    assert nearest("loguniform", ["log_uniform", "q_log_uniform"]) == "log_uniform"


def test_the_metric_that_is_meant_has_the_same_goal() -> None:
    assert metric_meant("val/f1", "maximize") == "val/aligned_acc"
    assert metric_meant("val/f1", "minimize") == "val/loss"
    assert metric_meant("val/comand_acc", "maximize") == "val/command_acc"
    assert metric_meant("val/comand_acc", "minimize") == "val/loss"
