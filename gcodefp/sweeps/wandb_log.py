"""Logs each run as a W&B run with the SDK: offline into the run's folder, or online."""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.sweeps.run_folder import RunFolder

logger = logging.getLogger(__name__)

OFFLINE = {
    "WANDB_MODE": "offline",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    # A killed process loses what is not flushed; the default is every 15 seconds.
    "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "0.5",
}
INHERITED = ("WANDB_SERVICE", "WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_SWEEP_PARAM_PATH")
"""Environment variables of a W&B agent that started this process."""
SUMMARY = "run_json"
"""Key of run.json's content in a run's W&B summary."""
MINIMAL: Mapping[str, Any] = {
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "disable_job_creation": True,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}
"""Settings that save a tenth of a second per run."""


class WandbLog:
    """One W&B run; an error of W&B is logged and costs no training."""

    def __init__(self, init_run: Callable[[], Any]) -> None:
        self._run = _guarded(init_run)
        self.failed = False

    def epoch(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Logs the metrics of an epoch, from 1."""
        self.call(lambda run: run.log(dict(metrics), step=epoch))

    def end(self, content: Mapping[str, Any], checkpoint: Path | None, folder: Path) -> None:
        """Logs how the run ended, and its best epoch's weights as artifact `model-ID:best`.

        Args:
            content: of its run.json.
            folder: where the checkpoint lies once the run has ended.
        """
        self.failed = content["state"] == "failed"
        facts = {name: content[name] for name in ("state", "best_value", "best_epoch")}

        def log(run: Any) -> None:
            run.summary.update({**facts, SUMMARY: json.dumps(dict(content))})
            if checkpoint is not None:
                run.log_artifact(_artifact(run, checkpoint, folder, facts), aliases=["best"])

        self.call(log)

    def call(self, action: Callable[[Any], Any]) -> None:
        """Does something with the SDK's run, if there is one."""
        if self._run is not None:
            _guarded(lambda: action(self._run))


@contextmanager
def wandb_log(init_run: Callable[[], Any]) -> Iterator[WandbLog]:
    """The run that `init_run` starts; it failed if an exception or `end` says so.

    Raises UserError: from `init_run`; other errors of W&B are logged.
    """
    log, exit_code = WandbLog(init_run), 1
    try:
        yield log
        exit_code = int(log.failed)
    finally:
        log.call(lambda run: run.finish(exit_code=exit_code))


def open_offline(folder: RunFolder, files: Path, project: str, config: Mapping[str, Any]) -> Any:
    """Opens a run that writes into this process's folder of the run and to no network.

    A run that resumes after a kill logs its earlier epochs again.
    """
    os.environ.update(OFFLINE)
    clear_agent_variables()
    import wandb  # late: it takes a second, and its settings come from the environment above

    return wandb.init(
        project=project,
        id=folder.run_id,
        name=folder.run_id,
        group=folder.sweep_id,
        config=dict(config),
        dir=files,
        settings=wandb.Settings(**MINIMAL),
    )


def is_synced(log: Path) -> bool:
    """Whether `wandb sync` has marked an offline log, the folder `offline-run-…`, as uploaded."""
    return any(log.glob("*.wandb.synced"))


def clear_agent_variables() -> None:
    """Removes a W&B agent's variables, which would turn this run into the agent's."""
    for name in INHERITED:
        os.environ.pop(name, None)


def _artifact(run: Any, checkpoint: Path, folder: Path, facts: Mapping[str, Any]) -> Any:
    import wandb

    artifact = wandb.Artifact(f"model-{run.id}", type="model", metadata=dict(facts))
    # Not copied: the file stays as long as its run exists.
    entry = artifact.add_file(
        str(checkpoint), name=checkpoint.name, policy="immutable", skip_cache=True
    )
    if run.offline:  # It is uploaded later, when it lies in the run's folder.
        entry.local_path = str(folder / checkpoint.name)
    return artifact


def _guarded(action: Callable[[], Any]) -> Any:
    try:
        return action()
    except UserError:
        raise
    except Exception as error:
        logger.warning("W&B's log: %s; the run itself continues", error)
        return None
