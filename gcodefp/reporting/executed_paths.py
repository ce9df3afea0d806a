"""The executed toolpath of each test recording, and the one predicted from its sensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.names import WHOLE
from gcodefp.evaluation.toolpaths import endpoints_mm
from gcodefp.recordings.gcode import parse_block
from gcodefp.recordings.interpreter.tool_moves import arc_by_radius
from gcodefp.reporting.results import Predictions

ON_PATH_MM = 0.5
"""Accuracy of corners of a path, since positions are reported a few times a second."""
MACHINE_FRAME = "G53"
"""A block with this word moves in machine coordinates."""
ARC_STEP_RADIANS = 0.1
CHUNK = 256
"""Points whose distances to a path are computed at once."""
TINY = 1e-12

PathSegment = NDArray[np.float64]
"""(P, 2) points in X and Y from the row before to a row; P is 0 where either is unknown."""


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
        true_segments, predicted_segments: N segments of the paths.
        match: (N,) `SegmentMatch` of each predicted segment.
        is_correct: (N,) whether the row's block is correct.
    """

    name: str
    seconds: NDArray[np.float64]
    true_mm: NDArray[np.floating]
    predicted_mm: NDArray[np.floating]
    is_reported: bool
    true_segments: list[PathSegment]
    predicted_segments: list[PathSegment]
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
    if is_reported:
        true, predicted = map(straight_segments, positions)
    else:
        unit = predictions.mm_per_unit[rows]
        positions = [endpoints_mm(each, unit) for each in blocks]
        true, predicted = (
            block_segments(b, p, unit) for b, p in zip(blocks, positions, strict=True)
        )
        for each, position in zip(blocks, positions, strict=True):
            position[np.char.find(each, MACHINE_FRAME) >= 0, 2] = np.nan
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
    true: list[PathSegment], predicted: list[PathSegment], is_correct: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """A segment is on the path if its middle and its end are."""
    match = np.where(is_correct, SegmentMatch.CORRECT, SegmentMatch.OTHER_TIME).astype(np.int64)
    rows = [row for row, segment in enumerate(predicted) if len(segment)]
    if rows:
        segments = [predicted[row] for row in rows]
        middles = np.array([(s[(len(s) - 1) // 2] + s[len(s) // 2]) / 2 for s in segments])
        ends = np.array([segment[-1] for segment in segments])
        is_off = np.maximum(distance_mm(middles, true), distance_mm(ends, true)) > ON_PATH_MM
        match[np.array(rows)[is_off]] = SegmentMatch.OFF
    return match


def straight_segments(points_mm: NDArray[np.floating]) -> list[PathSegment]:
    """Straight lines from row to row of (N, 3) positions; the first row has none."""
    no_points = np.empty((0, 2))
    lines = (np.array(pair)[:, :2].astype(float) for pair in pairwise(points_mm))
    return [no_points, *(line if np.isfinite(line).all() else no_points for line in lines)]


def block_segments(
    blocks: NDArray[np.str_], ends_mm: NDArray[np.floating], mm_per_unit: NDArray[np.floating]
) -> list[PathSegment]:
    """Segments of (N,) blocks with end positions (N, 3); G2 and G3 are arcs.

    The whole move is in the first of neighbouring rows with the same block.
    """
    segments, motion = straight_segments(ends_mm), 0
    for row, block in enumerate(blocks):
        radius = 0.0
        for word in parse_block(str(block)):
            if word.letter == "G" and word.number in (0, 1, 2, 3):
                motion = int(word.number)
            if word.letter == "R":
                radius = word.number * float(mm_per_unit[row])
        if len(segments[row]) and motion >= 2:
            segments[row] = _arc(segments[row], radius, is_clockwise=motion == 2)
    return segments


def _arc(chord: PathSegment, radius_mm: float, is_clockwise: bool) -> PathSegment:
    """Points of the arc over a chord; the chord itself where the radius allows none."""
    start, end = chord.tolist()
    try:
        centre, radius, sweep = arc_by_radius(start, end, radius_mm, is_clockwise)
    except ValueError:
        return chord
    first = np.arctan2(start[1] - centre[1], start[0] - centre[0])
    angles = first + np.linspace(0, sweep, 2 + int(abs(sweep) / ARC_STEP_RADIANS))
    points = centre + radius * np.column_stack([np.cos(angles), np.sin(angles)])
    points[[0, -1]] = chord
    return points


def join_segments(
    segments: list[PathSegment], match: NDArray[np.integer]
) -> list[tuple[int, PathSegment]]:
    """Lines of adjoining segments with the same match (N,), each with it."""
    lines: list[tuple[int, list[PathSegment]]] = []
    is_open = False
    for segment, segment_match in zip(segments, match.tolist(), strict=True):
        if len(segment) and is_open and lines[-1][0] == segment_match:
            lines[-1][1].append(segment[1:])
        elif len(segment):
            lines.append((segment_match, [segment]))
        is_open = len(segment) > 0
    return [(line_match, np.concatenate(parts)) for line_match, parts in lines]


def distance_mm(points: NDArray[np.floating], path: list[PathSegment]) -> NDArray[np.float64]:
    """The distance of each point (M, 2) from a path; infinite if the path is empty."""
    starts = [segment[:-1] for segment in path if len(segment)]
    if not starts:
        return np.full(len(points), np.inf)
    start = np.concatenate(starts)
    along = np.concatenate([segment[1:] for segment in path if len(segment)]) - start
    squared = np.maximum((along**2).sum(1), TINY)
    nearest = []
    for first in range(0, len(points), CHUNK):
        offset = points[first : first + CHUNK, None] - start
        share = np.clip((offset * along).sum(2) / squared, 0, 1)
        gap = offset - share[..., None] * along
        nearest.append(np.sqrt((gap**2).sum(2).min(1)))
    return np.concatenate(nearest)
