"""Trains runs of a sweep, one after the other, until none is left to take.

Start as many agents as there are processors to use, on any hosts that share the folder. One that is
killed loses at most the epoch it was in: another, or itself started again, goes on with its run.
"""

import argparse
import logging
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.errors import UserError
from gcodefp.files import write_json
from gcodefp.learning.device import DEVICES, open_device
from gcodefp.learning.hyperparameters import hyperparameters_from
from gcodefp.learning.load import load_training_data
from gcodefp.learning.outcome import Killed, failed, succeeded
from gcodefp.learning.trainer import Report, TrainingData, train
from gcodefp.provenance import provenance
from gcodefp.service.address import read_address
from gcodefp.service.agents import work as service_work
from gcodefp.sweep.lease import LeaseLost
from gcodefp.sweep.local_engine import LocalEngine, Trial
from gcodefp.sweep.progress import run_summary, sweep_progress
from gcodefp.sweep.sweep_file import SweepFile, read_sweep
from gcodefp.sweep.wandb_log import WandbLog, begin_offline, wandb_log

logger = logging.getLogger("gcodefp.agent")

MARKER_FORMAT = "gcodefp-agent-1"
PROGRESS_SECONDS = 10.0
KILLS_IN_A_ROW = 10
"""A run that so often did not live to the end of an epoch is what kills its process."""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("agent", __doc__)
    add = parser.add_argument
    add("--sweep", type=Path, required=True, help="sweep.json")
    add("--train", type=Path, required=True, help="train.npz")
    add("--val", type=Path, required=True, help="val.npz")
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--runs", type=Path, required=True, help="folder that keeps the runs of all sweeps")
    add(
        "--agents",
        type=positive,
        default=1,
        help="how many work at once, to tell the time left",
    )
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1, help="CPU threads; bit-exact repeats need 1")
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
    sweep = read_sweep(arguments.sweep)
    folder = arguments.runs / sweep.sweep_id
    device = open_device(arguments.device, arguments.threads)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
    if data.description.learning_digest() != sweep.document["learning_digest"]:
        raise UserError(
            f"{arguments.sweep}: is a sweep over another dataset than {arguments.dataset}; "
            "run create_sweep again"
        )
    if sweep.address:
        _work_for_service(arguments, sweep)
        return
    engine = LocalEngine(sweep.specification, sweep.seed, sweep.total, folder)
    metric = sweep.specification.objective.metric
    origin = provenance([arguments.sweep, arguments.dataset])

    def objective(trial: Trial) -> dict[str, Any]:
        content = _run(trial, sweep, data, device, arguments)
        logger.info("%s", run_summary(trial.folder.number, content, metric))
        return content | {"sweep": sweep.sweep_id, "host": platform.node(), "provenance": origin}

    def tell() -> None:
        objective = sweep.specification.objective
        try:
            logger.info("%s", sweep_progress(folder, sweep.total, objective, arguments.agents))
        except (OSError, LookupError, UserError) as error:
            logger.warning("how far the sweep is cannot be told: %s", error)

    ended = engine.work(objective, tell)
    logger.info("nothing is left to take for this agent")
    if arguments.output:
        write_json(arguments.output, MARKER_FORMAT, {"provenance": origin, "runs_ended": ended})


def _work_for_service(arguments: argparse.Namespace, sweep: SweepFile) -> None:
    """Real W&B agents, each run in a process of its own."""
    address, objective = read_address(sweep.address or ""), sweep.specification.objective
    flags: list[object] = ["--runs", arguments.runs.absolute(), "--threads", arguments.threads]
    for name in ("train", "val", "dataset"):
        flags += [f"--{name}", getattr(arguments, name).absolute()]
    flags += ["--device", arguments.device]
    flags += [] if arguments.wandb_checkpoints else ["--no-wandb-checkpoints"]
    flags += ["--metric", objective.metric, "--goal", objective.goal, "--seed", sweep.seed]
    if sweep.is_existing:
        logger.info("sweep %s is trained where it was made; only its runs are used here", address)
    else:
        service_work(address, arguments.runs / sweep.sweep_id, [str(flag) for flag in flags])
    if arguments.output:
        origin = provenance([arguments.sweep, arguments.dataset])
        write_json(arguments.output, MARKER_FORMAT, {"provenance": origin})


def _run(
    trial: Trial,
    sweep: SweepFile,
    data: TrainingData,
    device: torch.device,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Trains one run; whatever goes wrong in it becomes its outcome."""
    asked = {"seed": sweep.seed} | dict(trial.hyperparameters)
    objective = sweep.specification.objective
    try:
        hyperparameters = hyperparameters_from(asked, f"run {trial.folder.path.name}")
    except UserError as error:
        return failed(error, asked)
    if (kills := trial.kills_in_a_row()) >= KILLS_IN_A_ROW:
        return failed(Killed(f"its process was killed {kills} times within one epoch"), asked)
    try:
        with _logged(trial, arguments.wandb_project, asked) as log:
            report = _reporter(trial, objective.metric, hyperparameters.max_epochs, log)
            result = train(hyperparameters, data, objective, trial.folder.path, report, device)
            content = succeeded(result, hyperparameters, device)
            if log:
                weights = trial.folder.path / "checkpoint.pt"
                log.end(content, weights if arguments.wandb_checkpoints else None)
    except (LeaseLost, UserError, OSError):
        # A full disk or a lost file server is no fault of the hyperparameters.
        raise
    except Exception as error:
        logger.exception("run %s", trial.folder.path.name)
        return failed(error, asked)
    return content


def _logged(
    trial: Trial, project: str | None, asked: Mapping[str, Any]
) -> AbstractContextManager[WandbLog | None]:
    if project is None:
        return nullcontext()
    return wandb_log(lambda: begin_offline(trial.folder, project, asked))


def _reporter(trial: Trial, metric: str, max_epochs: int, log: WandbLog | None) -> Report:
    """Logs every epoch to W&B, now and then one to the terminal, and asks whether to stop."""
    told = time.monotonic()

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        nonlocal told
        if log:
            log.epoch(epoch, metrics)
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            name = trial.folder.path.name
            logger.info(
                "run %s, epoch %d of %d: %s %.4f", name, epoch, max_epochs, metric, metrics[metric]
            )
        return trial.should_stop()

    return report


if __name__ == "__main__":
    sys.exit(main())
