"""Trains one run from hyperparameters given as flags, or the winner of a sweep again.

The trainer of the sweep's agents, alone: for a single run, for one of a sweep again, or as the
`program` of a sweep on the W&B service, whose agents start it. Started again with the same output
folder it goes on where it was. With --control it trains on splits from which nothing can be learnt,
for the `control` step.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.controls import CONTROLS
from gcodefp.errors import UserError
from gcodefp.files import digest, read_json, write_json
from gcodefp.model.data import DEVICES, open_device
from gcodefp.model.hyperparameters import (
    DEFAULT_OBJECTIVE,
    KNOWN,
    METRICS,
    Hyperparameters,
    Objective,
    hyperparameters_from,
)
from gcodefp.model.trainer import (
    Diverged,
    OtherRun,
    TrainingData,
    TrainingResult,
    load_training_data,
    succeeded,
    train,
)
from gcodefp.provenance import provenance
from gcodefp.sweeps.sweep_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.wandb_service.training import begun, objective_of, train_given
from gcodefp.wandb_service.trial import Assignment, assigned_by_agent, own_flags

logger = logging.getLogger("gcodefp.train")

FORMAT = "gcodefp-train-1"
TRAINED = [name for name, control in CONTROLS.items() if control.trains]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("train", __doc__)
    add = parser.add_argument
    add(
        "--train", type=Path, default=Path("results/dataset/train.npz"), help="default: %(default)s"
    )
    add("--val", type=Path, default=Path("results/dataset/val.npz"), help="default: %(default)s")
    add(
        "--dataset",
        type=Path,
        default=Path("results/dataset/dataset.json"),
        help="default: %(default)s",
    )
    add("--output", type=Path, help="folder of the run; results/train/HASH, of hyperparameters")
    add(
        "--runs",
        type=Path,
        default=Path("results/runs"),
        help="under a W&B agent, folder that keeps the runs of all sweeps (default: %(default)s)",
    )
    add(
        "--wandb-checkpoints",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="under a W&B agent, log the best weights as an artifact",
    )
    add(
        "--hyperparameters",
        type=Path,
        metavar="FILE",
        help="best/run.json: train its run again, as its hyperparameters, metric and goal say; "
        "flags beside it change single ones",
    )
    add("--control", choices=TRAINED, help="train on splits from which nothing can be learnt")
    add("--replace", action="store_true", help="give up another unfinished run in the folder")
    add(
        "--metric",
        choices=METRICS,
        metavar="METRIC",
        help=f"what the best epoch is by, such as val/loss (default: {DEFAULT_OBJECTIVE.metric})",
    )
    add("--goal", choices=("maximize", "minimize"), help=f"default: {DEFAULT_OBJECTIVE.goal}")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1, help="CPU threads; bit-exact repeats need 1")
    add("--compile", action="store_true", help="torch.compile the encoder, for long runs on a GPU")
    known = parser.add_argument_group("hyperparameters")
    for field in fields(Hyperparameters):
        text = f"{field.metadata['help']} (default: {field.default})"
        kind = type(field.default)
        # Suppressed, so that a flag can be told from a default.
        known.add_argument(f"--{field.name}", type=kind, default=argparse.SUPPRESS, help=text)
    argv = sys.argv[1:] if argv is None else argv
    given = assigned_by_agent()
    return run_step(parser, _train, own_flags(argv, given) if given else argv)


def _train(arguments: argparse.Namespace) -> None:
    if (given := assigned_by_agent()) is not None:
        _train_given(given, arguments)
        return
    hyperparameters, objective = _asked_for(arguments)
    control = arguments.control
    device = open_device(arguments.device, arguments.threads)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device, control)
    values = asdict(hyperparameters) | ({"control": control} if control else {})
    folder = arguments.output or Path("results/train") / digest(values)[:8]
    asked = {
        **asdict(objective),
        "control": control,
        "learning_digest": data.description.learning_digest(),
    }
    if (folder / "run.json").exists():
        _check_same(folder, asked | asdict(hyperparameters))
        logger.info("%s: this run is over already", folder)
        return
    try:
        result = _run(hyperparameters, data, objective, folder, device, arguments)
    except Diverged as error:
        raise UserError(f"{folder}: {error}; a smaller learning_rate may help") from None
    content = succeeded(result, hyperparameters, device)
    origin = {"provenance": provenance(_inputs(arguments))}
    write_json(folder / "run.json", FORMAT, origin | asked | content)
    (folder / "last.pt").unlink(missing_ok=True)
    logger.info("%s: best %.4f in epoch %d", folder, result.best_value, result.best_epoch)
    if control:
        logger.warning("%s: a control, no model: trained on %s", folder, CONTROLS[control].what)


def _train_given(given: Assignment, arguments: argparse.Namespace) -> None:
    """A run of a W&B sweep; the agent sees by the exit code whether it failed."""
    flags = {name: value for name, value in vars(arguments).items() if name in KNOWN}
    given = given._replace(hyperparameters=flags | given.hyperparameters)
    with begun(given, arguments.runs) as (folder, lease):
        if lease is None:
            return
        asked = arguments.metric and Objective(arguments.metric, arguments.goal or "minimize")
        device = open_device(arguments.device, arguments.threads)
        data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
        where = (asked or objective_of(given), device, provenance(_inputs(arguments)))
        has_failed = train_given(given, folder, lease, data, *where, arguments.wandb_checkpoints)
    if has_failed:
        raise UserError(f"run {given.run_id} of sweep {given.sweep_id} failed; see above")


def _asked_for(arguments: argparse.Namespace) -> tuple[Hyperparameters, Objective]:
    """Flags come before the file, the file before the defaults."""
    told: dict[str, Any] = {"hyperparameters": {}, **asdict(DEFAULT_OBJECTIVE)}
    where = "command line"
    if arguments.hyperparameters:
        told |= read_json(arguments.hyperparameters, BEST_FORMAT, BEST_REBUILD)
        where = str(arguments.hyperparameters)
    flags = {name: value for name, value in vars(arguments).items() if name in KNOWN}
    return (
        hyperparameters_from(told["hyperparameters"] | flags, where),
        Objective(arguments.metric or told["metric"], arguments.goal or told["goal"]),
    )


def _run(
    hyperparameters: Hyperparameters,
    data: TrainingData,
    objective: Objective,
    folder: Path,
    device: torch.device,
    arguments: argparse.Namespace,
) -> TrainingResult:
    """Trains, in place of another unfinished run if that may be replaced."""

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        value, epochs = metrics[objective.metric], hyperparameters.max_epochs
        logger.info("epoch %d of %d: %s %.4f", epoch, epochs, objective.metric, value)
        return False

    try:
        return train(hyperparameters, data, objective, folder, report, compiled=arguments.compile)
    except OtherRun as other:
        if not arguments.replace:
            raise
        logger.info("%s; it is replaced", other)
    (folder / "last.pt").unlink()
    return train(hyperparameters, data, objective, folder, report, compiled=arguments.compile)


def _inputs(arguments: argparse.Namespace) -> list[Path]:
    given = (arguments.train, arguments.val, arguments.hyperparameters)
    return [path for path in given if path is not None]


def _check_same(folder: Path, asked: Mapping[str, object]) -> None:
    done = read_json(folder / "run.json", FORMAT, "another --output folder")
    done |= done["hyperparameters"]
    for name, value in asked.items():
        if done.get(name) != value:
            raise UserError(
                f"{folder}: holds a run with {name} {done.get(name)!r}, not {value!r}; "
                "choose another --output folder"
            )


if __name__ == "__main__":
    sys.exit(main())
