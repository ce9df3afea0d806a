"""Runs of a sweep that a Python function trains, as `wandb.agent(sweep_id, function=…)`, offline.

As in W&B, the function runs in a thread of this process: closures and notebooks work, and what it
has on a GPU stays. A function cannot be killed: one that is stopped gets an exception.
"""

import ctypes
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from gcodefp.cluster.job import open_deadline
from gcodefp.command_line import RUNS, created_sweep, log_handlers
from gcodefp.errors import UserError
from gcodefp.sweeps.local_engine import LeasedRun, train_runs
from gcodefp.sweeps.sweep_file import read_sweep
from gcodefp.sweeps.user_script.command import check_unchanged
from gcodefp.sweeps.user_script.process import OUT_OF_MEMORY, TAIL_LETTERS, Attempt
from gcodefp.sweeps.user_script.run import run_attempt, run_script

MARGIN_SECONDS = 120
AT_WORK = threading.Lock()
"""Held by the agent whose run has this process's environment and the SDK."""


class RunStopped(KeyboardInterrupt):
    """Raised in a function whose run ends early; `except Exception` does not catch it."""


class FunctionAttempt:
    """A function at work in a thread of this process."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.pid = os.getpid()
        self._error: BaseException | None = None
        self._function = function
        self._thread = threading.Thread(target=self._call, name="run of a sweep", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def terminate(self) -> None:
        """Raises RunStopped in it, once it executes Python again."""
        if (number := self._thread.ident) is not None and self._thread.is_alive():
            stop = ctypes.py_object(RunStopped)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(number), stop)

    def kill(self) -> None:
        """A thread cannot be killed; its end is waited for."""

    def problem(self) -> tuple[str, str] | None:
        if self._error is None:
            return None
        text = "".join(traceback.format_exception(self._error))
        kind = "out_of_memory" if OUT_OF_MEMORY.search(text) else "error"
        return kind, text.strip()[-TAIL_LETTERS:]

    def _call(self) -> None:
        try:
            self._function()
            _finish(0)
        except SystemExit as error:
            self._error = error if error.code else None
            _finish(1 if error.code else 0)
        except BaseException as error:
            frames = error.__traceback__.tb_next if error.__traceback__ else None
            self._error = error.with_traceback(frames)  # From the function on.
            with suppress(BaseException):
                _finish(1)


def _finish(exit_code: int) -> None:
    """Ends a run that the function has left open, and the SDK's service, which completes its log.

    As in W&B's agent: the SDK keeps its settings while its service runs.
    """
    if (wandb := sys.modules.get("wandb")) is not None:
        wandb.finish(exit_code=exit_code)
        wandb.teardown(exit_code)


@contextmanager
def _with_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets this process's environment, which the SDK reads at its next start."""
    before = dict(os.environ)
    try:
        _replace_environment(variables)
        _finish(0)
        yield
    finally:
        _replace_environment(before)


def _replace_environment(variables: Mapping[str, str]) -> None:
    # Never empty: other threads read it.
    os.environ.update(variables)
    for name in os.environ.keys() - variables.keys():
        del os.environ[name]


@contextmanager
def _at_work(function: Callable[[], Any], variables: Mapping[str, str]) -> Iterator[Attempt]:
    """The function at work with a run's environment; its end is waited for."""
    with _with_environment(variables):
        attempt = FunctionAttempt(function)
        try:
            yield attempt
        finally:
            if not attempt.wait(0):
                attempt.terminate()
                attempt.wait(threading.TIMEOUT_MAX)


def agent(
    sweep_id: str,
    function: Callable[[], Any] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
    *,
    runs: str | Path = RUNS,
) -> None:
    """Works on a sweep that `gcodefp.sweeps.sweep` has created, in place of `wandb.agent`.

    Any number of agents may work on a sweep, in any processes that share the folder. A run that a
    killed agent has left starts again.

    Args:
        function: called without arguments for each run; its `wandb.init()` is offline, and its
            `wandb.config` has the hyperparameters. None: the sweep's script is run.
        entity, project: of no effect; they are those of the sweep.
        count: the most runs of this call; None: until the sweep has ended.
        runs: the folder that was given to `sweep`.

    Raises UserError: there is no such sweep, another agent of this process is at work, or three
        runs in a row failed.
    """
    if function is not None and not callable(function):
        raise UserError(f"function: {function!r} cannot be called; pass the function itself")
    if count is not None and (not isinstance(count, int) or count < 1):
        raise UserError(f"count: {count!r} is not a whole number from 1; leave it out for all runs")
    path = created_sweep(sweep_id, Path(runs).absolute())  # A function may change the folder.
    sweep = read_sweep(path)
    if sweep.script is None:
        raise UserError(f"sweep {sweep_id} is one of gcodefp's trainer; start: gcodefp agent")
    if function is None:
        check_unchanged(sweep.script, str(path))
    deadline = open_deadline(0, MARGIN_SECONDS)

    def train(run: LeasedRun) -> dict[str, Any]:
        if function is None:
            return run_script(run, sweep, deadline, {})
        start = partial(_at_work, function)
        return run_attempt(run, sweep, deadline, {}, start, "the function returned")

    with _alone(), _logged():
        train_runs(train, sweep, path.parent, deadline, [], count=count)


@contextmanager
def _alone() -> Iterator[None]:
    """Raises UserError: another agent is at work, in another thread or around this one."""
    if not AT_WORK.acquire(blocking=False):
        raise UserError(
            "another agent of this process is at work, whose run has the environment and W&B's "
            "SDK; start each agent in a process of its own"
        )
    try:
        yield
    finally:
        AT_WORK.release()


@contextmanager
def _logged() -> Iterator[None]:
    """Shows an agent's log at the terminal or in the notebook, as the command does."""
    parent = logging.getLogger("gcodefp")
    handlers, level = log_handlers("agent", None), parent.level
    for handler in handlers:
        parent.addHandler(handler)
    parent.setLevel(logging.INFO)
    try:
        yield
    finally:
        parent.setLevel(level)
        for handler in handlers:
            parent.removeHandler(handler)
