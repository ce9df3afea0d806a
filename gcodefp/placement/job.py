"""The job of an agent: where it is, how long it may go on, and how it leaves before the end."""

import logging
import platform
import time
from typing import NoReturn

from gcodefp.errors import UserError
from gcodefp.placement import slurm
from gcodefp.placement.deadline import Deadline, OutOfTime
from gcodefp.placement.gpu import visible_gpu

logger = logging.getLogger(__name__)

KILL_SECONDS = 300.0
"""SLURM kills a job that is put back into the queue within this time."""

_started = time.monotonic()


def place() -> dict[str, str | None]:
    """Where this process works, as run.json has it."""
    return {"host": platform.node(), "gpu": visible_gpu(), "slurm_job": slurm.job_id()}


def open_deadline(job_minutes: int, margin_seconds: float) -> Deadline:
    """When this process has to be done.

    Args:
        job_minutes: the job's time limit, believed where SLURM does not answer; 0 for none.

    Raises:
        UserError: there is no time for anything.
    """

    def ask() -> float | None:
        left = slurm.seconds_left()
        if left is None and job_minutes:
            return 60 * job_minutes - (time.monotonic() - _started)
        return left

    deadline = Deadline(ask, margin_seconds)
    told = ", ".join(f"{name} {value}" for name, value in place().items() if value is not None)
    left = deadline.seconds_left()
    limit = f", {left / 60:.0f} min left" if left < float("inf") else ""
    logger.info("works on %s%s", told, limit)
    return deadline


def leave(error: OutOfTime, own_job: bool) -> NoReturn:
    """Sees to it that an agent works on when this one has to go.

    Args:
        own_job: whether the SLURM job is this agent's alone, and may be put back into the queue.

    Raises:
        UserError: somebody else has to start it again.
    """
    logger.info("%s", error)
    job = slurm.job_id()
    if own_job and job and slurm.requeue(job):
        logger.info("SLURM job %s is put back into the queue; the agent goes on", job)
        time.sleep(KILL_SECONDS)  # An exit code would end the job.
    raise UserError(
        f"{error}; runs are left, nothing of them is lost, and an agent that is started again goes "
        "on with them (Snakemake's --retries, which workflow/profiles/slurm sets)"
    )
