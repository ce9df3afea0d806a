"""What a sweep cost, as its files hold it: runs.csv for the runs, work.csv for the processes."""

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from gcodefp.findings.results import Results

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
        seconds: from its first line to its last one.
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
        trained_twice: epochs that were trained again after a process was killed.
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
    epochs = _epochs(results.work)
    known = results.work["utc_seconds"]
    return Spending(
        total=_part("all", runs),
        states=_parts(runs, runs["state"]),
        devices=_parts(runs, runs["device"].fillna(UNKNOWN)),
        repeats=_part("repeats", runs[runs["run"].isin(names)]) if names else None,
        processes=list(_processes(results.work, epochs)),
        span_seconds=float(known.max() - known.min()) if len(known) else None,
        trained_twice=int(epochs.duplicated(["run", "epoch"]).sum()),
    )


def _parts(runs: pd.DataFrame, names: pd.Series) -> list[Part]:
    return [_part(str(name), runs[names == name]) for name in names.unique()]


def _part(name: str, runs: pd.DataFrame) -> Part:
    # A run that failed early has no epochs and no seconds in the table.
    return Part(name, len(runs), int(runs["epochs"].sum()), float(runs["seconds"].sum()))


def _epochs(work: pd.DataFrame) -> pd.DataFrame:
    """The lines of work.csv that end an epoch, with the `seconds` since the line before.

    A process that begins or goes on with a run writes a line too, which ends nothing.
    """
    before = work.groupby("run").shift()
    ends = (
        (work["host"] == before["host"])
        & (work["pid"] == before["pid"])
        & (work["epoch"] == before["epoch"] + 1)
    )
    return work.assign(seconds=work["utc_seconds"] - before["utc_seconds"])[ends]


def _processes(work: pd.DataFrame, epochs: pd.DataFrame) -> Iterator[Process]:
    ordered = work.sort_values("utc_seconds", kind="stable")
    for _, lines in ordered.groupby(["host", "pid"], sort=False):
        host, pid, moments = lines["host"].iloc[0], lines["pid"].iloc[0], lines["utc_seconds"]
        own = epochs[(epochs["host"] == host) & (epochs["pid"] == pid)]
        yield Process(
            host=str(host),
            pid=int(pid),
            runs=lines["run"].nunique(),
            epochs=len(own),
            seconds=float(moments.max() - moments.min()),
            trained_seconds=float(own["seconds"].sum()),
        )
