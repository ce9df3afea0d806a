"""One GPU for each agent of a host, held by a lock that dies with its process."""

import fcntl
import itertools
import logging
import multiprocessing
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path
from typing import Any, cast

from gcodefp.cluster.interrupt import INTERRUPT, signals_deferred
from gcodefp.command_line import log_handlers
from gcodefp.errors import UserError

logger = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"


def visible_gpu() -> str | None:
    """CUDA_VISIBLE_DEVICES of this process; None if it is not set."""
    return os.environ.get(VISIBLE)


@contextmanager
def assign_gpu(device: str) -> Iterator[None]:
    """Sets CUDA_VISIBLE_DEVICES to the GPU that has the fewest agents, until the block ends.

    Sets CUDA_DEVICE_ORDER too, unless the user has. Chooses among the GPUs that the user has named;
    changes nothing if only one is visible, as in a SLURM job with one GPU. Has to come before CUDA
    is used.

    Args:
        device: auto, cpu, cuda or mps.
    """
    gpus = _gpus() if device in ("auto", "cuda") else []
    if len(gpus) < 2:
        yield
        return
    folder = Path(tempfile.gettempdir()) / f"gcodefp-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    gpu, lock = _lock_gpu(folder, gpus)
    before = {name: os.environ.get(name) for name in (VISIBLE, ORDER)}
    # The numbers are then nvidia-smi's; by default CUDA puts the fastest GPU first.
    os.environ.setdefault(ORDER, "PCI_BUS_ID")
    os.environ[VISIBLE] = gpu
    logger.info("takes GPU %s of %s", gpu, ", ".join(gpus))
    try:
        yield
    finally:
        os.close(lock)
        for name, value in before.items():
            os.environ.pop(name, None)
            os.environ.update({} if value is None else {name: value})


def _gpus() -> list[str]:
    """The GPUs of this host that may be used, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get(VISIBLE)
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = [line for line in done.stdout.splitlines() if line.startswith("GPU ")]
    return [str(number) for number in range(len(lines))] if done.returncode == 0 else []


def _lock_gpu(folder: Path, gpus: list[str]) -> tuple[str, int]:
    """A GPU and the open lock that holds it: the first slot of every GPU, then the second, …"""
    for slot in itertools.count():
        for gpu in gpus:
            name = f"{gpu.replace('/', '_')}.{slot}"
            lock = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
            else:
                return gpu, lock
    raise AssertionError("slots do not end")


def warn_of_time_slices(device: str, workers: int) -> None:
    """Logs that processes take turns on a GPU without NVIDIA's Multi-Process Service.

    Args:
        device: auto, cpu, cuda or mps (of a Mac).
        workers: processes that train on one GPU.
    """
    pipes = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))
    if workers > 1 and device in ("auto", "cuda") and not (pipes / "control").exists() and _gpus():
        logger.warning(
            "%d trainings share one GPU without NVIDIA's Multi-Process Service, and take turns, "
            "which can be slower than one alone; start it before the agents "
            "(nvidia-cuda-mps-control -d), or set agents.per_gpu to 1",
            workers,
        )


def run_in_workers(work: Callable[[Any], int], tasks: Sequence[Any], log_file: Path | None) -> int:
    """The sum of `work` over tasks, each in a process of its own.

    Workers end when their parent is killed, and before this function returns or raises. They share
    the request of INTERRUPT.

    Raises:
        UserError: a worker was killed; that ends the others.
        Exception: the error of the first task that failed.
    """
    # Forked processes could not use CUDA, nor set their own number of threads.
    context = multiprocessing.get_context("spawn")
    numbers, name = context.Value("i", 0), log_file.stem if log_file else "agent"
    shared = numbers, INTERRUPT.level, name, log_file
    with ProcessPoolExecutor(len(tasks), context, _start_worker, shared) as pool:
        with signals_deferred():
            futures = [pool.submit(work, task) for task in tasks]
            # The pool lists the processes that it watches before it starts one for this submit.
            # Without one more submit it may not watch the last one, and not notice its death.
            pool.submit(int)
        try:
            wait(futures)
        except KeyboardInterrupt:
            for worker in multiprocessing.active_children():
                with suppress(ProcessLookupError):
                    os.kill(cast(int, worker.pid), signal.SIGINT)
            raise
    try:
        return sum(future.result() for future in futures)
    except BrokenProcessPool as error:
        raise UserError(
            f"one of {len(tasks)} workers was killed, most often for lack of memory; give the "
            "agent more (mem_mb in the profile) or lower agents.per_gpu in config.yaml; an agent "
            "that is started again resumes them"
        ) from error


def _start_worker(numbers: Any, level: Any, name: str, log_file: Path | None) -> None:
    """Writes to the shared log under a number of its own, and ends with the parent."""
    INTERRUPT.follow(level)
    parent = multiprocessing.parent_process()
    assert parent is not None, "only children are workers"

    def end_with_parent() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, name="ends with its parent", daemon=True).start()
    with numbers.get_lock():
        numbers.value += 1
        number = numbers.value
    logger = logging.getLogger("gcodefp")
    logger.setLevel(logging.INFO)
    for handler in log_handlers(f"{name}.{number}", log_file, mode="a"):
        logger.addHandler(handler)
