"""What a run costs: a few of its steps are timed, in the trainer's code, and memory is measured."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch

from gcodefp.learning.epoch import train_epoch, validate
from gcodefp.learning.hyperparameters import Hyperparameters
from gcodefp.learning.network import Network
from gcodefp.learning.objective import Objective
from gcodefp.learning.optimizer import make_optimizer
from gcodefp.learning.predict import WINDOWS_PER_BATCH
from gcodefp.learning.scores import row_scores
from gcodefp.learning.tensors import Tensors, sizes_of
from gcodefp.learning.trainer import TrainingData, train

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
    network = Network(sizes_of(data.description), hyperparameters).to(device)
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
        result = train(short, part, Objective("val/loss", "minimize"), Path(folder), report, device)
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
    of_windows = {name: getattr(data, name)[chosen] for name in ("starts", "stretches", "speaks")}
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
