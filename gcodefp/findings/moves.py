"""Where the tool went in each test recording, and where the sensors said that it went."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.files import WHOLE
from gcodefp.evaluation.reconstruct import endpoints_mm
from gcodefp.findings.pieces import (
    Piece,
    block_pieces,
    distance_mm,
    motions,
    straight_pieces,
)
from gcodefp.findings.predictions import Predictions

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
