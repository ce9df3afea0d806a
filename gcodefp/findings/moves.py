"""The moves that the blocks of a recording make, and which of them are on the true path."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.reconstruct import endpoints_mm
from gcodefp.findings.results import Predictions
from gcodefp.recordings.gcode import parse_block

ARC_STEP_RADIANS = 0.1
SAME_PLACE_MM = 0.01
MACHINE_FRAME = "G53"
"""A block with this word names a place in another frame than the program's."""


@dataclass(frozen=True)
class Move:
    """One stretch of rows with the same block.

    Attributes:
        points_mm: (P, 2) X and Y from where the tool was to the block's end.
        rapid: the move does not cut (G0).
        right: the block is right on at least half of its rows.
        on_path: besides, it starts where the true one does: the move is one that was executed.
    """

    points_mm: NDArray[np.float64]
    rapid: bool
    right: bool
    on_path: bool


@dataclass(frozen=True)
class Toolpath:
    """The path of a recording of N rows.

    Attributes:
        true, written: moves in order.
        seconds: (N,).
        true_blocks, written_blocks: (N,) texts.
        true_z_mm, written_z_mm: (N,) where each row's block ends; NaN where unknown.
        right: (N,) whether the row's block is right.
    """

    name: str
    true: list[Move]
    written: list[Move]
    seconds: NDArray[np.float64]
    true_blocks: NDArray[np.str_]
    written_blocks: NDArray[np.str_]
    true_z_mm: NDArray[np.float64]
    written_z_mm: NDArray[np.float64]
    right: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of rows whose whole block is right."""
        return float(self.right.mean())


def toolpaths(predictions: Predictions) -> list[Toolpath]:
    """The path of every test recording, best first; ties by name."""
    indices = np.unique(predictions.recording)
    paths = [_toolpath(predictions, int(index)) for index in indices]
    return sorted(paths, key=lambda path: (-path.accuracy, path.name))


def middle(ranking: Sequence[Toolpath]) -> Toolpath:
    """The recording of median accuracy; of the two middle ones the worse."""
    return ranking[len(ranking) // 2]


def _toolpath(predictions: Predictions, index: int) -> Toolpath:
    rows = predictions.recording == index
    true, written = predictions.true_block[rows], predictions.written_block[rows]
    true_mm, written_mm = (
        endpoints_mm(blocks, predictions.mm_per_unit[rows]) for blocks in (true, written)
    )
    right = true == written
    unit = predictions.mm_per_unit[rows]
    return Toolpath(
        name=str(predictions.recordings[index]),
        true=_moves(true, true_mm, unit, np.ones(len(true), bool), _before(true, true_mm)),
        written=_moves(written, written_mm, unit, right, _before(true, true_mm)),
        seconds=predictions.seconds[rows],
        true_blocks=true,
        written_blocks=written,
        true_z_mm=_program_z(true, true_mm),
        written_z_mm=_program_z(written, written_mm),
        right=right,
    )


def _stretches(blocks: NDArray[np.str_]) -> NDArray[np.intp]:
    """First row of each stretch of rows with the same block, and the number of rows, (M + 1,)."""
    return np.concatenate([[0], np.flatnonzero(blocks[1:] != blocks[:-1]) + 1, [len(blocks)]])


def _before(blocks: NDArray[np.str_], ends_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where the block of each row starts, (N, 3): where the stretch before ended."""
    bounds = _stretches(blocks)
    starts = np.full_like(ends_mm, np.nan)
    for first, end in pairwise(bounds[1:]):
        starts[first:end] = ends_mm[first - 1]
    return starts


def _moves(
    blocks: NDArray[np.str_],
    ends_mm: NDArray[np.float64],
    mm_per_unit: NDArray[np.float32],
    right: NDArray[np.bool_],
    true_starts_mm: NDArray[np.float64],
) -> list[Move]:
    """Moves whose start and end are known; `right` is (N,), of each row."""
    moves: list[Move] = []
    motion = 0
    bounds = _stretches(blocks)
    for first, end in pairwise(bounds):
        motion, radius = _motion(str(blocks[first]), motion)
        if first == 0:
            continue
        start_mm, end_mm = ends_mm[first - 1, :2], ends_mm[first, :2]
        if not np.isfinite([start_mm, end_mm]).all():
            continue
        points = _points(start_mm, end_mm, motion, radius * float(mm_per_unit[first]))
        good = bool(right[first:end].mean() >= 0.5)
        true_start = true_starts_mm[first:end][right[first:end]][:1, :2]
        on_path = good and bool(np.allclose(true_start, start_mm, atol=SAME_PLACE_MM))
        moves.append(Move(points, motion == 0, good, on_path))
    return moves


def _motion(block: str, motion: int) -> tuple[int, float]:
    """The motion that a block is executed in (0 G0 to 3 G3), and its radius in program units."""
    radius = 0.0
    for word in parse_block(block):
        if word.letter == "G" and word.number in (0, 1, 2, 3):
            motion = int(word.number)
        if word.letter == "R":
            radius = word.number
    return motion, radius


def _points(
    start_mm: NDArray[np.float64], end_mm: NDArray[np.float64], motion: int, radius_mm: float
) -> NDArray[np.float64]:
    """A straight line, or the shorter arc of G2 (clockwise) and G3 where the radius allows one."""
    chord = end_mm - start_mm
    length = float(np.hypot(*chord))
    if motion < 2 or not 0 < length <= 2 * radius_mm:
        return np.array([start_mm, end_mm])
    turn = 1 if motion == 3 else -1
    to_centre = turn * np.array([-chord[1], chord[0]]) / length
    centre = (start_mm + end_mm) / 2 + to_centre * np.sqrt(radius_mm**2 - (length / 2) ** 2)
    angle = np.arctan2(*(start_mm - centre)[::-1])
    sweep = turn * 2 * np.arcsin(length / 2 / radius_mm)
    angles = angle + np.linspace(0, sweep, 2 + int(abs(sweep) / ARC_STEP_RADIANS))
    arc = centre + radius_mm * np.column_stack([np.cos(angles), np.sin(angles)])
    arc[0], arc[-1] = start_mm, end_mm
    return arc


def _program_z(blocks: NDArray[np.str_], ends_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    machine = np.char.find(blocks, MACHINE_FRAME) >= 0
    return np.where(machine, np.nan, ends_mm[:, 2])
