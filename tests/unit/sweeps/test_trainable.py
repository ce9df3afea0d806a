from typing import Any

import pytest
from sweep_documents import WHERE, specification

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import HYPERPARAMETERS
from gcodefp.sweeps.trainable import (
    ALIASES,
    accepts,
    check_trainable,
    hyperparameter_meant,
    nearest,
)


def parameters(**entries: Any) -> dict[str, Any]:
    return {"parameters": entries}


BAD: list[tuple[dict[str, Any], list[str]]] = [
    (
        parameters(learning_rat={"value": 0.1}, lr={"value": 1}, zzz={"value": 1}),
        [
            "parameters.learning_rat: no such hyperparameter; did you mean 'learning_rate'?",
            "parameters.lr: no such hyperparameter; it is called 'learning_rate' here",
            "parameters.zzz: no such",
        ],
    ),
    (
        parameters(a={"parameters": {"seed": {"value": 1}}}, seed={"value": 2}),
        ["parameters.seed: seed also appears at parameters.a.parameters.seed", "keep one"],
    ),
    (
        {"metric": {"name": "val/gcode_accuracy"}},
        ["metric.name: 'val/gcode_accuracy'", "the nearest val/gcode_acc", "val/loss"],
    ),
    (parameters(learning_rate={"values": [0.1, -0.1]}), ["learning_rate: -0.1", "above 0"]),
    (
        parameters(learning_rate={"min": -0.5, "max": 0.5}),
        ["parameters.learning_rate: -0.49", "(the distribution reaches -0.5)", "above 0"],
    ),
    (
        parameters(model={"parameters": {"d_model": {"values": [7]}}}),
        ["model.parameters: d_model 7 is odd"],
    ),
]


@pytest.mark.parametrize(("changes", "parts"), BAD)
def test_what_the_trainer_cannot_take_is_named_with_a_fix(
    changes: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(UserError) as error:
        check_trainable(specification(**changes), WHERE)
    for part in (WHERE, *parts):
        assert part in str(error.value)


def test_values_that_exclude_each_other_are_not_accepted() -> None:
    assert accepts({"model/d_model": 64, "optimizer/nhead": 4})
    assert not accepts({"model/d_model": 64, "optimizer/nhead": 5})
    assert accepts({"dropout": 2.0, "depth": 4}), "another trainer's"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learning_rat", "learning_rate"),
        ("learningRate", "learning_rate"),
        ("Weight-Decay", "weight_decay"),
        ("num_epochs", "max_epochs"),
        ("LR", "learning_rate"),
        # Alike, but other things.
        *((name, None) for name in ("num_workers", "lr_decay", "min_epochs", "dropout2", "type")),
    ],
)
def test_hyperparameter_that_a_name_means(name: str, meant: str | None) -> None:
    assert hyperparameter_meant(name) == meant
    assert set(ALIASES.values()) <= set(HYPERPARAMETERS)
    assert not set(ALIASES) & set(HYPERPARAMETERS)


def test_two_equally_near_words_are_no_answer() -> None:
    assert nearest("adama", ["adamb", "adamc"]) is None
    assert nearest("bayesian", ["bayes", "grid", "random"]) == "bayes"
    assert nearest("loguniform", ["log_uniform", "q_log_uniform"]) == "log_uniform"
