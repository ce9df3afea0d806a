"""What a prediction has to beat: no sensors at all, and the most alike train window."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from gcodefp.dataset.store import Split

BINS = 8
TRAIN_ROWS = 20_000
"""The neighbour is sought among at most so many rows, evenly spread over the train split."""


class Answers(NamedTuple):
    """What a baseline says of N rows.

    Attributes:
        blocks: (N,) text of each block.
        operation: (N,) class of the operation.
    """

    blocks: NDArray[np.str_]
    operation: NDArray[np.int64]


def majority(train: Split, rows: NDArray[np.integer]) -> Answers:
    """The most common block and operation of the train split, for every row."""
    block = train.blocks[np.bincount(train.block).argmax()]
    operation = np.bincount(train.operation).argmax()
    return Answers(np.full(len(rows), block), np.full(len(rows), operation, np.int64))


def nearest_neighbour(train: Split, test: Split, rows: NDArray[np.integer], window: int) -> Answers:
    """The block and operation of the train row whose surroundings are most alike.

    The surroundings of a row are the window around it, in BINS equal parts, averaged.

    Args:
        rows: (N,) rows of the test split.
        window: rows per window.
    """
    # Only rows that a train window shows: a leaky split holds all rows of all recordings.
    shown = np.unique(train.window_start[:, None] + np.arange(window))
    known = shown[:: max(1, -(-len(shown) // TRAIN_ROWS))]
    index = NearestNeighbors(n_neighbors=1, algorithm="brute")
    index.fit(_surroundings(train, window)[known])
    found = index.kneighbors(_surroundings(test, window)[rows], return_distance=False)[:, 0]
    neighbour = known[found]
    return Answers(
        train.blocks[train.block[neighbour]], train.operation[neighbour].astype(np.int64)
    )


def _surroundings(split: Split, window: int) -> NDArray[np.float32]:
    """(N, bins * channels); near the ends of a recording the window is moved inwards."""
    edges = np.flatnonzero(np.diff(split.recording, prepend=-1, append=-1))
    first, end = edges[:-1], edges[1:]
    start = np.arange(len(split.recording)) - window // 2
    start = np.clip(start, first[split.recording], end[split.recording] - window)
    sums = np.concatenate([np.zeros((1, split.signals.shape[1])), split.signals.cumsum(0, float)])
    bounds = np.linspace(0, window, min(BINS, window) + 1).astype(int)
    parts = [
        (sums[start + high] - sums[start + low]) / (high - low) for low, high in pairwise(bounds)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
