"""How long a sweep will still take, told from what its runs took and did so far."""

import heapq
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple


class Begun(NamedTuple):
    """What a run that is not over has done; `seconds` is the time that its epochs took."""

    epochs: int
    max_epochs: int
    seconds: float


def estimate_seconds_left(
    ended_seconds: Sequence[float],
    running: Sequence[Begun],
    waiting: Sequence[Begun],
    not_begun: int,
) -> float | None:
    """Seconds until the last run is over; None while nothing tells.

    Args:
        ended_seconds: what each of the runs took that ended well.
        running: the runs at work, one for each agent.
        waiting: half-done runs that nobody works on.
        not_begun: how many are still to begin.
    """
    mean_seconds = _mean_run_seconds(ended_seconds, [*running, *waiting])
    if not running and not waiting and not not_begun:
        return 0.0
    if mean_seconds is None:
        return None
    left = [_run_seconds_left(run, mean_seconds) for run in running]
    queue = [_run_seconds_left(run, mean_seconds) for run in waiting]
    return finish_seconds(left, queue + [mean_seconds] * not_begun)


def finish_seconds(running: Sequence[float], queue: Sequence[float]) -> float | None:
    """When agents are done that each take the next run of a queue as soon as they are free.

    Args:
        running: seconds until each agent is free.
        queue: seconds that each of the further runs takes, in the order in which they are taken.

    Returns:
        None if there is a run and no agent.
    """
    if not running:
        return None if queue else 0.0
    free_at = list(running)
    heapq.heapify(free_at)
    for seconds in queue:
        heapq.heapreplace(free_at, free_at[0] + seconds)
    return max(free_at)


def _mean_run_seconds(ended_seconds: Sequence[float], begun: Sequence[Begun]) -> float | None:
    """What a run takes: as those before; as long as there is none, at the pace of those begun."""
    whole = list(ended_seconds) or [r.seconds / r.epochs * r.max_epochs for r in begun if r.epochs]
    return fmean(whole) if whole else None


def _run_seconds_left(run: Begun, mean_seconds: float) -> float:
    """At the run's own pace; early termination, which may end it sooner, is not foreseen."""
    if not run.epochs:
        return mean_seconds
    return run.seconds / run.epochs * max(run.max_epochs - run.epochs, 0)
