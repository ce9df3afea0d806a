"""Where the tool went in each test recording, and where the sensors said that it went."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.names import WHOLE
from gcodefp.evaluation.sequences import alignment
from gcodefp.evaluation.toolpaths import endpoints_mm
from gcodefp.recordings.gcode import parse_block
from gcodefp.reporting.predictions import Predictions, Sequences

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


ON_PATH_MM = 0.5
"""Positions are reported a few times a second, so a path's corners are only known to about this."""
MACHINE_FRAME = "G53"
"""A block with this word names a place in another frame than the program's."""


class State(IntEnum):
    """What is to be said of a piece that was read.

    Attributes:
        OFF: it is not on the executed path.
        OTHER_TIME: it is on the path, but its row executes another line.
        RIGHT: on the path, and the row's line is right.
    """

    OFF = 0
    OTHER_TIME = 1
    RIGHT = 2


@dataclass(frozen=True)
class Toolpath:
    """The path of a recording of N rows: what was executed, and what was read from its sensors.

    Attributes:
        seconds: (N,).
        true_blocks, read_blocks: (N,) texts.
        true_mm, read_mm: (N, 3) where the tool is, as the controller reports it; where nothing is
            reported, where each row's block ends. NaN where unknown.
        is_reported: whether the controller reports where the tool is.
        true_pieces, read_pieces: N pieces of the paths.
        rapid: (N,) whether the executed block does not cut (G0).
        state: (N,) `State` of each piece that was read.
        right: (N,) whether the row's block is right.
    """

    name: str
    seconds: NDArray[np.float64]
    true_blocks: NDArray[np.str_]
    read_blocks: NDArray[np.str_]
    true_mm: NDArray[np.floating]
    read_mm: NDArray[np.floating]
    is_reported: bool
    true_pieces: list[Piece]
    read_pieces: list[Piece]
    rapid: NDArray[np.bool_]
    state: NDArray[np.int64]
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
    true, read = predictions.true_block[rows], predictions.blocks[WHOLE][rows]
    reported = [predictions.position_mm[rows]]
    if WHOLE in predictions.answered_mm:
        reported.append(predictions.answered_mm[WHOLE][rows])
    is_reported = len(reported) == 2 and all(np.isfinite(of[:, :2]).any() for of in reported)
    if is_reported:
        true_mm, read_mm = reported
        true_pieces, read_pieces = straight_pieces(true_mm), straight_pieces(read_mm)
    else:
        unit = predictions.mm_per_unit[rows]
        true_mm, read_mm = endpoints_mm(true, unit), endpoints_mm(read, unit)
        true_pieces, read_pieces = (
            block_pieces(true, true_mm, unit),
            block_pieces(read, read_mm, unit),
        )
        for blocks, of in ((true, true_mm), (read, read_mm)):
            of[np.char.find(blocks, MACHINE_FRAME) >= 0, 2] = np.nan
    right = true == read
    return Toolpath(
        name=str(predictions.recordings[index]),
        seconds=predictions.seconds[rows],
        true_blocks=true,
        read_blocks=read,
        true_mm=true_mm,
        read_mm=read_mm,
        is_reported=is_reported,
        true_pieces=true_pieces,
        read_pieces=read_pieces,
        rapid=np.array([motion == 0 for motion, _ in motions(true)]),
        state=_states(true_pieces, read_pieces, right),
        right=right,
    )


def _states(true: list[Piece], read: list[Piece], right: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A piece is on the path if its middle and its end are."""
    state = np.where(right, State.RIGHT, State.OTHER_TIME).astype(np.int64)
    known = [row for row, piece in enumerate(read) if len(piece)]
    if known:
        middles = np.array([_middle_of(read[row]) for row in known])
        ends = np.array([read[row][-1] for row in known])
        off = np.maximum(distance_mm(middles, true), distance_mm(ends, true)) > ON_PATH_MM
        state[np.array(known)[off]] = State.OFF
    return state


def _middle_of(piece: Piece) -> Piece:
    half = len(piece) // 2
    middle_mm: Piece = piece[half] if len(piece) % 2 else (piece[half - 1] + piece[half]) / 2
    return middle_mm


KEPT = 2
"""Of a long stretch of equal lines, so many are shown at either end."""


class Mark(StrEnum):
    """What became of a line: EXTRA ones were read and not executed, FOLDED ones are not shown."""

    EQUAL = "="
    REPLACED = "\N{NOT EQUAL TO}"
    MISSING = "\N{MINUS SIGN}"
    EXTRA = "+"
    FOLDED = "\N{HORIZONTAL ELLIPSIS}"


class DiffLine(NamedTuple):
    """An executed line and the one read in its place.

    Attributes:
        seconds: when the executed line begins; None where there is none, or it has no row of its
            own.
        true, read: texts; empty where there is none.
        lines: how many lines it stands for: 1, or those that are folded.
    """

    mark: Mark
    seconds: float | None
    true: str
    read: str
    lines: int = 1


def diff(sequences: Sequences, recording: int) -> list[DiffLine]:
    """Both sequences of a recording, aligned with the fewest edits, as for the G-code error rate.

    Args:
        recording: its index.
    """
    executed = sequences.executed_recording == recording
    true = sequences.executed_block[executed].tolist()
    seconds = sequences.executed_seconds[executed].tolist()
    read = sequences.reconstructed_block[sequences.reconstructed_recording == recording].tolist()
    found = []
    for at_read, at_true in alignment(read, true):
        said = "" if at_read is None else read[at_read]
        if at_true is None:
            found.append(DiffLine(Mark.EXTRA, None, "", said))
        else:
            begins = None if math.isnan(seconds[at_true]) else seconds[at_true]
            mark = _mark_of(true[at_true], said)
            found.append(DiffLine(mark, begins, true[at_true], said))
    return found


def counts(lines: Sequence[DiffLine]) -> Counter[Mark]:
    """How many lines have each mark; folded ones are equal."""
    total: Counter[Mark] = Counter()
    for line in lines:
        total[Mark.EQUAL if line.mark is Mark.FOLDED else line.mark] += line.lines
    return total


def folded(lines: Sequence[DiffLine]) -> list[DiffLine]:
    """The same with the middle of each long stretch of equal lines as one."""
    short: list[DiffLine] = []
    for equal, group in groupby(lines, lambda line: line.mark is Mark.EQUAL):
        segment = list(group)
        middle = segment[KEPT:-KEPT]
        if equal and len(middle) > 1:
            fold = DiffLine(Mark.FOLDED, middle[0].seconds, "", "", len(middle))
            segment = [*segment[:KEPT], fold, *segment[-KEPT:]]
        short += segment
    return short


def excerpt(lines: Sequence[DiffLine], most: int) -> slice:
    """Neighbouring lines, at most so many, whose marks are shared out most like those of all.

    The first of several such stretches.
    """
    if len(lines) <= most:
        return slice(0, len(lines))
    marks = [mark for mark in Mark if mark is not Mark.FOLDED]
    tallies = np.array([[counts([line])[mark] for mark in marks] for line in lines])
    before = np.concatenate([np.zeros((1, len(marks)), np.int64), tallies.cumsum(0)])
    within = before[most:] - before[:-most]
    shares = within / within.sum(1, keepdims=True)
    apart = np.abs(shares - before[-1] / before[-1].sum()).sum(1)
    first = int(np.argmin(np.round(apart, 9)))
    return slice(first, first + most)


def _mark_of(executed: str, read: str) -> Mark:
    if not read:
        return Mark.MISSING
    return Mark.EQUAL if read == executed else Mark.REPLACED
