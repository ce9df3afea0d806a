"""What a sweep cost, as its files hold it: runs.csv for the runs, work.csv for the processes."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from gcodefp.findings.results import Results
from gcodefp.findings.work_pieces import Piece, epochs_twice, process_ends, work_pieces

UNKNOWN = "not told"
"""The device of a run that failed before it had one."""


class Part(NamedTuple):
    """Some of the runs: how many, the epochs they trained, and the seconds that this took."""

    name: str
    runs: int
    epochs: int
    seconds: float


class Process(NamedTuple):
    """One process that trained.

    Attributes:
        runs: how many it began or went on with.
        epochs: how many it trained to their end.
        seconds: from its first note to its last one.
        trained_seconds: those of them that passed in epochs which it trained to their end.
    """

    host: str
    pid: int
    runs: int
    epochs: int
    seconds: float
    trained_seconds: float


class Spending(NamedTuple):
    """The cost of all runs.

    Attributes:
        states, devices: the same runs, by how they ended and by what they were trained on.
        repeats: those of the best configurations with other seeds; None if there are none.
        processes: in the order in which they began; empty for runs trained elsewhere.
        span_seconds: from the first line of any process to the last one; None without any.
        trained_twice: epochs that were trained though the run had had them.
    """

    total: Part
    states: list[Part]
    devices: list[Part]
    repeats: Part | None
    processes: list[Process]
    span_seconds: float | None
    trained_twice: int


def spending(results: Results) -> Spending:
    """Adds up runs and the work on them."""
    runs = results.runs
    names = [name for group in results.winner["seeds"] for name in group["runs"]]
    pieces = work_pieces(results.work)
    known = results.work["utc_seconds"]
    return Spending(
        total=_part("all", runs),
        states=_parts(runs, runs["state"]),
        devices=_parts(runs, runs["device"].fillna(UNKNOWN)),
        repeats=_part("repeats", runs[runs["run"].isin(names)]) if names else None,
        processes=_processes(pieces),
        span_seconds=float(known.max() - known.min()) if len(known) else None,
        trained_twice=epochs_twice(pieces),
    )


def _parts(runs: pd.DataFrame, names: pd.Series) -> list[Part]:
    return [_part(str(name), runs[names == name]) for name in names.unique()]


def _part(name: str, runs: pd.DataFrame) -> Part:
    # A run that failed early has no epochs and no seconds in the table.
    return Part(name, len(runs), int(runs["epochs"].sum()), float(runs["seconds"].sum()))


def _processes(pieces: Sequence[Piece]) -> list[Process]:
    """By their first note; a piece ends with a whole epoch, so that all of it was training."""
    found = []
    for (host, pid), (begin, end) in process_ends(pieces).items():
        own = [piece for piece in pieces if piece.process == (host, pid)]
        found.append(
            Process(
                host=host,
                pid=pid,
                runs=len({piece.run for piece in own}),
                epochs=sum(piece.reached - piece.begun for piece in own),
                seconds=end - begin,
                trained_seconds=sum(piece.end - piece.begin for piece in own),
            )
        )
    return found
