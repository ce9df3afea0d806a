"""A split of the dataset as tensors on the device; windows are views into its rows."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.store import Description, Split
from gcodefp.dataset.windows import row_to_window_mask
from gcodefp.errors import UserError
from gcodefp.model.network import Sizes


@dataclass(frozen=True)
class Tensors:
    """N rows, C channels, W windows of T rows, S steps.

    Attributes:
        signals: (N, C) scaled.
        codes: (N, S, 4) classes of the block that the sensors see at each row.
        block: (N,) which text that block is.
        state_block: (P,) which text the block of each place is.
        operation: (N,) class.
        state: (N,) place in the programs, with a fraction; NaN if unknown.
        state_range: (N, 2) first and last place of the row's program.
        position: (N, 3) tool position in standard deviations of the train split; NaN if unknown.
        nodes: (C,) the sensor node of each channel, from 0.
        first_state: (programs + 1,) first place of each program, and the number of places.
        starts: (W,) first row of each window.
        segments: (W, 2) first row and length of the stretch without gaps that a window lies in.
        row_mask: (W, T) which rows a window speaks for; each row once.
        window: T.
    """

    signals: Tensor
    codes: Tensor
    block: Tensor
    state_block: Tensor
    operation: Tensor
    state: Tensor
    state_range: Tensor
    position: Tensor
    nodes: Tensor
    first_state: Tensor
    starts: Tensor
    segments: Tensor
    row_mask: Tensor
    window: int

    def rows_of(self, windows: Tensor) -> Tensor:
        """Row numbers (B, T) of windows (B,)."""
        return self.starts[windows, None] + torch.arange(self.window, device=self.starts.device)


def to_tensors(split: Split, description: Description, device: torch.device) -> Tensors:
    """Moves a split to the device, its blocks encoded with the dataset's vocabulary.

    Blocks and positions are those that the sensors see: the recording's lag is taken out.
    """
    codes = description.vocabulary.encode(split.blocks.tolist())[
        split.block[split.lag_corrected_row]
    ]
    programs = description.programs
    text = np.unique(np.concatenate([split.blocks, programs.block]), return_inverse=True)[1]
    first = programs.first
    nodes = [channel.rpartition(".")[0] or channel for channel in description.scaler.channels]
    row_mask = row_to_window_mask(split.window_start, description.window)
    return Tensors(
        signals=torch.as_tensor(split.signals, device=device),
        codes=torch.as_tensor(codes.astype(np.int64), device=device),
        block=torch.as_tensor(text[: len(split.blocks)][split.block[split.lag_corrected_row]]).to(
            device
        ),
        state_block=torch.as_tensor(text[len(split.blocks) :]).to(device),
        operation=torch.as_tensor(split.operation.astype(np.int64), device=device),
        state=torch.as_tensor(split.state, device=device),
        state_range=torch.as_tensor(
            np.stack([first[split.program], first[split.program + 1] - 1], axis=1).astype(np.int64),
            device=device,
        ),
        position=torch.as_tensor(
            description.scale_position(split.position_mm[split.lag_corrected_row]), device=device
        ),
        nodes=torch.as_tensor(np.unique(nodes, return_inverse=True)[1], device=device),
        first_state=torch.as_tensor(first.astype(np.int64), device=device),
        starts=torch.as_tensor(split.window_start.astype(np.int64), device=device),
        segments=torch.as_tensor(_segments(split.window_start, description.window), device=device),
        row_mask=torch.as_tensor(row_mask, device=device),
        window=description.window,
    )


def _segments(starts: NDArray[np.integer], window: int) -> NDArray[np.int64]:
    """First row and length of the rows that overlapping windows cover together, (W, 2)."""
    begins = np.diff(starts.astype(np.int64), prepend=starts[:1] - window) >= window
    segment = np.cumsum(begins) - 1
    first = starts[begins].astype(np.int64)
    last = starts[np.append(np.flatnonzero(begins)[1:] - 1, len(starts) - 1)]
    return np.stack([first, last + window - first], axis=1)[segment]


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
        states=len(description.programs),
    )


GAIN_STD = 0.1
OFFSET_STD = 0.1


def augment(
    signals: Tensor,
    nodes: Tensor,
    probability: float,
    noise_std: float,
    node_dropout: float,
    random: torch.Generator,
) -> Tensor:
    """Noise, another gain and offset per channel, and hidden nodes, in a share of the windows.

    Args:
        signals: (B, T, C) scaled, so that the amounts are in standard deviations.
        nodes: (C,) the sensor node of each channel, from 0.
        probability: share of the windows that are changed.
        noise_std: of the noise added to every sample.
        node_dropout: share of nodes whose channels are 0, as those of a node that dropped out.
        random: on the signals' device, or on the CPU.

    Returns:
        (B, T, C).
    """
    if probability == 0:
        return signals
    windows, _, channels = signals.shape

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random, device=random.device).to(signals.device)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random, device=random.device).to(signals.device)

    changed = signals * (1 + GAIN_STD * draw(windows, 1, channels))
    changed = changed + OFFSET_STD * draw(windows, 1, channels)
    changed = changed + noise_std * draw(*signals.shape)
    if node_dropout > 0:
        shown = uniform(windows, int(nodes.max()) + 1) >= node_dropout
        changed = changed * shown[:, None, nodes]
    return torch.where(uniform(windows, 1, 1) < probability, changed, signals)


DEVICES = ("auto", "cpu", "cuda")


def open_device(name: str, threads: int) -> torch.device:
    """The device by name; `auto` is the GPU if there is one.

    Args:
        threads: CPU threads of this process. More than one may change the last bits of a result.
    """
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device cuda: this machine has no usable GPU; set agents.device to cpu")
    return torch.device(name)


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context in which matrix products of a GPU are bfloat16; it changes nothing on a CPU.

    GPUs that would only emulate bfloat16 stay with float32.
    """
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=able)
