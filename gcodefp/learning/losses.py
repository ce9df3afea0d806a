"""The training loss: one cross-entropy per head."""

from torch import Tensor
from torch.nn import functional

from gcodefp.dataset.vocabulary import FIELDS, PAD, UNSEEN
from gcodefp.learning.hyperparameters import Hyperparameters

HEADS = (*FIELDS, "operation")


def head_losses(
    block_logits: dict[str, Tensor],
    codes: Tensor,
    operation_logits: Tensor,
    operation: Tensor,
    label_smoothing: float,
) -> dict[str, Tensor]:
    """Mean cross-entropy of each head, over the steps where its field applies.

    Args:
        block_logits: field -> (M, S, classes).
        codes: (M, S, 4) true classes.
        operation_logits: (B, operations).
        operation: (B,) true classes.

    Returns:
        head -> scalar; 0 where a head has nothing to learn from.
    """
    losses = {}
    for index, field in enumerate(FIELDS):
        target = codes[..., index].masked_fill(codes[..., 0] == PAD, UNSEEN)
        losses[field] = _cross_entropy(block_logits[field], target, label_smoothing)
    losses["operation"] = _cross_entropy(operation_logits, operation, label_smoothing)
    return losses


def total_loss(losses: dict[str, Tensor], hyperparameters: Hyperparameters) -> Tensor:
    """The sum of the heads' losses, the command's weighted."""
    weights = {"command": hyperparameters.command_weight}
    return sum(weights.get(head, 1.0) * loss for head, loss in losses.items())  # type: ignore[return-value]


def _cross_entropy(logits: Tensor, target: Tensor, label_smoothing: float) -> Tensor:
    known = target != UNSEEN
    # Selected first: most steps of a block have no value, and its head has thousands of classes.
    loss = functional.cross_entropy(
        logits[known], target[known], label_smoothing=label_smoothing, reduction="sum"
    )
    return loss / known.sum().clamp(min=1)
