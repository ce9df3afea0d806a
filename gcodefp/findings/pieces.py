"""A path cut into pieces, one for each row: from where the tool was to where it is now."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.gcode import parse_block

ARC_STEP_RADIANS = 0.1
CHUNK = 256
"""Points whose distances to a path are found at once."""
TINY = 1e-12
Piece = NDArray[np.float64]
"""(P, 2) points in X and Y; none where the row before or this one is nowhere."""


def straight_pieces(points_mm: NDArray[np.floating]) -> list[Piece]:
    """Straight lines from row to row of (N, 3) positions; the first row has no piece."""
    nothing = np.empty((0, 2))
    lines = (np.array(pair)[:, :2].astype(float) for pair in pairwise(points_mm))
    return [nothing, *(line if np.isfinite(line).all() else nothing for line in lines)]


def block_pieces(
    blocks: NDArray[np.str_], ends_mm: NDArray[np.floating], mm_per_unit: NDArray[np.floating]
) -> list[Piece]:
    """The same for (N,) blocks of which only the ends (N, 3) are known: G2 and G3 draw arcs.

    The first row of each stretch with the same block has all of the move.
    """
    pieces = straight_pieces(ends_mm)
    for row, (motion, radius) in enumerate(motions(blocks)):
        if len(pieces[row]):
            start, end = pieces[row]
            pieces[row] = _points(start, end, motion, radius * float(mm_per_unit[row]))
    return pieces


def motions(blocks: NDArray[np.str_]) -> Iterator[tuple[int, float]]:
    """Each block's motion (0 G0 to 3 G3, which stays until another) and radius in its units."""
    motion = 0
    for block in blocks:
        radius = 0.0
        for word in parse_block(str(block)):
            if word.letter == "G" and word.number in (0, 1, 2, 3):
                motion = int(word.number)
            if word.letter == "R":
                radius = word.number
        yield motion, radius


def joined(pieces: list[Piece], state: NDArray[np.integer]) -> list[tuple[int, Piece]]:
    """Lines of pieces that follow each other in the same state (N,), each with its state."""
    lines: list[tuple[int, list[Piece]]] = []
    open_end = False
    for piece, of in zip(pieces, state.tolist(), strict=True):
        if len(piece) and open_end and lines[-1][0] == of:
            lines[-1][1].append(piece[1:])
        elif len(piece):
            lines.append((of, [piece]))
        open_end = len(piece) > 0
    return [(of, np.concatenate(parts)) for of, parts in lines]


def distance_mm(points: NDArray[np.floating], path: list[Piece]) -> NDArray[np.float64]:
    """How far each point (M, 2) is from a path; infinite if the path is empty."""
    starts = [piece[:-1] for piece in path if len(piece)]
    if not starts:
        return np.full(len(points), np.inf)
    start = np.concatenate(starts)
    along = np.concatenate([piece[1:] for piece in path if len(piece)]) - start
    squared = np.maximum((along**2).sum(1), TINY)
    nearest = []
    for first in range(0, len(points), CHUNK):
        away = points[first : first + CHUNK, None] - start
        share = np.clip((away * along).sum(2) / squared, 0, 1)
        gap = away - share[..., None] * along
        nearest.append(np.sqrt((gap**2).sum(2).min(1)))
    return np.concatenate(nearest)


def _points(start_mm: Piece, end_mm: Piece, motion: int, radius_mm: float) -> Piece:
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
