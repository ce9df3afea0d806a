"""Trains a single run with hyperparameters from flags, or from the best run of a sweep.

It trains as the agents of a sweep do. It is also the `program` of a sweep on the W&B service, whose
agents start it. With the same output folder it resumes an unfinished run. With --control it trains
on the changed splits of a negative control, for the stage `control`.
"""

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

from gcodefp.wandb_service.assignment import STOP, Assignment, assigned_by_agent, own_flags

if __name__ == "__main__" and "WANDB_SWEEP_PARAM_PATH" in os.environ:
    STOP.listen()  # Before the imports below, which take seconds.

from pydantic import Field

from gcodefp.command_line import (
    DATASET,
    RUNS,
    add_device_flags,
    add_files,
    command_parser,
    run_command,
)
from gcodefp.dataset.controls import CONTROLS
from gcodefp.documents import Document, read_document
from gcodefp.errors import UserError
from gcodefp.files import digest, read_json, write_json
from gcodefp.model.data import select_device
from gcodefp.model.hyperparameters import (
    DEFAULT_OBJECTIVE,
    HYPERPARAMETERS,
    LOGGED_METRICS,
    Hyperparameters,
    Objective,
    parse_hyperparameters,
)
from gcodefp.model.trainer import (
    INVALID,
    Diverged,
    RunMismatch,
    TrainingData,
    TrainingResult,
    describe_result,
    load_training_data,
    train,
)
from gcodefp.provenance import provenance
from gcodefp.sweeps.expressions import CombinedMetrics, read_combined
from gcodefp.sweeps.sweep_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.sweeps.training import LogConfig, train_run
from gcodefp.wandb_service.training import init_wandb_run, leased_folder, objective_of

logger = logging.getLogger("gcodefp.train")

FORMAT = "gcodefp-train-1"
TRAINED = [name for name, control in CONTROLS.items() if control.needs_training]


class _BestSettings(Document):
    """What a training needs of best/run.json."""

    hyperparameters: dict[str, Any]
    metric: str
    goal: Literal["maximize", "minimize"]
    combined: dict[str, str] = Field(default_factory=dict)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("train", __doc__)
    add = parser.add_argument
    add_files(parser, "train", "val", "dataset", folder=DATASET)
    text = "folder of the run (default: results/train/HASH, of the hyperparameters)"
    add("--output", type=Path, help=text)
    text = "under a W&B agent, folder that keeps the runs of all sweeps (default: %(default)s)"
    add("--runs", type=Path, default=RUNS, help=text)
    text = "under a W&B agent, log the best weights as an artifact"
    add("--wandb-checkpoints", action=argparse.BooleanOptionalAction, default=True, help=text)
    text = "best/run.json: train with its hyperparameters, metric and goal; flags override them"
    add("--hyperparameters", type=Path, metavar="FILE", help=text)
    add("--control", choices=TRAINED, help="train on the splits of this negative control")
    add("--replace", action="store_true", help="discard another unfinished run in the folder")
    text = f"chooses the best epoch, such as val/loss (default: {DEFAULT_OBJECTIVE.metric})"
    add("--metric", choices=LOGGED_METRICS, metavar="METRIC", help=text)
    add("--goal", choices=("maximize", "minimize"), help=f"default: {DEFAULT_OBJECTIVE.goal}")
    add_device_flags(parser)
    add("--compile", action="store_true", help="torch.compile the encoder, for long runs on a GPU")
    group = parser.add_argument_group("hyperparameters")
    for field in fields(Hyperparameters):
        text = f"{field.metadata['help']} (default: {field.default})"
        kind = type(field.default)
        # Suppressed: only given flags are in the arguments.
        group.add_argument(f"--{field.name}", type=kind, default=argparse.SUPPRESS, help=text)
    argv = sys.argv[1:] if argv is None else argv
    assignment = assigned_by_agent()
    return run_command(parser, _train, own_flags(argv, assignment) if assignment else argv)


def _train(arguments: argparse.Namespace) -> None:
    if (assignment := assigned_by_agent()) is not None:
        _train_assigned(assignment, arguments)
        return
    hyperparameters, objective, combined = _requested_settings(arguments)
    control = arguments.control
    device = select_device(arguments.device, arguments.threads)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device, control)
    values = asdict(hyperparameters) | ({"control": control} if control else {})
    folder = arguments.output or arguments.results_folder / "train" / digest(values)[:8]
    learning_digest = data.description.training_data_digest()
    origin = {**asdict(objective), "control": control, "learning_digest": learning_digest}
    if (folder / "run.json").exists():
        _check_same(folder, origin | asdict(hyperparameters))
        logger.info("%s: this run has already ended", folder)
        return
    try:
        result = _run(hyperparameters, data, objective, combined, folder, arguments)
    except Diverged as error:
        raise UserError(f"{folder}: {error}; a smaller learning_rate may help") from None
    outcome = describe_result(result, hyperparameters, device)
    content = {"provenance": provenance(_inputs(arguments)), **origin, **outcome}
    write_json(folder / "run.json", FORMAT, content)
    (folder / "last.pt").unlink(missing_ok=True)
    logger.info("%s: best %.4f in epoch %d", folder, result.best_value, result.best_epoch)
    if control:
        changed = CONTROLS[control].description
        logger.warning("%s: a control, not a model: trained on %s", folder, changed)


def _train_assigned(assignment: Assignment, arguments: argparse.Namespace) -> None:
    """A run of a W&B sweep; the agent learns of a failure by the exit code alone."""
    values = _hyperparameter_flags(arguments) | assignment.hyperparameters
    assignment = assignment._replace(hyperparameters=values)
    with leased_folder(assignment, arguments.runs) as (folder, lease):
        if lease is None:
            return
        metric, goal = arguments.metric, arguments.goal or "minimize"
        objective = Objective(metric, goal) if metric else objective_of(assignment)
        device = select_device(arguments.device, arguments.threads)
        data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
        origin, init = provenance(_inputs(arguments)), partial(init_wandb_run, folder)
        log = LogConfig(init, arguments.wandb_checkpoints, 0.0, STOP.stop_polling)
        parts = folder, lease.files, assignment.hyperparameters, data, objective, device, log
        content = train_run(*parts, lambda _: STOP.is_set())
        sweep = {"sweep": assignment.sweep_id, "wandb_run": assignment.run_id}
        folder.end(content | sweep | {"provenance": origin}, lease)
    # The service's search may draw invalid combinations, which say nothing about the next run.
    if content["failure"] == INVALID:
        logger.warning("invalid: %s", content["reason"])
    elif content["state"] == "failed":
        raise UserError(f"run {assignment.run_id} of sweep {assignment.sweep_id} failed; see above")


def _requested_settings(
    arguments: argparse.Namespace,
) -> tuple[Hyperparameters, Objective, CombinedMetrics]:
    """Flags override the file, and the file overrides the defaults."""
    values: dict[str, Any] = {"hyperparameters": {}, **asdict(DEFAULT_OBJECTIVE)}
    origin = "command line"
    if arguments.hyperparameters:
        values |= read_document(arguments.hyperparameters, BEST_FORMAT, _BestSettings, BEST_REBUILD)
        origin = str(arguments.hyperparameters)
    return (
        parse_hyperparameters(values["hyperparameters"] | _hyperparameter_flags(arguments), origin),
        Objective(arguments.metric or values["metric"], arguments.goal or values["goal"]),
        read_combined(values.get("combined", {}), f"{origin}: combined"),
    )


def _hyperparameter_flags(arguments: argparse.Namespace) -> dict[str, Any]:
    return {name: value for name, value in vars(arguments).items() if name in HYPERPARAMETERS}


def _run(
    hyperparameters: Hyperparameters,
    data: TrainingData,
    objective: Objective,
    combined: CombinedMetrics,
    folder: Path,
    arguments: argparse.Namespace,
) -> TrainingResult:
    """Trains; with --replace also where the folder holds another unfinished run."""

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        value, epochs = metrics[objective.metric], hyperparameters.max_epochs
        logger.info("epoch %d of %d: %s %.4f", epoch, epochs, objective.metric, value)
        return False

    run = partial(train, hyperparameters, data, objective, folder, report, combine=combined)
    try:
        return run(compiled=arguments.compile)
    except RunMismatch as other:
        if not arguments.replace:
            raise
        logger.info("%s; it is replaced", other)
    (folder / "last.pt").unlink()
    return run(compiled=arguments.compile)


def _inputs(arguments: argparse.Namespace) -> list[Path]:
    paths = (arguments.train, arguments.val, arguments.hyperparameters)
    return [path for path in paths if path is not None]


def _check_same(folder: Path, requested: Mapping[str, object]) -> None:
    run = read_json(folder / "run.json", FORMAT, "another --output folder")
    run |= run["hyperparameters"]
    for name, value in requested.items():
        if run.get(name) != value:
            raise UserError(
                f"{folder}: holds a run with {name} {run.get(name)!r}, not {value!r}; "
                "choose another --output folder"
            )


if __name__ == "__main__":
    sys.exit(main())
