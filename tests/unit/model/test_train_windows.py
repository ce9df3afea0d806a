"""Train windows begin anywhere: where in a window a row lies must tell nothing of the time."""

import pytest
import torch
from learning_data import CPU, ROWS, WINDOW, tiny_data

from gcodefp.model.data import Tensors, mixed_precision
from gcodefp.model.epoch import random_circular_windows

DRAWS = 400


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Tensors:
    return tiny_data(tmp_path_factory.mktemp("dataset")).train


@pytest.fixture(scope="module")
def drawn(train: Tensors) -> torch.Tensor:
    """Rows (DRAWS, windows, WINDOW) of all train windows, drawn again and again."""
    random = torch.Generator().manual_seed(0)
    windows = torch.arange(len(train.starts))
    return torch.stack([random_circular_windows(train, windows, random) for _ in range(DRAWS)])


def test_a_window_stays_in_its_stretch_and_goes_on_at_its_start(
    train: Tensors, drawn: torch.Tensor
) -> None:
    first, length = train.segments[:, :1], train.segments[:, 1:]
    assert length.unique().tolist() == [ROWS]
    in_stretch = drawn - first
    assert ((in_stretch >= 0) & (in_stretch < length)).all()
    assert ((in_stretch[..., 1:] - in_stretch[..., :-1] - 1) % ROWS == 0).all()
    assert (in_stretch[..., 1:] < in_stretch[..., :-1]).any()


def test_every_row_is_seen_everywhere_in_a_window_alike(
    train: Tensors, drawn: torch.Tensor
) -> None:
    in_stretch = drawn - train.segments[:, :1]
    expected = drawn[..., 0].numel() / ROWS
    for position in range(WINDOW):
        seen = torch.bincount(in_stretch[..., position].flatten(), minlength=ROWS)
        assert seen.min() > 0.8 * expected
        assert seen.max() < 1.2 * expected


def test_the_cpu_computes_in_full_precision() -> None:
    with mixed_precision(CPU):
        assert not torch.is_autocast_enabled("cpu")
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
