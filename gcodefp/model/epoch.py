"""One epoch: a pass over the train windows, and a look at the val windows."""

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.model.data import Tensors, augment, mixed_precision
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.network import Network
from gcodefp.model.scores import row_scores
from gcodefp.model.window_decoding import WINDOWS_PER_BATCH, Prediction, predict

STATE_SPREAD = 1.0
"""Standard deviation, in places, of the target: a row lies between places, and so does its lag."""
SPREAD_REACH = 3


def head_losses(
    answers: dict[str, tuple[Tensor, Tensor]], hyperparameters: Hyperparameters
) -> dict[str, Tensor]:
    """Mean cross-entropy of each head; 0 where a head has nothing to learn from.

    Args:
        answers: head -> logits (K, classes) and true classes (K,).
    """
    losses = {}
    for head, (logits, target) in answers.items():
        summed = functional.cross_entropy(
            logits, target, label_smoothing=hyperparameters.label_smoothing, reduction="sum"
        )
        losses[head] = summed / max(1, len(target))
    return losses


def state_loss(logits: Tensor, state: Tensor, state_range: Tensor) -> Tensor:
    """Cross-entropy against a bell around the true place, within its program.

    Args:
        logits: (K, P).
        state: (K,) with fractions; rows with NaN do not count.
        state_range: (K, 2) first and last place of each row's program.
    """
    known = state.isfinite()
    logs, state = logits[known].log_softmax(-1), state[known]
    low, high = state_range[known].unbind(-1)
    around = torch.arange(-SPREAD_REACH, SPREAD_REACH + 1, device=state.device)
    near = state.round().long()[:, None] + around
    weights = torch.exp(-0.5 * ((near - state[:, None]) / STATE_SPREAD) ** 2)
    weights = weights / weights.sum(-1, keepdim=True)
    near = near.clamp(low[:, None], high[:, None])
    return -(weights * logs.gather(1, near)).sum() / max(1, len(state))


def position_loss(position: Tensor, true: Tensor) -> Tensor:
    """Mean Huber loss of tool positions (K, 3), in standard deviations; NaN does not count."""
    known = true.isfinite()
    summed = functional.huber_loss(position[known], true[known], reduction="sum")
    return summed / max(1, int(known.sum()))


def total_loss(losses: dict[str, Tensor], hyperparameters: Hyperparameters) -> Tensor:
    """The sum of the heads' losses, with their weights."""
    weights = {
        "command": hyperparameters.command_weight,
        "place": hyperparameters.place_weight,
        "position": hyperparameters.position_weight,
    }
    return sum((weights.get(head, 1.0) * loss for head, loss in losses.items()), torch.tensor(0.0))


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


STATE_TOLERANCE_ROWS = 2
"""A place so near the true one counts as right."""


def train_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    hyperparameters: Hyperparameters,
    data: Tensors,
    epoch: int,
) -> dict[str, float]:
    """As many windows as the train split has, drawn anywhere; the epoch counts from 1.

    Returns:
        the means over the steps of train/loss and of each head's loss and accuracy, the words
        before a word being the true ones.
    """
    network.train()
    device = data.signals.device
    seed = hyperparameters.seed * 1_000_003 + epoch
    torch.manual_seed(seed)
    random = torch.Generator(device).manual_seed(seed)
    order = torch.randperm(len(data.starts), generator=random, device=device)
    batches = order.split(hyperparameters.batch_size)
    precision = mixed_precision(device)
    total: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        rate = scheduled_rate(hyperparameters, epoch - 1 + index / len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = random_circular_windows(data, batch, random)
        signals = _augmented(hyperparameters, data, rows, random)
        count = min(hyperparameters.rows_per_window, data.window)
        chosen = torch.rand(rows.shape, generator=random, device=device).topk(count).indices
        with precision:
            measured = forward(network, hyperparameters, data, signals, rows, chosen)
        optimizer.zero_grad(set_to_none=True)
        measured["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), hyperparameters.grad_clip)
        optimizer.step()
        for name, value in measured.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value.detach()
    return {f"train/{name}": float(value) / len(batches) for name, value in total.items()}


def random_circular_windows(data: Tensors, batch: Tensor, random: torch.Generator) -> Tensor:
    """Rows (B, T) of windows that begin anywhere in the stretches of those of the batch.

    Behind its end a stretch starts again. If windows lay always within it, a row early in a window
    could not be late in a program: where in a window a row lies would tell of the time since the
    recording's start, and the alignment would add that up.
    """
    first, length = data.segments[batch].unbind(-1)
    begin = (torch.rand(len(batch), generator=random, device=batch.device) * length).long()
    row = torch.arange(data.window, device=batch.device)
    return first[:, None] + (begin[:, None] + row) % length[:, None]


def _augmented(
    hyperparameters: Hyperparameters, data: Tensors, rows: Tensor, random: torch.Generator
) -> Tensor:
    """The signals (B, T, C) of the windows' rows (B, T), as training sees them."""
    return augment(
        data.signals[rows],
        data.nodes,
        hyperparameters.augmentation_prob,
        hyperparameters.noise_std,
        hyperparameters.node_dropout,
        random,
    )


def validate(network: Network, hyperparameters: Hyperparameters, data: Tensors) -> dict[str, float]:
    """Losses with the true words before each word, accuracies with freely written blocks.

    The losses leave out label smoothing and the heads' weights, so that runs can be compared.
    """
    network.eval()
    plain = replace(
        hyperparameters,
        label_smoothing=0.0,
        command_weight=1.0,
        place_weight=1.0,
        position_weight=1.0,
    )
    windows = torch.arange(len(data.starts), device=data.starts.device)
    total: dict[str, Tensor] = {}
    with torch.no_grad():
        for batch in windows.split(WINDOWS_PER_BATCH):
            rows = data.rows_of(batch)
            # Neighbouring rows mostly share their block; a part of them gives the same mean.
            some = torch.arange(0, data.window, 4, device=rows.device).expand(len(rows), -1)
            measured = forward(network, plain, data, data.signals[rows], rows, some)
            for name, value in measured.items():
                total[name] = total.get(name, torch.zeros_like(value)) + value * len(batch)
    means = {f"val/{name}": float(value) / len(windows) for name, value in total.items()}
    losses = {name: mean for name, mean in means.items() if name.endswith("loss")}
    written = predict(network, data)
    scores = row_scores(
        written.codes[written.covered],
        data.codes.cpu().numpy()[written.covered],
        written.operation[written.covered],
        data.operation.cpu().numpy()[written.covered],
    )
    accuracies = {f"val/{name}_acc": score.accuracy() for name, score in scores.items()}
    accuracies["val/place_acc"] = means["val/place_acc"]
    return losses | accuracies | {"val/aligned_acc": _aligned_accuracy(written, data)}


def _aligned_accuracy(written: Prediction, data: Tensors) -> float:
    """Share of rows whose block is right where the aligned path says that they are."""
    block, program_of_state = data.block.cpu().numpy(), data.state_block.cpu().numpy()
    rows = written.covered
    return float((program_of_state[written.path[rows]] == block[rows]).mean())


def forward(
    network: Network,
    hyperparameters: Hyperparameters,
    data: Tensors,
    signals: Tensor,
    rows: Tensor,
    chosen: Tensor,
) -> dict[str, Tensor]:
    """Losses and accuracies of a batch.

    Args:
        signals: (B, T, C).
        rows: (B, T) row numbers of the windows.
        chosen: (B, k) positions in each window whose blocks are written.
    """
    encoded = network.encode(signals)
    vectors = encoded.gather(1, chosen[..., None].expand(-1, -1, encoded.shape[-1])).flatten(0, 1)
    answers = network.block_logits(vectors, data.codes[rows.gather(1, chosen).flatten()])
    operation = data.operation[rows[:, 0]]
    known = operation != UNSEEN
    answers["operation"] = network.operation_logits(encoded)[known], operation[known]
    losses = head_losses(answers, hyperparameters)
    told = rows.gather(1, chosen).flatten()
    # In mixed precision, float32 starts where rounding would matter.
    states = network.state_head(vectors).float()
    positions = network.position_head(vectors).float()
    losses["place"] = state_loss(states, data.state[told], data.state_range[told])
    losses["position"] = position_loss(positions, data.position[told])
    measured = {"loss": total_loss(losses, hyperparameters)}
    for head, (logits, target) in answers.items():
        correct = (logits.argmax(-1) == target).sum()
        measured |= {f"{head}_loss": losses[head], f"{head}_acc": correct / max(1, len(target))}
    near = (states.argmax(-1) - data.state[told]).abs() <= STATE_TOLERANCE_ROWS
    return measured | {
        "place_loss": losses["place"],
        "place_acc": near.sum() / data.state[told].isfinite().sum().clamp(min=1),
        "position_loss": losses["position"],
    }
