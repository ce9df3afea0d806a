"""Prediction from the signals of windows alone: no true word, block or position is an input."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.vocabulary import FIELDS, UNSEEN
from gcodefp.model.data import Tensors
from gcodefp.model.hmm import viterbi_paths
from gcodefp.model.network import Network

WINDOWS_PER_BATCH = 64


class Prediction(NamedTuple):
    """What the network says of N rows in W windows of T rows.

    Attributes:
        covered: (N,) whether any window speaks for the row; the others hold UNSEEN.
        codes: (N, S, 4) classes of the block, freely written, in the order of vocabulary.FIELDS.
        operation: (N,) class.
        position: (N, 3) tool position, in standard deviations of the train split.
        path: (N,) place in the programs, aligned within the window that speaks for the row.
        paths: (W, T) places of all rows of each window.
    """

    covered: NDArray[np.bool_]
    codes: NDArray[np.int64]
    operation: NDArray[np.int64]
    position: NDArray[np.float32]
    path: NDArray[np.int64]
    paths: NDArray[np.int64]


@torch.no_grad()
def predict(network: Network, data: Tensors) -> Prediction:
    """Encodes all windows, and reads each row from the one that speaks for it."""
    network.eval()
    count = len(data.signals)
    codes = np.full((count, network.sizes.steps, len(FIELDS)), UNSEEN, np.int64)
    operation = np.full(count, UNSEEN, np.int64)
    position = np.full((count, 3), np.nan, np.float32)
    path = np.full(count, UNSEEN, np.int64)
    paths = []
    windows = torch.arange(len(data.starts), device=data.starts.device)
    for batch in windows.split(WINDOWS_PER_BATCH):
        rows = data.rows_of(batch)
        encoded = network.encode(data.signals[rows])
        row_mask = data.row_mask[batch]
        chosen = rows[row_mask].cpu().numpy()
        codes[chosen] = network.decode(encoded[row_mask]).cpu().numpy()
        named = network.operation_logits(encoded).argmax(-1)[:, None].expand_as(rows)
        operation[chosen] = named[row_mask].cpu().numpy()
        position[chosen] = network.position_head(encoded[row_mask]).cpu().numpy()
        aligned = viterbi_paths(network.emission_log_likelihood(encoded), data.first_state)
        path[chosen] = aligned[row_mask].cpu().numpy()
        paths.append(aligned.cpu().numpy())
    return Prediction(operation != UNSEEN, codes, operation, position, path, np.concatenate(paths))


@torch.no_grad()
def whole_emission_log_likelihood(
    network: Network, signals: torch.Tensor, window: int
) -> torch.Tensor:
    """Evidence of places (N, P) at the N rows of one recording, of any length.

    Overlapping windows are averaged, each counting most in its middle.

    Args:
        signals: (N, C) of at least `window` rows.
    """
    network.eval()
    stride = max(1, window // 4)
    starts = torch.arange(0, len(signals) - window + 1, stride, device=signals.device)
    last = torch.tensor([len(signals) - window], device=signals.device)
    starts = torch.cat([starts, last]).unique()
    row = torch.arange(window, device=signals.device)
    weight = torch.minimum(row, row.flip(0))[:, None] + 1.0
    total = torch.zeros(len(signals), network.sizes.states, device=signals.device)
    counted = torch.zeros(len(signals), 1, device=signals.device)
    for batch in starts.split(WINDOWS_PER_BATCH):
        evidence = network.emission_log_likelihood(network.encode(signals[batch[:, None] + row]))
        for start, of in zip(batch.tolist(), evidence, strict=True):
            total[start : start + window] += of * weight
            counted[start : start + window] += weight
    return total / counted


LEAST_SHARE = 1e-3
"""Of a place among equally frequent ones: one that is never named must not outweigh all others."""


@torch.no_grad()
def measure_state_prior(network: Network, train: Tensors) -> None:
    """Sets the network's place prior, the mean of its probabilities over the train windows.

    About as many windows are read as would lie side by side: each row once on the average.
    """
    network.eval()
    states = network.sizes.states
    count = min(len(train.starts), -(-len(train.signals) // train.window))
    windows = torch.linspace(0, len(train.starts) - 1, count, device=train.starts.device).long()
    total = torch.zeros(states, device=train.signals.device)
    for batch in windows.split(WINDOWS_PER_BATCH):
        encoded = network.encode(train.signals[train.rows_of(batch)])
        total += network.state_head(encoded).softmax(-1).sum((0, 1))
    share = total / total.sum() * states
    network.log_state_prior.copy_((share.clamp(min=LEAST_SHARE) / states).log())
