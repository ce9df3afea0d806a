"""Several processes that do one agent's work side by side, on the same GPU."""

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection
from pathlib import Path
from typing import Any

from gcodefp.command_line import log_handlers
from gcodefp.errors import UserError


def in_workers(work: Callable[[Any], int], tasks: Sequence[Any], log_file: Path | None) -> int:
    """The sum of `work` of each task, every task in a process of its own.

    Workers whose parent is killed end too. All of them have ended when this one returns or raises.

    Raises:
        UserError: a worker was killed; that ends the others.
        Exception: what the first task that failed has raised.
    """
    # Forked processes could not use CUDA; and each has to set its own number of threads.
    context = multiprocessing.get_context("spawn")
    numbers, name = context.Value("i", 0), log_file.stem if log_file else "agent"
    with ProcessPoolExecutor(
        len(tasks), context, initializer=_begin, initargs=(numbers, name, log_file)
    ) as pool:
        futures = [pool.submit(work, task) for task in tasks]
        wait(futures)
    try:
        return sum(future.result() for future in futures)
    except BrokenProcessPool as error:
        raise UserError(
            f"one of {len(tasks)} workers was killed, most often for want of memory; give the "
            "agent more (mem_mb in the profile) or lower agents.per_gpu in config.yaml; an agent "
            "that is started again goes on"
        ) from error


def _begin(numbers: Any, name: str, log_file: Path | None) -> None:
    """Writes the same log as the others, under an own number, and does not outlive the parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only children are workers"

    def follow() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=follow, name="follows its parent", daemon=True).start()
    with numbers.get_lock():
        numbers.value += 1
        number = numbers.value
    logger = logging.getLogger("gcodefp")
    logger.setLevel(logging.INFO)
    for handler in log_handlers(f"{name}.{number}", log_file, mode="a"):
        logger.addHandler(handler)
