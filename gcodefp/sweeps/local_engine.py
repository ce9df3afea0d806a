"""The local engine: any number of agents work on run folders, and nothing else holds state.

An agent acquires the lowest run that has not ended and whose lease is free. A run that another
agent left unfinished resumes from its last epoch; a new one is assigned hyperparameters and starts.
"""

import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcodefp.cluster.job import Deadline
from gcodefp.errors import UserError
from gcodefp.provenance import provenance
from gcodefp.sweeps.lease import (
    Lease,
    LeaseLost,
    LeaseState,
    LeaseWatch,
    acquire,
    names_in,
    newest_claim,
)
from gcodefp.sweeps.run_folder import (
    ASSIGNED,
    CLOSED,
    REBUILD,
    RERUN_AGENTS,
    SCORED_STATES,
    RunFolder,
    run_folder,
    run_folders,
)
from gcodefp.sweeps.scheduler import Scheduler
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.terminal import duration

logger = logging.getLogger("gcodefp.agent")

POLL_SECONDS = 0.5
WAIT_POLL_SECONDS = 5.0
"""How often an agent that waits for all runs looks for a free one."""
STORAGE_TIMEOUT_SECONDS = 600.0
"""How long an agent waits for a full disk or a lost file server before it gives up."""
FAILURES_IN_A_ROW = 3
KILLS_IN_A_ROW = 10
"""A run whose process was killed so often since its last epoch is what kills it."""


@dataclass
class LeasedRun:
    """A run as what trains it receives it."""

    folder: RunFolder
    hyperparameters: Mapping[str, Any]
    lease: Lease
    scheduler: Scheduler

    def should_prune(self) -> bool:
        """Whether hyperband prunes the run after the epochs that it has logged.

        Raises LeaseLost: another agent has acquired the run.
        """
        self.lease.check()
        return self.scheduler.should_prune(self.folder.number)


TrainRun = Callable[[LeasedRun], dict[str, Any]]
"""Trains a run and returns the content of its run.json."""


def train_runs(
    train_run: TrainRun,
    sweep: SweepFile,
    folder: Path,
    deadline: Deadline,
    inputs: Sequence[Path],
    after_each: Callable[[], None] = lambda: None,
    before_each: Callable[[], None] = lambda: None,
    **options: Any,
) -> int:
    """Trains runs of a sweep, made from `inputs`, within an agent's time; as LocalEngine.work."""
    metric, origin = sweep.specification.objective.metric, provenance(inputs)

    def train_and_log(run: LeasedRun) -> dict[str, Any]:
        deadline.start_run()
        content = train_run(run)
        text = f"failed ({content['failure']}): {content['reason']}"
        if content["state"] in SCORED_STATES:
            epochs = f"{content['best_epoch']} of {content['epochs']}"
            value, seconds = content["best_value"], duration(content["seconds"])
            text = f"{content['state']}: {metric} {value:.4f} in epoch {epochs}, {seconds}"
        logger.info("run %04d %s", run.folder.number, text)
        return content | {"sweep": sweep.sweep_id, "provenance": origin}

    def check() -> None:
        before_each()
        deadline.check()

    engine = LocalEngine(sweep.specification, sweep.seed, sweep.total, folder)
    return engine.work(train_and_log, after_each, check, **options)


class LocalEngine:
    """One agent's view of one sweep."""

    def __init__(self, specification: Specification, seed: int, total: int, folder: Path) -> None:
        self.total = total
        self.folder = folder
        self.scheduler = Scheduler(specification, seed, folder)
        self._watch = LeaseWatch()
        self._before = {run.number for run in run_folders(folder)}
        self._first_seen: dict[tuple[int, bool], float] = {}
        self._excluded: dict[int, Exception] = {}
        self._waited_seconds = 0.0
        self._has_sweep_ended = False

    def work(
        self,
        train_run: TrainRun,
        after_each: Callable[[], None],
        before_each: Callable[[], None] = lambda: None,
        wait_for_all: bool = False,
        count: int | None = None,
    ) -> int:
        """Trains one run after another until no run is left.

        Args:
            after_each: called when a run has ended.
            before_each: called before every search for a run, repeatedly while none is free; an
                exception from it ends the work.
            wait_for_all: waits until the runs of all other agents have ended, and resumes those
                that they leave.
            count: the most runs that this agent ends; None for no limit.

        Returns:
            the number of runs that this agent ended.

        Raises UserError: three failed in a row, folders are unusable, or the disk stays full.
        """
        ended = 0
        failed: list[RunFolder] = []
        while True:
            try:
                if count is not None and ended >= count:
                    return ended
                if (folder := self._next(before_each, wait_for_all)) is None:
                    return ended
                if len(failed) == FAILURES_IN_A_ROW:
                    with suppress(OSError):
                        folder.path.rmdir()  # If it was made for this run just now.
                    raise _failures_in_a_row(failed)
                content = self._work_on(folder, train_run)
            except OSError as error:
                self._wait_for_storage(error)
                continue
            self._waited_seconds = 0.0
            if content is None:
                continue
            after_each()
            ended += 1
            failed = [*failed, folder] if content["state"] == "failed" else []

    def _next(self, before_each: Callable[[], None], wait_for_all: bool) -> RunFolder | None:
        """The lowest free run, or None at the end; waits while another agent's run decides it.

        Raises OSError, UserError: only unusable run folders are left.
        """
        while True:
            before_each()
            free, leases, waits_for = self._scan()
            if free is not None:
                return free
            is_waiting = any(leases.get(other) is LeaseState.HELD for other in waits_for)
            if is_waiting or LeaseState.UNKNOWN in leases.values():
                time.sleep(POLL_SECONDS)
            elif wait_for_all and LeaseState.HELD in leases.values():
                time.sleep(WAIT_POLL_SECONDS)
            else:
                self._raise_excluded()
                if waits_for:
                    raise UserError(
                        f"{run_folder(self.folder, waits_for[0]).path}: cannot be read, and with a "
                        f"width the runs after it wait for it; {REBUILD}"
                    )
                if LeaseState.HELD not in leases.values():  # The last of all agents.
                    self._tidy_ended_runs()
                return None

    def _scan(self) -> tuple[RunFolder | None, dict[int, LeaseState], list[int]]:
        """The lowest free run, the unfinished ones before it, and those that a new run waits for.

        A new run waits for results with a width alone.
        """
        leases: dict[int, LeaseState] = {}
        for number in range(self.scheduler.results.first_unfinished(), self.total):
            folder = run_folder(self.folder, number)
            try:
                if number in self._excluded or self.scheduler.results.has_ended(number):
                    continue
                names = names_in(folder.path)
                if CLOSED in names and not self._has_sweep_ended:
                    self._has_sweep_ended = self.scheduler.is_after_end(folder)
                if ASSIGNED not in names:
                    if self._has_sweep_ended:
                        continue
                    if others := self.scheduler.waits_for(number):
                        return None, leases, others
                leases[number] = self._state(folder, names)
            except (OSError, UserError) as error:
                self._exclude(folder, error)
                continue
            if leases[number] is LeaseState.FREE:
                return folder, leases, []
        return None, leases, []

    def _state(self, folder: RunFolder, names: Sequence[str]) -> LeaseState:
        """Its lease; unknown for a moment where another agent begins or ends the run just now.

        Of all agents that see a new run, the one that makes its folder goes on with it: otherwise
        all make files for a claim, all but one in vain.
        """
        claim, now = newest_claim(folder.path, names), time.monotonic()
        is_new = claim is None and folder.number not in self._before
        if is_new or (claim and claim.is_end):
            if is_new and (folder.number, True) not in self._first_seen:
                self._first_seen[folder.number, True] = now
                try:
                    folder.path.mkdir(parents=True)
                    return LeaseState.FREE
                except FileExistsError:
                    pass
                except OSError:
                    return LeaseState.FREE  # Acquiring it will fail with the same error.
            if now - self._first_seen.setdefault((folder.number, is_new), now) < POLL_SECONDS:
                return LeaseState.UNKNOWN
        return self._watch.state_of(claim)

    def _tidy_ended_runs(self) -> None:
        """Tidies runs whose agent was killed right after it had ended them."""
        for folder in (run_folder(self.folder, n) for n in self.scheduler.results.numbers()):
            with suppress(OSError):
                if folder.has_ended():
                    folder.tidy()

    def _work_on(self, folder: RunFolder, train_run: TrainRun) -> dict[str, Any] | None:
        """Trains a run to its end; None if it was not free any more, or its lease was lost."""
        try:
            folder.promote_files()
            with acquire(folder.path, self._watch) as lease:
                # It may have ended before the lease was acquired.
                if lease is None or folder.has_ended():
                    return None
                hyperparameters = self.scheduler.assign(folder)
                if hyperparameters is None:
                    return None
                run = LeasedRun(folder, hyperparameters, lease, self.scheduler)
                content = train_run(run)
                folder.end(content, run.lease)
                return content
        except LeaseLost as error:
            logger.warning("%s", error)
        except UserError as error:
            self._exclude(folder, error)
        return None

    def _exclude(self, folder: RunFolder, error: Exception) -> None:
        logger.warning("run %s is excluded: %s", folder.path.name, error)
        self._excluded[folder.number] = error

    def _raise_excluded(self) -> None:
        """Raises the errors of excluded runs, after all other runs are done."""
        excluded, self._excluded = self._excluded, {}
        for error in excluded.values():
            if isinstance(error, OSError):
                raise error
        if excluded:
            number, error = min(excluded.items())
            path = run_folder(self.folder, number).path
            raise UserError(
                f"{len(excluded)} runs could not be worked on, {path} among them: {error}; "
                f"then {RERUN_AGENTS}; the others are kept"
            )

    def _wait_for_storage(self, error: OSError) -> None:
        """Waits before another try: a full disk or a lost file server is no fault of a run.

        Raises UserError: it has lasted STORAGE_TIMEOUT_SECONDS.
        """
        # The error of a write to a full disk names no file.
        message = str(error) if error.filename else f"{self.folder}: {error}"
        if self._waited_seconds >= STORAGE_TIMEOUT_SECONDS:
            raise UserError(
                f"{message}; waited {self._waited_seconds:.0f} s on host {platform.node()} for it "
                f"to be fixed; fix it, then {RERUN_AGENTS}; nothing is lost"
            ) from error
        pause = min(max(self._waited_seconds, POLL_SECONDS), STORAGE_TIMEOUT_SECONDS / 10)
        logger.warning("%s; trying again in %.0f s", message, pause)
        time.sleep(pause)
        self._waited_seconds += pause


def _failures_in_a_row(failed: Sequence[RunFolder]) -> UserError:
    """The error of an agent whose runs keep failing, perhaps because of its host."""
    last = failed[-1]
    reason = (last.read_outcome() or {}).get("reason")
    return UserError(
        f"{len(failed)} runs failed in a row on host {platform.node()}, the last is {last.path}: "
        f"{reason}; fix that, remove the folders of the runs to be tried again, then "
        f"{RERUN_AGENTS}; the other runs are kept"
    )
