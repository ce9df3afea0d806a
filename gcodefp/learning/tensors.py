"""A split of the dataset as tensors on the device; windows are views into its rows."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gcodefp.dataset.store import Description, Split
from gcodefp.dataset.windows import speaking_rows
from gcodefp.learning.network import Sizes


@dataclass(frozen=True)
class Tensors:
    """N rows, C channels, W windows of T rows, S steps.

    Attributes:
        signals: (N, C) scaled.
        codes: (N, S, 4) classes of each row's block.
        operation: (N,) class.
        starts: (W,) first row of each window.
        speaks: (W, T) which rows a window speaks for; each row once.
        window: T.
    """

    signals: Tensor
    codes: Tensor
    operation: Tensor
    starts: Tensor
    speaks: Tensor
    window: int

    def rows_of(self, windows: Tensor) -> Tensor:
        """Row numbers (B, T) of windows (B,)."""
        return self.starts[windows, None] + torch.arange(self.window, device=self.starts.device)


def to_tensors(split: Split, description: Description, device: torch.device) -> Tensors:
    """Moves a split to the device, its blocks encoded with the dataset's vocabulary."""
    codes = description.vocabulary.encode(split.blocks.tolist())[split.block]
    speaks = speaking_rows(split.window_start, description.window)
    return Tensors(
        signals=torch.as_tensor(split.signals, device=device),
        codes=torch.as_tensor(codes.astype(np.int64), device=device),
        operation=torch.as_tensor(split.operation.astype(np.int64), device=device),
        starts=torch.as_tensor(split.window_start.astype(np.int64), device=device),
        speaks=torch.as_tensor(speaks, device=device),
        window=description.window,
    )


def sizes_of(description: Description) -> Sizes:
    """The network's sizes for a dataset."""
    vocabulary = description.vocabulary
    return Sizes(
        channels=len(description.scaler.channels),
        commands=len(vocabulary.commands),
        parameter_types=len(vocabulary.parameter_types),
        parameter_values=len(vocabulary.parameter_values),
        operations=len(vocabulary.operations),
        steps=vocabulary.steps,
    )
