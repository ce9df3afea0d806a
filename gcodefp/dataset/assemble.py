"""Cleaned recordings put together as the rows and windows of a split."""

from collections.abc import Sequence

import numpy as np

from gcodefp.dataset.channels import Scaler
from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import UNSEEN, Vocabulary
from gcodefp.dataset.windows import window_starts
from gcodefp.recordings.clean import Recording


def assemble(
    recordings: Sequence[Recording],
    scaler: Scaler,
    vocabulary: Vocabulary,
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> Split:
    """Joins recordings, one after the other, and lays windows over them."""
    lengths = [len(recording.row) for recording in recordings]
    classes = {name: i for i, name in enumerate(vocabulary.operations)}
    operations = [classes.get(recording.operation, UNSEEN) for recording in recordings]
    blocks, block = np.unique(np.concatenate([r.blocks for r in recordings]), return_inverse=True)
    seconds = np.concatenate([r.seconds for r in recordings])
    recording = np.repeat(np.arange(len(recordings), dtype=np.int16), lengths)
    return Split(
        signals=np.concatenate([scaler.apply(r) for r in recordings]),
        block=block.astype(np.int32),
        blocks=blocks,
        operation=np.repeat(np.array(operations, np.int16), lengths),
        position_mm=np.concatenate([r.position_mm for r in recordings]),
        mm_per_unit=np.concatenate([r.mm_per_unit for r in recordings]),
        seconds=seconds,
        recording=recording,
        row=np.concatenate([r.row for r in recordings]),
        recordings=np.array([r.name for r in recordings]),
        window_start=window_starts(recording, seconds, window, stride, max_gap_seconds),
    )
