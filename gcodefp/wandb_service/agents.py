"""Runs W&B's own agents, one after the other, until the sweep is over on the service."""

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
from gcodefp.model.trainer import INVALID
from gcodefp.sweeps.lease import LeaseState, LeaseWatch
from gcodefp.sweeps.run_folder import RERUN_AGENTS, RunFolder, run_folders
from gcodefp.wandb_service.assignment import FLAGS_VARIABLE, STOP_VARIABLE
from gcodefp.wandb_service.service import (
    CANCELLED,
    PAUSED,
    TERMINAL_SWEEP_STATES,
    ServiceUnavailable,
    SweepAddress,
    http_status,
    open_session,
    read_remote,
    translate_errors,
)
from gcodefp.wandb_service.training import AGENT_VARIABLE

logger = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 3
SERVICE_TIMEOUT_SECONDS = 1800.0
"""How long an agent waits for a service that has stopped to answer."""
PAUSE_SECONDS = 10.0
IDLE_AGENTS = 3
"""After so many agents in a row that got no run, the sweep counts as over."""
REFUSED = (401, 403)
"""HTTP status of an answer to a key that is wrong, or no longer right."""
AGENT_ENVIRONMENT = {
    # W&B's agent gives up after failures in its first minute; here failures in a row count.
    "WANDB_AGENT_DISABLE_FLAPPING": "true",
    "WANDB_AGENT_MAX_INITIAL_FAILURES": "1000000",
    # A run that is asked to stop ends its epoch first.
    "WANDB_AGENT_KILL_DELAY": "600",
}


def run_agents(address: SweepAddress, sweep_folder: Path, flags: Sequence[str]) -> None:
    """Trains the runs that the service assigns, until its sweep has ended.

    Args:
        flags: of `gcodefp.train`, which the agent starts for every run.

    Raises UserError: runs fail in a row, or the service does not answer for long.
    """
    _prepare(sweep_folder, flags)
    watch = LeaseWatch()
    ended_before = {folder.path for folder in run_folders(sweep_folder) if folder.has_ended()}
    idle_agents, unavailable_since, has_answered = 0, None, False
    while True:
        try:
            state = read_remote(address).state
            has_answered, unavailable_since = True, None
            _resume_unfinished(address, sweep_folder, watch, stop=state in CANCELLED)
            if state in TERMINAL_SWEEP_STATES or idle_agents == IDLE_AGENTS:
                logger.info("sweep %s is %s: no run is left", address, state.lower())
                return
            _check_failures(sweep_folder, ended_before)
            before = len(run_folders(sweep_folder))
            _run_agent(address)
            was_idle = state != PAUSED and len(run_folders(sweep_folder)) == before
            idle_agents = idle_agents + 1 if was_idle else 0
        except ServiceUnavailable as error:
            unavailable_since = unavailable_since or time.monotonic()
            if not has_answered or time.monotonic() - unavailable_since > SERVICE_TIMEOUT_SECONDS:
                raise
            logger.warning("%s; trying again", error)
            time.sleep(PAUSE_SECONDS)


def _prepare(sweep_folder: Path, flags: Sequence[str]) -> None:
    """Sets the environment of W&B's agents and of the trainers that they start."""
    sweep_folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(AGENT_ENVIRONMENT)
    os.environ["WANDB_DIR"] = str(sweep_folder.absolute())
    # Agents look for `python` on the PATH, and it has to be this one.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ[FLAGS_VARIABLE] = json.dumps([str(flag) for flag in flags])
    os.environ[AGENT_VARIABLE] = str(os.getpid())
    # At Ctrl-C W&B's agent would wait for its run and then start another. With the default handler
    # the trainer dies with this process, and its run resumes when agents are started again.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _run_agent(address: SweepAddress) -> None:
    """Returns when the service has no run for the agent, or after failures in a row."""
    open_session()
    import wandb

    logging.getLogger("wandb.apis.public.sweeps").addFilter(_raise_refusal)
    with translate_errors(f"an agent of sweep {address}"):
        wandb.agent(str(address), max_consecutive_failed_runs=FAILURES_IN_A_ROW)


def _raise_refusal(record: logging.LogRecord) -> bool:
    """Filters the log of the SDK's agent, which asks again forever when the service refuses it."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and http_status(error) in REFUSED:
        raise error
    return True


def _check_failures(sweep_folder: Path, ended_before: Collection[Path]) -> None:
    """Raises UserError if the last runs that ended since the agent started have all failed.

    Invalid combinations, which the service's search may draw, do not count.
    """
    folders = [folder for folder in run_folders(sweep_folder) if folder.path not in ended_before]
    ended = [(folder.path, content) for folder in folders if (content := folder.read_outcome())]
    last = [(p, run) for p, run in ended if run.get("failure") != INVALID][-FAILURES_IN_A_ROW:]
    if len(last) == FAILURES_IN_A_ROW and all(run["state"] == "failed" for _, run in last):
        path, content = last[-1]
        raise UserError(
            f"{FAILURES_IN_A_ROW} runs failed in a row, the last is {path}: "
            f"{content['reason']}; fix that, then {RERUN_AGENTS}"
        )


def _resume_unfinished(
    address: SweepAddress, sweep_folder: Path, watch: LeaseWatch, stop: bool
) -> None:
    """Resumes runs whose trainers were killed, which the service does not assign again.

    Args:
        stop: those with an epoch are recorded as stopped, and the others left as they are.

    Raises UserError: a run's trainer ends again without an outcome.
    """
    for folder in run_folders(sweep_folder):
        assigned = folder.assigned()
        if assigned is None or folder.has_ended():
            continue
        if stop and not (folder.files / "last.pt").exists():
            continue
        if watch.wait(folder.path) is LeaseState.FREE:
            logger.info("run %s is unfinished; it is resumed", folder.path.name)
            code = _resume(address, folder, assigned, stop)
            if code and not folder.has_ended() and watch.state(folder.path) is LeaseState.FREE:
                raise UserError(
                    f"{folder.path}: its trainer has ended with exit code {code} and without an "
                    f"outcome; see above, fix that, then {RERUN_AGENTS}"
                )


def _resume(
    address: SweepAddress, folder: RunFolder, assigned: Mapping[str, Any], stop: bool
) -> int:
    """The exit code of the trainer, started as by an agent; the run's folder gets the outcome."""
    parameters = folder.path / "parameters.yaml"
    values = {name: {"value": value} for name, value in assigned["hyperparameters"].items()}
    write_text(parameters, yaml.safe_dump(values))
    environment = os.environ | {
        "WANDB_ENTITY": address.entity,
        "WANDB_PROJECT": address.project,
        "WANDB_SWEEP_ID": address.sweep_id,
        "WANDB_RUN_ID": assigned["wandb_run"],
        "WANDB_SWEEP_PARAM_PATH": str(parameters),
        **({STOP_VARIABLE: "1"} if stop else {}),
    }
    environment.pop("WANDB_SERVICE", None)  # It is this process's; the run has one of its own.
    command = [sys.executable, "-m", "gcodefp.train"]
    code = subprocess.run(command, env=environment, check=False).returncode
    parameters.unlink(missing_ok=True)
    return code
