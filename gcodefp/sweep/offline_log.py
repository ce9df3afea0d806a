"""Every run is also a W&B run: the W&B SDK writes it into the run's folder, without a network."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gcodefp.sweep.run_folder import RunFolder

logger = logging.getLogger(__name__)

Log = Callable[[int, Mapping[str, float]], None]

ENVIRONMENT = {
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    # A killed process loses what is not flushed; the default is every 15 seconds.
    "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "0.5",
}
INHERITED = ("WANDB_SERVICE", "WANDB_RUN_ID", "WANDB_SWEEP_ID")
"""Left by a W&B agent that started this process; they would turn this run into another."""


@contextmanager
def offline_log(
    folder: RunFolder, project: str, hyperparameters: Mapping[str, Any]
) -> Iterator[Log]:
    """A function that logs an epoch's metrics to W&B.

    A run that goes on after a kill logs its earlier epochs again, into a folder of its own, so the
    torn one is removed first: W&B sees one run. What W&B fails at is told and costs no training.
    """
    shutil.rmtree(folder.path / "wandb", ignore_errors=True)
    run = _guarded(lambda: _begin(folder, project, hyperparameters))

    def log(epoch: int, metrics: Mapping[str, float]) -> None:
        if run is not None:
            _guarded(lambda: run.log(dict(metrics), step=epoch))

    exit_code = 1
    try:
        yield log
        exit_code = 0
    finally:
        if run is not None:
            _guarded(lambda: run.finish(exit_code=exit_code))


def _begin(folder: RunFolder, project: str, hyperparameters: Mapping[str, Any]) -> Any:
    os.environ.update(ENVIRONMENT)
    for name in INHERITED:
        os.environ.pop(name, None)
    import wandb  # late: it takes a second, and its settings come from the environment above

    return wandb.init(
        project=project,
        id=folder.run_id,
        name=folder.run_id,
        group=folder.sweep,
        config=dict(hyperparameters),
        dir=folder.path,
        settings=wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        ),
    )


def _guarded(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except Exception as error:
        logger.warning("W&B's offline log: %s; the run itself goes on", error)
        return None
