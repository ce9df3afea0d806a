"""Trains runs of a sweep, one after the other, until none is left to take.

Start as many agents as there are processors to use, on any hosts that share the folder. One that is
killed loses at most the epoch it was in: another, or itself started again, goes on with its run.
In a SLURM job an agent ends with an epoch, before the job's time limit ends it.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gcodefp.cluster.gpus import in_workers, own_gpu
from gcodefp.cluster.job import OutOfTime, leave, open_deadline, place
from gcodefp.command_line import not_negative, positive, run_step, step_parser
from gcodefp.errors import UserError
from gcodefp.files import write_json
from gcodefp.model.data import DEVICES, select_device
from gcodefp.model.trainer import load_training_data
from gcodefp.provenance import provenance
from gcodefp.sweeps.local_engine import LocalEngine, Trial
from gcodefp.sweeps.observer import run_summary, sweep_progress
from gcodefp.sweeps.ranking import ended_runs
from gcodefp.sweeps.sweep_file import read_sweep
from gcodefp.sweeps.training import OfflineLog, train_trial
from gcodefp.wandb_service.agents import work
from gcodefp.wandb_service.session import read_address

logger = logging.getLogger("gcodefp.agent")

MARKER_FORMAT = "gcodefp-agent-1"
PATHS = (
    ("--sweep", "results/sweep/sweep.json", "sweep.json"),
    ("--train", "results/dataset/train.npz", "train.npz"),
    ("--val", "results/dataset/val.npz", "val.npz"),
    ("--dataset", "results/dataset/dataset.json", "dataset.json"),
    ("--runs", "results/runs", "folder that keeps the runs of all sweeps"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("agent", __doc__)
    add = parser.add_argument
    for flag, default, text in PATHS:
        add(flag, type=Path, default=Path(default), help=f"{text} (default: %(default)s)")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1, help="CPU threads; bit-exact repeats need 1")
    add("--workers", type=positive, default=1, help="trainings at a time, on the same GPU")
    add("--agents", type=positive, default=1, help="how many work at once, to tell the time left")
    add("--stay", action="store_true", help="do not end before all runs of all agents are over")
    add(
        "--job-minutes",
        type=not_negative,
        default=0,
        help="time limit of the SLURM job that is this agent's own, so that it may put it back "
        "into the queue; SLURM is asked for what is left of it. 0: no such job",
    )
    add(
        "--margin-seconds",
        type=not_negative,
        default=120,
        help="end so long before a time limit, and one and a half epochs (default: %(default)s)",
    )
    add("--wandb-project", help="log each run to W&B's offline format under this project")
    add(
        "--wandb-checkpoints",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with its best weights as an artifact",
    )
    add("--output", type=Path, help="marker that says that this agent is done")
    return run_step(parser, _work, argv)


def _work(arguments: argparse.Namespace) -> None:
    task = _work_for_service if read_sweep(arguments.sweep).address else _train
    try:
        with own_gpu(arguments.device):
            ended = task(arguments) if arguments.workers == 1 else _in_workers(task, arguments)
    except OutOfTime as error:
        leave(error, own_job=arguments.job_minutes > 0)
    if arguments.output:
        origin = provenance([arguments.sweep, arguments.dataset])
        write_json(arguments.output, MARKER_FORMAT, {"provenance": origin, "runs_ended": ended})


def _in_workers(task: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Trains several runs at a time; of those who stay, one is enough."""
    others = argparse.Namespace(**vars(arguments) | {"stay": False})
    tasks = [arguments, *(others for _ in range(arguments.workers - 1))]
    return in_workers(task, tasks, arguments.log)


def _train(arguments: argparse.Namespace) -> int:
    """Trains runs until none is left to take; tells how many.

    Raises:
        OutOfTime: the job's time limit is near.
    """
    deadline = open_deadline(arguments.job_minutes, arguments.margin_seconds)
    sweep = read_sweep(arguments.sweep)
    folder = arguments.runs / sweep.sweep_id
    device = select_device(arguments.device, arguments.threads)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
    if data.description.learning_digest() != sweep.document["learning_digest"]:
        raise UserError(
            f"{arguments.sweep}: is a sweep over another dataset than {arguments.dataset}; "
            "run create_sweep again"
        )
    engine = LocalEngine(sweep.specification, sweep.seed, sweep.total, folder)
    metric = sweep.specification.objective.metric
    origin = provenance([arguments.sweep, arguments.dataset])
    log = OfflineLog(arguments.wandb_project, arguments.wandb_checkpoints)

    def objective(trial: Trial) -> dict[str, Any]:
        deadline.begin_run()
        content = train_trial(trial, sweep, data, device, deadline, log)
        logger.info("%s", run_summary(trial.folder.number, content, metric))
        return content | {"sweep": sweep.sweep_id, **place(), "provenance": origin}

    def tell() -> None:
        objective = sweep.specification.objective
        try:
            logger.info("%s", sweep_progress(folder, sweep.total, objective, arguments.agents))
        except (OSError, LookupError, UserError) as error:
            logger.warning("how far the sweep is cannot be told: %s", error)

    ended = engine.work(objective, tell, before_each=deadline.check, stay=arguments.stay)
    logger.info("nothing is left to take for this agent")
    return ended


def _work_for_service(arguments: argparse.Namespace) -> int:
    """Real W&B agents, each run in a process of its own; tells how many ended here."""
    sweep = read_sweep(arguments.sweep)
    address, objective = read_address(sweep.address or ""), sweep.specification.objective
    flags: list[object] = ["--runs", arguments.runs.absolute(), "--threads", arguments.threads]
    for name in ("train", "val", "dataset"):
        flags += [f"--{name}", getattr(arguments, name).absolute()]
    flags += ["--device", arguments.device]
    flags += [] if arguments.wandb_checkpoints else ["--no-wandb-checkpoints"]
    flags += ["--metric", objective.metric, "--goal", objective.goal, "--seed", sweep.seed]
    if sweep.is_existing:
        logger.info("sweep %s is trained where it was made; only its runs are used here", address)
        return 0
    folder = arguments.runs / sweep.sweep_id
    before = len(ended_runs(folder))
    work(address, folder, [str(flag) for flag in flags])
    return len(ended_runs(folder)) - before


if __name__ == "__main__":
    sys.exit(main())
