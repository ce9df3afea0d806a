"""The training loss: one term for each head, so that each head learns."""

import torch
from torch import Tensor
from torch.nn import functional

from gcodefp.learning.hyperparameters import Hyperparameters

PLACE_SPREAD = 1.0
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


def place_loss(logits: Tensor, place: Tensor, place_range: Tensor) -> Tensor:
    """Cross-entropy against a bell around the true place, within its program.

    Args:
        logits: (K, P).
        place: (K,) with fractions; rows with NaN do not count.
        place_range: (K, 2) first and last place of each row's program.
    """
    known = place.isfinite()
    logs, place = logits[known].log_softmax(-1), place[known]
    low, high = place_range[known].unbind(-1)
    around = torch.arange(-SPREAD_REACH, SPREAD_REACH + 1, device=place.device)
    near = place.round().long()[:, None] + around
    weights = torch.exp(-0.5 * ((near - place[:, None]) / PLACE_SPREAD) ** 2)
    weights = weights / weights.sum(-1, keepdim=True)
    near = near.clamp(low[:, None], high[:, None])
    return -(weights * logs.gather(1, near)).sum() / max(1, len(place))


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
