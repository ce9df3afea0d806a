"""One epoch: a pass over the train windows, and a look at the val windows."""

from dataclasses import replace

import torch
from torch import Tensor

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.learning.augment import augment
from gcodefp.learning.hyperparameters import Hyperparameters
from gcodefp.learning.losses import head_losses, total_loss
from gcodefp.learning.network import Network
from gcodefp.learning.optimizer import scheduled_rate
from gcodefp.learning.predict import WINDOWS_PER_BATCH, predict
from gcodefp.learning.scores import row_scores
from gcodefp.learning.tensors import Tensors


def train_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    hyperparameters: Hyperparameters,
    data: Tensors,
    epoch: int,
) -> dict[str, float]:
    """One pass over the train windows in random order; the epoch counts from 1.

    Returns:
        the means over the steps of train/loss and of each head's loss and accuracy, the words
        before a word being the true ones.
    """
    network.train()
    seed = hyperparameters.seed * 1_000_003 + epoch
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data.starts), generator=random).to(data.starts.device)
    batches = order.split(hyperparameters.batch_size)
    total: dict[str, Tensor] = {}
    for index, batch in enumerate(batches):
        rate = scheduled_rate(hyperparameters, epoch - 1 + index / len(batches))
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = data.rows_of(batch)
        signals = augment(
            data.signals[rows], hyperparameters.augmentation_prob, hyperparameters.noise_std, random
        )
        count = min(hyperparameters.rows_per_window, data.window)
        chosen = torch.rand(rows.shape, generator=random).topk(count).indices.to(rows.device)
        measured = _forward(network, hyperparameters, data, signals, rows, chosen)
        optimizer.zero_grad(set_to_none=True)
        measured["loss"].backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), hyperparameters.grad_clip)
        optimizer.step()
        for name, value in measured.items():
            total[name] = total.get(name, torch.zeros_like(value)) + value.detach()
    return {f"train/{name}": float(value) / len(batches) for name, value in total.items()}


def validate(network: Network, hyperparameters: Hyperparameters, data: Tensors) -> dict[str, float]:
    """Losses with the true words before each word, accuracies with freely written blocks.

    The losses leave out label smoothing and the command's weight, so that runs can be compared.
    """
    network.eval()
    plain = replace(hyperparameters, label_smoothing=0.0, command_weight=1.0)
    windows = torch.arange(len(data.starts), device=data.starts.device)
    total: dict[str, Tensor] = {}
    with torch.no_grad():
        for batch in windows.split(WINDOWS_PER_BATCH):
            rows = data.rows_of(batch)
            # Neighbouring rows mostly share their block; a part of them gives the same mean.
            some = torch.arange(0, data.window, 4, device=rows.device).expand(len(rows), -1)
            measured = _forward(network, plain, data, data.signals[rows], rows, some)
            for name, value in measured.items():
                total[name] = total.get(name, torch.zeros_like(value)) + value * len(batch)
    losses = {
        f"val/{name}": float(value) / len(windows)
        for name, value in total.items()
        if name.endswith("loss")
    }
    written = predict(network, data)
    scores = row_scores(
        written.codes[written.covered],
        data.codes.cpu().numpy()[written.covered],
        written.operation[written.covered],
        data.operation.cpu().numpy()[written.covered],
    )
    return losses | {f"val/{name}_acc": score.accuracy() for name, score in scores.items()}


def _forward(
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
    measured = {"loss": total_loss(losses, hyperparameters)}
    for head, (logits, target) in answers.items():
        hits = (logits.argmax(-1) == target).sum()
        measured |= {f"{head}_loss": losses[head], f"{head}_acc": hits / max(1, len(target))}
    return measured
