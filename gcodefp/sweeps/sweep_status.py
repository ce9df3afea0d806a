"""Reads a sweep's folders while agents work in them; writes nothing and takes no lease."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import HYPERPARAMETERS, Objective
from gcodefp.sweeps.lease import Holder, LeaseWatch, lease_holder
from gcodefp.sweeps.parameters import flatten, leaf
from gcodefp.sweeps.run_folder import SCORED_STATES, RunFolder, run_folders
from gcodefp.sweeps.specification import varying
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.system_metrics import system_summary


def sweep_seconds(run_seconds: Sequence[float], agents: int) -> float:
    """How long agents work on runs of these durations: their sum, shared, or the longest run."""
    if not run_seconds:
        return 0.0
    return max(sum(run_seconds) / agents, *run_seconds)


@dataclass(frozen=True)
class RunStatus:
    """A run that was started.

    Attributes:
        state: finished, stopped, failed; running; interrupted (unfinished, without an agent);
            unreadable.
        reason: the class of the failure, or why the folder cannot be read.
        values: the metric after each epoch.
        best: the best value of the metric so far.
        seconds: duration of its epochs.
        weight_count: of the network, once the run has ended.
        hyperparameters: path, as in `nesting`, -> value.
        agent: None if the run has ended, or no process has its lease.
        host: where the run ended.
        system: what it used of its computer so far; None where that is not known.
        assigned_at, ended_at: UNIX times, by the clock that dates the folder's files.
    """

    number: int
    state: str
    has_ended: bool
    reason: str | None = None
    max_epochs: int = 0
    values: tuple[float, ...] = ()
    best: float | None = None
    seconds: float | None = None
    weight_count: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    agent: Holder | None = None
    host: str | None = None
    system: Mapping[str, float | None] = field(default_factory=dict)
    assigned_at: float | None = None
    ended_at: float | None = None

    @property
    def epochs(self) -> int:
        """The number of epochs done."""
        return len(self.values)

    @property
    def epoch_seconds(self) -> float | None:
        """The mean duration of its epochs; None before the first."""
        return self.seconds / self.epochs if self.seconds is not None and self.epochs else None


@dataclass(frozen=True)
class SweepStatus:
    """A sweep at one moment.

    Attributes:
        runs: those that were started, by number.
        to_start: how many are still to start.
        end_reason: why no further run starts, though there are fewer than planned.
        varying: paths of the hyperparameters that are searched.
    """

    sweep_id: str
    method: str
    objective: Objective
    total: int
    runs: tuple[RunStatus, ...]
    to_start: int
    end_reason: str | None
    varying: tuple[str, ...]

    @property
    def ended_count(self) -> int:
        """How many runs have ended."""
        return sum(run.has_ended for run in self.runs)

    @property
    def has_ended(self) -> bool:
        """Whether nothing is left to do."""
        return not self.to_start and self.ended_count == len(self.runs)

    def counts(self) -> Counter[str]:
        """State -> number of runs."""
        return Counter(run.state for run in self.runs)

    def ranked(self) -> list[RunStatus]:
        """Runs with a value, best first; ties as in `ranking.ranked`. Failed ones do not count."""
        states = (*SCORED_STATES, "running", "interrupted")
        ranks = [
            (self.objective.loss(run.best), run.weight_count or math.inf, run.number, run)
            for run in self.runs
            if run.state in states and run.best is not None
        ]
        return [rank[-1] for rank in sorted(ranks, key=lambda rank: rank[:-1])]

    def seconds_left(self) -> float | None:
        """An estimate for the agents that are at work now; None without any, or any epoch.

        Unfinished runs continue at their own pace, new ones take as long as those that ended, or as
        long as those that were started will take. Hyperband is not foreseen.
        """
        if self.has_ended:
            return 0.0
        agents = self.counts()["running"]
        started = [run for run in self.runs if run.state in ("running", "interrupted")]
        whole = [run.seconds for run in self.runs if run.state in SCORED_STATES and run.seconds]
        expected = [s * run.max_epochs for run in started if (s := run.epoch_seconds)]
        whole = whole or [seconds for seconds in expected if seconds]
        if not agents or not whole:
            return None
        mean = fmean(whole)
        left = [
            max(mean - (run.seconds or 0.0), 0.0)
            if run.epoch_seconds is None or not run.max_epochs
            else run.epoch_seconds * max(run.max_epochs - run.epochs, 0)
            for run in started
        ]
        return sweep_seconds(left + [mean] * self.to_start, agents)


class StatusReader:
    """Reads a sweep repeatedly: sees heartbeats move, and reads ended runs only once."""

    def __init__(self, sweep: SweepFile, folder: Path) -> None:
        self._sweep = sweep
        self._folder = folder
        self._watch = LeaseWatch()
        self._ended: dict[int, RunStatus] = {}

    def read(self) -> SweepStatus:
        """The sweep as it is now."""
        end, end_reason, runs = self._sweep.total, None, []
        folders: list[RunFolder] = []
        with suppress(FileNotFoundError):  # All were removed just now.
            folders = [f for f in run_folders(self._folder) if f.number < self._sweep.run_limit]
        for folder in folders:
            if run := self._run(folder):
                runs.append(run)
            elif end_reason is None:
                with suppress(OSError, ValueError):
                    end_reason = folder.sweep_end_reason()
                end = end if end_reason is None else folder.number
        # As in the engine: from that run on, none starts.
        to_start = set(range(end)) - {run.number for run in runs}
        specification = self._sweep.specification
        return SweepStatus(
            sweep_id=self._sweep.sweep_id,
            method=specification.method,
            objective=specification.objective,
            total=max([self._sweep.total, *(run.number + 1 for run in runs)]),
            runs=tuple(runs),
            to_start=len(to_start),
            end_reason=end_reason,
            varying=tuple(varying(specification)),
        )

    def _run(self, folder: RunFolder) -> RunStatus | None:
        """One run; None if it was not started, or its folder was removed just now."""
        try:
            if not folder.has_ended():
                self._ended.pop(folder.number, None)
            if folder.number in self._ended:
                return self._ended[folder.number]
            run = self._read_run(folder)
        except Exception as error:  # Whatever one folder holds, the other runs are shown.
            names_path = isinstance(error, UserError | OSError)
            reason = f"{error}" if names_path else f"{folder.path}: {type(error).__name__}: {error}"
            try:
                has_ended = folder.path.stat() is not None and folder.has_ended()
            except FileNotFoundError:
                return None
            except OSError:  # It may not be entered.
                has_ended = False
            return RunStatus(folder.number, "unreadable", has_ended, reason)
        if run and run.has_ended:
            self._ended[folder.number] = run
        return run

    def _read_run(self, folder: RunFolder) -> RunStatus | None:
        objective, script = self._sweep.specification.objective, self._sweep.script
        # The lease first: a run that ends in between has ended, and is not interrupted.
        agent = lease_holder(folder.path, self._watch)
        content, assigned = folder.read_outcome(), folder.assigned()
        if content is None and assigned is None and not (agent and agent.at_work):
            return None
        rows = folder.metrics()
        if script is None:
            values = folder.history(objective.metric)
        else:  # Of a user script the steps that have the metric.
            logged = (row.get(objective.metric, math.nan) for row in rows)
            values = [value for value in logged if math.isfinite(value)]
        hyperparameters = flatten(assigned["hyperparameters"] if assigned else {})
        epochs = [value for path, value in hyperparameters.items() if leaf(path) == "max_epochs"]
        # How many steps a user script will log is not known.
        planned = 0 if script else int([*epochs, HYPERPARAMETERS["max_epochs"].default][0])
        run = RunStatus(
            folder.number,
            state="running" if agent and agent.at_work else "interrupted",
            has_ended=False,
            max_epochs=planned,
            values=tuple(values),
            best=min(filter(math.isfinite, values), key=objective.loss, default=None),
            seconds=rows[-1].get("seconds") if rows else None,
            hyperparameters=hyperparameters,
            agent=agent,
            system=system_summary(folder.files),
            assigned_at=_modified_at(folder.path / "hyperparameters.json"),
        )
        if content is None:
            return run
        value, seconds = content.get("best_value"), content.get("seconds")
        return replace(
            run,
            state=content["state"],
            has_ended=True,
            reason=content.get("failure"),
            best=run.best if value is None else float(value),
            seconds=run.seconds if seconds is None else float(seconds),
            weight_count=content.get("parameters"),
            agent=None,
            host=content.get("host"),
            ended_at=_modified_at(folder.path / "run.json"),
        )


def _modified_at(path: Path) -> float | None:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return None
