"""How much a configuration has to do, counted rather than timed: to order configurations by it."""

from typing import NamedTuple

import torch

from gcodefp.learning.hyperparameters import Hyperparameters
from gcodefp.learning.network import Network, Sizes

STEP_OPERATIONS = {"cpu": 1e8, "cuda": 1e11}
"""Device -> what it could compute while a layer of a training step is only being set up."""
TRAINING_PASSES = 3
"""Forward once, and backward for activations and for weights."""
ACTIVATIONS_PER_LAYER = 16
"""Numbers that a layer keeps for the way back, in multiples of its input's."""
OPTIMIZER_COPIES = 4
"""Weights, gradients, and two moments."""
BYTES = 4


class Extent(NamedTuple):
    """How large a dataset is: windows of so many rows each."""

    train_windows: int
    val_windows: int
    rows: int


class Workload(NamedTuple):
    """What a configuration has to do.

    Attributes:
        parameters: of the network.
        work: multiply-adds of an epoch, about.
        step_bytes: what a training step holds, about.
    """

    parameters: int
    work: float
    step_bytes: float


def workload(
    hyperparameters: Hyperparameters, sizes: Sizes, extent: Extent, device: str
) -> Workload:
    """Counts the weights of the real network, without giving them any memory."""
    with torch.device("meta"):
        network = Network(sizes, hyperparameters)
    encoder = _weights(network.stem) + _weights(network.encoder)
    heads = [child for name, child in network.named_children() if name.endswith("_head")]
    writer = _weights(network.writer) + sum(_weights(head) for head in heads)
    width, layers = hyperparameters.d_model, hyperparameters.num_layers
    encode = extent.rows * (encoder + 2 * layers * extent.rows * width)
    written = min(hyperparameters.rows_per_window, extent.rows) * sizes.steps
    steps = extent.train_windows / hyperparameters.batch_size
    work = (
        TRAINING_PASSES * extent.train_windows * (encode + written * writer)
        + extent.val_windows * (encode + extent.rows * sizes.steps * writer)
        + steps * (layers + 2) * STEP_OPERATIONS[device]
    )
    kept = extent.rows * (sizes.channels + ACTIVATIONS_PER_LAYER * width * layers)
    kept += written * (ACTIVATIONS_PER_LAYER * width + sizes.parameter_values)
    parameters = _weights(network)
    step_bytes = BYTES * (hyperparameters.batch_size * kept + OPTIMIZER_COPIES * parameters)
    return Workload(parameters, work, step_bytes)


def _weights(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
