"""Trains one run of a sweep, for either engine; its errors become classed failures."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gcodefp.cluster.interrupt import INTERRUPT
from gcodefp.cluster.job import Deadline, OutOfTime, location
from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import (
    Hyperparameters,
    Objective,
    leaf_values,
    parse_hyperparameters,
)
from gcodefp.model.run_files import complete_lines
from gcodefp.model.trainer import (
    Combine,
    EpochCallback,
    Killed,
    TrainingData,
    describe_failure,
    describe_result,
    train,
)
from gcodefp.sweeps.lease import LeaseLost
from gcodefp.sweeps.local_engine import KILLS_IN_A_ROW, LeasedRun
from gcodefp.sweeps.run_folder import RunFolder
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.system_metrics import system_metrics
from gcodefp.sweeps.wandb_log import WandbLog, open_offline, wandb_log

logger = logging.getLogger("gcodefp.agent")

PROGRESS_SECONDS = 10.0


class LogConfig(NamedTuple):
    """How a run is logged to W&B.

    Attributes:
        init_wandb_run: opens the SDK's run with a configuration; None for no log.
        checkpoints: whether the best weights become an artifact.
        progress_seconds: how often an epoch is reported to the terminal.
        before_finish: called before the SDK's run is finished.
    """

    init_wandb_run: Callable[[Mapping[str, Any]], Any] | None
    checkpoints: bool
    progress_seconds: float = PROGRESS_SECONDS
    before_finish: Callable[[], None] = lambda: None


def train_run(
    folder: RunFolder,
    files: Path,
    assigned: Mapping[str, Any],
    data: TrainingData,
    objective: Objective,
    device: torch.device,
    log_config: LogConfig,
    after_epoch: Callable[[bool], bool],
    combine: Combine | None = None,
) -> dict[str, Any]:
    """Trains or resumes a run; an error of the run becomes its outcome.

    Args:
        files: the folder of this process, for metrics.csv and all others.
        after_epoch: called with whether this was the last epoch; returns True to stop the run.
        combine: metrics that are logged besides the trainer's own.

    Returns:
        the content of its run.json: hyperparameters, outcome, and where it was trained.

    Raises:
        LeaseLost, OutOfTime, Interrupted, UserError, OSError: not caused by the hyperparameters;
            the run stays unfinished.
    """
    checkpoint, init_wandb_run = files / "checkpoint.pt", log_config.init_wandb_run
    config, hyperparameters, invalid = _parse(assigned, title := f"run {folder.path.name}")

    def outcome(log: WandbLog | None) -> dict[str, Any]:
        assert hyperparameters is not None
        report = _report(title, hyperparameters, files, objective, log, log_config, after_epoch)
        try:
            result = train(hyperparameters, data, objective, files, report, combine=combine)
            return describe_result(result, hyperparameters, device)
        except (LeaseLost, OutOfTime, UserError, OSError):
            raise  # A time limit or a full disk is no fault of the hyperparameters.
        except Exception as error:
            logger.exception("%s failed", title)
            return describe_failure(error, assigned)

    with wandb_log(lambda: init_wandb_run(config)) if init_wandb_run else nullcontext() as log:
        try:
            with system_metrics(files, os.getpid()):
                content = (invalid or outcome(log)) | location()
            if log:
                has_weights = log_config.checkpoints and checkpoint.exists()
                log.end(content, checkpoint if has_weights else None, folder.path)
        finally:
            log_config.before_finish()
    return content


def _parse(
    assigned: Mapping[str, Any], title: str
) -> tuple[dict[str, Any], Hyperparameters | None, dict[str, Any] | None]:
    """What W&B logs as configuration, the hyperparameters, and the failure of wrong ones."""
    try:
        hyperparameters = parse_hyperparameters(assigned, title)
    except UserError as error:
        return dict(assigned), None, describe_failure(error, assigned)
    nested = {key for key, _ in leaf_values(assigned)}
    defaults = {n: v for n, v in asdict(hyperparameters).items() if n not in nested}
    return dict(assigned) | defaults, hyperparameters, None


def _report(
    title: str,
    hyperparameters: Hyperparameters,
    files: Path,
    objective: Objective,
    log: WandbLog | None,
    log_config: LogConfig,
    after_epoch: Callable[[bool], bool],
) -> EpochCallback:
    """What logs each epoch to W&B, and now and then to the terminal; returns as `after_epoch`.

    The trainer reports the epochs of before again, for W&B's log.
    """
    reported, epochs, metric = time.monotonic(), hyperparameters.max_epochs, objective.metric
    if (resumed_epochs := len(complete_lines(files / "metrics.csv")) - 1) > 0:
        logger.info("%s resumes: %d of %d epochs are logged", title, resumed_epochs, epochs)

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        nonlocal reported
        if log:
            log.epoch(epoch, metrics)
        is_new = epoch > resumed_epochs
        if is_new and time.monotonic() - reported > log_config.progress_seconds:
            reported = time.monotonic()
            text = "%s, epoch %d of %d: %s %.4f"
            logger.info(text, title, epoch, epochs, metric, metrics[metric])
        return after_epoch(epoch == epochs)

    return report


def train_leased_run(
    run: LeasedRun,
    sweep: SweepFile,
    data: TrainingData,
    device: torch.device,
    deadline: Deadline,
    wandb_project: str | None,
    wandb_checkpoints: bool,
) -> dict[str, Any]:
    """Trains a run of the local engine, within the agent's deadline.

    Args:
        wandb_project: the project of its W&B offline log; None for no log.

    Returns, Raises: as `train_run`.
    """
    assigned, files = {"seed": sweep.seed} | dict(run.hyperparameters), run.lease.files
    if (kills := run.lease.kills) >= KILLS_IN_A_ROW:
        error = Killed(f"its process was killed {kills} times since its last completed epoch")
        return describe_failure(error, assigned) | location()

    def after_epoch(is_last: bool) -> bool:
        stop = run.should_prune()
        deadline.end_epoch(last=stop or is_last)
        if not (stop or is_last):
            INTERRUPT.check_between_epochs()
        return stop

    def init_wandb_run(config: Mapping[str, Any]) -> Any:
        return open_offline(run.folder, files, str(wandb_project), config)

    log_config = LogConfig(init_wandb_run if wandb_project else None, wandb_checkpoints)
    objective, combine = sweep.specification.objective, sweep.specification.options.combined
    return train_run(
        *(run.folder, files, assigned, data, objective, device, log_config, after_epoch), combine
    )
