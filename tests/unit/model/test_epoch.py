"""The terms of the loss, augmentation, train windows and the learning rate."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from learning_data import ROWS, WINDOW, tiny
from torch import Tensor
from torch.nn import functional

from gcodefp.dataset.vocabulary import UNSEEN
from gcodefp.errors import UserError
from gcodefp.model.data import augment, mixed_precision, network_sizes, select_device
from gcodefp.model.epoch import (
    STATE_STD,
    TARGET_RADIUS,
    WARMUP_SHARE,
    compute_gradients,
    head_losses,
    position_loss,
    random_circular_windows,
    scheduled_learning_rate,
    state_loss,
    total_loss,
)
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData

STATES = 30
BORDER = 12
"""First state of the second of two programs."""


def test_the_loss_is_the_mean_of_each_head() -> None:
    torch.manual_seed(0)
    predictions = {
        "command": (torch.randn(5, 3), torch.tensor([0, 1, 2, 2, 1])),
        "operation": (torch.randn(2, 4), torch.tensor([3, 0])),
        "token_type": (torch.randn(0, 4), torch.zeros(0, dtype=torch.long)),
    }
    losses = head_losses(predictions, tiny(label_smoothing=0.2))
    for head in ("command", "operation"):
        logits, target = predictions[head]
        classes = logits.shape[1]
        smooth = 0.8 * functional.one_hot(target, classes) + 0.2 / classes
        expected = -(smooth * logits.log_softmax(-1)).sum(-1).mean()
        torch.testing.assert_close(losses[head], expected)
    assert losses["token_type"] == 0


def test_the_total_weighs_the_heads_that_have_a_weight() -> None:
    values = {"command": 1.0, "operation": 10.0, "place": 100.0, "position": 1000.0}
    losses = {head: torch.tensor(value) for head, value in values.items()}
    weights = {"command_weight": 2.0, "place_weight": 3.0, "position_weight": 4.0}
    assert total_loss(losses, tiny(**weights)).item() == 2 + 10 + 300 + 4000
    assert total_loss(losses, tiny(**dict.fromkeys(weights, 0.0))).item() == 10


def ranges(state: Tensor) -> Tensor:
    """First and last state of the program that each state is in."""
    second = state >= BORDER
    return torch.stack([second * BORDER, torch.where(second, STATES, BORDER) - 1], dim=-1)


@pytest.mark.parametrize("state", [0.0, 5.4, 10.6, 11.0, 12.0, 12.3, 20.0, 29.0])
def test_the_target_is_a_normal_distribution_within_the_program(state: float) -> None:
    logits, true = torch.zeros(1, STATES, requires_grad=True), torch.tensor([state])
    state_loss(logits, true, ranges(true)).backward()
    assert logits.grad is not None
    # The gradient of a cross-entropy is prediction - target.
    target = 1 / STATES - logits.grad[0]
    near = round(state) + torch.arange(-TARGET_RADIUS, TARGET_RADIUS + 1)
    weights = torch.exp(-0.5 * ((near - state) / STATE_STD) ** 2)
    first, last = ranges(true)[0].tolist()
    expected = torch.zeros(STATES).index_add(0, near.clamp(first, last), weights / weights.sum())
    torch.testing.assert_close(target, expected, atol=1e-6, rtol=1e-4)


def test_rows_without_a_label_do_not_count() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, STATES, requires_grad=True)
    state = torch.tensor([3.0, torch.nan, 17.5, torch.nan])
    loss = state_loss(logits, state, ranges(state))
    each = [state_loss(logits[[i]], state[[i]], ranges(state)[[i]]) for i in (0, 2)]
    torch.testing.assert_close(loss, torch.stack(each).mean())
    predicted = torch.tensor([[0.0, 0.5, 0.0], [3.0, 9.0, 9.0]], requires_grad=True)
    true = torch.tensor([[0.0, 0.0, torch.nan], [0.0, torch.nan, torch.nan]])
    # Huber: half a square up to one deviation, straight beyond.
    position = position_loss(predicted, true)
    assert position.item() == pytest.approx((0 + 0.125 + 2.5) / 3)
    (loss + position).backward()
    assert logits.grad is not None
    assert predicted.grad is not None
    assert logits.grad.any(dim=1).tolist() == [True, False, True, False]
    assert not predicted.grad[true.isnan()].any()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("rows", [0, 3])
def test_without_labels_there_is_no_loss_and_no_gradient(rows: int) -> None:
    unknown = torch.full((rows,), torch.nan)
    logits = torch.randn(rows, STATES, requires_grad=True)
    position = torch.randn(rows, 3, requires_grad=True)
    losses = {
        "place": state_loss(logits, unknown, torch.full((rows, 2), -1)),
        "position": position_loss(position, unknown[:, None].expand(-1, 3)),
    }
    assert [loss.item() for loss in losses.values()] == [0, 0]
    total_loss(losses, tiny()).backward()
    for tensor in (logits, position):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_fixed_shapes_change_no_metric_and_no_gradient(data: TrainingData) -> None:
    """What a CUDA graph computes of rows without labels counts as little as leaving them out."""
    train, missing = data.train, torch.arange(len(data.train.block)) % 5 == 0
    unlabelled = replace(
        train,
        tokens=train.tokens.masked_fill(missing[:, None, None] & (train.tokens > 2), UNSEEN),
        operation=train.operation.masked_fill(missing.roll(1), UNSEEN),
        state=train.state.masked_fill(missing, torch.nan),
        state_range=train.state_range.masked_fill(missing[:, None], -1),
        position=train.position.masked_fill(missing.roll(2)[:, None], torch.nan),
    )
    settings = tiny(label_smoothing=0.1, dropout=0.0, node_dropout=0.3, precision="float32")
    torch.manual_seed(0)
    network = Network(network_sizes(data.description), settings).train()
    gradients, metrics = [], []
    for node_count in (None, int(train.nodes.max()) + 1):
        parts = (network, settings, unlabelled, seeded(), node_count, torch.arange(4))
        metrics.append(compute_gradients(*parts))
        gradients.append([weight.grad for weight in network.parameters()])
    torch.testing.assert_close(*metrics)
    torch.testing.assert_close(*gradients)
    assert all(value.isfinite() and value > 0 for value in metrics[0].values())


# Windows


def test_train_windows_are_uniform_and_circular(data: TrainingData) -> None:
    train = data.train
    random, windows = torch.Generator().manual_seed(0), torch.arange(len(train.starts))
    drawn = torch.stack([random_circular_windows(train, windows, random) for _ in range(400)])
    first, length = train.row_ranges[:, :1], train.row_ranges[:, 1:]
    assert length.unique().tolist() == [ROWS]
    in_segment = drawn - first
    assert ((in_segment >= 0) & (in_segment < length)).all()
    steps = in_segment.diff(dim=-1)
    assert ((steps - 1) % ROWS == 0).all()
    assert (steps < 0).any()
    # Each row is equally often at each position of a window.
    expected = drawn[..., 0].numel() / ROWS
    for position in range(WINDOW):
        counts = torch.bincount(in_segment[..., position].flatten(), minlength=ROWS)
        assert counts.min() > 0.8 * expected
        assert counts.max() < 1.2 * expected


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_augmentation_changes_a_share_of_whole_windows() -> None:
    signals, nodes = torch.randn(400, 50, 3), torch.tensor([0, 0, 1])
    for dropout in (0.0, 0.5):
        assert torch.equal(augment(signals, nodes, 0.0, 1.0, dropout, seeded()), signals)
        whole = augment(signals, nodes, 1.0, 0.7, dropout, seeded())
        assert (whole != signals).all()
        half = augment(signals, nodes, 0.5, 0.7, dropout, seeded())
        changed = (half != signals).any(2).any(1)
        assert 0.4 < changed.float().mean() < 0.6
        assert torch.equal(half[changed], whole[changed])
        assert torch.equal(augment(signals, nodes, 1.0, 0.7, dropout, seeded()), whole)
        assert not torch.equal(augment(signals, nodes, 1.0, 0.7, dropout, seeded(1)), whole)
    # Without the window's own offset the noise is left.
    noise = augment(signals, nodes, 1.0, 0.7, 0.0, seeded()) - signals
    assert 0.65 < (noise - noise.mean(1, keepdim=True)).std() < 0.75


@pytest.mark.parametrize("noise_std", [0.0, 1.0])
def test_a_node_is_hidden_with_all_channels_for_a_whole_window(noise_std: float) -> None:
    # The channels of a node need not be neighbours.
    nodes = torch.tensor([1, 0, 1, 2, 0, 1])
    signals = 5 + torch.rand(800, 10, len(nodes))
    changed = augment(signals, nodes, 1.0, noise_std, 0.3, seeded())
    hidden = (changed == 0).all(1)
    assert torch.equal(hidden, (changed == 0).any(1))
    for node in range(3):
        channels = hidden[:, nodes == node]
        assert (channels.all(1) == channels.any(1)).all()
        assert 0.25 < channels[:, 0].float().mean() < 0.35
    # Nodes are independent, and visible ones do not change.
    each = torch.stack([hidden[:, 1], hidden[:, 0], hidden[:, 3]]).float()
    assert (torch.corrcoef(each) - torch.eye(3)).abs().max() < 0.15
    visible = ~hidden[:, None].expand_as(changed)
    all_visible = augment(signals, nodes, 1.0, noise_std, 0.0, seeded())
    assert torch.equal(changed[visible], all_visible[visible])


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    hyperparameters = tiny(learning_rate=0.5, max_epochs=40)
    rates = [scheduled_learning_rate(hyperparameters, epoch / 10) for epoch in range(401)]
    top = int(WARMUP_SHARE * 400)
    assert rates[0] == pytest.approx(0.005)
    assert rates[top] == max(rates) == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert all(np.diff(rates[: top + 1]) > 0)
    assert all(np.diff(rates[top:]) < 0)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("auto", torch.float32), ("float32", torch.float32), ("bf16", torch.bfloat16)],
)
def test_the_cpu_computes_in_full_precision_unless_asked(
    precision: str, dtype: torch.dtype
) -> None:
    with mixed_precision(torch.device("cpu"), precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize("name", ["cuda", "mps"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"device {name}: this computer has no such GPU"):
        select_device(name, threads=1)
