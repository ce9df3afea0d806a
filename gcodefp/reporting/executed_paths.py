"""The executed toolpath of each test recording, and the one predicted from its sensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.names import WHOLE
from gcodefp.evaluation.toolpaths import endpoints_mm
from gcodefp.reporting.results import Predictions

ON_PATH_MM = 0.5
"""Accuracy of corners of a path, since positions are reported a few times a second."""
MACHINE_FRAME = "G53"
"""A block with this word moves in machine coordinates."""
CHUNK = 256
"""Points whose distances to a path are computed at once."""
TINY = 1e-12

Segments = NDArray[np.float64]
"""(N, 2, 2): X and Y in mm of the row before and of each row; NaN where either is unknown."""


class SegmentMatch(IntEnum):
    """How a predicted segment matches the executed path.

    Attributes:
        OFF: it is not on the executed path.
        OTHER_TIME: it is on the path, but its row executes another line.
        CORRECT: it is on the path, and the row's line is correct.
    """

    OFF = 0
    OTHER_TIME = 1
    CORRECT = 2


@dataclass(frozen=True)
class Toolpath:
    """A recording of N rows: its executed path, and the one predicted from its sensors.

    Attributes:
        seconds: (N,).
        true_mm, predicted_mm: (N, 3) tool positions, as the controller reports them; where nothing
            is reported, the end of each row's block. NaN where unknown.
        is_reported: whether the controller reports tool positions.
        true_segments, predicted_segments: `Segments` of the paths.
        match: (N,) `SegmentMatch` of each predicted segment.
        is_correct: (N,) whether the row's block is correct.
    """

    name: str
    seconds: NDArray[np.float64]
    true_mm: NDArray[np.floating]
    predicted_mm: NDArray[np.floating]
    is_reported: bool
    true_segments: Segments
    predicted_segments: Segments
    match: NDArray[np.int64]
    is_correct: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of rows whose whole block is correct."""
        return float(self.is_correct.mean())


def toolpaths(predictions: Predictions) -> list[Toolpath]:
    """The path of every test recording, best first; ties by name."""
    indices = np.unique(predictions.recording)
    paths = [_toolpath(predictions, int(index)) for index in indices]
    return sorted(paths, key=lambda path: (-path.accuracy, path.name))


def median_toolpath(ranking: Sequence[Toolpath]) -> Toolpath:
    """The recording of median accuracy; of the two middle ones the worse."""
    return ranking[len(ranking) // 2]


def _toolpath(predictions: Predictions, index: int) -> Toolpath:
    rows = predictions.recording == index
    blocks = predictions.true_block[rows], predictions.blocks[WHOLE][rows]
    reported = predictions.position_mm, predictions.predicted_mm.get(WHOLE)
    positions = [each[rows].copy() for each in reported if each is not None]
    is_reported = len(positions) == 2 and all(np.isfinite(p[:, :2]).any() for p in positions)
    if not is_reported:
        positions = [endpoints_mm(each, predictions.mm_per_unit[rows]) for each in blocks]
        for each, position in zip(blocks, positions, strict=True):
            position[np.char.find(each, MACHINE_FRAME) >= 0, 2] = np.nan
    true, predicted = map(straight_segments, positions)
    is_correct = blocks[0] == blocks[1]
    return Toolpath(
        name=str(predictions.recordings[index]),
        seconds=predictions.seconds[rows],
        true_mm=positions[0],
        predicted_mm=positions[1],
        is_reported=is_reported,
        true_segments=true,
        predicted_segments=predicted,
        match=_matches(true, predicted, is_correct),
        is_correct=is_correct,
    )


def _matches(
    true: Segments, predicted: Segments, is_correct: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """A segment is on the path if its middle and its end are."""
    match = np.where(is_correct, SegmentMatch.CORRECT, SegmentMatch.OTHER_TIME).astype(np.int64)
    rows = np.flatnonzero(is_known(predicted))
    points = predicted[rows].mean(axis=1), predicted[rows, 1]
    is_off = np.maximum(*(distance_mm(each, true) for each in points)) > ON_PATH_MM
    match[rows[is_off]] = SegmentMatch.OFF
    return match


def straight_segments(points_mm: NDArray[np.floating]) -> Segments:
    """Straight lines from row to row of (N, 3) positions; the first row has none."""
    ends = points_mm[:, :2].astype(float)
    segments = np.stack([np.roll(ends, 1, axis=0), ends], axis=1)
    segments[0] = np.nan
    return segments


def is_known(segments: Segments) -> NDArray[np.bool_]:
    """(N,) whether a row has a segment."""
    return np.asarray(np.isfinite(segments).all(axis=(1, 2)))


def join_segments(
    segments: Segments, match: NDArray[np.integer]
) -> list[tuple[int, NDArray[np.float64]]]:
    """Lines (P, 2) of adjoining segments with the same match (N,), each with it."""
    rows = np.flatnonzero(is_known(segments))
    is_new = (np.diff(rows, prepend=0) > 1) | (match[rows] != match[rows - 1])
    parts = np.split(rows, np.flatnonzero(is_new))
    return [
        (int(match[part[0]]), np.concatenate([segments[part[0], :1], segments[part, 1]]))
        for part in parts
        if len(part)
    ]


def distance_mm(points: NDArray[np.floating], path: Segments) -> NDArray[np.float64]:
    """The distance of each point (M, 2) from a path; infinite if the path is empty."""
    start, end = path[is_known(path)].transpose(1, 0, 2)
    if not len(start):
        return np.full(len(points), np.inf)
    along = end - start
    squared = np.maximum((along**2).sum(1), TINY)
    nearest = [np.empty(0)]
    for first in range(0, len(points), CHUNK):
        offset = points[first : first + CHUNK, None] - start
        share = np.clip((offset * along).sum(2) / squared, 0, 1)
        gap = offset - share[..., None] * along
        nearest.append(np.sqrt((gap**2).sum(2).min(1)))
    return np.concatenate(nearest)
