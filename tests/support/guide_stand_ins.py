"""What the guides leave to their users: a model and its training, small enough for a test."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(200, 4))
TARGETS = INPUTS @ np.array([1.0, -2.0, 0.5, 0.0]) > 0
train_loader, val_loader = (INPUTS[:120], TARGETS[:120]), (INPUTS[120:], TARGETS[120:])


def build_model(hidden_size: int, num_layers: int, dropout: float) -> Any:
    """A logistic regression, whatever its size should be."""
    assert hidden_size > 0
    assert num_layers > 0
    assert 0 <= dropout < 1
    weights = np.zeros(4)
    return SimpleNamespace(
        weights=weights, parameters=lambda: weights, state_dict=lambda: weights.tolist()
    )


def create_optimizer(parameters: Any, name: str, lr: float, weight_decay: float) -> Any:
    return SimpleNamespace(weights=parameters, name=name, rate=lr, decay=weight_decay)


def _loss_and_accuracy(model: Any, loader: Any) -> tuple[float, float]:
    inputs, targets = loader
    logits = inputs @ model.weights
    loss = np.log1p(np.exp(-np.where(targets, logits, -logits))).mean()
    return float(loss), float(((logits > 0) == targets).mean())


def train_epoch(model: Any, optimizer: Any, loader: Any, batch_size: int) -> tuple[float, float]:
    """Gradient descent, batch by batch."""
    inputs, targets = loader
    for start in range(0, len(inputs), batch_size):
        rows = slice(start, start + batch_size)
        errors = 1 / (1 + np.exp(-inputs[rows] @ model.weights)) - targets[rows]
        gradient = inputs[rows].T @ errors / len(errors) + optimizer.decay * model.weights
        model.weights -= optimizer.rate * gradient
    return _loss_and_accuracy(model, loader)


def validate(model: Any, loader: Any) -> tuple[float, float]:
    return _loss_and_accuracy(model, loader)


torch = SimpleNamespace(save=lambda state, path: Path(path).write_text(json.dumps(state)))
