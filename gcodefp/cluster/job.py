"""An agent's deadline, so that its job's time limit costs no epoch."""

import logging
import math
import platform
import time
from collections.abc import Callable
from typing import NoReturn

from gcodefp.cluster import slurm
from gcodefp.cluster.gpus import visible_gpu
from gcodefp.errors import UserError

EPOCHS_AHEAD = 1.5
"""An epoch starts only if this many times the slowest one so far are left."""
QUERY_SECONDS = 300.0
"""How often SLURM's time limit, which may change, is queried."""
REQUEUE_KILL_WAIT_SECONDS = 300.0
"""Within this time SLURM kills a job that it has requeued."""

logger = logging.getLogger(__name__)

_started = time.monotonic()


class OutOfTime(Exception):
    """The job's time limit is near; other agents, or later ones, resume the runs."""


class Deadline:
    """The end of an agent's time, and how long its epochs take."""

    def __init__(self, query: Callable[[], float | None], margin_seconds: float) -> None:
        """Queries the time left.

        Args:
            query: returns the seconds left; None for no limit, or no answer.
            margin_seconds: how long before the end the agent has to be done.

        Raises UserError: no time is left beside the margin.
        """
        self._query = query
        self._margin_seconds = margin_seconds
        self._slowest_of_all = 0.0
        self._slowest = 0.0
        self._last = self._queried = time.monotonic()
        self._end = math.inf
        self._query_end()
        if self.seconds_left() <= margin_seconds:
            raise UserError(
                f"the job's time limit leaves {self.seconds_left():.0f} s, of which "
                f"agents.margin_seconds keeps {margin_seconds:.0f} s; raise the agent's runtime "
                "in the profile (sbatch --time), or lower agents.margin_seconds in config.yaml"
            )

    def seconds_left(self) -> float:
        """Until the end; infinite without one."""
        return self._end - time.monotonic()

    def start_run(self) -> None:
        """A run starts; the duration of its epochs is unknown until then."""
        self._slowest = 0.0
        self._last = time.monotonic()

    def end_epoch(self, last: bool = False) -> None:
        """An epoch of the run has ended; it may be the `last`.

        Raises OutOfTime: another epoch might not end in time.
        """
        now = time.monotonic()
        self._slowest = max(self._slowest, now - self._last)
        self._slowest_of_all = max(self._slowest_of_all, self._slowest)
        self._last = now
        if not last:
            self._check(self._slowest)

    def check_margin(self) -> None:
        """Raises OutOfTime if no more than the margin is left."""
        self._check(0.0)

    def check(self) -> None:
        """Raises OutOfTime if an epoch of any run might not end in time."""
        self._check(self._slowest_of_all)

    def _check(self, epoch_seconds: float) -> None:
        needed = EPOCHS_AHEAD * epoch_seconds + self._margin_seconds
        if time.monotonic() - self._queried > QUERY_SECONDS:
            self._query_end()
        if (left := self.seconds_left()) < needed:
            raise OutOfTime(
                f"the job ends in {left:.0f} s, and an epoch needs up to {needed:.0f} s, with "
                f"{self._margin_seconds:.0f} s of margin"
            )

    def _query_end(self) -> None:
        """Updates the end; without an answer the end known before still holds."""
        left = self._query()
        self._queried = time.monotonic()
        if left is not None:
            self._end = self._queried + left


def location() -> dict[str, str | None]:
    """Host, GPU and SLURM job of this process, for run.json."""
    return {"host": platform.node(), "gpu": visible_gpu(), "slurm_job": slurm.job_id()}


def open_deadline(job_minutes: int, margin_seconds: float) -> Deadline:
    """The deadline of this process.

    Args:
        job_minutes: the job's time limit, used where SLURM does not answer; 0 for none.

    Raises UserError: no time is left beside the margin.
    """

    def query() -> float | None:
        left = slurm.seconds_left()
        if left is None and job_minutes:
            return 60 * job_minutes - (time.monotonic() - _started)
        return left

    deadline = Deadline(query, margin_seconds)
    names = ", ".join(f"{name} {value}" for name, value in location().items() if value is not None)
    left = deadline.seconds_left()
    limit = f", {left / 60:.0f} min left" if left < float("inf") else ""
    logger.info("works on %s%s", names, limit)
    return deadline


def end_early(error: OutOfTime, own_job: bool) -> NoReturn:
    """Ends an agent that is out of time, and requeues its SLURM job.

    Args:
        own_job: whether the SLURM job is this agent's alone, and may be requeued.

    Raises UserError: the job was not requeued; the user or Snakemake has to start it again.
    """
    logger.info("%s", error)
    job = slurm.job_id()
    if own_job and job and slurm.requeue(job):
        logger.info("SLURM job %s is requeued; the agent continues", job)
        time.sleep(REQUEUE_KILL_WAIT_SECONDS)  # An exit code would end the job.
    raise UserError(
        f"{error}; runs are left, nothing of them is lost, and an agent that is started again "
        "resumes them (Snakemake's --retries, which workflow/profiles/slurm sets)"
    )
