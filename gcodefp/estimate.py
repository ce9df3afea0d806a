"""Estimates how long a sweep takes and how much memory its trainings need, before it starts.

A few training steps and part of the validation are timed for the cheapest, the median and the most
expensive of the sweep's configurations, by counted multiply-adds, each in a fresh process; the
others are interpolated. Runs that have ended count as done. No file is written.
"""

import argparse
import logging
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np
import psutil
import torch
from rich.console import Console

from gcodefp.command_line import (
    add_device_flags,
    add_training_flags,
    command_parser,
    positive,
    run_command,
)
from gcodefp.dataset.store import read_description, read_split
from gcodefp.errors import UserError
from gcodefp.model.data import Tensors, network_sizes, select_device
from gcodefp.model.epoch import make_optimizer, train_epoch, validate
from gcodefp.model.graphed_step import GraphedStep
from gcodefp.model.hyperparameters import Hyperparameters, parse_hyperparameters
from gcodefp.model.network import Network, NetworkSizes
from gcodefp.model.trainer import failure_class, load_training_data
from gcodefp.model.window_decoding import WINDOWS_PER_BATCH
from gcodefp.sweeps.ranking import ended_runs
from gcodefp.sweeps.sampling import ConfigurationSequence, Exhausted
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.sweeps.sweep_status import sweep_seconds
from gcodefp.terminal import data_size, duration, plain_table, plural

logger = logging.getLogger("gcodefp.estimate")

TIMED_STEPS = 3
"""Training steps of one repeat."""
REPEATS = 5
MAX_CONFIGURATIONS = 200
"""So many configurations represent those of a longer sweep."""
CUDA_CONTEXT_BYTES = 500 * 2**20
"""What each process takes of a GPU besides torch's allocator."""
OUT_OF_MEMORY = "out of memory"
COSTLY = ("batch_size", "d_model", "nhead", "num_layers", "rows_per_window", "max_epochs")
"""Hyperparameters on which a run's time or memory depends."""
MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


class Timing(NamedTuple):
    """A configuration's measured needs: seconds, and peak memory in bytes, 0 without a GPU."""

    step_seconds: float
    window_seconds: float
    host_bytes: int
    device_bytes: int


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("estimate", __doc__)
    add_training_flags(parser)
    add = parser.add_argument
    add("--agents", type=positive, default=1, help="how many work at once on this computer")
    add_device_flags(parser)
    text = "how long the steps of a configuration are timed (default: %(default)s)"
    add("--seconds", type=float, default=4.0, help=text)
    return run_command(parser, _estimate, argv)


def _estimate(arguments: argparse.Namespace) -> None:
    sweep = read_sweep(arguments.sweep)
    device = select_device(arguments.device, arguments.threads)
    description = read_description(arguments.dataset)
    sweep.check_dataset(description, arguments.sweep, arguments.dataset)
    over = [r.folder.number for r in ended_runs(arguments.runs / sweep.sweep_id, sweep.total)]
    left = sweep.total - len(over)
    if not left:
        print(f"all {sweep.total} runs are over")
        return
    configurations = unfinished_configurations(sweep, over)
    if not configurations:
        raise UserError(f"{arguments.sweep}: has no configuration left that can be trained")
    sizes, window = network_sizes(description), description.window
    work = np.array([macs_per_window(c, sizes, window) for c in configurations])
    timed = _time_three(arguments, configurations, work)
    windows = [
        len(read_split(path, description, name).window_start)
        for name, path in (("train", arguments.train), ("val", arguments.val))
    ]
    seconds = list(islice(cycle(run_seconds(timed, configurations, work, *windows)), left))
    per_run = " to ".join(dict.fromkeys(duration(s) for s in (min(seconds), max(seconds))))
    runs, agents = plural(left, "run"), plural(arguments.agents, "agent")
    total = duration(sweep_seconds(seconds, arguments.agents))
    print(f"a run takes {per_run}; {runs} by {agents}: about {total}")
    for note in _notes(sweep, arguments, device):
        print(note)
    _print_memory(list(timed.values()), arguments, device)


def unfinished_configurations(sweep: SweepFile, over: Collection[int]) -> list[Hyperparameters]:
    """Those of runs that have not ended; random draws stand for Bayesian search's.

    Warns of those that the trainer does not accept.
    """
    specification = sweep.specification
    if specification.method == "bayes":
        specification = replace(specification, method="random")
    sequence, accepted = ConfigurationSequence(specification, sweep.seed), []
    numbers = [number for number in range(sweep.total) if number not in over]
    for number in numbers[:MAX_CONFIGURATIONS]:
        try:
            values = {"seed": sweep.seed} | dict(sequence.propose(number, []).hyperparameters)
            accepted.append(parse_hyperparameters(values, f"configuration {number}"))
        except UserError as error:
            logger.warning("invalid, its run will fail: %s", error)
        except Exhausted:
            logger.info("the space has only %d configurations", number)
            break
    return accepted


def macs_per_window(hyperparameters: Hyperparameters, sizes: NetworkSizes, window: int) -> float:
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


def _time_three(
    arguments: argparse.Namespace, configurations: Sequence[Hyperparameters], work: np.ndarray
) -> dict[int, Timing]:
    """Index of a configuration -> its timing; prints them. One that fails is a warning."""
    rows = [asdict(configuration) for configuration in configurations]
    varying = [name for name in COSTLY if len({row[name] for row in rows}) > 1]
    step_work = [w * c.batch_size for w, c in zip(work, configurations, strict=True)]
    distinct = sorted({w: index for index, w in enumerate(step_work)}.items())
    timed: dict[int, Timing] = {}
    cells = []
    for rank in sorted({0, len(distinct) // 2, len(distinct) - 1}):
        index = distinct[rank][1]
        name = ", ".join(f"{key} {rows[index][key]}" for key in varying) or "all"
        logger.info("timing configuration %s", name)
        timing = time_configuration(configurations[index], arguments)
        if isinstance(timing, str):
            logger.warning("%s: %s", name, timing)
            cells.append((name, "-", timing))
        else:
            timed[index] = timing
            milliseconds, memory = 1000 * timing.step_seconds, data_size(timing.host_bytes)
            cells.append((name, f"{milliseconds:.3g}", memory))
    if not timed:
        raise UserError(f"no configuration could be timed; the last: {timing}")
    headings = "configuration", "ms per step", "memory"
    table = plain_table([*zip(headings, zip(*cells, strict=True), strict=True)], headings[:1])
    Console(markup=False, highlight=False).print(table)
    return timed


def time_configuration(
    hyperparameters: Hyperparameters, arguments: argparse.Namespace
) -> Timing | str:
    """Times a configuration in a fresh process, or returns the reason why it cannot be timed."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(time_training, hyperparameters, arguments).result()
        except BrokenProcessPool:
            return f"{OUT_OF_MEMORY}, most likely: its process was killed"
        except Exception as error:
            is_full = failure_class(error) == "out_of_memory"
            return OUT_OF_MEMORY if is_full else f"{type(error).__name__}: {error}"


def time_training(hyperparameters: Hyperparameters, arguments: argparse.Namespace) -> Timing:
    """Times training steps and validation with the trainer's own functions."""
    device = select_device(arguments.device, arguments.threads)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
    network = Network(network_sizes(data.description), hyperparameters).to(device)
    optimizer = make_optimizer(network, hyperparameters)
    train = _part(data.train, hyperparameters.batch_size * TIMED_STEPS)
    is_cuda = device.type == "cuda"
    step = GraphedStep(network, hyperparameters, train) if is_cuda else None
    steps = -(-len(train.starts) // hyperparameters.batch_size)
    repeats: list[float] = []
    while len(repeats) < REPEATS or sum(repeats) < arguments.seconds:
        # The learning rate follows its schedule: an untrained network writes blocks without an
        # end, which take longer to validate.
        epoch = min(len(repeats) + 1, hyperparameters.max_epochs)
        started = time.monotonic()
        train_epoch(network, optimizer, hyperparameters, train, epoch, step)
        repeats.append(time.monotonic() - started)
    val = _part(data.val, 2 * WINDOWS_PER_BATCH)
    started = time.monotonic()
    validate(network, hyperparameters, val)
    return Timing(
        step_seconds=statistics.median(repeats) / steps,
        window_seconds=(time.monotonic() - started) / len(val.starts),
        host_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS_BYTES,
        device_bytes=torch.cuda.max_memory_reserved(device) + CUDA_CONTEXT_BYTES if is_cuda else 0,
    )


def _part(data: Tensors, count: int) -> Tensors:
    """So many windows, evenly from the whole split."""
    total = len(data.starts)
    chosen = torch.linspace(0, total - 1, min(count, total)).long().to(data.starts.device)
    names = ("starts", "row_ranges", "row_mask")
    return replace(data, **{name: getattr(data, name)[chosen] for name in names})


def run_seconds(
    timed: dict[int, Timing],
    configurations: Sequence[Hyperparameters],
    work: np.ndarray,
    train_windows: int,
    val_windows: int,
) -> list[float]:
    """Seconds of a run of each configuration, interpolated between the timed ones by their work.

    Args:
        timed: index of a configuration -> its timing.
        work: (configurations,) multiply-adds of a window.
    """
    batches = np.array([c.batch_size for c in configurations])
    epochs = np.array([c.max_epochs for c in configurations])

    def interpolated(at: np.ndarray, seconds: dict[int, float]) -> np.ndarray:
        chosen = sorted(seconds, key=lambda index: at[index])
        return np.interp(at, at[chosen], [seconds[index] for index in chosen])

    step = interpolated(work * batches, {i: t.step_seconds for i, t in timed.items()})
    window = interpolated(work, {i: t.window_seconds for i, t in timed.items()})
    return (epochs * (-(-train_windows // batches) * step + val_windows * window)).tolist()


def _notes(sweep: SweepFile, arguments: argparse.Namespace, device: torch.device) -> Iterator[str]:
    """What the estimate does not count in."""
    needed, processors = arguments.agents * arguments.threads, psutil.cpu_count() or 1
    if needed > processors:
        yield f"{needed} processors are needed, {processors} available: it takes longer"
    if device.type == "cuda" and arguments.agents > 1:
        yield f"{arguments.agents} agents share one GPU: it may take longer"
    if sweep.specification.method == "bayes":
        yield "random configurations stand for those that bayes will propose"
    if sweep.specification.early_terminate is not None:
        yield "hyperband, which makes it shorter, is not counted in"


def _print_memory(
    timings: Sequence[Timing], arguments: argparse.Namespace, device: torch.device
) -> None:
    """Prints the peak memory of agents, with a warning where it does not fit."""
    peaks = {"memory": (max(t.host_bytes for t in timings), psutil.virtual_memory().available)}
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        peaks["GPU memory"] = (max(t.device_bytes for t in timings), total)
    for name, (peak_bytes, available_bytes) in peaks.items():
        needed = peak_bytes * arguments.agents
        agents = plural(arguments.agents, "agent")
        sizes = data_size(peak_bytes), data_size(needed), data_size(available_bytes)
        print(f"{name}: {sizes[0]} a training, {sizes[1]} for {agents}, {sizes[2]} available")
        if needed > available_bytes:
            fitting = int(available_bytes // peak_bytes)
            advice = f"take {fitting} agents, or " if fitting else ""
            logger.warning("this does not fit: %smake batch_size or d_model smaller", advice)


if __name__ == "__main__":
    sys.exit(main())
