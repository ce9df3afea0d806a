"""Random changes of windows that leave their G-code as it is."""

import torch
from torch import Tensor

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
