"""The trainer as the program of a W&B agent: one run, logged online, kept in its own folder."""

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from gcodefp.cluster.job import place
from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import Hyperparameters, Objective, parse_hyperparameters
from gcodefp.model.trainer import (
    EpochCallback,
    TrainingData,
    describe_failure,
    describe_result,
    train,
)
from gcodefp.sweeps.lease import Lease, LeaseLost, LeaseState, LeaseWatch, holding
from gcodefp.sweeps.run_folder import RunFolder
from gcodefp.sweeps.specification import read_specification
from gcodefp.sweeps.wandb_log import WandbLog, wandb_log
from gcodefp.wandb_service.session import ONLINE, translate_errors
from gcodefp.wandb_service.trial import AGENT_VARIABLE, Assignment, claim

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.5


class StopNote:
    """The service's wish that a run stops; the epoch is ended first, and its weights are kept."""

    def __init__(self) -> None:
        self._is_left = False

    def is_left(self) -> bool:
        """Whether the run has to stop."""
        return self._is_left

    def leave(self) -> None:
        """Asks the run to stop."""
        self._is_left = True

    def on_signal(self, number: int, _: object) -> None:
        """Who sends SIGTERM a second time does not want to wait for the end of the epoch."""
        if self._is_left:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.leave()


@contextmanager
def stop_note() -> Iterator[StopNote]:
    """A note that SIGTERM leaves, by which agents pass on the service's wish.

    Ctrl-C is a person's: the run goes on later.
    """
    note = StopNote()
    before = signal.signal(signal.SIGTERM, note.on_signal)
    try:
        yield note
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def listening(run: Any, note: StopNote) -> Iterator[None]:
    """Hears the service's wish soon after the service has told it to the SDK.

    The SDK itself asks its helper process every 15 s, which no short run lives to see.

    Args:
        run: of the SDK; None if it has none.
    """
    try:
        checker = _checker(run, note)
        checker.start()
    except (ImportError, AttributeError, TypeError) as error:
        # These parts of the SDK are not promised to stay.
        logger.warning("the service's wish to stop a run takes up to 15 s to arrive (%s)", error)
        checker = None
    try:
        yield
    finally:
        if checker is not None:
            checker.stop_soon()


def _checker(run: Any, note: StopNote) -> Any:
    import wandb
    from wandb.sdk.lib.run_stopping import RunStopChecker

    asyncer = wandb.setup().asyncer
    return RunStopChecker(asyncer, run._interface, note.leave, poll_interval=POLL_SECONDS)


INIT_SECONDS = 600.0
"""A service that does not answer for so long at a run's begin never hears of the run."""
SETTINGS: Mapping[str, Any] = {
    "disable_job_creation": True,
    "init_timeout": INIT_SECONDS,
    # Otherwise metrics leave every 15 s, and the service could stop no run shorter than that. Whole
    # seconds; the SDK takes less than one for none.
    "x_file_stream_transmit_interval": 1,
}
LOOK_SECONDS = 1.0
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


def objective_of(given: Assignment) -> Objective:
    """The metric of the sweep that this run belongs to, as the service has it.

    Raises:
        UserError: the service cannot be asked, or the sweep is none that runs here.
    """
    import wandb

    path = [os.environ.get(name) for name in ("WANDB_ENTITY", "WANDB_PROJECT")]
    with translate_errors(f"reading sweep {given.sweep_id}"):
        config = dict(wandb.Api().sweep("/".join([*filter(None, path), given.sweep_id])).config)
    return read_specification(config, f"sweep {given.sweep_id}").objective


@contextmanager
def begun(given: Assignment, runs: Path) -> Iterator[tuple[RunFolder, Lease | None]]:
    """The run's folder and its lease, taken before anything else may fail; none if it is over.

    Args:
        runs: keeps the folders of all sweeps' runs.

    Raises:
        UserError: the agent is gone by now, or another process works on the run.
    """
    agent = os.environ.get(AGENT_VARIABLE)
    if agent is not None and sys.platform == "linux":
        # Whoever kills the agent wants its run to be another agent's, not to go on unseen.
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != int(agent):
            raise UserError(f"run {given.run_id}: its agent is gone")
    os.environ.update(ONLINE)
    folder = claim(runs / given.sweep_id, given.run_id, given.hyperparameters)
    if folder.is_over():
        logger.info("run %s is over already", folder.path.name)
        yield folder, None
        return
    with holding(folder.path, _settled_watch(folder)) as lease:
        if lease is None:
            raise UserError(f"{folder.path}: another process works on this run")
        yield folder, lease


def train_given(
    given: Assignment,
    folder: RunFolder,
    lease: Lease,
    data: TrainingData,
    objective: Objective,
    device: torch.device,
    origin: Mapping[str, Any],
    log_checkpoint: bool,
) -> bool:
    """Trains what an agent gave, or goes on with it.

    Args:
        origin: provenance, for run.json.
        log_checkpoint: whether the best weights become an artifact.

    Returns:
        whether it failed.
    """
    with stop_note() as note:
        content = _run(given, folder, data, objective, device, note, log_checkpoint)
    lease.check()
    about = {"sweep": given.sweep_id, "wandb_run": given.run_id, "provenance": dict(origin)}
    folder.end(content | about)
    return bool(content["state"] == "failed")


def _settled_watch(folder: RunFolder) -> LeaseWatch:
    """A watch that has looked for so long that it knows about another host's lease."""
    watch = LeaseWatch()
    while watch.look(folder.path) is LeaseState.UNKNOWN:
        time.sleep(LOOK_SECONDS)
    return watch


def _run(
    given: Assignment,
    folder: RunFolder,
    data: TrainingData,
    objective: Objective,
    device: torch.device,
    note: StopNote,
    log_checkpoint: bool,
) -> dict[str, Any]:
    """Whatever goes wrong in a run becomes its outcome, here and on the service."""
    checkpoint = folder.path / "checkpoint.pt"
    with wandb_log(lambda: _begin(folder, note)) as log, listening(log.run, note):
        try:
            asked = parse_hyperparameters(given.hyperparameters, f"run {given.run_id}")
            report = _reporter(log, objective.metric, asked, note)
            result = train(asked, data, objective, folder.path, report)
            content = describe_result(result, asked, device)
        except (LeaseLost, OSError):
            raise
        except Exception as error:
            logger.error("run %s failed: %s", given.run_id, error)
            content = describe_failure(error, given.hyperparameters)
        content |= place()
        log.end(content, checkpoint if log_checkpoint and checkpoint.exists() else None)
    return content


def _begin(folder: RunFolder, note: StopNote) -> Any:
    """Opens the run that the agent's environment names, again if it was begun before."""
    import wandb

    settings = wandb.Settings(**SETTINGS, stop_fn=note.leave)
    return wandb.init(dir=folder.path, resume="allow", settings=settings)


def _reporter(log: WandbLog, metric: str, asked: Hyperparameters, note: StopNote) -> EpochCallback:
    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        log.epoch(epoch, metrics)
        logger.info("epoch %d of %d: %s %.4f", epoch, asked.max_epochs, metric, metrics[metric])
        return note.is_left()

    return report
