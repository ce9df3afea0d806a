"""Free-running decoding of windows: no true word, block or position is an input.

Shapes: N rows, C channels, W windows of T rows, B windows of a batch, D width of the network, S
word positions of a block, P states.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gcodefp.dataset.vocabulary import FIELDS, UNSEEN
from gcodefp.model.data import Tensors
from gcodefp.model.hmm import (
    EMISSION_EXPONENT,
    MarkovChain,
    circular_chain,
    rows_at_once,
    viterbi_paths,
)
from gcodefp.model.network import Network

WINDOWS_PER_BATCH = 64


class EncodedWindows(NamedTuple):
    """A batch of windows: row numbers (B, T), row-to-window mask (B, T), row vectors (B, T, D)."""

    rows: Tensor
    row_mask: Tensor
    encoded: Tensor


def encode_windows(
    network: Network,
    signals: Tensor,
    starts: Tensor,
    row_mask: Tensor,
    batch_size: int = WINDOWS_PER_BATCH,
) -> Iterator[EncodedWindows]:
    """Encodes windows of signals (N, C) in order, with the network in evaluation mode.

    Gradients are computed unless the caller iterates under `torch.no_grad`.

    Args:
        starts: (W,) first row of each window.
        row_mask: (W, T) row-to-window mask.
    """
    network.eval()
    offset = torch.arange(row_mask.shape[1], device=starts.device)
    for start, mask in zip(starts.split(batch_size), row_mask.split(batch_size), strict=True):
        rows = start[:, None] + offset
        yield EncodedWindows(rows, mask, network.encode(signals[rows]))


class WindowPredictions(NamedTuple):
    """Predictions for N rows, each from the window that the mask assigns."""

    # (N,) whether the row is assigned to a window; other rows are UNSEEN
    is_covered: NDArray[np.bool_]
    # (N, S, 4) classes of the block, by greedy decoding, in the order of FIELDS
    tokens: NDArray[np.int64]
    operation: NDArray[np.int64]  # (N,) class
    position: NDArray[np.float32]  # (N, 3) tool position, in standard deviations of the train split
    # (N,) state on the Viterbi path of the row's window, by the network alone, in the circular
    # chain
    path: NDArray[np.int64]


@torch.no_grad()
def decode_split_windows(network: Network, data: Tensors) -> WindowPredictions:
    """Decodes all windows of a split."""
    count = len(data.signals)
    tokens = np.full((count, network.sizes.steps, len(FIELDS)), UNSEEN, np.int64)
    operation = np.full(count, UNSEEN, np.int64)
    position = np.full((count, 3), np.nan, np.float32)
    path = np.full(count, UNSEEN, np.int64)
    chain = circular_chain(data.first_state)
    for rows, mask, encoded in encode_windows(network, data.signals, data.starts, data.row_mask):
        assigned = rows[mask].cpu().numpy()
        tokens[assigned] = network.decode(encoded[mask]).cpu().numpy()
        operations = network.operation_logits(encoded).argmax(-1)[:, None].expand_as(rows)
        operation[assigned] = operations[mask].cpu().numpy()
        position[assigned] = network.position_head(encoded[mask]).cpu().numpy()
        path[assigned] = viterbi_windows(network, encoded, chain)[mask].cpu().numpy()
    return WindowPredictions(operation != UNSEEN, tokens, operation, position, path)


@torch.no_grad()
def viterbi_windows(network: Network, encoded: Tensor, chain: MarkovChain) -> Tensor:
    """Viterbi paths of windows by the network alone, (B, T, D) to (B, T)."""
    windows = rows_at_once(encoded.shape[1] * network.sizes.states, len(encoded))
    paths = [
        viterbi_paths(EMISSION_EXPONENT * network.emission_log_likelihood(part), chain)
        for part in encoded.split(windows)
    ]
    return torch.cat(paths)


@torch.no_grad()
def encode_recording(network: Network, signals: Tensor, window: int) -> Tensor:
    """Row vectors (N, D) of one recording (N, C) of at least `window` rows.

    A weighted mean over the windows that contain the row; weights decrease from the middle of a
    window to its ends. Its emission log-likelihood is the weighted mean of theirs, up to a constant
    of each row: the state head is linear.
    """
    last = len(signals) - window
    starts = torch.tensor([*range(0, last, max(1, window // 4)), last], device=signals.device)
    every_row = torch.ones(len(starts), window, dtype=torch.bool, device=signals.device)
    row = torch.arange(window, device=signals.device)
    weight = torch.minimum(row, row.flip(0))[:, None] + 1.0
    total = torch.zeros(len(signals), network.state_head.in_features, device=signals.device)
    weights = torch.zeros(len(signals), 1, device=signals.device)
    for rows, _, encoded in encode_windows(network, signals, starts, every_row):
        # Sequentially: windows overlap, and the order of summation determines the last bits.
        for start, vectors in zip(rows[:, 0].tolist(), encoded, strict=True):
            total[start : start + window] += vectors * weight
            weights[start : start + window] += weight
    return total / weights


MIN_PRIOR_SHARE = 1e-3
"""Lower limit of a state's prior, as a share of the uniform prior: division by a prior near 0 would
let a state that is never predicted dominate."""


@torch.no_grad()
def measure_state_prior(network: Network, train: Tensors) -> None:
    """Sets the network's log state prior to that of its mean state probabilities.

    The mean is over evenly spread train windows, as many as would cover all rows without overlap.
    """
    states = network.sizes.states
    count = min(len(train.starts), -(-len(train.signals) // train.window))
    windows = torch.linspace(0, len(train.starts) - 1, count, device=train.starts.device).long()
    total = torch.zeros(states, device=train.signals.device)
    sampled_windows = train.starts[windows], train.row_mask[windows]
    for _, _, encoded in encode_windows(network, train.signals, *sampled_windows):
        total += network.state_head(encoded).softmax(-1).sum((0, 1))
    share = total / total.sum() * states
    network.log_state_prior.copy_((share.clamp(min=MIN_PRIOR_SHARE) / states).log())
