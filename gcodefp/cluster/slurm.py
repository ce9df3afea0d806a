"""Queries SLURM for the job's id and time left, and requeues jobs.

All of it is optional: without SLURM's commands, as in a container, the answers are None.
"""

import logging
import os
import re
import subprocess
import threading
import time
from pathlib import Path

logger = logging.getLogger(__name__)

COMMAND_TIMEOUT_SECONDS = 30.0
"""The time that a busy controller may take."""
TIME_LEFT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)")


def job_id() -> str | None:
    """The id of this process's SLURM job; None outside a job."""
    return os.environ.get("SLURM_JOB_ID")


def seconds_left() -> float | None:
    """Seconds until the job's time limit; None without one, or without an answer."""
    job = job_id()
    if job is None:
        return None
    # squeue before the variable: a limit may be changed while the job runs.
    answer = call_slurm("squeue", "--noheader", "--jobs", job, "--format", "%L")
    if answer is not None:
        # For an array's job id, squeue lists waiting tasks too; the first line is the job's own.
        return parse_duration(answer.split("\n")[0].strip())
    end = os.environ.get("SLURM_JOB_END_TIME", "")
    return int(end) - time.time() if end.isdigit() else None


def parse_duration(text: str) -> float | None:
    """A time as squeue writes it, `[DAYS-][HOURS:]MINUTES:SECONDS`; None for words."""
    if (match := TIME_LEFT.fullmatch(text)) is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def requeue(job: str) -> bool:
    """Requeues a job, whose processes SLURM then kills; False if SLURM refuses."""
    return call_slurm("scontrol", "requeue", job) is not None


def call_slurm(*command: str) -> str | None:
    """The output of one of SLURM's commands; None if it fails, which is logged."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("%s: %s", command[0], error)
        return None
    if done.returncode:
        logger.warning("%s: %s", " ".join(command), done.stderr.strip())
        return None
    return done.stdout.strip()


# Requeues jobs that SLURM has preempted for good.
#
# Where a partition's PreemptMode is CANCEL, a preempted job stays PREEMPTED, and version 2.8 of
# Snakemake's SLURM plugin waits for ever for SLURM to resume it.

PREEMPTED_POLL_SECONDS = 10.0


def watch_preempted_jobs(folder: Path) -> None:
    """Requeues preempted jobs of this folder's Snakemake, as long as it lives."""

    def watch() -> None:
        while True:
            time.sleep(PREEMPTED_POLL_SECONDS)
            requeue_preempted(folder)

    threading.Thread(target=watch, name="preempted jobs", daemon=True).start()


def requeue_preempted(folder: Path) -> None:
    """Requeues the preempted jobs of the Snakemake in a folder; their comments name the rule."""
    query = ("squeue", "--me", "--noheader", "--states=PREEMPTED", "--format", "%i|%k|%Z")
    for line in (call_slurm(*query) or "").splitlines():
        job, comment, job_folder = line.split("|", 2)
        is_ours = comment.startswith("rule_") and job_folder == str(folder)
        if is_ours and requeue(job):
            logger.warning("SLURM job %s was preempted, and is requeued", job)
