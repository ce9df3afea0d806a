"""Real W&B agents, one after the other until the service says that the sweep is over."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gcodefp.errors import UserError
from gcodefp.files import write_text
from gcodefp.sweeps.lease import LeaseState, LeaseWatch
from gcodefp.sweeps.run_folder import AGENTS_AGAIN, RunFolder, run_folders
from gcodefp.wandb_service.service_sweeps import CANCELLED, OVER, PAUSED, sweep_state
from gcodefp.wandb_service.session import (
    ServiceSilent,
    SweepAddress,
    open_session,
    translate_errors,
)
from gcodefp.wandb_service.trial import AGENT_VARIABLE, FLAGS_VARIABLE

logger = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
PATIENCE_SECONDS = 1800.0
"""A service that does not answer may be back within this time."""
PAUSE_SECONDS = 10.0
TIMES_SENT_HOME = 3
"""A service that so often in a row sends agents home at once has no run left, whatever it says."""
LOOK_SECONDS = 1.0
FOR_AGENTS = {
    # The agent gives up after a few failures in its first minute; ours counts them in a row.
    "WANDB_AGENT_DISABLE_FLAPPING": "true",
    "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
    # A run that is asked to stop ends its epoch first.
    "WANDB_AGENT_KILL_DELAY": "600",
}


def work(address: SweepAddress, sweep_folder: Path, flags: Sequence[str]) -> None:
    """Trains what the service hands out, until its sweep is over.

    Args:
        sweep_folder: keeps the runs.
        flags: of `gcodefp.train`, which the agent starts for every run.

    Raises:
        UserError: runs fail in a row, or the service does not answer for long.
    """
    _prepare(sweep_folder, flags)
    watch = LeaseWatch()
    ended_before = _ended(sweep_folder).keys()
    sent_home, silent_since, heard = 0, None, False
    while True:
        try:
            state = sweep_state(address)
            heard, silent_since = True, None
            if state not in CANCELLED:
                _finish_left_overs(address, sweep_folder, watch)
            if state in OVER or sent_home == TIMES_SENT_HOME:
                logger.info("sweep %s is %s: no run is left to take", address, state.lower())
                return
            _check_failures(sweep_folder, ended_before)
            begun = len(run_folders(sweep_folder))
            _one_agent(address)
            was_idle = state != PAUSED and len(run_folders(sweep_folder)) == begun
            sent_home = sent_home + 1 if was_idle else 0
        except ServiceSilent as error:
            silent_since = silent_since or time.monotonic()
            if not heard or time.monotonic() - silent_since > PATIENCE_SECONDS:
                raise
            logger.warning("%s; trying again", error)
            time.sleep(PAUSE_SECONDS)


def _prepare(sweep_folder: Path, flags: Sequence[str]) -> None:
    """What W&B's agents and the trainers that they start find in the environment."""
    sweep_folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(FOR_AGENTS)
    os.environ["WANDB_DIR"] = str(sweep_folder.absolute())
    # Agents look for `python` on the PATH, and it has to be this one.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ[FLAGS_VARIABLE] = json.dumps([str(flag) for flag in flags])
    os.environ[AGENT_VARIABLE] = str(os.getpid())
    # W&B's agent would wait for its run, and then another one would begin. Like this the trainer
    # dies with this process, and its run goes on when agents are started again.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _one_agent(address: SweepAddress) -> None:
    """Returns when the service sends the agent home, or after runs that failed in a row."""
    open_session()
    import wandb

    with translate_errors(f"an agent of sweep {address}"):
        wandb.agent(str(address), max_consecutive_failed_runs=FAILURES_IN_A_ROW)


def _ended(sweep_folder: Path) -> dict[str, Mapping[str, Any]]:
    """Name -> run.json of the runs that are over."""
    folders = run_folders(sweep_folder)
    return {folder.path.name: of for folder in folders if (of := folder.ended())}


def _check_failures(sweep_folder: Path, ended_before: Collection[str]) -> None:
    """Raises UserError if the last runs that ended since the agent began have all failed."""
    new = [pair for pair in _ended(sweep_folder).items() if pair[0] not in ended_before]
    last = new[-FAILURES_IN_A_ROW:]
    if len(last) == FAILURES_IN_A_ROW and all(of["state"] == "failed" for _, of in last):
        name, content = last[-1]
        raise UserError(
            f"{FAILURES_IN_A_ROW} runs failed in a row, the last is {sweep_folder / name}: "
            f"{content['reason']}; mend that, then {AGENTS_AGAIN}"
        )


def _finish_left_overs(address: SweepAddress, sweep_folder: Path, watch: LeaseWatch) -> None:
    """Runs whose trainers were killed go on from their last epoch; the service never asks for it.

    Raises:
        UserError: a run's trainer ends again without an outcome.
    """
    for folder in run_folders(sweep_folder):
        asked = folder.asked()
        if asked is None or folder.is_over():
            continue
        while (hold := watch.look(folder.path)) is LeaseState.UNKNOWN:
            time.sleep(LOOK_SECONDS)
        if hold is LeaseState.FREE:
            logger.info("run %s was left half-done; it goes on", folder.path.name)
            code = _go_on(address, folder, asked)
            if code and not folder.is_over() and watch.look(folder.path) is LeaseState.FREE:
                raise UserError(
                    f"{folder.path}: its trainer has ended with exit code {code} and without an "
                    f"outcome; see above, mend that, then {AGENTS_AGAIN}"
                )


def _go_on(address: SweepAddress, folder: RunFolder, asked: Mapping[str, Any]) -> int:
    """Starts the trainer as an agent would; what becomes of the run stands in its folder.

    Returns:
        its exit code.
    """
    parameters = folder.path / "parameters.yaml"
    values = {name: {"value": value} for name, value in asked["hyperparameters"].items()}
    write_text(parameters, yaml.safe_dump(values))
    environment = os.environ | {
        "WANDB_ENTITY": address.entity,
        "WANDB_PROJECT": address.project,
        "WANDB_SWEEP_ID": address.sweep_id,
        "WANDB_RUN_ID": asked["wandb_run"],
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
    }
    environment.pop("WANDB_SERVICE", None)  # It is this process's; the run has one of its own.
    command = [sys.executable, "-m", "gcodefp.train"]
    code = subprocess.run(command, env=environment, check=False).returncode
    parameters.unlink(missing_ok=True)
    return code
