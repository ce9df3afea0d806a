"""Who worked on which run and when, as pieces of time, from the moments of best/work.csv."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

LONG_PAUSE = 0.25
"""Share of all time at work; when nobody works for longer, the clock hardly goes on."""
SHOWN_PAUSE = 0.06
"""What is left of a long pause, as a share of the time at work."""


class Piece(NamedTuple):
    """A process's work on a run, from its first to its last note of it.

    What it did after its last whole epoch is not known.

    Attributes:
        begin, end: UTC seconds.
        begun, reached: epochs that were there when it began, and at its last note.
    """

    run: str
    host: str
    pid: int
    begin: float
    end: float
    begun: int
    reached: int

    @property
    def process(self) -> tuple[str, int]:
        return self.host, self.pid


def work_pieces(work: pd.DataFrame) -> list[Piece]:
    """By begin. A process that does not note the next epoch has begun anew."""
    pieces: list[Piece] = []
    last: dict[tuple[str, str, int], int] = {}
    names = ["run", "host", "pid", "utc_seconds", "epoch"]
    for run, host, pid, seconds, epoch in work[names].itertuples(index=False):
        who = (run, host, pid)
        if who in last and epoch == pieces[last[who]].reached + 1:
            pieces[last[who]] = pieces[last[who]]._replace(end=seconds, reached=epoch)
        else:
            last[who] = len(pieces)
            pieces.append(Piece(run, str(host), int(pid), seconds, seconds, epoch, epoch))
    return sorted(pieces, key=lambda piece: (piece.begin, piece.run))


def cut_off(pieces: Sequence[Piece]) -> list[bool]:
    """For each piece, whether another one goes on with the run."""
    last = {piece.run: index for index, piece in enumerate(pieces)}
    return [last[piece.run] != index for index, piece in enumerate(pieces)]


def epochs_twice(pieces: Iterable[Piece]) -> int:
    """How many whole epochs were trained though the run had had them."""
    trained: dict[str, int] = {}
    reached: dict[str, int] = {}
    for piece in pieces:
        trained[piece.run] = trained.get(piece.run, 0) + piece.reached - piece.begun
        reached[piece.run] = max(reached.get(piece.run, 0), piece.reached)
    return sum(trained[run] - reached[run] for run in trained)


def process_ends(pieces: Iterable[Piece]) -> dict[tuple[str, int], tuple[float, float]]:
    """Host and process -> UTC seconds of its first and last note; by the first of pieces."""
    ends: dict[tuple[str, int], tuple[float, float]] = {}
    for piece in pieces:
        begin, end = ends.get(piece.process, (piece.begin, piece.end))
        ends[piece.process] = (min(begin, piece.begin), max(end, piece.end))
    return ends


def share_at_work(pieces: Sequence[Piece]) -> float:
    """The share of processes' time between their first and last note that is within a piece."""
    there = sum(end - begin for begin, end in process_ends(pieces).values())
    return sum(piece.end - piece.begin for piece in pieces) / there if there else 1.0


class Cut(NamedTuple):
    """A long pause: where it stands on the clock, in seconds, and how long it was."""

    begin: float
    end: float
    seconds: float


class Clock:
    """Time since the first piece began; long pauses, in which nobody worked, are cut."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        """Reads the pauses; there is at least one piece."""
        busy = _busy(pieces)
        total = sum(end - begin for begin, end in busy)
        utc, shown = [busy[0][0]], [0.0]
        self.cuts: list[Cut] = []
        self.pauses: list[tuple[float, float]] = []
        """All pauses, in UTC seconds."""
        for (begin, end), following in zip(busy, [*busy[1:], None], strict=True):
            utc.append(end)
            shown.append(shown[-1] + end - begin)
            if following is None:
                break
            pause = following[0] - end
            self.pauses.append((end, following[0]))
            left = SHOWN_PAUSE * total if pause > LONG_PAUSE * total else pause
            if left < pause:
                self.cuts.append(Cut(shown[-1], shown[-1] + left, pause))
            utc.append(following[0])
            shown.append(shown[-1] + left)
        self._utc, self._shown = np.array(utc), np.array(shown)

    @property
    def length(self) -> float:
        """Seconds from the begin of the first to the end of the last piece."""
        return float(self._shown[-1])

    @property
    def seconds_but_cuts(self) -> float:
        """The length without the long pauses."""
        return self.length - sum(cut.end - cut.begin for cut in self.cuts)

    def seconds(self, utc: ArrayLike) -> NDArray[np.float64]:
        """Where moments, in UTC seconds, stand on the clock."""
        return np.asarray(np.interp(np.asarray(utc, float), self._utc, self._shown))


def _busy(pieces: Sequence[Piece]) -> list[tuple[float, float]]:
    """The stretches in which somebody worked."""
    merged: list[tuple[float, float]] = []
    for piece in sorted(pieces, key=lambda piece: piece.begin):
        if merged and piece.begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], piece.end))
        else:
            merged.append((piece.begin, piece.end))
    return merged
