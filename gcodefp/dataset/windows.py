"""Windows over rows, the row-to-window mask, and splits assembled from recordings."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.channels import Scaler
from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import UNSEEN, Vocabulary
from gcodefp.programs.table import LagCorrectedLabels
from gcodefp.recordings.cleaning import Recording


def window_starts(
    recording: NDArray[np.integer],
    seconds: NDArray[np.floating],
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> NDArray[np.int32]:
    """First rows of windows that cover every contiguous range of at least `window` rows.

    A range ends with its recording and at a gap in the time stamps; no window crosses either. The
    last window of a range is moved back to end with it.

    Args:
        recording: (N,) index of each row's recording, or of what else no window crosses.
        seconds: (N,) clock of each row within its recording.
        window: rows per window.
        stride: rows from one window to the next.

    Returns:
        (W,), ascending.
    """
    is_range_start = (np.diff(recording) != 0) | (np.diff(seconds) > max_gap_seconds)
    edges = np.concatenate([[0], np.flatnonzero(is_range_start) + 1, [len(recording)]])
    starts: list[int] = []
    for first, end in pairwise(edges.tolist()):
        if end - first >= window:
            starts += [*range(first, end - window, stride), end - window]
    return np.array(starts, np.int32)


def row_to_window_mask(starts: NDArray[np.integer], window: int) -> NDArray[np.bool_]:
    """Assigns each row to one window: of those that contain it, the one with the nearest middle.

    Args:
        starts: (W,) first rows.

    Returns:
        (W, window), true exactly once for every row in any window.
    """
    rows = starts[:, None] + np.arange(window)
    distance = np.broadcast_to(np.abs(np.arange(window) - (window - 1) / 2), rows.shape)
    order = np.lexsort((distance.ravel(), rows.ravel()))
    first = np.diff(rows.ravel()[order], prepend=-1) != 0
    row_mask = np.zeros(rows.size, bool)
    row_mask[order[first]] = True
    return row_mask.reshape(rows.shape)


def assemble(
    recordings: Sequence[Recording],
    signals: Mapping[str, NDArray[np.float32]],
    alignment: Mapping[str, LagCorrectedLabels],
    scaler: Scaler,
    vocabulary: Vocabulary,
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> Split:
    """Concatenates recordings and lays windows over them.

    Args:
        signals: recording -> standardised signals (rows, channels).
        alignment: recording -> its alignment with the programs.
    """
    lengths = [len(recording.row) for recording in recordings]
    classes = {name: i for i, name in enumerate(vocabulary.operations)}
    alignments = [alignment[recording.name] for recording in recordings]

    def concatenate(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(recording, name) for recording in recordings])

    def repeat(values: Sequence[int]) -> NDArray[np.int16]:
        return np.repeat(np.array(values, np.int16), lengths)

    blocks, block = np.unique(concatenate("blocks"), return_inverse=True)
    seconds, recording = concatenate("seconds"), repeat(range(len(recordings)))
    row_range = _row_ranges(recordings, recording)
    return Split(
        signals=np.concatenate([signals[r.name] for r in recordings]),
        valid=np.concatenate([scaler.valid(r) for r in recordings]),
        environment=concatenate("environment"),
        block=block.astype(np.int32),
        blocks=blocks,
        line=concatenate("lines"),
        operation=repeat([classes.get(r.operation, UNSEEN) for r in recordings]),
        position_mm=concatenate("position_mm"),
        mm_per_unit=concatenate("mm_per_unit"),
        seconds=seconds,
        recording=recording,
        row=concatenate("row"),
        program=repeat([a.program for a in alignments]),
        state=np.concatenate([a.state for a in alignments]),
        lag_corrected_row=_rows_of_split([a.lag_corrected_row for a in alignments]),
        recordings=np.array([r.name for r in recordings]),
        lag_seconds=np.array([a.lag.seconds for a in alignments], np.float32),
        window_start=window_starts(row_range, seconds, window, stride, max_gap_seconds),
    )


def _row_ranges(
    recordings: Sequence[Recording], recording: NDArray[np.integer]
) -> NDArray[np.int64]:
    """Range of each row (N,): no window crosses recordings, or packets that do not follow."""
    own = [np.zeros(len(r.row)) if r.row_range is None else r.row_range for r in recordings]
    is_edge = (np.diff(recording) != 0) | (np.diff(np.concatenate(own)) != 0)
    return np.cumsum(np.append(0, is_edge))


def _rows_of_split(rows: Sequence[NDArray[np.integer]]) -> NDArray[np.int32]:
    """Row numbers within each recording as row numbers within the split."""
    lengths = [len(part) for part in rows]
    offset = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    return (np.concatenate(rows) + offset).astype(np.int32)


def evaluation_stride(window: int) -> int:
    """Rows between windows of val and test: half a window, so that each row is near a middle."""
    return max(1, window // 2)
