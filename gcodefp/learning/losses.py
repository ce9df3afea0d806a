"""The training loss: one cross-entropy per head."""

from torch import Tensor
from torch.nn import functional

from gcodefp.learning.hyperparameters import Hyperparameters


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


def total_loss(losses: dict[str, Tensor], hyperparameters: Hyperparameters) -> Tensor:
    """The sum of the heads' losses, the command's weighted."""
    others = sum((loss for head, loss in losses.items() if head != "command"), start=0)
    return others + hyperparameters.command_weight * losses["command"]
