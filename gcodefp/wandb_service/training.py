"""The trainer as the script of a W&B agent: one run, logged online, kept in its own folder."""

import ctypes
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import Objective
from gcodefp.sweeps.lease import Lease, LeaseWatch, acquire
from gcodefp.sweeps.run_folder import RunFolder, run_folder, run_folders
from gcodefp.sweeps.specification import read_specification
from gcodefp.wandb_service.assignment import STOP, Assignment
from gcodefp.wandb_service.service import ONLINE, ServiceUnavailable, translate_errors

logger = logging.getLogger(__name__)

AGENT_VARIABLE = "GCODEFP_AGENT_PID"
"""Environment variable with the process id of the pipeline's agent."""
INIT_TIMEOUT_SECONDS = 600.0
"""How long a run waits at its start for the service to answer."""
SETTINGS: Mapping[str, Any] = {
    "disable_job_creation": True,
    "init_timeout": INIT_TIMEOUT_SECONDS,
    # By default metrics leave every 15 s, and the service could stop no shorter run. Whole seconds
    # only: the SDK takes less than one for none.
    "x_file_stream_transmit_interval": 1,
}
DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


def find_or_create_run_folder(
    sweep_folder: Path, run_id: str, hyperparameters: Mapping[str, Any]
) -> RunFolder:
    """The folder of a W&B run: its own, or a new one with the next free number."""
    if (existing := folder_of(sweep_folder, run_id)) is not None:
        return existing
    sweep_folder.mkdir(parents=True, exist_ok=True)
    number = max((folder.number for folder in run_folders(sweep_folder)), default=-1) + 1
    while True:
        folder = run_folder(sweep_folder, number)
        try:
            folder.path.mkdir()
        except FileExistsError:
            number += 1
            continue
        folder.assign(hyperparameters, {}, wandb_run=run_id)
        return folder


def folder_of(sweep_folder: Path, run_id: str) -> RunFolder | None:
    """The folder that holds a W&B run; None if there is none."""
    for folder in run_folders(sweep_folder):
        if (assigned := folder.assigned()) and assigned.get("wandb_run") == run_id:
            return folder
    return None


@contextmanager
def leased_folder(assignment: Assignment, runs: Path) -> Iterator[tuple[RunFolder, Lease | None]]:
    """The run's folder, and its lease, acquired before anything may fail; None if it has ended.

    Raises UserError: the agent is gone, or another process works on the run.
    """
    agent = os.environ.get(AGENT_VARIABLE)
    if agent is not None and sys.platform == "linux":
        # A run whose agent is killed shall be another agent's, not continue unseen.
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != int(agent):
            raise UserError(f"run {assignment.run_id}: its agent is gone")
    os.environ.update(ONLINE)
    folder = find_or_create_run_folder(
        runs / assignment.sweep_id, assignment.run_id, assignment.hyperparameters
    )
    folder.promote_files()
    if folder.has_ended():
        logger.info("run %s has ended already", folder.path.name)
        yield folder, None
        return
    watch = LeaseWatch()
    watch.wait(folder.path)
    with acquire(folder.path, watch) as lease:
        if lease is None:
            raise UserError(f"{folder.path}: another process works on this run")
        yield folder, lease


def objective_of(assignment: Assignment) -> Objective:
    """The metric of the sweep that this run belongs to, as the service has it.

    Raises UserError: the service does not answer, or the sweep is none that runs here.
    """
    import wandb

    parts = [os.environ.get(name) for name in ("WANDB_ENTITY", "WANDB_PROJECT")]
    path = "/".join([*filter(None, parts), assignment.sweep_id])
    with translate_errors(f"reading sweep {assignment.sweep_id}"):
        config = dict(wandb.Api().sweep(path).config)
    return read_specification(config, f"sweep {assignment.sweep_id}").objective


def init_wandb_run(folder: RunFolder, config: Mapping[str, Any]) -> Any:
    """Opens the run that the agent's environment names, also one that was started before."""
    import wandb

    settings = wandb.Settings(**SETTINGS, stop_fn=STOP.set)
    try:
        with translate_errors(f"starting the run in {folder.path}"):
            run = wandb.init(
                dir=folder.path, config=dict(config), resume="allow", settings=settings
            )
    except ServiceUnavailable as error:
        logger.warning("the run is trained without a log: %s", error)
        return None
    STOP.start_polling(run)
    return run
