"""The terms of the training loss."""

import math
from itertools import pairwise

import pytest
import torch
from learning_data import tiny
from torch import Tensor
from torch.nn import functional

from gcodefp.model.epoch import (
    SPREAD_REACH,
    STATE_SPREAD,
    head_losses,
    position_loss,
    state_loss,
    total_loss,
)

PLACES = 30
BORDER = 12
"""First place of the second of two programs."""


def test_the_loss_is_the_mean_of_each_head() -> None:
    torch.manual_seed(0)
    answers = {
        "command": (torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 1])),
        "operation": (torch.randn(2, 4), torch.tensor([3, 0])),
        "token_type": (torch.randn(0, 4), torch.zeros(0, dtype=torch.long)),
    }
    settings = tiny(label_smoothing=0.2)
    losses = head_losses(answers, settings)
    for head in ("command", "operation"):
        logits, target = answers[head]
        classes = logits.shape[1]
        wanted = 0.8 * functional.one_hot(target, classes) + 0.2 / classes
        by_hand = -(wanted * logits.log_softmax(-1)).sum(-1).mean()
        torch.testing.assert_close(losses[head], by_hand)
    assert losses["token_type"] == 0


def test_the_total_weighs_the_heads_that_have_a_weight() -> None:
    values = {"command": 1.0, "operation": 10.0, "place": 100.0, "position": 1000.0}
    losses = {head: torch.tensor(value) for head, value in values.items()}
    settings = tiny(command_weight=2.0, place_weight=3.0, position_weight=4.0)
    assert total_loss(losses, settings).item() == 2 + 10 + 300 + 4000
    nothing = tiny(command_weight=0.0, place_weight=0.0, position_weight=0.0)
    assert total_loss(losses, nothing).item() == 10


# Places


def ranges(state: Tensor) -> Tensor:
    """First and last place of the program that each place is in."""
    second = state >= BORDER
    return torch.stack([second * BORDER, torch.where(second, PLACES, BORDER) - 1], dim=-1)


def loss_at(said: int, state: float, sharpness: float = 4.0) -> float:
    """The loss of a row that says a place with a bell around it."""
    logits = -sharpness * (torch.arange(PLACES) - said).square().float()[None]
    true = torch.tensor([state])
    return state_loss(logits, true, ranges(true)).item()


@pytest.mark.parametrize("state", [5.0, 6.2, 6.8, 20.4])
def test_the_loss_is_least_at_the_right_place_and_grows_with_the_distance(state: float) -> None:
    losses = [loss_at(said, state) for said in range(PLACES)]
    assert losses.index(min(losses)) == round(state)
    assert all(a > b for a, b in pairwise(losses[: round(state) + 1]))
    assert all(a < b for a, b in pairwise(losses[round(state) :]))


@pytest.mark.parametrize("state", [0.0, 11.0, 10.6, 12.0, 12.3, 29.0])
def test_the_bell_does_not_cross_the_border_of_a_program(state: float) -> None:
    logits = torch.zeros(1, PLACES, requires_grad=True)
    true = torch.tensor([state])
    state_loss(logits, true, ranges(true)).backward()
    assert logits.grad is not None
    # The gradient of a cross-entropy is what is said less what is wanted.
    wanted = 1 / PLACES - logits.grad[0]
    first, last = ranges(true)[0].tolist()
    inside = torch.zeros(PLACES, dtype=torch.bool)
    inside[first : last + 1] = True
    assert wanted[~inside].abs().max() < 1e-6
    assert wanted.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (wanted > 1e-6).sum() <= 2 * SPREAD_REACH + 1


def test_in_the_middle_of_a_program_the_bell_is_symmetric() -> None:
    logits = torch.zeros(1, PLACES, requires_grad=True)
    true = torch.tensor([20.0])
    state_loss(logits, true, ranges(true)).backward()
    assert logits.grad is not None
    wanted = (1 / PLACES - logits.grad[0])[20 - SPREAD_REACH : 20 + SPREAD_REACH + 1]
    torch.testing.assert_close(wanted, wanted.flip(0), atol=1e-6, rtol=1e-4)
    ratio = (wanted[SPREAD_REACH + 1] / wanted[SPREAD_REACH]).item()
    assert ratio == pytest.approx(math.exp(-0.5 / STATE_SPREAD**2), rel=1e-3)


# Rows of which nothing is known


def test_rows_without_a_place_do_not_count() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, PLACES)
    state = torch.tensor([3.0, torch.nan, 17.5, torch.nan])
    known = state.isfinite()
    some = state_loss(logits, state, ranges(state))
    alone = state_loss(logits[known], state[known], ranges(state)[known])
    torch.testing.assert_close(some, alone)
    # It is a mean over the rows.
    each = [state_loss(logits[[i]], state[[i]], ranges(state)[[i]]) for i in (0, 2)]
    torch.testing.assert_close(some, torch.stack(each).mean())


def test_axes_without_a_position_do_not_count() -> None:
    said = torch.tensor([[0.0, 0.5, 0.0], [3.0, 9.0, 9.0]])
    true = torch.tensor([[0.0, 0.0, torch.nan], [0.0, torch.nan, torch.nan]])
    # Huber: half a square up to one deviation, straight beyond.
    assert position_loss(said, true).item() == pytest.approx((0 + 0.125 + 2.5) / 3)
    assert position_loss(true.nan_to_num(), true).item() == 0


@pytest.mark.parametrize("rows", [0, 3])
def test_nothing_known_is_no_loss_and_no_gradient(rows: int) -> None:
    nothing = torch.full((rows,), torch.nan)
    logits = torch.randn(rows, PLACES, requires_grad=True)
    position = torch.randn(rows, 3, requires_grad=True)
    unknown_range = torch.full((rows, 2), -1)
    losses = {
        "place": state_loss(logits, nothing, unknown_range),
        "position": position_loss(position, nothing[:, None].expand(-1, 3)),
    }
    assert [loss.item() for loss in losses.values()] == [0, 0]
    total_loss(losses, tiny()).backward()
    for said in (logits, position):
        assert said.grad is not None
        assert not said.grad.any()


def test_what_is_not_known_leaves_the_gradient_finite() -> None:
    logits = torch.randn(3, PLACES, requires_grad=True)
    position = torch.randn(3, 3, requires_grad=True)
    state = torch.tensor([torch.nan, 4.0, 20.0])
    loss = state_loss(logits, state, ranges(state))
    (loss + position_loss(position, state[:, None].expand(-1, 3))).backward()
    for said in (logits, position):
        assert said.grad is not None
        assert said.grad.isfinite().all()
        assert not said.grad[0].any()
        assert said.grad[1:].any(dim=1).all()
