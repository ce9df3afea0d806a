"""Says how long a sweep will take and how much memory it needs, before any of it is paid for.

A few training steps and a part of the validation are timed for the smallest, the median and the
largest of the sweep's configurations, in as many processes at once as agents will work; the others
are taken to lie between. Nothing is kept of it. Runs that are over count as done, and show how far
the timing is right.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.store import Description, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.model.data import DEVICES, network_sizes, select_device
from gcodefp.sweeps.estimation import (
    Candidate,
    Crew,
    DatasetSize,
    Evidence,
    Timed,
    asked_of_runs,
    candidates,
    labels,
    memory_lines,
    memory_needs,
    seconds_left,
    table,
    time_line,
    to_be_timed,
)
from gcodefp.sweeps.ranking import ended_runs
from gcodefp.sweeps.run_folder import COUNTED
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.sweeps.timing import (
    FULL,
    Timing,
    TimingConfig,
    available_device_bytes,
    available_host_bytes,
    crowding,
    processors,
    time_configuration,
)

logger = logging.getLogger("gcodefp.estimate")

BUSY = 1.2
"""A crowding that is worth a word."""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("estimate", __doc__)

    def add_path(flag: str, default: str, text: str) -> None:
        help_text = f"{text} (default: %(default)s)"
        parser.add_argument(flag, type=Path, default=Path(default), help=help_text)

    add_path("--sweep", "results/sweep/sweep.json", "sweep.json")
    add_path("--train", "results/dataset/train.npz", "train.npz")
    add_path("--val", "results/dataset/val.npz", "val.npz")
    add_path("--dataset", "results/dataset/dataset.json", "dataset.json")
    add_path("--runs", "results/runs", "folder that keeps the runs of all sweeps")
    parser.add_argument(
        "--agents", type=positive, default=1, help="how many work at once on this machine"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--threads", type=positive, default=1, help="CPU threads of each agent")
    parser.add_argument(
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
    counted = network_sizes(description), _extent(arguments, description), device.type
    over = [run.folder.number for run in ended]
    known = candidates(asked_of_runs(sweep, over), *counted)
    if not known:
        raise UserError(f"{arguments.sweep}: has no configuration left that can be trained")
    agents = min(arguments.agents, left)
    places = min(agents, max(1, processors() // arguments.threads))
    crew = Crew(agents, places, crowding(places * arguments.threads))
    timed = _time(arguments, known, device, places)
    evidence = [
        Evidence(c.workload.work, run.content["seconds"] / run.content["epochs"])
        for run in ended
        if run.content["state"] in COUNTED
        for c in candidates([run.content["hyperparameters"]], *counted)
    ]
    rule = sweep.specification.early_terminate
    seconds = seconds_left(timed, known, left, evidence, crew, rule)
    print(table(timed, known, device.type == "cuda"))
    print("\n".join(_circumstances(sweep, left, crew, len(evidence), device)))
    print(time_line(seconds, arguments.agents))
    _tell_memory(timed, known, agents, device)


def _extent(arguments: argparse.Namespace, description: Description) -> DatasetSize:
    paths = {"train": arguments.train, "val": arguments.val}
    windows = {n: len(read_split(p, description, n).window_start) for n, p in paths.items()}
    return DatasetSize(windows["train"], windows["val"], description.window)


def _time(
    arguments: argparse.Namespace, known: Sequence[Candidate], device: torch.device, at_once: int
) -> list[Timed]:
    """Times the configurations that show most; one that fails is no reason to stop."""
    chosen = to_be_timed(known)
    surroundings = TimingConfig(
        arguments.dataset,
        arguments.train,
        arguments.val,
        arguments.runs,
        device.type,
        arguments.threads,
        arguments.seconds,
    )
    timed = []
    for number, (name, candidate) in enumerate(zip(labels(chosen, known), chosen, strict=True), 1):
        logger.info("timing configuration %d of %d: %s", number, len(chosen), name)
        timing = time_configuration(candidate.hyperparameters, surroundings, at_once)
        if isinstance(timing, str):
            step_bytes = candidate.workload.step_bytes
            larger = sum(c.workload.step_bytes >= step_bytes for c in known)
            also = f"; {larger} of {len(known)} configurations need as much" if larger > 1 else ""
            logger.warning("%s: %s%s", name, timing, also if FULL in timing else "")
        timed.append(Timed(candidate, timing))
    if not any(isinstance(t.timing, Timing) for t in timed):
        raise UserError(f"no configuration could be timed; the last: {timed[-1].timing}")
    return timed


def _circumstances(
    sweep: SweepFile, left: int, crew: Crew, evidence: int, device: torch.device
) -> list[str]:
    """What has to be known to read the estimate."""
    lines = [f"{left} of {sweep.total} runs are left; timed {crew.places} at once"]
    if evidence:
        lines.append(f"scaled to the time that {evidence} runs took that are over")
    elif crew.crowding > BUSY:
        lines.append("this machine has other work too, and with that the time may rise or fall")
    if crew.agents > crew.places:
        lines.append(f"{crew.agents} agents share the processors of {crew.places}, and are slower")
    if device.type == "cuda" and crew.agents > 1:
        lines.append(f"{crew.agents} agents share one GPU")
    if sweep.specification.method == "bayes":
        lines.append("what bayes will propose is not known; random configurations stand for it")
    if sweep.specification.early_terminate:
        lines.append("the interval reaches from early termination at its most effective to none")
    return lines


def _tell_memory(
    timed: Sequence[Timed], known: Sequence[Candidate], agents: int, device: torch.device
) -> None:
    places = {"memory": (False, available_host_bytes())}
    if device.type == "cuda":
        places["GPU memory"] = (True, available_device_bytes(device))
    for name, (on_device, available) in places.items():
        needs = memory_needs(timed, known, on_device)
        text, warning = memory_lines(needs, agents, available, name)
        print(text)
        if warning:
            logger.warning("%s", warning)


if __name__ == "__main__":
    sys.exit(main())
