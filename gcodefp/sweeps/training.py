"""Trains one run of the local engine: logged, watched by its deadline, its failures classed."""

import logging
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch

from gcodefp.cluster.job import Deadline, OutOfTime
from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import parse_hyperparameters
from gcodefp.model.trainer import (
    EpochCallback,
    Killed,
    TrainingData,
    describe_failure,
    describe_result,
    train,
)
from gcodefp.sweeps.lease import LeaseLost
from gcodefp.sweeps.local_engine import Trial
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.wandb_log import WandbLog, begin_offline, wandb_log

logger = logging.getLogger("gcodefp.agent")

PROGRESS_SECONDS = 10.0
KILLS_IN_A_ROW = 10
"""A run that so often did not live to the end of an epoch is what kills its process."""


class OfflineLog(NamedTuple):
    """What of a run is logged in W&B's offline format.

    Attributes:
        project: None for nothing.
        checkpoints: whether its best weights are an artifact.
    """

    project: str | None
    checkpoints: bool


def train_trial(
    trial: Trial,
    sweep: SweepFile,
    data: TrainingData,
    device: torch.device,
    deadline: Deadline,
    logged: OfflineLog,
) -> dict[str, Any]:
    """Trains one run; whatever goes wrong in it becomes its outcome.

    Returns:
        what its run.json says of hyperparameters and end.

    Raises:
        LeaseLost, OutOfTime, UserError, OSError: no fault of the hyperparameters; the run is open.
    """
    asked = {"seed": sweep.seed} | dict(trial.hyperparameters)
    objective, folder = sweep.specification.objective, trial.folder
    try:
        hyperparameters = parse_hyperparameters(asked, f"run {folder.path.name}")
    except UserError as error:
        return describe_failure(error, asked)
    if (kills := trial.kills_in_a_row()) >= KILLS_IN_A_ROW:
        return describe_failure(
            Killed(f"its process was killed {kills} times within one epoch"), asked
        )
    try:
        with _open(trial, logged.project, asked) as log:
            told = _teller(trial, objective.metric, hyperparameters.max_epochs, log)
            report = _within(deadline, told, hyperparameters.max_epochs)
            result = train(hyperparameters, data, objective, folder.path, report)
            content = describe_result(result, hyperparameters, device)
            if log:
                log.end(content, folder.path / "checkpoint.pt" if logged.checkpoints else None)
    except (LeaseLost, OutOfTime, UserError, OSError):
        # A time limit, a full disk or a lost file server is no fault of the hyperparameters.
        raise
    except Exception as error:
        logger.exception("run %s", folder.path.name)
        return describe_failure(error, asked)
    return content


def _open(
    trial: Trial, project: str | None, asked: Mapping[str, Any]
) -> AbstractContextManager[WandbLog | None]:
    if project is None:
        return nullcontext()
    return wandb_log(lambda: begin_offline(trial.folder, project, asked))


def _within(deadline: Deadline, report: EpochCallback, max_epochs: int) -> EpochCallback:
    """Leaves a run after an epoch, if there is no time for another; not where it ends anyway."""

    def timed(epoch: int, metrics: Mapping[str, float]) -> bool:
        stop = report(epoch, metrics)
        deadline.end_epoch(last=stop or epoch == max_epochs)
        return stop

    return timed


def _teller(trial: Trial, metric: str, max_epochs: int, log: WandbLog | None) -> EpochCallback:
    """Logs every epoch to W&B, now and then one to the terminal, and asks whether to stop."""
    told = time.monotonic()

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        nonlocal told
        if log:
            log.epoch(epoch, metrics)
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            name = trial.folder.path.name
            logger.info(
                "run %s, epoch %d of %d: %s %.4f", name, epoch, max_epochs, metric, metrics[metric]
            )
        return trial.should_stop()

    return report
