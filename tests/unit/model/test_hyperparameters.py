import math
from typing import Any

import numpy as np
import pytest
import torch
from learning_data import tiny

from gcodefp.errors import UserError
from gcodefp.model.data import augment
from gcodefp.model.epoch import WARMUP_SHARE, scheduled_rate
from gcodefp.model.hyperparameters import KNOWN, Hyperparameters, hyperparameters_from

# What is allowed


def test_the_defaults_are_allowed_and_whole_numbers_may_be_written_as_others() -> None:
    assert hyperparameters_from({}) == Hyperparameters()
    made = hyperparameters_from({"batch_size": 32.0, "dropout": 0, "learning_rate": 1})
    assert (made.batch_size, made.dropout, made.learning_rate) == (32, 0.0, 1.0)
    kinds = {name: type(getattr(made, name)) for name in KNOWN}
    assert kinds == {name: type(field.default) for name, field in KNOWN.items()}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("learning_rat", 0.1, r"no hyperparameter 'learning_rat'; did you mean 'learning_rate'\?"),
        ("zzz", 0.1, r"no hyperparameter 'zzz'; known are: .*batch_size, .*weight_decay"),
        ("learning_rate", 0, r"learning_rate: 0 is out of range; it must be above 0$"),
        ("learning_rate", -0.1, r"learning_rate: -0.1 is out of range; it must be above 0$"),
        ("learning_rate", "1e-5", r"learning_rate: '1e-5' is no float"),
        ("learning_rate", math.nan, r"learning_rate: nan is no float"),
        ("learning_rate", math.inf, r"learning_rate: inf is no float"),
        ("learning_rate", None, r"learning_rate: None is no float"),
        ("learning_rate", [0.1], r"learning_rate: \[0.1\] is no float"),
        ("batch_size", True, r"batch_size: True is no int"),
        ("batch_size", 16.5, r"batch_size: 16.5 is not whole"),
        ("batch_size", 0, r"batch_size: 0 is out of range; it must be at least 1$"),
        ("dropout", 1.0, r"dropout: 1.0 is out of range; it must be at least 0 and at most 0.95$"),
        ("optimizer", "adamax", r"optimizer: 'adamax'; did you mean 'adamw?'\?"),
        ("optimizer", 1, r"optimizer: 1; known are: adam, adamw, rmsprop, sgd"),
        ("optimizer", ["sgd"], r"optimizer: \['sgd'\]; "),
        ("nhead", 5, r"d_model 96 cannot be divided among nhead 5 heads; choose a d_model that"),
        ("d_model", 66, r"d_model 66 cannot be divided among nhead 4 heads"),
        ("seed", -1, r"seed: -1 is out of range; it must be at least 0"),
        ("seed", 10**30, r"seed: 10{30} is out of range"),
    ],
)
def test_what_is_wrong_is_named_with_a_way_out(name: str, value: Any, message: str) -> None:
    with pytest.raises(UserError, match=rf"^sweep\.yaml[:.] ?{message}"):
        hyperparameters_from({name: value}, "sweep.yaml")


def test_an_odd_width_is_refused() -> None:
    with pytest.raises(UserError, match="d_model 7 is odd; choose an even one"):
        hyperparameters_from({"d_model": 7, "nhead": 7})


@pytest.mark.parametrize("name", [n for n in KNOWN if n != "optimizer"])
def test_every_range_has_ends_that_hold(name: str) -> None:
    limits = KNOWN[name].metadata
    step = 1 if isinstance(KNOWN[name].default, int) else 0.125
    out = [limits["low"] - step, limits["high"] + step, limits["above"], limits["above"] - step]
    finite = [value for value in out if math.isfinite(value)]
    assert finite
    for value in finite:
        with pytest.raises(UserError, match=f"hyperparameters.{name}: .* is out of range"):
            hyperparameters_from({name: value})
    for value in (limits["low"], limits["high"]):
        if math.isfinite(value):
            assert getattr(tiny(nhead=1, **{name: value} if name != "nhead" else {}), name) in (
                value,
                1,
            )


# What they do to the windows and to the rate


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_augmentation_changes_so_many_windows_by_so_much() -> None:
    signals, nodes = torch.randn(400, 50, 3), torch.tensor([0, 0, 1])
    for dropout in (0.0, 0.5):
        assert torch.equal(augment(signals, nodes, 0.0, 1.0, dropout, seeded()), signals)
        whole = augment(signals, nodes, 1.0, 0.7, dropout, seeded())
        assert (whole != signals).all()
        half = augment(signals, nodes, 0.5, 0.7, dropout, seeded())
        changed = (half != signals).any(2).any(1)
        assert 0.4 < changed.float().mean() < 0.6
        # All of a window is changed, or nothing.
        assert torch.equal(half[changed], whole[changed])
        assert torch.equal(augment(signals, nodes, 1.0, 0.7, dropout, seeded()), whole)
        assert not torch.equal(augment(signals, nodes, 1.0, 0.7, dropout, seeded(1)), whole)
    # Taking away the window's own gain and offset leaves the noise.
    whole = augment(signals, nodes, 1.0, 0.7, 0.0, seeded())
    added = (whole - signals) - (whole - signals).mean(1, keepdim=True)
    assert 0.65 < added.std() < 0.75


def test_without_noise_a_window_has_another_gain_and_offset_per_channel() -> None:
    signals = torch.randn(300, 20, 2, dtype=torch.float64)
    changed = augment(signals, torch.tensor([0, 0]), 1.0, 0.0, 0.0, seeded())
    gain = (changed[:, 1] - changed[:, 0]) / (signals[:, 1] - signals[:, 0])
    offset = changed[:, 0] - gain * signals[:, 0]
    torch.testing.assert_close(changed, gain[:, None] * signals + offset[:, None])
    assert 0.08 < (gain - 1).std() < 0.12
    assert 0.08 < offset.std() < 0.12
    assert (gain[:, 0] != gain[:, 1]).all()


@pytest.mark.parametrize("noise_std", [0.0, 1.0])
def test_a_hidden_node_is_hidden_whole_for_a_whole_window(noise_std: float) -> None:
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
    # Each node by itself.
    each = torch.stack([hidden[:, 1], hidden[:, 0], hidden[:, 3]]).float()
    assert (torch.corrcoef(each) - torch.eye(3)).abs().max() < 0.15
    # What is shown is as it would be if nothing were hidden.
    usual = augment(signals, nodes, 1.0, noise_std, 0.0, seeded())
    shown = ~hidden[:, None].expand_as(changed)
    assert torch.equal(changed[shown], usual[shown])


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    settings = tiny(learning_rate=0.5, max_epochs=40)
    rates = [scheduled_rate(settings, epoch / 10) for epoch in range(401)]
    top = int(WARMUP_SHARE * 400)
    assert rates[0] == pytest.approx(0.005)
    assert rates[top] == max(rates) == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert all(np.diff(rates[: top + 1]) > 0)
    assert all(np.diff(rates[top:]) < 0)
