"""A split of the dataset as tensors on a device; windows are views into its rows.

Shapes: N rows, C channels, W windows of T rows, B windows of a batch, S word positions of a block,
K programs, P states.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.store import DatasetDescription, Split
from gcodefp.dataset.windows import row_to_window_mask
from gcodefp.errors import UserError
from gcodefp.model.network import NetworkSizes
from gcodefp.recordings.columns import node_or_channel

GAIN_STD = 0.1
OFFSET_STD = 0.1


@dataclass(frozen=True)
class Tensors:
    """The rows of a split, with lag-corrected labels."""

    signals: Tensor  # (N, C) standardised
    tokens: Tensor  # (N, S, 4) classes of each row's block
    block: Tensor  # (N,) index of the text of each row's block
    state_block: Tensor  # (P,) index of the text of each state's block
    operation: Tensor  # (N,) class
    state: Tensor  # (N,) state, with a fraction; NaN if unknown
    state_range: Tensor  # (N, 2) first and last state of the row's program
    # (N, 3) tool position in standard deviations of the train split; NaN if unknown
    position: Tensor
    nodes: Tensor  # (C,) index of each channel's sensor node
    first_state: Tensor  # (K + 1,) first state of each program, and P
    starts: Tensor  # (W,) first row of each window
    # (W, 2) first row and length of the contiguous rows that contain each window
    row_ranges: Tensor
    row_mask: Tensor  # (W, T) row-to-window mask: assigns each row to one window
    window: int  # T

    def window_rows(self, windows: Tensor) -> Tensor:
        """Row numbers (B, T) of windows (B,)."""
        return self.starts[windows, None] + torch.arange(self.window, device=self.starts.device)


def to_tensors(split: Split, description: DatasetDescription, device: torch.device) -> Tensors:
    """Moves a split to the device, its blocks encoded with the dataset's vocabulary."""
    programs, first, row = description.programs, description.programs.first, split.lag_corrected_row
    block = split.block[row]
    tokens = description.vocabulary.encode(split.blocks.tolist())
    texts = np.unique(np.concatenate([split.blocks, programs.block]), return_inverse=True)[1]
    split_texts, state_texts = np.split(texts, [len(split.blocks)])
    state_range = np.stack([first[split.program], first[split.program + 1] - 1], axis=1)
    node_names = [node_or_channel(channel) for channel in description.scaler.channels]

    def tensor(array: NDArray[Any]) -> Tensor:
        return torch.as_tensor(array, device=device)

    def integers(array: NDArray[np.integer]) -> Tensor:
        return tensor(array.astype(np.int64))

    return Tensors(
        signals=tensor(split.signals),
        tokens=integers(tokens[block]),
        block=integers(split_texts[block]),
        state_block=integers(state_texts),
        operation=integers(split.operation),
        state=tensor(split.state),
        state_range=integers(state_range),
        position=tensor(description.scale_position(split.position_mm[row])),
        nodes=integers(np.unique(node_names, return_inverse=True)[1]),
        first_state=integers(first),
        starts=integers(split.window_start),
        row_ranges=integers(_row_ranges(split.window_start, description.window)),
        row_mask=tensor(row_to_window_mask(split.window_start, description.window)),
        window=description.window,
    )


def _row_ranges(starts: NDArray[np.integer], window: int) -> NDArray[np.int64]:
    """First row and length of the rows that overlapping windows cover together, (W, 2)."""
    is_start = np.diff(starts.astype(np.int64), prepend=starts[:1] - window) >= window
    row_range = np.cumsum(is_start) - 1
    first = starts[is_start].astype(np.int64)
    last = starts[np.append(np.flatnonzero(is_start)[1:] - 1, len(starts) - 1)]
    return np.stack([first, last + window - first], axis=1)[row_range]


def network_sizes(description: DatasetDescription) -> NetworkSizes:
    """The network's sizes for a dataset."""
    vocabulary = description.vocabulary
    return NetworkSizes(
        channels=len(description.scaler.channels),
        commands=len(vocabulary.commands),
        parameter_types=len(vocabulary.parameter_types),
        parameter_values=len(vocabulary.parameter_values),
        operations=len(vocabulary.operations),
        steps=vocabulary.steps,
        states=len(description.programs),
    )


def augment(
    signals: Tensor,
    nodes: Tensor,
    probability: float,
    noise_std: float,
    node_dropout: float,
    generator: torch.Generator,
    node_count: int | None = None,
) -> Tensor:
    """Adds noise, gains, offsets and node dropout to a random share of the windows, (B, T, C).

    Args:
        signals: (B, T, C) standardised, so that the amounts are in standard deviations.
        nodes: (C,) index of each channel's sensor node.
        probability: share of the windows that are augmented.
        noise_std: of the noise added to every sample.
        node_dropout: share of nodes whose channels become 0, as if the node had dropped out.
        generator: on the signals' device, or on the CPU.
        node_count: how many there are; to count them, the host waits for the device.
    """
    if probability == 0:
        return signals
    windows, _, channels = signals.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device).to(signals.device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device).to(signals.device)

    augmented = signals * (1 + GAIN_STD * normal(windows, 1, channels))
    augmented = augmented + OFFSET_STD * normal(windows, 1, channels)
    augmented = augmented + noise_std * normal(*signals.shape)
    if node_dropout > 0:
        is_visible = uniform(windows, node_count or int(nodes.max()) + 1) >= node_dropout
        augmented = augmented * is_visible[:, None, nodes]
    return torch.where(uniform(windows, 1, 1) < probability, augmented, signals)


def select_device(name: str, threads: int) -> torch.device:
    """Selects the device by name; `auto` is the CUDA GPU if there is one, else the CPU.

    Args:
        threads: CPU threads of this process. More than one may change the last bits of a result.

    Raises UserError: `name` is `cuda` or `mps`, and no such GPU is usable.
    """
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    is_missing = {
        "cuda": not torch.cuda.is_available(),
        "mps": not torch.backends.mps.is_available(),
    }
    if is_missing.get(name, False):
        raise UserError(f"device {name}: this computer has no such GPU; set agents.device to cpu")
    return torch.device(name)


def mixed_precision(
    device: torch.device, precision: str = "auto", keep_casts: bool = True
) -> torch.autocast:
    """A context in which matrix products are bfloat16, or which does nothing.

    Args:
        precision: float32, bf16, or auto: bf16 on CUDA GPUs that do not only emulate it.
        keep_casts: within the context a weight is cast once; not so in a CUDA graph.
    """
    is_reduced = precision == "bf16"
    if precision == "auto" and device.type == "cuda":
        is_reduced = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=is_reduced, cache_enabled=keep_casts)
