"""Which channels are inputs, and their scale; both are fitted to the train split alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.columns import channel_group, channel_unit

MIN_VALID_SHARE = 0.5
"""A channel is present in a recording that has valid samples in at least this share of its rows."""
ROUNDING = 1e-9
"""Deviation, as a share of the largest sample, that equal samples may have by rounding."""
STD_OFFSET = 0.1
"""Added to a recording's own standard deviation, in those of the train split: a nearly constant
channel has little information."""
CLIP = 8.0
"""Limit of standardised samples; outliers of a loose contact are clipped."""


@dataclass(frozen=True)
class Scaler:
    """Channels in order, with the mean and standard deviation of their train samples.

    Attributes:
        centered: whether each recording's own mean is subtracted first. That removes a node's
            orientation and temperature, which depend on the recording and not on the motion.
        zscored: whether each recording is centered, and divided by its own standard deviation too.
            That removes a node's gain, which differs between sessions.
    """

    channels: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    centered: bool
    zscored: bool = False

    def apply(self, recording: Recording) -> NDArray[np.float32]:
        """Standardised signals (N, C); 0 where invalid."""
        table = recording.signals.reindex(columns=list(self.channels))
        # Before the limit: a node's offset may be beyond it.
        signals = _to_double(table, self.centered or self.zscored).to_numpy(np.float64)
        scaled = np.clip((signals - np.array(self.mean)) / np.array(self.std), -CLIP, CLIP)
        if self.zscored:
            scaled = zscore(scaled)
        return np.nan_to_num(scaled, nan=0.0).astype(np.float32)

    def valid(self, recording: Recording) -> NDArray[np.bool_]:
        """Which samples are valid, (N, C)."""
        table = recording.signals.reindex(columns=list(self.channels))
        return table.notna().to_numpy()

    def group_masks(self) -> dict[str, NDArray[np.bool_]]:
        """Group of channels -> which channels belong to it, (C,)."""
        groups = np.array([channel_group(channel) for channel in self.channels], np.str_)
        return {str(group): groups == group for group in np.unique(groups)}

    def describe(self) -> list[dict[str, str | float]]:
        """One entry per channel for dataset.json."""
        return [
            {"name": name, "unit": channel_unit(name), "mean": mean, "std": std}
            for name, mean, std in zip(self.channels, self.mean, self.std, strict=True)
        ]


def fit_scaler(
    train: Sequence[Recording], min_coverage: float, centered: bool, zscored: bool = False
) -> Scaler:
    """Selects the channels that are present in enough train recordings and fits their scale.

    Args:
        train: the recordings of the train split.
        min_coverage: share of them in which a channel has to be present.
        centered: subtract each recording's own mean first.
        zscored: do so, and divide by each recording's own standard deviation too.

    Raises:
        UserError: no channel is left.
    """
    counts: Counter[str] = Counter()
    for recording in train:
        valid = recording.signals.notna().mean()
        counts.update(valid.index[valid >= MIN_VALID_SHARE])
    channels = sorted(c for c, count in counts.items() if count >= min_coverage * len(train))
    tables = [r.signals.reindex(columns=channels) for r in train]
    samples = pd.concat([_to_double(table, centered or zscored) for table in tables])
    mean, deviation = samples.mean(), samples.std(ddof=0)
    varying = deviation > ROUNDING * pd.concat(tables).abs().max()
    if not varying.any():
        raise UserError(
            f"channels: none is in {min_coverage:.0%} of the {len(train)} train recordings; "
            "lower channels.min_coverage or add groups to channels.groups"
        )
    selected = mean.index[varying]
    return Scaler(
        tuple(selected),
        tuple(mean[varying].tolist()),
        tuple(deviation[varying].tolist()),
        centered,
        zscored,
    )


def zscore(signals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Samples (N, C) of a recording, minus their mean, over their standard deviation."""
    valid = np.isfinite(signals)
    count = np.maximum(valid.sum(0), 1)
    centred = signals - np.where(valid, signals, 0.0).sum(0) / count
    deviation = np.sqrt((np.where(valid, centred, 0.0) ** 2).sum(0) / count)
    normalised: NDArray[np.float64] = centred / (deviation + STD_OFFSET)
    return normalised


def _to_double(signals: pd.DataFrame, centered: bool) -> pd.DataFrame:
    """Double precision, with the recording's own mean subtracted if `centered`."""
    signals = signals.astype(np.float64)
    return signals - signals.mean() if centered else signals


def fit_position_scale(train: Sequence[Recording]) -> dict[str, list[float]]:
    """Mean and standard deviation of the reported positions in mm, by axis; 0 and 1 without any."""
    positions = np.concatenate([r.position_mm for r in train]).astype(np.float64)
    finite = np.isfinite(positions)
    reported = np.where(finite, positions, np.where(finite.any(axis=0), np.nan, 0.0))
    deviation = np.nanstd(reported, axis=0)
    return {
        "mean": np.nanmean(reported, axis=0).tolist(),
        "std": np.where(deviation > 0, deviation, 1.0).tolist(),
    }
