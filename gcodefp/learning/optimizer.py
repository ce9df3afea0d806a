"""The optimizer and its schedule."""

import math

import torch
from torch import nn

from gcodefp.learning.hyperparameters import Hyperparameters

WARMUP_SHARE = 0.1


def make_optimizer(network: nn.Module, hyperparameters: Hyperparameters) -> torch.optim.Optimizer:
    """Adam, AdamW, RMSprop or SGD; biases, norms and embeddings are not decayed."""
    matrices = [p for n, p in network.named_parameters() if p.ndim >= 2 and not _is_embedding(n)]
    others = [p for n, p in network.named_parameters() if p.ndim < 2 or _is_embedding(n)]
    groups = [
        {"params": matrices, "weight_decay": hyperparameters.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    rate = hyperparameters.learning_rate
    momentum = hyperparameters.momentum
    # Fused: one kernel for each group of weights, on a CPU as well; RMSprop has none.
    if hyperparameters.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=rate, momentum=momentum, fused=True)
    if hyperparameters.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=rate, momentum=momentum)
    if hyperparameters.optimizer == "adam":
        return torch.optim.Adam(groups, lr=rate, fused=True)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def scheduled_rate(hyperparameters: Hyperparameters, epoch: float) -> float:
    """Learning rate: a linear warm-up, then a half cosine down to zero at max_epochs.

    Args:
        epoch: epochs done, with their fraction.
    """
    done = epoch / hyperparameters.max_epochs
    if done < WARMUP_SHARE:
        return hyperparameters.learning_rate * (0.01 + 0.99 * done / WARMUP_SHARE)
    cosine = math.cos(math.pi * (done - WARMUP_SHARE) / (1 - WARMUP_SHARE))
    return hyperparameters.learning_rate * 0.5 * (1 + cosine)


def _is_embedding(name: str) -> bool:
    return name.split(".")[0] in ("commands", "parameter_types", "parameter_values", "steps")
