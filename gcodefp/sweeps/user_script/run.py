"""Runs a sweep's own script for one run of the local engine, as `wandb agent` does, offline."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

from gcodefp.cluster.interrupt import INTERRUPT
from gcodefp.cluster.job import Deadline, OutOfTime, location
from gcodefp.model.run_files import append_work, read_work
from gcodefp.sweeps.lease import OUTPUT
from gcodefp.sweeps.local_engine import KILLS_IN_A_ROW, LeasedRun
from gcodefp.sweeps.parameters import dotted, flatten
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.system_metrics import system_metrics
from gcodefp.sweeps.user_script.metrics import OWN_EPOCH, MetricsReader, MetricsTable, Rows
from gcodefp.sweeps.user_script.process import Attempt, ScriptProcess, command_line, run_variables
from gcodefp.sweeps.user_script.transaction_log import STEP

logger = logging.getLogger("gcodefp.agent")

POLL_SECONDS = 0.5
"""How often new metrics are read."""
GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL, as W&B's agent waits."""
PROGRESS_SECONDS = 10.0


class AttemptMonitor:
    """What an agent does while a script works: reads its metrics, and decides whether it goes on.

    Attributes:
        is_pruned: whether hyperband has pruned it.
    """

    def __init__(self, run: LeasedRun, sweep: SweepFile, deadline: Deadline) -> None:
        self.is_pruned = False
        self._run, self._deadline = run, deadline
        self._objective = sweep.specification.objective
        rule, metric = sweep.specification.early_terminate, self._objective.metric
        files = run.lease.files
        self._brackets = frozenset(rule.brackets if rule else ())
        self._reader = MetricsReader(files, metric)
        self._work = files / "work.csv"
        self.table = MetricsTable(files / "metrics.csv", metric, self._reader.start_attempt())
        append_work(self._work, len(self.table.rows))
        self._reported = time.monotonic()
        self._has_rows = False
        self._asked_to_end: float | None = None

    def follow(self, attempt: Attempt) -> None:
        """Returns when the script has ended, or was stopped.

        Raises:
            LeaseLost, OutOfTime, Interrupted, OSError: the run stays unfinished; the script is
                asked to end.
        """
        try:
            while not attempt.wait(POLL_SECONDS):
                if not self.is_pruned and self._read():
                    self._end(attempt)
                self._run.lease.check()
                self._deadline.check_margin()
                self._check_request()
            if not self.is_pruned:
                self._read(is_last=True)
            append_work(self._work, len(self.table.rows))  # Its time has what follows the last row.
        except (OutOfTime, KeyboardInterrupt):
            self._end(attempt)
            self._read(is_last=True)
            raise

    def _check_request(self) -> None:
        """A script that logs nothing, or only at its end, has no epoch at which to end."""
        if not self._has_rows and INTERRUPT.requested_at_epoch():
            self._asked_to_end = self._asked_to_end or time.monotonic()
            if time.monotonic() - self._asked_to_end > GRACE_SECONDS:
                INTERRUPT.check_between_epochs()

    def _end(self, attempt: Attempt) -> None:
        """SIGTERM, patience, SIGKILL."""
        attempt.terminate()
        left = self._deadline.seconds_left() - GRACE_SECONDS
        until = time.monotonic() + min(GRACE_SECONDS, left)
        while not attempt.wait(POLL_SECONDS):
            self._run.lease.check()
            if time.monotonic() > until:
                attempt.kill()

    def _read(self, is_last: bool = False) -> bool:
        """Adds new rows; returns whether hyperband prunes the run after one of them."""
        rows = self._reader.new_rows(is_last)
        if not rows:
            return False
        self._has_rows = True
        self._add(rows, is_last)
        self.table.write()
        append_work(self._work, len(self.table.rows))
        if self.table.finite and time.monotonic() - self._reported > PROGRESS_SECONDS:
            self._reported = time.monotonic()
            (number, value), metric = self.table.finite[-1], self._objective.metric
            name = self._run.folder.path.name
            logger.info("run %s, row %d: %s %.4f", name, number, metric, value)
        if not (self.is_pruned or is_last):
            self._deadline.end_epoch()
            self.is_pruned = self._run.should_prune()
            if not self.is_pruned:
                INTERRUPT.check_between_epochs()
        return self.is_pruned

    def _add(self, rows: Rows, is_last: bool) -> None:
        """Adds rows up to one at which hyperband prunes the run.

        It decides at each bracket after exactly the bracket's rows, however many were read at once.
        Rows after that do not count, as the script would not have come to them.
        """
        for ordinal, (attempt, row) in enumerate(rows, start=1):
            self.table.add(row, attempt)
            is_value = bool(self.table.finite) and self.table.finite[-1][0] == len(self.table.rows)
            is_end = is_last and ordinal == len(rows)
            if is_value and len(self.table.finite) in self._brackets and not is_end:
                self.table.write()
                self.is_pruned = self._run.should_prune()
                if self.is_pruned:
                    return

    def outcome(self, reason: str) -> dict[str, Any]:
        """The content of run.json of a script that ended well, or that was stopped."""
        offline_runs, metric = self._reader.offline_runs, self._objective.metric
        offline_runs.warn_unread()
        if not self.table.finite and metric in offline_runs.summary:
            self.table.add_value(offline_runs.summary[metric])
        self.table.write()
        if not self.table.finite:
            logged = {name for row in self.table.rows for name in row} - {STEP, OWN_EPOCH}
            logged = logged or offline_runs.summary.keys() - {STEP}
            if metric in logged or metric in offline_runs.summary:
                return failure("diverged", f"{metric} was never finite", self._run)
            numbers = ", ".join(sorted(logged)) or (
                "no number"
                if offline_runs.exist()
                else "nothing: no W&B run is in WANDB_DIR (wandb.init needs neither dir= nor mode=)"
            )
            text = f"the script ended without logging {metric}; it logged {numbers}"
            return failure("no_metric", text, self._run)
        best, value = min(self.table.finite, key=lambda item: self._objective.loss(item[1]))
        return _content(
            self._run,
            state="stopped" if self.is_pruned else "finished",
            reason="early termination" if self.is_pruned else reason,
            best_value=value,
            best_epoch=best,
            epochs=len(self.table.rows),
            seconds=round(_seconds(self._work), 3),
        )


def failure(name: str, reason: str, run: LeasedRun) -> dict[str, Any]:
    """The content of run.json of a failed run; the class `name` is one of docs/user_script.md."""
    return _content(run, state="failed", failure=name, reason=reason)


def _content(run: LeasedRun, **content: Any) -> dict[str, Any]:
    names = ("failure", "best_epoch", "best_value", "epochs", "seconds", "parameters", "device")
    flat = {dotted(path): value for path, value in flatten(run.hyperparameters).items()}
    return dict.fromkeys(names) | content | {"hyperparameters": flat} | location()


def _seconds(work: Path) -> float:
    """How long processes worked on the run, those of earlier attempts too."""
    total, before = 0.0, None
    for moment in read_work(work):
        if before and (before["host"], before["pid"]) == (moment["host"], moment["pid"]):
            total += max(0.0, moment["utc_seconds"] - before["utc_seconds"])
        before = moment
    return total


def run_script(
    run: LeasedRun, sweep: SweepFile, deadline: Deadline, data: Mapping[str, Path]
) -> dict[str, Any]:
    """Runs the sweep's script, and follows its metrics; the content of run.json.

    Args:
        data: GCODEFP_TRAIN and others -> paths of a dataset.

    Raises LeaseLost, OutOfTime, OSError: not the script's fault; the run stays unfinished.
    """
    script, files = sweep.script, run.lease.files
    assert script is not None, "a sweep of a user script"

    def start(variables: Mapping[str, str]) -> AbstractContextManager[ScriptProcess]:
        command = command_line(script, run.hyperparameters, files / "config.json")
        return closing(ScriptProcess(command, variables, files / OUTPUT))

    return run_attempt(run, sweep, deadline, data, start, "the script ended")


def run_attempt(
    run: LeasedRun,
    sweep: SweepFile,
    deadline: Deadline,
    data: Mapping[str, Path],
    start: Callable[[Mapping[str, str]], AbstractContextManager[Attempt]],
    reason: str,
) -> dict[str, Any]:
    """Follows one attempt at a run; as `run_script`.

    Args:
        start: begins the attempt with the run's environment, and ends what is left of it.
        reason: of the end of an attempt that ended well.
    """
    if (kills := run.lease.kills) >= KILLS_IN_A_ROW:  # It seems to kill its agents.
        text = f"its agent was killed {kills} times since the last row of its metrics"
        return failure("killed", text, run)
    variables = run_variables(run, sweep, data)
    monitor = AttemptMonitor(run, sweep, deadline)
    with start(variables) as attempt, system_metrics(run.lease.files, attempt.pid):
        monitor.follow(attempt)
    problem = None if monitor.is_pruned else attempt.problem()
    if problem is None:
        return monitor.outcome(reason)
    monitor.table.write()
    return failure(*problem, run)
