"""Windows over rows, and which window speaks for a row."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def window_starts(
    recording: NDArray[np.integer],
    seconds: NDArray[np.floating],
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> NDArray[np.int32]:
    """First rows of windows that cover every row of every long enough stretch.

    A stretch ends with its recording and at a gap in the clock; no window crosses either. The last
    window of a stretch is moved back to end with it.

    Args:
        recording: (N,) index of each row's recording; rows of one recording are neighbours.
        seconds: (N,) clock of each row within its recording.
        window: rows per window.
        stride: rows from one window to the next.

    Returns:
        (W,), ascending.
    """
    new = (np.diff(recording) != 0) | (np.diff(seconds) > max_gap_seconds)
    edges = np.concatenate([[0], np.flatnonzero(new) + 1, [len(recording)]])
    starts: list[int] = []
    for first, end in pairwise(edges.tolist()):
        if end - first >= window:
            starts += [*range(first, end - window, stride), end - window]
    return np.array(starts, np.int32)


def speaking_rows(starts: NDArray[np.integer], window: int) -> NDArray[np.bool_]:
    """Which rows each window speaks for: the window in whose middle a row lies most speaks for it.

    Args:
        starts: (W,) first rows.

    Returns:
        (W, window), true once for every row that lies in any window.
    """
    rows = starts[:, None] + np.arange(window)
    distance = np.broadcast_to(np.abs(np.arange(window) - (window - 1) / 2), rows.shape)
    order = np.lexsort((distance.ravel(), rows.ravel()))
    first = np.diff(rows.ravel()[order], prepend=-1) != 0
    speaks = np.zeros(rows.size, bool)
    speaks[order[first]] = True
    return speaks.reshape(rows.shape)
