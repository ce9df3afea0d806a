"""How often the network names each place, whatever it sees: what the alignment must not count."""

import torch

from gcodefp.learning.network import Network
from gcodefp.learning.predict import WINDOWS_PER_BATCH
from gcodefp.learning.tensors import Tensors

LEAST_SHARE = 1e-3
"""Of a place among equally frequent ones: one that is never named must not outweigh all others."""


@torch.no_grad()
def measure_place_prior(network: Network, train: Tensors) -> None:
    """Sets the network's place prior, the mean of its probabilities over the train windows.

    About as many windows are read as would lie side by side: each row once on the average.
    """
    network.eval()
    places = network.sizes.places
    count = min(len(train.starts), -(-len(train.signals) // train.window))
    windows = torch.linspace(0, len(train.starts) - 1, count, device=train.starts.device).long()
    total = torch.zeros(places, device=train.signals.device)
    for batch in windows.split(WINDOWS_PER_BATCH):
        encoded = network.encode(train.signals[train.rows_of(batch)])
        total += network.place_head(encoded).softmax(-1).sum((0, 1))
    share = total / total.sum() * places
    network.place_prior_logs.copy_((share.clamp(min=LEAST_SHARE) / places).log())
