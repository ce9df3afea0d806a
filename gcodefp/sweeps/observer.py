"""Reads a sweep's folders while others work in them; writes nothing and takes no lease."""

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import HYPERPARAMETERS, Objective
from gcodefp.sweeps.lease import LEASE_SECONDS, LeaseState, LeaseWatch, lease_holder
from gcodefp.sweeps.ranking import ended_runs, ranked
from gcodefp.sweeps.run_folder import COUNTED, RunFolder, run_folders
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.values import flatten, leaf


class Begun(NamedTuple):
    """What a run that is not over has done; `seconds` is the time that its epochs took."""

    epochs: int
    max_epochs: int
    seconds: float


def estimate_seconds_left(
    ended_seconds: Sequence[float],
    running: Sequence[Begun],
    waiting: Sequence[Begun],
    not_begun: int,
) -> float | None:
    """Seconds until the last run is over; None while nothing tells.

    Args:
        ended_seconds: what each of the runs took that ended well.
        running: the runs at work, one for each agent.
        waiting: half-done runs that nobody works on.
        not_begun: how many are still to begin.
    """
    mean_seconds = _mean_run_seconds(ended_seconds, [*running, *waiting])
    if not running and not waiting and not not_begun:
        return 0.0
    if mean_seconds is None:
        return None
    left = [_run_seconds_left(run, mean_seconds) for run in running]
    queue = [_run_seconds_left(run, mean_seconds) for run in waiting]
    return finish_seconds(left, queue + [mean_seconds] * not_begun)


def finish_seconds(running: Sequence[float], queue: Sequence[float]) -> float | None:
    """When agents are done that each take the next run of a queue as soon as they are free.

    Args:
        running: seconds until each agent is free.
        queue: seconds that each of the further runs takes, in the order in which they are taken.

    Returns:
        None if there is a run and no agent.
    """
    if not running:
        return None if queue else 0.0
    free_at = list(running)
    heapq.heapify(free_at)
    for seconds in queue:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def _mean_run_seconds(ended_seconds: Sequence[float], begun: Sequence[Begun]) -> float | None:
    """What a run takes: as those before; as long as there is none, at the pace of those begun."""
    whole = list(ended_seconds) or [r.seconds / r.epochs * r.max_epochs for r in begun if r.epochs]
    return fmean(whole) if whole else None


def _run_seconds_left(run: Begun, mean_seconds: float) -> float:
    """At the run's own pace; early termination, which may end it sooner, is not foreseen."""
    if not run.epochs:
        return mean_seconds
    return run.seconds / run.epochs * max(run.max_epochs - run.epochs, 0)


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
    hold: LeaseState

    @property
    def at_work(self) -> bool:
        """On another host it is believed at first if its lease is fresh, then seen or not."""
        if self.hold is LeaseState.UNKNOWN:
            return self.age_seconds <= LEASE_SECONDS
        return self.hold is LeaseState.HELD


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


CLOCK_TOLERANCE_SECONDS = 60.0


class Observer:
    """Looks again and again: sees heartbeats move, and reads runs that are over only once."""

    def __init__(self, sweep: SweepFile, folder: Path) -> None:
        self._sweep = sweep
        self._folder = folder
        self._watch = LeaseWatch()
        self._over: dict[int, RunLine] = {}
        parameters = sweep.specification.parameters
        self._varying = tuple(path for path, p in parameters.items() if len(p.choices) != 1)

    def look(self) -> Overview:
        """The sweep as it is now."""
        closed_from = self._sweep.total
        closed, runs = None, []
        for folder in self._folders():
            if line := self._line(folder):
                runs.append(line)
            elif closed is None and (closed := _closed(folder)) is not None:
                closed_from = folder.number
        # As the engine has it: from the first closed run on, none begins.
        to_begin = set(range(closed_from)) - {run.number for run in runs}
        return Overview(
            sweep_id=self._sweep.sweep_id,
            method=self._sweep.specification.method,
            objective=self._sweep.specification.objective,
            total=max([self._sweep.total, *(run.number + 1 for run in runs)]),
            runs=tuple(runs),
            to_begin=len(to_begin),
            closed=closed,
            varying=self._varying,
        )

    def _folders(self) -> list[RunFolder]:
        """By number; none before the first run, or when all were removed just now."""
        with suppress(FileNotFoundError):
            found = [f for f in run_folders(self._folder) if f.number < self._sweep.first_beyond]
            return sorted(found, key=lambda folder: folder.number)
        return []

    def _line(self, folder: RunFolder) -> RunLine | None:
        """One run; None if it was not begun, or its folder is gone by now."""
        try:
            if not folder.is_over():
                self._over.pop(folder.number, None)
            if folder.number in self._over:
                return self._over[folder.number]
            line = self._read(folder)
        except Exception as error:  # Whatever one folder holds, the other runs are shown.
            return _unreadable(folder, error) if _exists(folder.path) else None
        if line and line.over:
            self._over[folder.number] = line
        return line

    def _read(self, folder: RunFolder) -> RunLine | None:
        objective = self._sweep.specification.objective
        # The lease first: a run that ends between the two looks is over, not waiting.
        agent = self._agent(folder)
        content, asked = folder.ended(), folder.asked()
        if content is None and asked is None and not (agent and agent.at_work):
            return None
        values = folder.history(objective.metric)
        hyperparameters = flatten(asked["hyperparameters"] if asked else {})
        line = RunLine(
            folder.number,
            state="running" if agent and agent.at_work else "waiting",
            over=False,
            max_epochs=_max_epochs(hyperparameters),
            values=tuple(values),
            best=_best(values, objective),
            seconds=_seconds(folder),
            hyperparameters=hyperparameters,
            agent=agent,
            given_at=_modified_at(folder.path / "hyperparameters.json"),
        )
        if content is None:
            return line
        return _over(line, content, _modified_at(folder.path / "run.json"))

    def _agent(self, folder: RunFolder) -> AgentLine | None:
        holder = lease_holder(folder.path)
        if holder is None:
            return None
        return AgentLine(
            host=holder.host,
            pid=holder.pid,
            run=folder.number,
            age_seconds=max(holder.age_seconds, 0.0),
            clock_differs=holder.age_seconds < -CLOCK_TOLERANCE_SECONDS,
            hold=self._watch.look(folder.path),
        )


def _over(line: RunLine, content: Mapping[str, Any], ended_at: float | None) -> RunLine:
    """The same run, as its run.json tells how it ended; a failed one tells no value."""
    value, seconds = content.get("best_value"), content.get("seconds")
    return replace(
        line,
        state=content["state"],
        over=True,
        reason=content.get("failure"),
        best=line.best if value is None else float(value),
        seconds=line.seconds if seconds is None else float(seconds),
        parameters=content.get("parameters"),
        agent=None,
        host=content.get("host"),
        ended_at=ended_at,
    )


def _modified_at(path: Path) -> float | None:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return None


def _unreadable(folder: RunFolder, error: Exception) -> RunLine:
    """A run of which only is known that it cannot be read, and perhaps that it is over."""
    told = isinstance(error, UserError | OSError)
    reason = str(error) if told else f"{folder.path}: {type(error).__name__}: {error}"
    over = False
    with suppress(OSError):
        over = folder.is_over()
    return RunLine(folder.number, "unreadable", over, reason)


def _closed(folder: RunFolder) -> str | None:
    with suppress(OSError, ValueError):
        return folder.closed()
    return None


def _exists(path: Path) -> bool:
    """Unlike Path.exists, not disturbed by a folder that may not be entered."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _max_epochs(hyperparameters: Mapping[str, Any]) -> int:
    values = [value for path, value in hyperparameters.items() if leaf(path) == "max_epochs"]
    return int([*values, HYPERPARAMETERS["max_epochs"].default][0])


def _best(values: list[float], objective: Objective) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    choose = max if objective.goal == "maximize" else min
    return choose(finite, default=None)


def _seconds(folder: RunFolder) -> float | None:
    """What the epochs so far took, where they say so."""
    with suppress(KeyError):
        seconds = folder.history("seconds")
        return seconds[-1] if seconds else None
    return None


def duration(seconds: float) -> str:
    """As `45 s`, `12 min`, `3 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def sweep_progress(sweep_folder: Path, total: int, objective: Objective, agents: int) -> str:
    """Runs that are over, the best of them, and an estimate of the time left.

    Args:
        agents: how many work on the sweep at once.
    """
    runs = ended_runs(sweep_folder, total)
    text = f"{len(runs)} of {total} runs are over"
    counted = [run for run in ranked(runs, objective) if run.content["state"] in COUNTED]
    if not counted:
        return text
    best = counted[0]
    mean_seconds = sum(run.content["seconds"] for run in counted) / len(counted)
    # Whole rounds: the last one takes as long with one run in it as with all.
    rounds = -(-(total - len(runs)) // agents)
    left = f", about {duration(rounds * mean_seconds)} left" if rounds else ""
    value = best.content["best_value"]
    return f"{text}; best so far {value:.4f} (run {best.folder.path.name}){left}"


def run_summary(number: int, content: Mapping[str, Any], metric: str) -> str:
    """One line about a run that is over."""
    if content["state"] not in COUNTED:
        return f"run {number:04d} failed ({content['failure']}): {content['reason']}"
    return (
        f"run {number:04d} {content['state']}: {metric} {content['best_value']:.4f} in epoch "
        f"{content['best_epoch']} of {content['epochs']}, {duration(content['seconds'])}"
    )
