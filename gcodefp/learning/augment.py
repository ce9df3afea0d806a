"""Random changes of windows that leave their G-code as it is."""

import torch
from torch import Tensor

GAIN_STD = 0.1
OFFSET_STD = 0.1


def augment(
    signals: Tensor, probability: float, noise_std: float, random: torch.Generator
) -> Tensor:
    """Noise, and another gain and offset per channel, in a share of the windows.

    Args:
        signals: (B, T, C) scaled, so that the amounts are in standard deviations.
        probability: share of the windows that are changed.
        noise_std: of the noise added to every sample.
        random: on the CPU, so that all devices draw the same.

    Returns:
        (B, T, C).
    """
    if probability == 0:
        return signals
    windows, _, channels = signals.shape

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random).to(signals.device)

    changed = signals * (1 + GAIN_STD * draw(windows, 1, channels))
    changed = changed + OFFSET_STD * draw(windows, 1, channels)
    changed = changed + noise_std * draw(*signals.shape)
    chosen = torch.rand(windows, 1, 1, generator=random) < probability
    return torch.where(chosen.to(signals.device), changed, signals)
