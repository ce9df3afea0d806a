"""Times configurations in processes of their own, as many at once as agents will work.

Memory that was once used shows in a process until it ends, so every configuration has a fresh one;
and agents that work side by side slow each other, even where each has a processor.
"""

import multiprocessing
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BrokenBarrierError
from typing import Any

from gcodefp.costs.timing import Timing, time_training
from gcodefp.learning.device import open_device
from gcodefp.learning.hyperparameters import Hyperparameters
from gcodefp.learning.load import load_training_data
from gcodefp.learning.outcome import failure_class

PATIENCE_SECONDS = 300.0
"""How long a process waits for the others before it starts without them."""
FULL = "out of memory"

_others: Any = None
"""In a timing process: the barrier where it waits for those beside it."""


@dataclass(frozen=True)
class Surroundings:
    """What all configurations have in common.

    Attributes:
        scratch: a folder on the disk that will hold the runs.
        seconds: how long training steps are timed.
    """

    dataset: Path
    train: Path
    val: Path
    scratch: Path
    device: str
    threads: int
    seconds: float


def time_configuration(
    hyperparameters: Hyperparameters, surroundings: Surroundings, at_once: int
) -> Timing | str:
    """Times a configuration in so many processes at once.

    Returns:
        the timing, or in words why there is none.
    """
    context = multiprocessing.get_context("spawn")
    surroundings.scratch.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory(prefix=".estimate-", dir=surroundings.scratch) as scratch,
        ProcessPoolExecutor(at_once, context, _prepare, (context.Barrier(at_once),)) as pool,
    ):
        here = replace(surroundings, scratch=Path(scratch))
        task = hyperparameters, here, time.time()
        futures = [pool.submit(_time, *task) for _ in range(at_once)]
        try:
            answers = [future.result() for future in futures]
        except BrokenProcessPool:
            answers = [f"{FULL}, most likely: its process was killed"]
    timings = [answer for answer in answers if isinstance(answer, Timing)]
    if len(timings) == at_once:
        return _together(timings)
    if at_once > 1:  # Perhaps so many do not fit, but one does.
        return time_configuration(hyperparameters, surroundings, 1)
    return next(answer for answer in answers if isinstance(answer, str))


def _prepare(barrier: Any) -> None:
    global _others
    _others = barrier
    with suppress(OSError):
        # Should the memory become full, this process goes rather than the user's others.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _time(hyperparameters: Hyperparameters, here: Surroundings, asked_at: float) -> Timing | str:
    """Runs in a process of its own.

    Args:
        asked_at: the time of day at which the process was asked for.
    """
    try:
        device = open_device(here.device, here.threads)
        data = load_training_data(here.dataset, here.train, here.val, device)
        start_seconds = time.time() - asked_at
        with suppress(BrokenBarrierError):
            _others.wait(PATIENCE_SECONDS)
        timing = time_training(hyperparameters, data, device, here.scratch, here.seconds)
        return replace(timing, start_seconds=timing.start_seconds + start_seconds)
    except Exception as error:
        if failure_class(error) == "out_of_memory":
            return FULL
        return f"{type(error).__name__}: {error}"


def _together(timings: Sequence[Timing]) -> Timing:
    """One timing from those of processes that did the same side by side."""

    def median(name: str) -> float:
        return statistics.median(getattr(timing, name) for timing in timings)

    return Timing(
        parameters=timings[0].parameters,
        step_seconds=tuple(s for timing in timings for s in timing.step_seconds),
        epoch_seconds=median("epoch_seconds"),
        file_seconds=median("file_seconds"),
        run_seconds=median("run_seconds"),
        start_seconds=median("start_seconds"),
        host_bytes=max(timing.host_bytes for timing in timings),
        device_bytes=max(timing.device_bytes for timing in timings),
    )


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def crowding(working: int) -> float:
    """How many times as long work takes here because of what else is going on; 1 if nothing is.

    Args:
        working: how many processors are about to be asked for.
    """
    try:
        others = os.getloadavg()[0]
    except OSError:
        return 1.0
    return max(1.0, (others + working) / max(processors(), working))
