"""A sweep at one moment: its runs, who works on them, and how much is left to do."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gcodefp.learning.objective import Objective
from gcodefp.monitor.time_left import Begun, estimate_seconds_left
from gcodefp.sweep.lease import LEASE_SECONDS, Hold
from gcodefp.sweep.run_folder import COUNTED


@dataclass(frozen=True)
class AgentLine:
    """The last process that took a run which is not over.

    Attributes:
        age_seconds: since it touched its lease, at least 0.
        clock_differs: the lease was touched in the future of this host.
    """

    host: str
    pid: int
    run: int
    age_seconds: float
    clock_differs: bool
    hold: Hold

    @property
    def at_work(self) -> bool:
        """On another host it is believed at first if its lease is fresh, then seen or not."""
        if self.hold is Hold.UNKNOWN:
            return self.age_seconds <= LEASE_SECONDS
        return self.hold is Hold.HELD


@dataclass(frozen=True)
class RunLine:
    """A run that was begun.

    Attributes:
        state: finished, stopped, failed; running; waiting, which is half-done with nobody at work;
            unreadable.
        reason: the class of the failure, or why the folder cannot be read.
        values: the metric after each epoch.
        best: the best value of the metric so far.
        seconds: what its epochs took.
        parameters: the size of the network, once the run is over.
        hyperparameters: path, as in `nesting`, -> value.
        agent: None if the run is over, or nobody has its lease.
        host: where the run ended.
        given_at, ended_at: UNIX times, by the clock that dates the folder's files.
    """

    number: int
    state: str
    over: bool
    reason: str | None = None
    max_epochs: int = 0
    values: tuple[float, ...] = ()
    best: float | None = None
    seconds: float | None = None
    parameters: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    agent: AgentLine | None = None
    host: str | None = None
    given_at: float | None = None
    ended_at: float | None = None

    @property
    def epochs(self) -> int:
        """How many are done."""
        return len(self.values)

    @property
    def latest(self) -> float | None:
        """The metric after the last epoch."""
        return self.values[-1] if self.values else None

    @property
    def begun(self) -> Begun:
        """What is needed to tell the time left."""
        timed = self.epochs if self.seconds is not None else 0
        return Begun(timed, self.max_epochs, self.seconds or 0.0)


@dataclass(frozen=True)
class Overview:
    """All that is shown.

    Attributes:
        runs: those that were begun, by number.
        to_begin: how many are still to begin.
        closed: why no further run begins, though there are fewer than wanted.
        varying: paths of the hyperparameters that are searched.
    """

    sweep_id: str
    method: str
    objective: Objective
    total: int
    runs: tuple[RunLine, ...]
    to_begin: int
    closed: str | None
    varying: tuple[str, ...]

    @property
    def over(self) -> int:
        """How many runs are over."""
        return sum(run.over for run in self.runs)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return not self.to_begin and self.over == len(self.runs)

    @property
    def agents(self) -> list[AgentLine]:
        """At work, or gone and not followed by another."""
        return [run.agent for run in self.runs if run.agent is not None]

    def counts(self) -> Counter[str]:
        """State -> number of runs."""
        return Counter(run.state for run in self.runs)

    def ranked(self) -> list[RunLine]:
        """Runs with a value, best first; ties as in `table.ranked`. Failed ones do not count."""
        sign = -1.0 if self.objective.goal == "maximize" else 1.0
        states = (*COUNTED, "running", "waiting")
        values = [(run.best, run) for run in self.runs if run.state in states]
        ranks = [
            (sign * best, run.parameters or math.inf, run.number, run)
            for best, run in values
            if best is not None
        ]
        return [rank[-1] for rank in sorted(ranks, key=lambda rank: rank[:-1])]

    def seconds_left(self) -> float | None:
        """An estimate, with as many agents as are at work now; None while nothing tells."""
        ended = [r.seconds for r in self.runs if r.state in COUNTED and r.seconds is not None]
        running, waiting = (
            [run.begun for run in self.runs if run.state == state]
            for state in ("running", "waiting")
        )
        return estimate_seconds_left(ended, running, waiting, self.to_begin)
