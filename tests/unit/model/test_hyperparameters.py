"""The ranges of the hyperparameters, and what each does to a training run."""

import math
from pathlib import Path
from typing import Any

import pytest
from learning_data import tiny, untrained
from torch import Tensor
from training_runs import run, same_weights, weights

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import (
    CHOICES,
    HYPERPARAMETERS,
    Hyperparameters,
    parse_hyperparameters,
)
from gcodefp.model.network import EMBEDDINGS
from gcodefp.model.trainer import TrainingData


def test_the_defaults_are_allowed_and_whole_floats_become_integers() -> None:
    assert parse_hyperparameters({}) == Hyperparameters()
    converted = parse_hyperparameters({"batch_size": 32.0, "dropout": 0, "learning_rate": 1})
    kinds = {name: type(getattr(converted, name)) for name in HYPERPARAMETERS}
    assert kinds == {name: type(field.default) for name, field in HYPERPARAMETERS.items()}
    nested = parse_hyperparameters({"optim": {"learning_rate": 0.1}, "batch_size": 2})
    assert (nested.learning_rate, nested.batch_size) == (0.1, 2)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learning_rat", 0.1, r"no hyperparameter 'learning_rat'; did you mean 'learning_rate'\?"),
        ("zzz", 0.1, r"no hyperparameter 'zzz'; known are: .*batch_size, .*weight_decay"),
        ("learning_rate", 0, r"learning_rate: 0 is out of range; it must be above 0$"),
        ("learning_rate", "1e-5", r"learning_rate: '1e-5' is not of type float"),
        ("learning_rate", math.nan, r"learning_rate: nan is not of type float"),
        ("learning_rate", [0.1], r"learning_rate: \[0.1\] is not of type float"),
        ("batch_size", True, r"batch_size: True is not of type int"),
        ("batch_size", 16.5, r"batch_size: 16.5 is not an integer"),
        ("dropout", 1.0, r"dropout: 1.0 is out of range; it must be at least 0 and at most 0.95$"),
        ("optimizer", "adamax", r"optimizer: 'adamax'; did you mean 'adamw?'\?"),
        ("precision", "bfloat", r"precision: 'bfloat'; did you mean 'float32'\?"),
        ("optimizer", ["sgd"], r"optimizer: \['sgd'\]; "),
        ("nhead", 5, r"d_model 96 cannot be divided among nhead 5 heads; choose a d_model that"),
        ("group", {"nhead": 7, "d_model": 7}, r"d_model 7 is odd; choose an even one"),
        ("seed", 10**30, r"seed: 10{30} is out of range"),
    ],
)
def test_a_wrong_value_is_named_with_the_right_ones(name: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"^sweep\.yaml[:.] ?{message}"):
        parse_hyperparameters({name: value}, "sweep.yaml")


@pytest.mark.parametrize("name", [n for n in HYPERPARAMETERS if n not in CHOICES])
def test_every_range_has_limits(name: str) -> None:
    limits = HYPERPARAMETERS[name].metadata
    step = 1 if isinstance(HYPERPARAMETERS[name].default, int) else 0.125
    out = [limits["low"] - step, limits["high"] + step, limits["above"], limits["above"] - step]
    finite = [value for value in out if math.isfinite(value)]
    assert finite
    for value in finite:
        with pytest.raises(UserError, match=f"hyperparameters.{name}: .* is out of range"):
            parse_hyperparameters({name: value})
    for value in (limits["low"], limits["high"]):
        if math.isfinite(value):
            assert getattr(tiny(**{"nhead": 1, name: value}), name) == value


# Training


CHANGED: dict[str, Any] = {
    "learning_rate": 0.01, "batch_size": 8, "d_model": 12, "nhead": 4, "num_layers": 2,
    "dropout": 0.5, "weight_decay": 0.5, "augmentation_prob": 0.5, "noise_std": 0.1,
    "node_dropout": 0.8, "max_epochs": 3, "label_smoothing": 0.2, "grad_clip": 0.01,
    "precision": "bf16", "optimizer": "adam", "momentum": 0.5,
    "command_weight": 5.0, "place_weight": 5.0,
    "position_weight": 5.0, "rows_per_window": 3, "seed": 7,
}  # fmt: skip


@pytest.fixture(scope="module")
def unchanged(
    data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Tensor]]:
    """The weights after two epochs of each optimizer."""
    return {
        name: weights(run(tmp_path_factory.mktemp(name), data, max_epochs=2, optimizer=name)[1])
        for name in ("adamw", "sgd")
    }


@pytest.mark.parametrize("name", HYPERPARAMETERS)
def test_every_hyperparameter_changes_the_weights(
    data: TrainingData, tmp_path: Path, unchanged: dict[str, dict[str, Tensor]], name: str
) -> None:
    optimizer = "sgd" if name == "momentum" else "adamw"
    changed = {"max_epochs": 2, "optimizer": optimizer, name: CHANGED[name]}
    _, checkpoint = run(tmp_path, data, **changed)
    assert not same_weights(weights(checkpoint), unchanged[optimizer])
    if name == "momentum":  # Adam has none.
        _, checkpoint = run(tmp_path / "adamw", data, max_epochs=2, momentum=0.1)
        assert same_weights(weights(checkpoint), unchanged["adamw"])


def moved(data: TrainingData, tmp_path: Path, **changed: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """Parameter -> its values before and after a run."""
    before = dict(untrained(data).named_parameters())
    _, checkpoint = run(tmp_path, data, **changed)
    return {name: (before[name], after) for name, after in checkpoint.network.named_parameters()}


def test_weight_decay_shrinks_matrices_only(data: TrainingData, tmp_path: Path) -> None:
    still = {"max_epochs": 2, "grad_clip": 1e-12, "learning_rate": 0.1, "optimizer": "sgd"}
    for name, (before, after) in moved(data, tmp_path, weight_decay=0.9, **still).items():
        is_matrix = after.ndim >= 2 and name.split(".")[0] not in EMBEDDINGS
        assert (after.norm() < 0.99 * before.norm()).item() == is_matrix, name
