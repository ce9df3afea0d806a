"""Puts jobs back into the queue that SLURM has preempted for good.

Where a partition's PreemptMode is CANCEL, a preempted job stays PREEMPTED, and version 2.8 of
Snakemake's SLURM plugin waits for ever for SLURM to resume it.
"""

import logging
import threading
import time
from pathlib import Path

from gcodefp.placement.slurm import ask, requeue

logger = logging.getLogger(__name__)

LOOK_SECONDS = 30.0


def follow_preempted(folder: Path) -> None:
    """Looks after the jobs that this Snakemake sends from its folder, as long as it lives."""
    threading.Thread(target=_follow, args=[folder], name="preempted jobs", daemon=True).start()


def _follow(folder: Path) -> None:
    while True:
        time.sleep(LOOK_SECONDS)
        requeue_preempted(folder)


def requeue_preempted(folder: Path) -> None:
    """Puts the preempted jobs of the Snakemake in a folder back into the queue."""
    for job in _preempted(folder):
        if requeue(job):
            logger.warning("SLURM job %s was preempted, and is put back into the queue", job)


def _preempted(folder: Path) -> list[str]:
    """Snakemake's jobs from this folder; their comments tell the rule."""
    answer = ask("squeue", "--me", "--noheader", "--states=PREEMPTED", "--format", "%i|%k|%Z")
    jobs = [line.split("|", 2) for line in (answer or "").splitlines()]
    return [job[0] for job in jobs if job[1].startswith("rule_") and job[2] == str(folder)]
