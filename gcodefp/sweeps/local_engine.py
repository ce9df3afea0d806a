"""The local engine: any number of agents work on run folders, and nothing else holds state.

An agent takes the lowest run that nobody works on and that has not ended: one that another agent
left half-done goes on from its last epoch, a new one gets its hyperparameters and starts.
"""

import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.sweeps.lease import Lease, LeaseLost, LeaseState, LeaseWatch, holding
from gcodefp.sweeps.run_folder import AGENTS_AGAIN, REBUILD, RunFolder, run_folder, run_folders
from gcodefp.sweeps.scheduler import Scheduler
from gcodefp.sweeps.specification import Specification

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5
STAY_SECONDS = 5.0
"""Between two looks of an agent that stays: nobody waits for it."""
STORAGE_PATIENCE_SECONDS = 600.0
"""A full disk or a lost file server may be mended within this time, and nothing is lost."""
FAILURES_IN_A_ROW = 3


@dataclass
class Trial:
    """A run as its objective sees it."""

    folder: RunFolder
    hyperparameters: Mapping[str, Any]
    lease: Lease
    decisions: Scheduler

    def kills_in_a_row(self) -> int:
        """How often, at least, the run's process was killed since an epoch was done last."""
        return self.lease.killed_holders() - len(self.folder.history("epoch"))

    def should_stop(self) -> bool:
        """Whether early termination ends the run after the epochs it has logged by now.

        Raises:
            LeaseLost: the run is another agent's by now.
        """
        self.lease.check()
        return self.decisions.should_prune(self.folder.number)


class LocalEngine:
    """One sweep, seen by one agent."""

    def __init__(self, specification: Specification, seed: int, total: int, folder: Path) -> None:
        self.total = total
        self.folder = folder
        self.decisions = Scheduler(specification, seed, folder)
        self._watch = LeaseWatch()
        self._left_out: dict[int, Exception] = {}
        self._waited_seconds = 0.0
        self._is_closed = False

    def work(
        self,
        objective: Callable[[Trial], dict[str, Any]],
        after_each: Callable[[], None],
        before_each: Callable[[], None] = lambda: None,
        stay: bool = False,
    ) -> int:
        """Runs the objective for one run after another until none is left to take.

        Args:
            objective: trains a run and returns the content of its run.json.
            after_each: called when a run is over.
            before_each: called before a run is looked for, again and again while there is none;
                what it raises ends the work.
            stay: goes on until the runs of all other agents are over, and takes over what they
                leave.

        Returns:
            the number of runs that this agent ended.

        Raises:
            UserError: three runs failed in a row, run folders cannot be worked on, or the disk is
                full and stays so.
        """
        ended = 0
        failed: list[RunFolder] = []
        while True:
            try:
                if (folder := self._next(before_each, stay)) is None:
                    self._tidy_up()
                    return ended
                if len(failed) == FAILURES_IN_A_ROW:
                    raise _too_many(failed)
                content = self._work_on(folder, objective)
            except OSError as error:
                self._wait_out(error)
                continue
            self._waited_seconds = 0.0
            if content is None:
                continue
            after_each()
            ended += 1
            failed = [*failed, folder] if content["state"] == "failed" else []

    def _next(self, before_each: Callable[[], None], stay: bool) -> RunFolder | None:
        """The lowest run to be taken; waits while another agent's run decides what comes next.

        Raises:
            OSError, UserError: nothing else is left than runs that cannot be worked on.
        """
        while True:
            before_each()
            holds: dict[int, LeaseState] = {}
            waiting, blocked = False, None
            for number in range(self.decisions.results.first_open(), self.total):
                folder = run_folder(self.folder, number)
                try:
                    if not self._is_open(folder):
                        continue
                    if not folder.is_given() and (others := self.decisions.waits_for(number)):
                        waiting = any(holds.get(other) is LeaseState.HELD for other in others)
                        blocked = None if waiting else run_folder(self.folder, others[0])
                        break
                    holds[number] = self._watch.look(folder.path)
                except (OSError, UserError) as error:
                    self._leave_out(folder, error)
                    continue
                if holds[number] is LeaseState.FREE:
                    return folder
            if not waiting and LeaseState.UNKNOWN not in holds.values():
                if stay and LeaseState.HELD in holds.values():
                    time.sleep(STAY_SECONDS)
                    continue
                self._tell_left_out()
                if blocked is not None:
                    raise UserError(
                        f"{blocked.path}: cannot be read, and with a width the runs after it wait "
                        f"for it; {REBUILD}"
                    )
                return None
            time.sleep(POLL_SECONDS)

    def _tidy_up(self) -> None:
        """An agent may have been killed right after it ended a run, before it could tidy it."""
        for folder in run_folders(self.folder):
            with suppress(OSError):
                if folder.is_over():
                    folder.tidy()

    def _is_open(self, folder: RunFolder) -> bool:
        """Whether there is something to be done in a run, now or later."""
        if folder.number in self._left_out or self.decisions.results.is_over(folder.number):
            return False
        if not self._is_closed and self.decisions.is_closed(folder):
            self._is_closed = True
        return not self._is_closed or folder.is_given()

    def _work_on(
        self, folder: RunFolder, objective: Callable[[Trial], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Ends a run; None if it was not to be had, or was lost."""
        try:
            with self._taken(folder) as trial:
                if trial is None:
                    return None
                content = objective(trial)
                trial.lease.check()
                folder.end(content)
                return content
        except LeaseLost as error:
            logger.warning("%s", error)
        except UserError as error:
            self._leave_out(folder, error)
        return None

    @contextmanager
    def _taken(self, folder: RunFolder) -> Iterator[Trial | None]:
        """The run with its lease and hyperparameters; None if it is not to be had after all."""
        with holding(folder.path, self._watch) as lease:
            if lease is None:
                yield None
            elif folder.is_over():  # It ended between the look and the lease.
                folder.tidy()
                yield None
            elif (hyperparameters := self.decisions.given(folder)) is None:
                yield None
            else:
                yield Trial(folder, hyperparameters, lease, self.decisions)

    def _leave_out(self, folder: RunFolder, error: Exception) -> None:
        logger.warning("run %s is left out: %s", folder.path.name, error)
        self._left_out[folder.number] = error

    def _tell_left_out(self) -> None:
        """Raises what keeps runs from being worked on, once there is nothing else to do."""
        left_out, self._left_out = self._left_out, {}
        for error in left_out.values():
            if isinstance(error, OSError):
                raise error
        if left_out:
            number, error = min(left_out.items())
            path = run_folder(self.folder, number).path
            raise UserError(
                f"{len(left_out)} runs could not be worked on, {path} among them: {error}; "
                f"then {AGENTS_AGAIN}; the others are kept"
            )

    def _wait_out(self, error: OSError) -> None:
        """A full disk or a lost file server is no fault of a run: wait, and try again.

        Raises:
            UserError: it has lasted too long.
        """
        # A write that found the disk full does not say which.
        told = str(error) if error.filename else f"{self.folder}: {error}"
        if self._waited_seconds >= STORAGE_PATIENCE_SECONDS:
            raise UserError(
                f"{told}; waited {self._waited_seconds:.0f} s on host {platform.node()} for it to "
                f"be mended; mend it, then {AGENTS_AGAIN}; nothing is lost"
            ) from error
        pause = min(max(self._waited_seconds, POLL_SECONDS), STORAGE_PATIENCE_SECONDS / 10)
        logger.warning("%s; trying again in %.0f s", told, pause)
        time.sleep(pause)
        self._waited_seconds += pause


def _too_many(failed: Sequence[RunFolder]) -> UserError:
    """Something else than the runs is wrong, perhaps this host."""
    last = failed[-1]
    reason = (last.ended() or {}).get("reason")
    return UserError(
        f"{len(failed)} runs failed in a row on host {platform.node()}, the last is {last.path}: "
        f"{reason}; mend that, remove the folders of the runs to be tried again, then "
        f"{AGENTS_AGAIN}; the other runs are kept"
    )
