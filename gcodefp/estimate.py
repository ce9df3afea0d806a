"""Estimates how long a sweep takes and how much memory its trainings need, before it starts.

A few training steps and part of the validation are timed for the cheapest, the median and the most
expensive of the sweep's configurations; the others are interpolated. Runs that have ended count as
done. No file is written.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

import psutil
import torch
from rich.console import Console

from gcodefp.command_line import DEVICES, add_training_flags, positive, run_step, step_parser
from gcodefp.dataset.store import read_description, read_split
from gcodefp.errors import UserError
from gcodefp.model.data import network_sizes, select_device
from gcodefp.sweeps.estimation import (
    Timed,
    Timing,
    TimingCandidate,
    TimingConfig,
    candidates,
    configuration_name,
    memory_line,
    run_seconds,
    select_timed,
    time_configuration,
    time_line,
    unfinished_configurations,
)
from gcodefp.sweeps.ranking import ended_runs
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.terminal import data_size, plain_table

logger = logging.getLogger("gcodefp.estimate")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("estimate", __doc__)
    add_training_flags(parser)
    add = parser.add_argument
    add("--agents", type=positive, default=1, help="how many work at once on this machine")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1, help="CPU threads of each agent")
    add(
        "--seconds",
        type=float,
        default=4.0,
        help="how long the steps of a configuration are timed (default: %(default)s)",
    )
    return run_step(parser, _estimate, argv)


def _estimate(arguments: argparse.Namespace) -> None:
    sweep = read_sweep(arguments.sweep)
    device = select_device(arguments.device, arguments.threads)
    description = read_description(arguments.dataset)
    if description.learning_digest() != sweep.document["learning_digest"]:
        raise UserError(
            f"{arguments.sweep}: is a sweep over another dataset than {arguments.dataset}; "
            "run create_sweep again"
        )
    ended = ended_runs(arguments.runs / sweep.sweep_id, sweep.total)
    left = sweep.total - len(ended)
    if not left:
        print(f"all {sweep.total} runs are over")
        return
    over = [run.folder.number for run in ended]
    configurations = candidates(
        unfinished_configurations(sweep, over), network_sizes(description), description.window
    )
    if not configurations:
        raise UserError(f"{arguments.sweep}: has no configuration left that can be trained")
    timed = _time(arguments, configurations, device)
    windows = [
        len(read_split(path, description, name).window_start)
        for name, path in (("train", arguments.train), ("val", arguments.val))
    ]
    Console(markup=False, highlight=False).print(_table(timed, configurations))
    print(time_line(run_seconds(timed, configurations, *windows), left, arguments.agents))
    for note in _notes(sweep, arguments, device):
        print(note)
    _report_memory([t.timing for t in timed if isinstance(t.timing, Timing)], arguments, device)


def _time(
    arguments: argparse.Namespace, configurations: Sequence[TimingCandidate], device: torch.device
) -> list[Timed]:
    """Times three configurations; one that fails is a warning, as long as another does not."""
    chosen = select_timed(configurations)
    paths = arguments.dataset, arguments.train, arguments.val
    config = TimingConfig(*paths, device.type, arguments.threads, arguments.seconds)
    timed = []
    for number, candidate in enumerate(chosen, 1):
        name = configuration_name(candidate, configurations)
        logger.info("timing configuration %d of %d: %s", number, len(chosen), name)
        timing = time_configuration(candidate.hyperparameters, config)
        if isinstance(timing, str):
            logger.warning("%s: %s", name, timing)
        timed.append(Timed(candidate, timing))
    if not any(isinstance(t.timing, Timing) for t in timed):
        raise UserError(f"no configuration could be timed; the last: {timed[-1].timing}")
    return timed


def _table(timed: Sequence[Timed], configurations: Sequence[TimingCandidate]) -> object:
    """The timed configurations, with what was measured."""
    timings = [timing for _, timing in timed]
    columns = {
        "configuration": [configuration_name(candidate, configurations) for candidate, _ in timed],
        "ms per step": [
            "-" if isinstance(t, str) else f"{1000 * t.step_seconds:.3g}" for t in timings
        ],
        "memory": [t if isinstance(t, str) else data_size(t.host_bytes) for t in timings],
    }
    return plain_table(list(columns.items()), left=("configuration",))


def _notes(sweep: SweepFile, arguments: argparse.Namespace, device: torch.device) -> list[str]:
    """What the estimate does not count in."""
    notes = []
    needed, processors = arguments.agents * arguments.threads, psutil.cpu_count() or 1
    if needed > processors:
        notes.append(f"{needed} processors are needed, {processors} available: it takes longer")
    if device.type == "cuda" and arguments.agents > 1:
        notes.append(f"{arguments.agents} agents share one GPU: it may take longer")
    if sweep.specification.method == "bayes":
        notes.append("random configurations stand for those that bayes will propose")
    if sweep.specification.early_terminate:
        notes.append("early termination, which makes it shorter, is not counted in")
    return notes


def _report_memory(
    timings: Sequence[Timing], arguments: argparse.Namespace, device: torch.device
) -> None:
    """Prints the peak memory of agents, with a warning where it does not fit."""
    peaks = {"memory": (max(t.host_bytes for t in timings), psutil.virtual_memory().available)}
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        peaks["GPU memory"] = (max(t.device_bytes for t in timings), total)
    for name, (peak_bytes, available_bytes) in peaks.items():
        text, fits = memory_line(peak_bytes, arguments.agents, available_bytes)
        print(f"{name}: {text}")
        if not fits:
            fitting = int(available_bytes // peak_bytes)
            advice = f"take {fitting} agents, or " if fitting else ""
            logger.warning("this does not fit: %smake batch_size or d_model smaller", advice)


if __name__ == "__main__":
    sys.exit(main())
