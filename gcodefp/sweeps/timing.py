"""What a run costs: a few of its steps are timed, in the trainer's code, and memory is measured."""

import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BrokenBarrierError
from typing import Any, NamedTuple

import torch

from gcodefp.model.data import Tensors, network_sizes, select_device
from gcodefp.model.epoch import make_optimizer, train_epoch, validate
from gcodefp.model.hyperparameters import Hyperparameters, Objective
from gcodefp.model.network import Network
from gcodefp.model.scores import row_scores
from gcodefp.model.trainer import TrainingData, failure_class, load_training_data, train
from gcodefp.model.window_decoding import WINDOWS_PER_BATCH

STEPS_PER_REPEAT = 3
REPEATS = 5
VALIDATION_REPEATS = 3
CUDA_CONTEXT_BYTES = 500 * 2**20
"""What each process takes of a GPU besides what torch's allocator counts."""


@dataclass(frozen=True)
class Timing:
    """What a configuration was seen to need.

    Attributes:
        parameters: of the network.
        step_seconds: a training step's mean, repeat by repeat.
        epoch_seconds: of all training steps and the validation.
        file_seconds: of writing an epoch's files.
        run_seconds: of building the network and writing its checkpoint, once a run.
        start_seconds: of what only the first run of a process waits for.
        host_bytes: the process's peak memory.
        device_bytes: its peak on the GPU; 0 without one.
    """

    parameters: int
    step_seconds: tuple[float, ...]
    epoch_seconds: float
    file_seconds: float
    run_seconds: float
    start_seconds: float
    host_bytes: int
    device_bytes: int


def time_training(
    hyperparameters: Hyperparameters,
    data: TrainingData,
    device: torch.device,
    scratch: Path,
    seconds: float,
) -> Timing:
    """Times a configuration in this process, which should be a fresh one.

    Args:
        scratch: a folder on the disk that will hold the runs.
        seconds: how long training steps are timed.
    """
    cold = _time_short_run(hyperparameters, data, device, scratch)
    warm = _time_short_run(hyperparameters, data, device, scratch)
    network = Network(network_sizes(data.description), hyperparameters).to(device)
    step_seconds = _time_steps(network, hyperparameters, data.train, seconds)
    validation_seconds = _time_validation(network, hyperparameters, data.val)
    _fill_scores(data.val)
    cuda = device.type == "cuda"
    steps = -(-len(data.train.starts) // hyperparameters.batch_size)
    return Timing(
        parameters=sum(p.numel() for p in network.parameters()),
        step_seconds=step_seconds,
        epoch_seconds=statistics.median(step_seconds) * steps + validation_seconds,
        file_seconds=warm.file_seconds,
        run_seconds=warm.other_seconds,
        start_seconds=max(0.0, cold.seconds - warm.seconds),
        host_bytes=_peak_host_bytes(),
        device_bytes=torch.cuda.max_memory_reserved(device) + CUDA_CONTEXT_BYTES if cuda else 0,
    )


class _ShortRun(NamedTuple):
    """Seconds of all, of an epoch's files, and of what is neither learning nor these."""

    seconds: float
    file_seconds: float
    other_seconds: float


def _time_short_run(
    hyperparameters: Hyperparameters, data: TrainingData, device: torch.device, scratch: Path
) -> _ShortRun:
    """A few steps, with all that the trainer does around them."""
    short = replace(hyperparameters, max_epochs=3, learning_rate=1e-5)
    part = TrainingData(
        data.description,
        _part(data.train, hyperparameters.batch_size),
        _part(data.val, WINDOWS_PER_BATCH),
    )
    told: list[float] = []

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        told.append(time.monotonic() - metrics["seconds"])
        return False

    started = time.monotonic()
    with TemporaryDirectory(dir=scratch) as folder:
        result = train(short, part, Objective("val/loss", "minimize"), Path(folder), report)
        seconds = time.monotonic() - started
    file_seconds = max(0.0, told[-1] - told[0]) / (len(told) - 1)
    other_seconds = seconds - result.seconds - len(told) * file_seconds
    return _ShortRun(seconds, file_seconds, max(0.0, other_seconds))


def _time_steps(
    network: Network, hyperparameters: Hyperparameters, data: Tensors, seconds: float
) -> tuple[float, ...]:
    optimizer = make_optimizer(network, hyperparameters)
    part = _part(data, hyperparameters.batch_size * STEPS_PER_REPEAT)
    steps = -(-len(part.starts) // hyperparameters.batch_size)
    taken: list[float] = []
    while len(taken) < REPEATS or sum(taken) < seconds:
        # The schedule goes on, so that the network learns how long blocks are: that of one that
        # knows nothing has no end, and takes longer to validate.
        epoch = min(len(taken) + 1, hyperparameters.max_epochs)
        taken.append(_seconds(train_epoch, network, optimizer, hyperparameters, part, epoch))
    return tuple(repeat / steps for repeat in taken)


def _time_validation(network: Network, hyperparameters: Hyperparameters, data: Tensors) -> float:
    """Seconds of the whole split, of which a part is timed."""
    part = _part(data, 2 * WINDOWS_PER_BATCH)
    repeats = [
        _seconds(validate, network, hyperparameters, part) for _ in range(VALIDATION_REPEATS)
    ]
    return statistics.median(repeats) * len(data.starts) / len(part.starts)


def _fill_scores(data: Tensors) -> None:
    """Scores as many rows as the split has: a part of it would not show the memory that takes."""
    codes, operation = data.codes.cpu().numpy(), data.operation.cpu().numpy()
    written = codes.copy()
    row_scores(written.copy(), codes.copy(), operation, operation)


def _seconds(function: Callable[..., object], *arguments: object) -> float:
    started = time.monotonic()
    function(*arguments)  # Its numbers are read from the device, so the device is done.
    return time.monotonic() - started


def _part(data: Tensors, count: int) -> Tensors:
    """So many windows, from all over the split."""
    total = len(data.starts)
    chosen = torch.linspace(0, total - 1, min(count, total)).long().to(data.starts.device)
    of_windows = {name: getattr(data, name)[chosen] for name in ("starts", "segments", "row_mask")}
    return replace(data, **of_windows)


def _peak_host_bytes() -> int:
    try:
        # Not ru_maxrss, which a process inherits from the one that started it.
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    kibibytes = status.partition("VmHWM:")[2].split(maxsplit=1)[0]
    return int(kibibytes) * 1024


# Times configurations in processes of their own, as many at once as agents will work.
#
# Memory that was once used shows in a process until it ends, so every configuration has a fresh
# one; and agents that work side by side slow each other, even where each has a processor.

PATIENCE_SECONDS = 300.0
"""How long a process waits for the others before it starts without them."""
FULL = "out of memory"

_others: Any = None
"""In a timing process: the barrier where it waits for those beside it."""


@dataclass(frozen=True)
class TimingConfig:
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
    hyperparameters: Hyperparameters, surroundings: TimingConfig, at_once: int
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


def _time(hyperparameters: Hyperparameters, here: TimingConfig, asked_at: float) -> Timing | str:
    """Runs in a process of its own.

    Args:
        asked_at: the time of day at which the process was asked for.
    """
    try:
        device = select_device(here.device, here.threads)
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


CGROUPS = {"": ("", "memory.max"), "memory": ("memory", "memory.limit_in_bytes")}
"""Controller as /proc/self/cgroup names it (none: version 2) -> its folder, the file of a limit."""


def available_host_bytes() -> int:
    """What processes may still take of this machine, or of the job or container they are in."""
    return min(_free_bytes(), *limits())


def available_device_bytes(device: torch.device) -> int:
    """The memory of a GPU."""
    return torch.cuda.get_device_properties(device).total_memory


def _free_bytes() -> int:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
        return int(text.partition("MemAvailable:")[2].split(maxsplit=1)[0]) * 1024
    except (OSError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def limits(
    root: Path = Path("/sys/fs/cgroup"), proc: Path = Path("/proc/self/cgroup")
) -> Iterator[int]:
    """The limits of the groups that this process is in; an outer group's holds too."""
    try:
        lines = proc.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in CGROUPS:
            continue
        folder, name = CGROUPS[controllers]
        place = root / folder
        for part in ("", *Path(path.lstrip("/")).parts):
            place = place / part
            try:
                limit = (place / name).read_text(encoding="ascii").strip()
            except OSError:
                continue
            if limit.isdigit():
                yield int(limit)
