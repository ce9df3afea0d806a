"""Trains runs of a sweep, one after the other, until none is left.

Any number of agents may work on a sweep, on any hosts that share the folder. A killed agent loses
at most its current epoch: another agent, or the same one started again, resumes its run. In a
SLURM job an agent ends after an epoch, before the job's time limit ends it.

Ctrl-C ends it after its run, a second one at the epoch, a third one at once. SIGTERM ends it at the
epoch. Runs that are left resume when an agent is started again.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean

from gcodefp.cluster.gpus import assign_gpu, run_in_workers, warn_of_time_slices
from gcodefp.cluster.interrupt import AFTER_RUN, AT_EPOCH, INTERRUPT, Interrupted
from gcodefp.cluster.job import Deadline, OutOfTime, end_early, open_deadline
from gcodefp.command_line import (
    add_device_flags,
    add_training_flags,
    command_parser,
    not_negative,
    positive,
    run_command,
)
from gcodefp.dataset.store import read_description
from gcodefp.errors import UserError
from gcodefp.files import write_json
from gcodefp.provenance import provenance
from gcodefp.sweeps.check import goal_warning
from gcodefp.sweeps.local_engine import TrainRun, train_runs
from gcodefp.sweeps.ranking import ended_runs, ranked
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.sweeps.sweep_status import sweep_seconds
from gcodefp.sweeps.user_script.command import check_unchanged
from gcodefp.sweeps.user_script.run import run_script
from gcodefp.terminal import duration
from gcodefp.wandb_service.service import read_address

logger = logging.getLogger("gcodefp.agent")

MARKER_FORMAT = "gcodefp-agent-1"
DATASET_FLAGS = ("train", "val", "dataset")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("agent", __doc__)
    add_training_flags(parser)
    add = parser.add_argument
    add_device_flags(parser)
    add("--workers", type=positive, default=1, help="trainings at a time, on the same GPU")
    add("--count", type=positive, help="end after so many runs; one worker, local engine")
    add("--agents", type=positive, default=1, help="agents at work, to estimate the time left")
    text = "end only when the runs of all agents have ended; resume those that they leave"
    add("--wait-for-all-runs", "--stay", action="store_true", help=text)
    text = "the first Ctrl-C ends at the epoch, as Snakemake's does, not after the run"
    add("--end-at-epoch", action="store_true", help=text)
    text = (
        "time limit of this agent's own SLURM job, which it may requeue; the time left is queried "
        "from SLURM. 0: no such job"
    )
    add("--job-minutes", type=not_negative, default=0, help=text)
    text = "end so long before a time limit, and one and a half epochs (default: %(default)s)"
    add("--margin-seconds", type=not_negative, default=120, help=text)
    add("--wandb-project", help="log each run to W&B's offline format under this project")
    text = "with its best weights as an artifact"
    action = argparse.BooleanOptionalAction
    add("--wandb-checkpoints", action=action, default=True, help=text)
    add("--output", type=Path, help="marker file that records that this agent is done")
    return run_command(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    sweep = read_sweep(arguments.sweep)
    if (warning := goal_warning(sweep.specification.objective)) is not None:
        logger.warning("%s: metric.goal: %s", arguments.sweep, warning)
    if arguments.count and (sweep.address or arguments.workers > 1):
        raise UserError(
            f"--count {arguments.count}: is for one worker (--workers 1) on a sweep of the local "
            "engine; leave out --count, or start several agents of one worker in place of --workers"
        )
    width = sweep.specification.options.width
    if width is not None and width < arguments.agents:
        logger.warning(
            "sweep.width %d: no more runs train at a time, and there are %d agents; raise it, or "
            "set null: the search is then not reproducible bit by bit",
            *(width, arguments.agents),
        )
    task = _work_for_service if sweep.address else _train
    first = AT_EPOCH if arguments.end_at_epoch else AFTER_RUN
    listening = nullcontext() if sweep.address else INTERRUPT.listening(first)
    try:
        with listening, assign_gpu(arguments.device):
            ended = task(arguments) if arguments.workers == 1 else _in_workers(task, arguments)
    except OutOfTime as error:
        end_early(error, own_job=arguments.job_minutes > 0)
    except Interrupted as error:
        logger.info("%s", error)
        raise
    if arguments.output:
        origin = provenance(_inputs(arguments, sweep))
        write_json(arguments.output, MARKER_FORMAT, {"provenance": origin, "runs_ended": ended})


def _in_workers(task: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Trains several runs at a time; only the first worker waits for all runs."""
    warn_of_time_slices(arguments.device, arguments.workers)
    others = argparse.Namespace(**vars(arguments) | {"wait_for_all_runs": False})
    tasks = [arguments, *(others for _ in range(arguments.workers - 1))]
    return run_in_workers(task, tasks, arguments.log)


def _train(arguments: argparse.Namespace) -> int:
    """Trains runs until none is left; returns how many.

    Raises:
        OutOfTime: the job's time limit is near.
        Interrupted: a signal has asked the agent to end.
    """
    deadline = open_deadline(arguments.job_minutes, arguments.margin_seconds)
    sweep = read_sweep(arguments.sweep)
    folder = arguments.runs / sweep.sweep_id
    train = (_script_trainer if sweep.script else _trainer)(arguments, sweep, deadline)

    def log_progress() -> None:
        try:
            logger.info("%s", _progress(sweep, folder, arguments.agents))
        except (OSError, LookupError, UserError) as error:
            logger.warning("the sweep's progress is unknown: %s", error)

    parts = train, sweep, folder, deadline, _inputs(arguments, sweep)
    hooks, count = (log_progress, INTERRUPT.check_between_runs), arguments.count
    wait = arguments.wait_for_all_runs
    ended = train_runs(*parts, *hooks, wait_for_all=wait, count=count)
    logger.info("nothing is left for this agent" if ended != count else f"{count} runs are done")
    return ended


def _trainer(arguments: argparse.Namespace, sweep: SweepFile, deadline: Deadline) -> TrainRun:
    """This project's trainer, in this process."""
    from gcodefp.model.data import select_device  # late: torch takes seconds
    from gcodefp.model.trainer import load_training_data
    from gcodefp.sweeps.training import train_leased_run

    device = select_device(arguments.device, arguments.threads)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
    sweep.check_dataset(data.description, arguments.sweep, arguments.dataset)
    log = arguments.wandb_project, arguments.wandb_checkpoints
    return lambda run: train_leased_run(run, sweep, data, device, deadline, *log)


def _script_trainer(
    arguments: argparse.Namespace, sweep: SweepFile, deadline: Deadline
) -> TrainRun:
    """The sweep's user script; its environment names the dataset, if there is one."""
    assert sweep.script is not None
    check_unchanged(sweep.script, str(arguments.sweep))
    data = {}
    if sweep.document["learning_digest"] is not None:
        description = read_description(arguments.dataset)
        sweep.check_dataset(description, arguments.sweep, arguments.dataset)
        paths = {f"GCODEFP_{name.upper()}": getattr(arguments, name) for name in DATASET_FLAGS}
        data = {name: path for name, path in paths.items() if path.is_file()}
    return lambda run: run_script(run, sweep, deadline, data)


def _inputs(arguments: argparse.Namespace, sweep: SweepFile) -> list[Path]:
    """What the runs are made from."""
    script = sweep.script
    if script is None:
        return [arguments.sweep, arguments.dataset]
    has_dataset = sweep.document["learning_digest"] is not None
    scripts = [Path(script.path)] if script.path else []
    return [arguments.sweep, *scripts, *([arguments.dataset] if has_dataset else [])]


def _progress(sweep: SweepFile, folder: Path, agents: int) -> str:
    """Runs that have ended, the best of them, and an estimate of the time left."""
    runs, objective = ended_runs(folder, sweep.total), sweep.specification.objective
    text = f"{len(runs)} of {sweep.total} runs are over"
    counted = [run for run in ranked(runs, objective) if run.is_scored]
    if not counted:
        return text
    mean_seconds = fmean(run.content["seconds"] for run in counted)
    seconds = sweep_seconds([mean_seconds] * (sweep.total - len(runs)), agents)
    left = f", about {duration(seconds)} left" if seconds else ""
    best = counted[0]
    return f"{text}; best so far {best.content['best_value']:.4f} (run {best.name}){left}"


def _work_for_service(arguments: argparse.Namespace) -> int:
    """Trains with W&B's own agents, each run in its own process; returns how many ended here."""
    from gcodefp.wandb_service.agents import run_agents  # late: it imports torch

    sweep = read_sweep(arguments.sweep)
    address, objective = read_address(sweep.address or ""), sweep.specification.objective
    flags: list[object] = ["--runs", arguments.runs.absolute(), "--threads", arguments.threads]
    for name in DATASET_FLAGS:
        flags += [f"--{name}", getattr(arguments, name).absolute()]
    flags += ["--device", arguments.device]
    flags += [] if arguments.wandb_checkpoints else ["--no-wandb-checkpoints"]
    flags += ["--metric", objective.metric, "--goal", objective.goal, "--seed", sweep.seed]
    if sweep.is_existing:
        logger.info("sweep %s is trained by agents of its own; only its runs are used", address)
        return 0
    folder = arguments.runs / sweep.sweep_id
    before = len(ended_runs(folder))
    run_agents(address, folder, [str(flag) for flag in flags])
    return len(ended_runs(folder)) - before


if __name__ == "__main__":
    sys.exit(main())
