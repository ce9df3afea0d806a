"""Which samples the network's choice of a place rests on: gradient times input.

The gradient of the log probability of the place that each row is read at (place head, aligned
within its window), summed over all rows, is taken with respect to every sample (Simonyan et al.
2014) and multiplied with the sample (Shrikumar et al. 2017). Samples are scaled so that 0 is the
mean of training, which is also what stands where a sensor is missing: to first order the product
is what the sum would lose, or gain, if the sample were missing. Its absolute value is kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.learning.alignment import likeliest_paths
from gcodefp.learning.network import Network
from gcodefp.learning.tensors import Tensors

WINDOWS_AT_A_TIME = 16


def saliency_of(network: Network, data: Tensors) -> NDArray[np.float32]:
    """|gradient x input| of every sample, (N, C), in nats; 0 where no valid sample is."""
    signals = data.signals.detach().clone().requires_grad_()
    total = torch.zeros_like(data.signals)
    for batch in torch.arange(len(data.starts), device=data.starts.device).split(WINDOWS_AT_A_TIME):
        evidence = network.place_evidence(network.encode(signals[data.rows_of(batch)]))
        path = likeliest_paths(evidence.detach(), data.first_place)
        chosen = evidence.gather(-1, path[..., None])[..., 0]
        # Windows overlap; each row counts once, in the window that speaks for it.
        told = chosen[data.speaks[batch]].sum()
        total += torch.autograd.grad(told, signals)[0]
    result: NDArray[np.float32] = (total * data.signals).abs().cpu().numpy()
    return result


def describe_saliency(
    per_channel: NDArray[np.floating], channels: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """As it stands in explanation.json: shares of the whole, of each channel, group and node.

    Args:
        per_channel: (C,) mean over the rows.
        channels: what explanation.json says of them.
    """
    share = per_channel.astype(np.float64) / (float(per_channel.sum()) or 1.0)
    described: dict[str, Any] = {
        "of": "log probability of the place that each row is read at",
        "channels": {of["name"]: s for of, s in zip(channels, share.tolist(), strict=True)},
    }
    for kind in ("group", "node"):
        shares: dict[str, float] = {}
        for of, s in zip(channels, share.tolist(), strict=True):
            if of[kind] is not None:
                shares[of[kind]] = shares.get(of[kind], 0.0) + s
        described[f"{kind}s"] = shares
    return described
