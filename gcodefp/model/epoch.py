"""One epoch: losses, optimizer, a pass over the train windows, and validation.

Shapes: B windows of a batch of T rows, D width of the network, k rows of a window whose blocks are
predicted, K such rows of a batch, P states.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.model.accuracy import count_correct
from gcodefp.model.data import Tensors, augment, mixed_precision
from gcodefp.model.hyperparameters import HYPERPARAMETERS, LOGGED_METRICS, Hyperparameters
from gcodefp.model.network import EMBEDDINGS, Network
from gcodefp.model.window_decoding import decode_split_windows, encode_windows

STATE_STD = 1.0
"""Standard deviation, in states, of the target distribution: true states have fractions."""
TARGET_RADIUS = 3
STATE_TOLERANCE_ROWS = 2
"""A predicted state within this distance of the true one is correct."""
WARMUP_SHARE = 0.1
VALIDATION_STRIDE = 4
"""Losses use every fourth row: neighbouring rows mostly share their block."""


def head_losses(
    predictions: dict[str, tuple[Tensor, Tensor]], hyperparameters: Hyperparameters
) -> dict[str, Tensor]:
    """Mean cross-entropy of each head's logits (K, classes) and classes (K,); 0 without a row."""
    losses = {}
    for head, (logits, target) in predictions.items():
        total = functional.cross_entropy(
            logits, target, label_smoothing=hyperparameters.label_smoothing, reduction="sum"
        )
        losses[head] = total / max(1, len(target))
    return losses


def state_loss(logits: Tensor, state: Tensor, state_range: Tensor) -> Tensor:
    """Mean cross-entropy against a normal distribution around the true state, within its program.

    Args:
        state: (K,) with fractions; rows with NaN are skipped.
        state_range: (K, 2) first and last state of each row's program.
    """
    is_labelled = state.isfinite()
    log_probabilities, state = logits[is_labelled].log_softmax(-1), state[is_labelled]
    low, high = state_range[is_labelled].unbind(-1)
    offsets = torch.arange(-TARGET_RADIUS, TARGET_RADIUS + 1, device=state.device)
    nearby_states = state.round().long()[:, None] + offsets
    weights = torch.exp(-0.5 * ((nearby_states - state[:, None]) / STATE_STD) ** 2)
    weights = weights / weights.sum(-1, keepdim=True)
    nearby_states = nearby_states.clamp(low[:, None], high[:, None])
    return -(weights * log_probabilities.gather(1, nearby_states)).sum() / max(1, len(state))


def position_loss(position: Tensor, target: Tensor) -> Tensor:
    """Mean Huber loss of tool positions (K, 3), in standard deviations; NaN is skipped."""
    is_labelled = target.isfinite()
    total = functional.huber_loss(position[is_labelled], target[is_labelled], reduction="sum")
    return total / max(1, int(is_labelled.sum()))


def total_loss(losses: dict[str, Tensor], hyperparameters: Hyperparameters) -> Tensor:
    """The sum of the heads' losses, weighted by the hyperparameters HEAD_weight that there are."""
    return sum(
        (getattr(hyperparameters, f"{head}_weight", 1.0) * loss for head, loss in losses.items()),
        torch.tensor(0.0),
    )


def make_optimizer(network: nn.Module, hyperparameters: Hyperparameters) -> torch.optim.Optimizer:
    """Adam, AdamW, RMSprop or SGD; biases, norms and embeddings have no weight decay."""
    decayed: list[Tensor] = []
    undecayed: list[Tensor] = []
    for name, parameter in network.named_parameters():
        is_matrix = parameter.ndim >= 2 and name.split(".")[0] not in EMBEDDINGS
        (decayed if is_matrix else undecayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": hyperparameters.weight_decay},
        {"params": undecayed, "weight_decay": 0.0},
    ]
    rate, momentum = hyperparameters.learning_rate, hyperparameters.momentum
    match hyperparameters.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=momentum, fused=True)
        case "rmsprop":  # It has no fused kernel.
            return torch.optim.RMSprop(groups, lr=rate, momentum=momentum)
        case "adam":
            return torch.optim.Adam(groups, lr=rate, fused=True)
    return torch.optim.AdamW(groups, lr=rate, fused=True)


def scheduled_learning_rate(hyperparameters: Hyperparameters, epoch: float) -> float:
    """A linear warm-up, then a half cosine down to zero at max_epochs; epochs have fractions."""
    progress = epoch / hyperparameters.max_epochs
    if progress < WARMUP_SHARE:
        return hyperparameters.learning_rate * (0.01 + 0.99 * progress / WARMUP_SHARE)
    cosine = math.cos(math.pi * (progress - WARMUP_SHARE) / (1 - WARMUP_SHARE))
    return hyperparameters.learning_rate * 0.5 * (1 + cosine)


def train_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    hyperparameters: Hyperparameters,
    data: Tensors,
    epoch: int,
) -> dict[str, float]:
    """Trains on as many random windows as the train split has.

    All random numbers follow from the epoch (from 1) and the seed. Returns the means over the steps
    of train/loss and of each head's loss and accuracy, under teacher forcing.
    """
    network.train()
    device = data.signals.device
    seed = hyperparameters.seed * 1_000_003 + epoch
    torch.manual_seed(seed)
    generator = torch.Generator(device).manual_seed(seed)
    order = torch.randperm(len(data.starts), generator=generator, device=device)
    batches = order.split(hyperparameters.batch_size)
    precision = mixed_precision(device, hyperparameters.precision)
    row_count = min(hyperparameters.rows_per_window, data.window)
    total: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        learning_rate = scheduled_learning_rate(hyperparameters, epoch - 1 + index / len(batches))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        rows = random_circular_windows(data, batch, generator)
        signals = augment(
            data.signals[rows],
            data.nodes,
            hyperparameters.augmentation_prob,
            hyperparameters.noise_std,
            hyperparameters.node_dropout,
            generator,
        )
        selected = (
            torch.rand(rows.shape, generator=generator, device=device).topk(row_count).indices
        )
        with precision:
            encoded = network.encode(signals)
            metrics = batch_metrics(network, hyperparameters, data, encoded, rows, selected)
        optimizer.zero_grad(set_to_none=True)
        metrics["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), hyperparameters.grad_clip)
        optimizer.step()
        for name, value in metrics.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value.detach()
    return {f"train/{name}": float(value) / len(batches) for name, value in total.items()}


def random_circular_windows(data: Tensors, batch: Tensor, generator: torch.Generator) -> Tensor:
    """Rows (B, T) of windows with random starts in the row ranges of the windows of a batch (B,).

    A range wraps around at its end. Without that, a row early in a window could not be late in a
    program: where in its window a row is would carry information on the time since the recording's
    start, which the HMM would accumulate.
    """
    first, length = data.row_ranges[batch].unbind(-1)
    start = (torch.rand(len(batch), generator=generator, device=batch.device) * length).long()
    row = torch.arange(data.window, device=batch.device)
    return first[:, None] + (start[:, None] + row) % length[:, None]


@torch.no_grad()
def validate(network: Network, hyperparameters: Hyperparameters, data: Tensors) -> dict[str, float]:
    """Losses under teacher forcing, accuracies under greedy decoding.

    The losses exclude label smoothing and head weights, so that they are comparable between runs.
    """
    weights: dict[str, Any] = {name: 1.0 for name in HYPERPARAMETERS if name.endswith("_weight")}
    unweighted = replace(hyperparameters, label_smoothing=0.0, **weights)
    selected = torch.arange(0, data.window, VALIDATION_STRIDE, device=data.starts.device)
    total: dict[str, Tensor] = {}
    for rows, _, encoded in encode_windows(network, data.signals, data.starts, data.row_mask):
        every_window = selected.expand(len(rows), -1)
        batch = batch_metrics(network, unweighted, data, encoded, rows, every_window)
        for name, value in batch.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value * len(rows)
    means = {f"val/{name}": float(value) / len(data.starts) for name, value in total.items()}
    # Accuracies of greedy decoding replace those under teacher forcing.
    every_metric = means | _decoding_accuracies(network, data)
    return {name: every_metric[name] for name in LOGGED_METRICS if name.startswith("val/")}


def _decoding_accuracies(network: Network, data: Tensors) -> dict[str, float]:
    """Accuracies of greedy decoding, and val/aligned_acc, that of blocks on the Viterbi path."""
    prediction = decode_split_windows(network, data)
    rows = prediction.is_covered
    tokens, operation = data.tokens.cpu().numpy()[rows], data.operation.cpu().numpy()[rows]
    counts = count_correct(prediction.tokens[rows], tokens, prediction.operation[rows], operation)
    accuracies = {f"val/{name}_acc": each.accuracy() for name, each in counts.items()}
    block, state_block = data.block.cpu().numpy(), data.state_block.cpu().numpy()
    on_path = state_block[prediction.path[rows]] == block[rows]
    return accuracies | {"val/aligned_acc": float(on_path.mean())}


def batch_metrics(
    network: Network,
    hyperparameters: Hyperparameters,
    data: Tensors,
    encoded: Tensor,
    rows: Tensor,
    selected: Tensor,
) -> dict[str, Tensor]:
    """Losses and accuracies of a batch.

    Args:
        encoded: (B, T, D) row vectors.
        rows: (B, T) row numbers of the windows.
        selected: (B, k) which rows of each window have their blocks predicted.
    """
    index = selected[..., None].expand(-1, -1, encoded.shape[-1])
    vectors, selected_rows = encoded.gather(1, index).flatten(0, 1), rows.gather(1, selected)
    labelled = selected_rows.flatten()
    predictions = network.block_logits(vectors, data.tokens[labelled])
    operation = data.operation[rows[:, 0]]
    is_seen = operation != UNSEEN
    predictions["operation"] = network.operation_logits(encoded)[is_seen], operation[is_seen]
    losses = head_losses(predictions, hyperparameters)
    # float32 from here, where rounding matters.
    states = network.state_head(vectors).float()
    positions = network.position_head(vectors).float()
    state = data.state[labelled]
    losses["place"] = state_loss(states, state, data.state_range[labelled])
    losses["position"] = position_loss(positions, data.position[labelled])
    metrics = {"loss": total_loss(losses, hyperparameters)}
    for head, (logits, target) in predictions.items():
        correct = (logits.argmax(-1) == target).sum()
        metrics |= {f"{head}_loss": losses[head], f"{head}_acc": correct / max(1, len(target))}
    is_near = (states.argmax(-1) - state).abs() <= STATE_TOLERANCE_ROWS
    return metrics | {
        "place_loss": losses["place"],
        "place_acc": is_near.sum() / state.isfinite().sum().clamp(min=1),
        "position_loss": losses["position"],
    }
