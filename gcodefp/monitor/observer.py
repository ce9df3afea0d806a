"""Reads a sweep's folders while others work in them; writes nothing and takes no lease."""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.learning.hyperparameters import KNOWN
from gcodefp.learning.objective import Objective
from gcodefp.monitor.overview import AgentLine, Overview, RunLine
from gcodefp.search.nesting import flatten, leaf
from gcodefp.sweep.lease import LeaseWatch, lease_holder
from gcodefp.sweep.run_folder import RunFolder, run_folders
from gcodefp.sweep.sweep_file import SweepFile

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
    return int([*values, KNOWN["max_epochs"].default][0])


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
