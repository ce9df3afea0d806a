"""Estimates the time and memory of a sweep from three of its configurations, timed for real.

The configurations with the cheapest, the median and the most expensive training step, by counted
multiply-adds, train for a few steps, each in a fresh process whose memory is watched. The others
are interpolated between them.
"""

import logging
import multiprocessing
import statistics
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch

from gcodefp.errors import UserError
from gcodefp.model.data import Tensors, network_sizes, select_device
from gcodefp.model.epoch import make_optimizer, train_epoch, validate
from gcodefp.model.hyperparameters import Hyperparameters, parse_hyperparameters
from gcodefp.model.network import Network, Sizes
from gcodefp.model.trainer import failure_class, load_training_data
from gcodefp.model.window_decoding import WINDOWS_PER_BATCH
from gcodefp.sweeps.sampling import ConfigurationSequence, Exhausted
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.sweep_status import sweep_seconds
from gcodefp.terminal import data_size, duration

logger = logging.getLogger(__name__)

TIMED_STEPS = 3
"""Training steps of one repeat."""
REPEATS = 5
MAX_CONFIGURATIONS = 200
"""So many configurations represent those of a longer sweep."""
CUDA_CONTEXT_BYTES = 500 * 2**20
"""What each process takes of a GPU besides torch's allocator."""
MEMORY_POLL_SECONDS = 0.005
OUT_OF_MEMORY = "out of memory"
COSTLY = ("batch_size", "d_model", "nhead", "num_layers", "rows_per_window", "max_epochs")
"""Hyperparameters on which a run's time or memory depends."""


class TimingCandidate(NamedTuple):
    """A configuration, and the multiply-adds of one training step and of one window."""

    hyperparameters: Hyperparameters
    macs_per_step: float
    macs_per_window: float


class Timing(NamedTuple):
    """A configuration's measured needs.

    Attributes:
        step_seconds: of a training step.
        window_seconds: of validating a window.
        host_bytes: peak memory of the process.
        device_bytes: peak memory on the GPU; 0 without one.
    """

    step_seconds: float
    window_seconds: float
    host_bytes: int
    device_bytes: int


class Timed(NamedTuple):
    """A configuration with its timing, or with the reason why there is none."""

    candidate: TimingCandidate
    timing: Timing | str


@dataclass(frozen=True)
class TimingConfig:
    """What all timed configurations share; `seconds` is how long training steps are timed."""

    dataset: Path
    train: Path
    val: Path
    device: str
    threads: int
    seconds: float


def unfinished_configurations(sweep: SweepFile, over: Collection[int]) -> Iterator[dict[str, Any]]:
    """The hyperparameters of runs that have not ended; random draws stand for Bayesian search's."""
    specification = sweep.specification
    if specification.method == "bayes":
        specification = replace(specification, method="random")
    sequence = ConfigurationSequence(specification, sweep.seed)
    numbers = [number for number in range(sweep.total) if number not in over]
    for number in numbers[:MAX_CONFIGURATIONS]:
        try:
            proposal = sequence.propose(number, [])
        except Exhausted:
            logger.info("the space has only %d configurations", number)
            return
        yield {"seed": sweep.seed} | dict(proposal.hyperparameters)


def candidates(
    configurations: Iterable[dict[str, Any]], sizes: Sizes, window: int
) -> list[TimingCandidate]:
    """The configurations that the trainer accepts, by the work of a step; warns of the others."""
    accepted = []
    for number, values in enumerate(configurations):
        try:
            hyperparameters = parse_hyperparameters(values, f"configuration {number}")
        except UserError as error:
            logger.warning("invalid, its run will fail: %s", error)
            continue
        macs_per_window = _macs_per_window(hyperparameters, sizes, window)
        macs_per_step = hyperparameters.batch_size * macs_per_window
        accepted.append(TimingCandidate(hyperparameters, macs_per_step, macs_per_window))
    return sorted(accepted, key=lambda candidate: candidate.macs_per_step)


def _macs_per_window(hyperparameters: Hyperparameters, sizes: Sizes, window: int) -> float:
    """Multiply-adds of a forward pass over one window, about."""
    with torch.device("meta"):
        network = Network(sizes, hyperparameters)

    def weights(*modules: torch.nn.Module) -> int:
        return sum(p.numel() for module in modules for p in module.parameters())

    attention = 2 * hyperparameters.num_layers * window * hyperparameters.d_model
    encode = window * (weights(network.stem, network.encoder) + attention)
    heads = [child for name, child in network.named_children() if name.endswith("_head")]
    rows = min(hyperparameters.rows_per_window, window)
    return encode + rows * sizes.steps * weights(network.decoder, *heads)


def select_timed(configurations: Sequence[TimingCandidate]) -> list[TimingCandidate]:
    """The cheapest, the median and the most expensive of sorted configurations, each once."""
    distinct = list({candidate.macs_per_step: candidate for candidate in configurations}.values())
    chosen = sorted({0, len(distinct) // 2, len(distinct) - 1})
    return [distinct[index] for index in chosen]


def configuration_name(
    candidate: TimingCandidate, configurations: Sequence[TimingCandidate]
) -> str:
    """The hyperparameters that vary among the configurations and cost time or memory."""
    rows = [asdict(other.hyperparameters) for other in configurations]
    varying = [name for name in COSTLY if len({row[name] for row in rows}) > 1]
    values = asdict(candidate.hyperparameters)
    return ", ".join(f"{name} {values[name]}" for name in varying) or "all"


def time_configuration(hyperparameters: Hyperparameters, config: TimingConfig) -> Timing | str:
    """Times a configuration in a fresh process, or returns the reason why it cannot be timed."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_time, args=(sender, hyperparameters, config))
    process.start()
    sender.close()
    peak_bytes = 0
    try:
        while not receiver.poll(MEMORY_POLL_SECONDS):
            peak_bytes = max(peak_bytes, _resident_bytes(process.pid))
        result: Timing | str = receiver.recv()
    except EOFError:
        result = f"{OUT_OF_MEMORY}, most likely: its process was killed"
    finally:
        process.kill()
        process.join()
    return result if isinstance(result, str) else result._replace(host_bytes=peak_bytes)


def _resident_bytes(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _time(sender: Connection, hyperparameters: Hyperparameters, config: TimingConfig) -> None:
    """Runs in a process of its own."""
    try:
        sender.send(time_training(hyperparameters, config))
    except Exception as error:
        is_full = failure_class(error) == "out_of_memory"
        sender.send(OUT_OF_MEMORY if is_full else f"{type(error).__name__}: {error}")


def time_training(hyperparameters: Hyperparameters, config: TimingConfig) -> Timing:
    """Times training steps and validation with the trainer's own functions.

    Its `host_bytes` are 0: the process that started this one measures them.
    """
    device = select_device(config.device, config.threads)
    data = load_training_data(config.dataset, config.train, config.val, device)
    network = Network(network_sizes(data.description), hyperparameters).to(device)
    optimizer = make_optimizer(network, hyperparameters)
    train = _part(data.train, hyperparameters.batch_size * TIMED_STEPS)
    steps = -(-len(train.starts) // hyperparameters.batch_size)
    repeats: list[float] = []
    while len(repeats) < REPEATS or sum(repeats) < config.seconds:
        # The learning rate follows its schedule: an untrained network writes blocks without an
        # end, which take longer to validate.
        epoch = min(len(repeats) + 1, hyperparameters.max_epochs)
        started = time.monotonic()
        train_epoch(network, optimizer, hyperparameters, train, epoch)
        repeats.append(time.monotonic() - started)
    val = _part(data.val, 2 * WINDOWS_PER_BATCH)
    started = time.monotonic()
    validate(network, hyperparameters, val)
    is_cuda = device.type == "cuda"
    return Timing(
        step_seconds=statistics.median(repeats) / steps,
        window_seconds=(time.monotonic() - started) / len(val.starts),
        host_bytes=0,
        device_bytes=torch.cuda.max_memory_reserved(device) + CUDA_CONTEXT_BYTES if is_cuda else 0,
    )


def _part(data: Tensors, count: int) -> Tensors:
    """So many windows, evenly from the whole split."""
    total = len(data.starts)
    chosen = torch.linspace(0, total - 1, min(count, total)).long().to(data.starts.device)
    names = ("starts", "contiguous_ranges", "row_mask")
    return replace(data, **{name: getattr(data, name)[chosen] for name in names})


def run_seconds(
    timed: Sequence[Timed],
    configurations: Sequence[TimingCandidate],
    train_windows: int,
    val_windows: int,
) -> list[float]:
    """Seconds of a run of each configuration, interpolated between the timed ones by their work."""
    pairs = [(c, timing) for c, timing in timed if isinstance(timing, Timing)]
    step = np.interp(
        [c.macs_per_step for c in configurations],
        [c.macs_per_step for c, _ in pairs],
        [timing.step_seconds for _, timing in pairs],
    )
    by_window = sorted((c.macs_per_window, timing.window_seconds) for c, timing in pairs)
    window = np.interp(
        [c.macs_per_window for c in configurations],
        [work for work, _ in by_window],
        [seconds for _, seconds in by_window],
    )
    epochs = np.array([c.hyperparameters.max_epochs for c in configurations])
    steps = np.array([-(-train_windows // c.hyperparameters.batch_size) for c in configurations])
    return [float(seconds) for seconds in epochs * (steps * step + val_windows * window)]


def time_line(seconds: Sequence[float], left: int, agents: int) -> str:
    """Seconds per run and for the sweep, as `a run takes 5 s to 9 s; 8 runs by 2 agents: …`.

    Args:
        seconds: of runs that represent those left.
        left: how many runs are left.
    """
    all_seconds = list(islice(cycle(seconds), left))
    total = duration(sweep_seconds(all_seconds, agents))
    per_run = " to ".join(dict.fromkeys(duration(s) for s in (min(seconds), max(seconds))))
    runs, workers = _count(left, "run"), _count(agents, "agent")
    return f"a run takes {per_run}; {runs} by {workers}: about {total}"


def memory_line(peak_bytes: int, agents: int, available_bytes: int) -> tuple[str, bool]:
    """Peak memory of a training and of all agents, and whether that fits."""
    needed = peak_bytes * agents
    text = (
        f"{data_size(peak_bytes)} a training, {data_size(needed)} for {_count(agents, 'agent')}, "
        f"{data_size(available_bytes)} available"
    )
    return text, needed <= available_bytes


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
