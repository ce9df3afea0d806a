"""Free-running prediction: the block of every row that a window speaks for."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.vocabulary import FIELDS, UNSEEN
from gcodefp.learning.network import Network
from gcodefp.learning.tensors import Tensors

WINDOWS_PER_BATCH = 64


class Prediction(NamedTuple):
    """What the network writes for N rows.

    Attributes:
        covered: (N,) whether any window speaks for the row; the others hold UNSEEN.
        codes: (N, S, 4) classes of the block, in the order of vocabulary.FIELDS.
        operation: (N,) class.
    """

    covered: NDArray[np.bool_]
    codes: NDArray[np.int64]
    operation: NDArray[np.int64]


@torch.no_grad()
def predict(network: Network, data: Tensors) -> Prediction:
    """Encodes all windows and writes the block of each row that one of them speaks for."""
    network.eval()
    count = len(data.signals)
    codes = np.full((count, network.sizes.steps, len(FIELDS)), UNSEEN, np.int64)
    operation = np.full(count, UNSEEN, np.int64)
    windows = torch.arange(len(data.starts), device=data.starts.device)
    for batch in windows.split(WINDOWS_PER_BATCH):
        rows = data.rows_of(batch)
        encoded = network.encode(data.signals[rows])
        speaks = data.speaks[batch]
        chosen = rows[speaks].cpu().numpy()
        codes[chosen] = network.decode(encoded[speaks]).cpu().numpy()
        named = network.operation_logits(encoded).argmax(-1)[:, None].expand_as(rows)
        operation[chosen] = named[speaks].cpu().numpy()
    return Prediction(operation != UNSEEN, codes, operation)
