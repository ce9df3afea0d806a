"""One epoch: losses, optimizer, a pass over the train windows, and validation.

Shapes: B windows of a batch of T rows, D width of the network, k rows of a window whose blocks are
predicted, K such rows of a batch, P states.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.model.accuracy import count_correct
from gcodefp.model.data import Tensors, augment, mixed_precision
from gcodefp.model.hyperparameters import HYPERPARAMETERS, LOGGED_METRICS, Hyperparameters
from gcodefp.model.network import EMBEDDINGS, IGNORED, Network
from gcodefp.model.window_decoding import decode_split_windows, encode_windows

if TYPE_CHECKING:
    from gcodefp.model.graphed_step import GraphedStep

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
            logits,
            target,
            ignore_index=IGNORED,
            label_smoothing=hyperparameters.label_smoothing,
            reduction="sum",
        )
        losses[head] = total / _count(target != IGNORED)
    return losses


def _count(mask: Tensor) -> Tensor:
    """How many are true, at least 1: the mean of none is 0."""
    return mask.sum().clamp(min=1)


def state_loss(logits: Tensor, state: Tensor, state_range: Tensor) -> Tensor:
    """Mean cross-entropy against a normal distribution around the true state, within its program.

    Args:
        state: (K,) with fractions; rows with NaN are skipped.
        state_range: (K, 2) first and last state of each row's program.
    """
    is_labelled = state.isfinite()
    state, state_range = state.where(is_labelled, 0.0), state_range.clamp(min=0)
    offsets = torch.arange(-TARGET_RADIUS, TARGET_RADIUS + 1, device=state.device)
    nearby_states = state.round().long()[:, None] + offsets
    weights = torch.exp(-0.5 * ((nearby_states - state[:, None]) / STATE_STD) ** 2)
    weights = is_labelled[:, None] * weights / weights.sum(-1, keepdim=True)
    nearby_states = nearby_states.clamp(state_range[:, :1], state_range[:, 1:])
    log_probabilities = logits.log_softmax(-1).gather(1, nearby_states)
    return -(weights * log_probabilities).sum() / _count(is_labelled)


def position_loss(position: Tensor, target: Tensor) -> Tensor:
    """Mean Huber loss of tool positions (K, 3), in standard deviations; NaN is skipped."""
    is_labelled = target.isfinite()
    target = target.where(is_labelled, position.detach())
    return functional.huber_loss(position, target, reduction="sum") / _count(is_labelled)


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
    step: "GraphedStep | None" = None,
) -> dict[str, float]:
    """Trains on as many random windows as the train split has.

    All random numbers follow from the epoch (from 1) and the seed. Returns the means over the steps
    of train/loss and of each head's loss and accuracy, under teacher forcing.

    Args:
        step: of this network, instead of `compute_gradients`.
    """
    network.train()
    device = data.signals.device
    seed = hyperparameters.seed * 1_000_003 + epoch
    torch.manual_seed(seed)
    generator = torch.Generator(device) if step is None else step.generator
    generator.manual_seed(seed)
    order = torch.randperm(len(data.starts), generator=generator, device=device)
    batches = order.split(hyperparameters.batch_size)
    names: list[str] = []
    total = torch.zeros((), device=device)
    for index, windows in enumerate(batches):
        learning_rate = scheduled_learning_rate(hyperparameters, epoch - 1 + index / len(batches))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        if step is None:
            metrics = compute_gradients(network, hyperparameters, data, generator, None, windows)
        else:
            metrics = step(windows)
        optimizer.step()
        names = list(metrics)
        total = total + torch.stack(list(metrics.values()))
    totals = zip(names, total.tolist(), strict=True)
    return {f"train/{name}": value / len(batches) for name, value in totals}


def compute_gradients(
    network: Network,
    hyperparameters: Hyperparameters,
    data: Tensors,
    generator: torch.Generator,
    node_count: int | None,
    windows: Tensor,
) -> dict[str, Tensor]:
    """Draws and augments train windows, and leaves the clipped gradients of their loss.

    Args:
        node_count: of the sensor nodes; with it, shapes are fixed, as a CUDA graph needs them.
        windows: (B,) numbers of windows, in whose row ranges others are drawn.

    Returns:
        `batch_metrics`, without gradients.
    """
    device, is_fixed = data.signals.device, node_count is not None
    rows = random_circular_windows(data, windows, generator)
    signals = augment(
        data.signals[rows],
        data.nodes,
        hyperparameters.augmentation_prob,
        hyperparameters.noise_std,
        hyperparameters.node_dropout,
        generator,
        node_count,
    )
    row_count = min(hyperparameters.rows_per_window, data.window)
    selected = torch.rand(rows.shape, generator=generator, device=device).topk(row_count).indices
    with mixed_precision(device, hyperparameters.precision, keep_casts=not is_fixed):
        encoded = network.encode(signals)
        metrics = batch_metrics(network, hyperparameters, data, encoded, rows, selected, is_fixed)
    network.zero_grad(set_to_none=True)
    metrics["loss"].backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), hyperparameters.grad_clip)
    return {name: value.detach() for name, value in metrics.items()}


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
    fixed_shapes: bool = False,
) -> dict[str, Tensor]:
    """Losses and accuracies of a batch.

    Args:
        encoded, rows: (B, T, D) row vectors, and (B, T) row numbers, of the windows.
        selected: (B, k) which rows of each window have their blocks predicted.
        fixed_shapes: what has no label is computed and not counted, as a CUDA graph needs it.
    """
    index = selected[..., None].expand(-1, -1, encoded.shape[-1])
    vectors, selected_rows = encoded.gather(1, index).flatten(0, 1), rows.gather(1, selected)
    labelled = selected_rows.flatten()
    predictions = network.block_logits(vectors, data.tokens[labelled], fixed_shapes)
    operation = data.operation[rows[:, 0]]
    operation = operation.where(operation != UNSEEN, IGNORED)
    operation_logits = network.operation_logits(encoded)
    # float32 from here, where rounding matters.
    states = network.state_head(vectors).float()
    positions = network.position_head(vectors).float()
    state, state_range, position = (
        values[labelled] for values in (data.state, data.state_range, data.position)
    )
    is_near = (states.argmax(-1) - state).abs() <= STATE_TOLERANCE_ROWS
    state_accuracy = is_near.sum() / _count(state.isfinite())
    if not fixed_shapes:
        has_operation = operation != IGNORED
        operation_logits, operation = operation_logits[has_operation], operation[has_operation]
        has_state, has_position = state.isfinite(), position.isfinite()
        states, state, state_range = (v[has_state] for v in (states, state, state_range))
        positions, position = positions[has_position], position[has_position]
    predictions["operation"] = operation_logits, operation
    losses = head_losses(predictions, hyperparameters)
    losses["place"] = state_loss(states, state, state_range)
    losses["position"] = position_loss(positions, position)
    metrics = {"loss": total_loss(losses, hyperparameters)}
    for head, (logits, target) in predictions.items():
        accuracy = (logits.argmax(-1) == target).sum() / _count(target != IGNORED)
        metrics |= {f"{head}_loss": losses[head], f"{head}_acc": accuracy}
    return metrics | {
        "place_loss": losses["place"],
        "place_acc": state_accuracy,
        "position_loss": losses["position"],
    }
