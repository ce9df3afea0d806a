"""What each hyperparameter does to a training run."""

from pathlib import Path
from typing import Any

import pytest
import torch
from learning_data import tiny, tiny_data, untrained
from torch import Tensor
from training_runs import run, same_weights, weights

from gcodefp.model.hyperparameters import KNOWN
from gcodefp.model.trainer import TrainingData


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return tiny_data(tmp_path_factory.mktemp("dataset"))


CHANGED: dict[str, Any] = {
    "learning_rate": 0.01,
    "batch_size": 8,
    "d_model": 12,
    "nhead": 4,
    "num_layers": 2,
    "dropout": 0.5,
    "weight_decay": 0.5,
    "augmentation_prob": 0.5,
    "noise_std": 0.1,
    "node_dropout": 0.8,
    "max_epochs": 3,
    "label_smoothing": 0.2,
    "grad_clip": 0.01,
    "optimizer": "adam",
    "momentum": 0.5,
    "command_weight": 5.0,
    "place_weight": 5.0,
    "position_weight": 5.0,
    "rows_per_window": 3,
    "seed": 7,
}


@pytest.fixture(scope="module")
def as_they_are(
    data: TrainingData, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Tensor]]:
    """The weights after two epochs of each optimizer that a change is compared with."""
    return {
        name: weights(run(tmp_path_factory.mktemp(name), data, max_epochs=2, optimizer=name)[1])
        for name in ("adamw", "sgd")
    }


@pytest.mark.parametrize("name", KNOWN)
def test_every_hyperparameter_changes_the_weights(
    data: TrainingData,
    tmp_path: Path,
    as_they_are: dict[str, dict[str, Tensor]],
    name: str,
) -> None:
    optimizer = "sgd" if name == "momentum" else "adamw"
    changed = {"max_epochs": 2, "optimizer": optimizer, name: CHANGED[name]}
    _, checkpoint = run(tmp_path, data, **changed)
    assert not same_weights(weights(checkpoint), as_they_are[optimizer])


def test_momentum_is_of_sgd_alone(
    data: TrainingData, tmp_path: Path, as_they_are: dict[str, dict[str, Tensor]]
) -> None:
    _, checkpoint = run(tmp_path, data, max_epochs=2, momentum=0.1)
    assert same_weights(weights(checkpoint), as_they_are["adamw"])


@pytest.mark.parametrize(
    ("weight", "head"), [("command", "command"), ("place", "state"), ("position", "position")]
)
def test_without_weight_a_head_learns_nothing(
    data: TrainingData, tmp_path: Path, weight: str, head: str
) -> None:
    started = untrained(data, seed=3).state_dict()
    _, checkpoint = run(tmp_path, data, seed=3, weight_decay=0.0, **{f"{weight}_weight": 0.0})
    ended = weights(checkpoint)
    same = {name for name in ended if torch.equal(ended[name], started[name])}
    assert same == {f"{head}_head.weight", f"{head}_head.bias"}


def test_grad_clip_bounds_each_step(data: TrainingData, tmp_path: Path) -> None:
    settings = {"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.0, "max_epochs": 1}
    clip, rate = 1e-3, 0.5
    _, checkpoint = run(tmp_path, data, grad_clip=clip, learning_rate=rate, **settings)
    started = dict(untrained(data).named_parameters())
    moved = {n: p - started[n] for n, p in checkpoint.network.named_parameters()}
    steps = -(-len(data.train.starts) // tiny().batch_size)
    distance = sum(m.square().sum().item() for m in moved.values()) ** 0.5
    assert 0.1 * rate * clip < distance <= 1.01 * rate * clip * steps


def test_weight_decay_shrinks_matrices_only(data: TrainingData, tmp_path: Path) -> None:
    settings = {"max_epochs": 2, "grad_clip": 1e-12, "learning_rate": 0.1, "optimizer": "sgd"}
    started = dict(untrained(data).named_parameters())
    _, checkpoint = run(tmp_path, data, weight_decay=0.9, **settings)
    for name, parameter in checkpoint.network.named_parameters():
        matrix = parameter.ndim >= 2 and not hasattr(
            getattr(checkpoint.network, name.split(".")[0]), "num_embeddings"
        )
        shrunk = parameter.norm() < 0.99 * started[name].norm()
        assert shrunk == matrix, name
