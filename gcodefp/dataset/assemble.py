"""Cleaned recordings put together as the rows and windows of a split."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.channels import Scaler
from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import UNSEEN, Vocabulary
from gcodefp.dataset.windows import window_starts
from gcodefp.programs.table import Placed
from gcodefp.recordings.clean import Recording


def assemble(
    recordings: Sequence[Recording],
    placed: Mapping[str, Placed],
    scaler: Scaler,
    vocabulary: Vocabulary,
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> Split:
    """Joins recordings, one after the other, and lays windows over them.

    Args:
        placed: recording -> where its rows are in the programs.
    """
    lengths = [len(recording.row) for recording in recordings]
    classes = {name: i for i, name in enumerate(vocabulary.operations)}
    operations = [classes.get(recording.operation, UNSEEN) for recording in recordings]
    blocks, block = np.unique(np.concatenate([r.blocks for r in recordings]), return_inverse=True)
    seconds = np.concatenate([r.seconds for r in recordings])
    recording = np.repeat(np.arange(len(recordings), dtype=np.int16), lengths)
    places = [placed[recording.name] for recording in recordings]
    first = np.cumsum([0, *lengths])
    return Split(
        signals=np.concatenate([scaler.apply(r) for r in recordings]),
        valid=np.concatenate([scaler.valid(r) for r in recordings]),
        environment=np.concatenate([r.environment for r in recordings]),
        block=block.astype(np.int32),
        blocks=blocks,
        line=np.concatenate([r.lines for r in recordings]),
        operation=np.repeat(np.array(operations, np.int16), lengths),
        position_mm=np.concatenate([r.position_mm for r in recordings]),
        mm_per_unit=np.concatenate([r.mm_per_unit for r in recordings]),
        seconds=seconds,
        recording=recording,
        row=np.concatenate([r.row for r in recordings]),
        program=np.repeat(np.array([p.program for p in places], np.int16), lengths),
        place=np.concatenate([p.place for p in places]),
        sensed_row=_joined([p.sensed_row for p in places], first),
        recordings=np.array([r.name for r in recordings]),
        lag_seconds=np.array([p.lag_seconds for p in places], np.float32),
        window_start=window_starts(recording, seconds, window, stride, max_gap_seconds),
    )


def _joined(rows: Sequence[NDArray[np.int32]], first: NDArray[np.integer]) -> NDArray[np.int32]:
    """Row numbers within each recording as row numbers within the split."""
    moved = [of + start for of, start in zip(rows, first[:-1], strict=True)]
    return np.concatenate(moved).astype(np.int32)
