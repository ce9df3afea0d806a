"""Selects the best run of a sweep and copies its weights and the tables of all runs.

The best value at its best epoch wins; ties go to the smaller network, then to the earlier run.
Failed runs, and those that hyperband pruned, never win. Where the best configurations were
trained again with other seeds, the best mean wins. The best run's checkpoint is scored again before
it is selected; a run of a user script counts with the value that the script logged.
"""

import argparse
import logging
import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gcodefp.command_line import add_created_sweep, add_device_flags, command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.files import replacing, write_json, write_text
from gcodefp.model.checkpoint import Checkpoint, read_checkpoint
from gcodefp.model.data import select_device
from gcodefp.model.epoch import validate
from gcodefp.model.trainer import load_training_data
from gcodefp.provenance import provenance
from gcodefp.sweeps.expressions import CombinedMetrics
from gcodefp.sweeps.ranking import (
    EndedRun,
    common_objective,
    describe_selection,
    pareto_columns,
    select_of_sweeps,
    tables,
)
from gcodefp.sweeps.run_folder import RERUN_AGENTS, SELECTABLE_STATE, run_folder
from gcodefp.sweeps.sweep_file import BEST_FORMAT, SweepFile, read_sweep
from gcodefp.wandb_service.fetch import fetch_runs
from gcodefp.wandb_service.service import read_address

logger = logging.getLogger("gcodefp.select_best")

TOLERANCE = 5e-3
"""Largest difference of the metric when it is scored on another kind of device."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("select_best", __doc__)
    add = parser.add_argument
    add_created_sweep(parser)
    text = "sweep.json of each phase, and of the repeats with other seeds, if there are any"
    add("--sweep", type=Path, nargs="+", help=text)
    add("--train", type=Path, help="train.npz; not needed for a sweep of a user script")
    add("--val", type=Path, help="val.npz; likewise")
    add("--dataset", type=Path, help="dataset.json; likewise")
    add("--offline", action="store_true", help="do not fetch runs of the W&B service again")
    add_device_flags(parser)
    add("--output", type=Path, required=True, help="folder for the best run")
    return run_command(parser, _select, argv)


def _select(arguments: argparse.Namespace) -> None:
    if not arguments.sweep:
        raise UserError("--sweep missing: name sweep.json of each phase, or the ID of one sweep")
    sweeps = [read_sweep(path) for path in arguments.sweep]
    objective = common_objective([sweep.specification for sweep in sweeps])
    for sweep in sweeps:
        if not sweep.address:
            _check_complete(sweep, arguments.runs / sweep.sweep_id)
        elif not arguments.offline:
            fetch_runs(read_address(sweep.address), arguments.runs / sweep.sweep_id, objective)
    selection = select_of_sweeps(sweeps, arguments.runs)
    best = selection.best
    if best.content["state"] != SELECTABLE_STATE:
        raise UserError(
            f"{best.folder.path.parent}: no run was trained to its end; the best of them, "
            f"{best.name}, is: {best.content['state']}, {best.content['reason']}"
        )
    inputs, again = [*arguments.sweep], None
    combined = sweeps[0].specification.options.combined
    goals = sweeps[0].document.get("pareto") or {}
    pareto = pareto_columns(selection, goals) if goals else {}
    if sweeps[0].script is None:
        checkpoint = best.folder.path / "checkpoint.pt"
        inputs.append(checkpoint)
        again = _score_again(best, objective.metric, combined, arguments)
        with replacing(arguments.output / "checkpoint.pt") as temporary:
            shutil.copyfile(checkpoint, temporary)
    for name, text in tables(selection.ranking, pareto).items():
        write_text(arguments.output / name, text)
    content = {"provenance": provenance(inputs), **describe_selection(selection, sweeps)}
    write_json(arguments.output / "run.json", BEST_FORMAT, {**content, "scored_again": again})
    logger.info("run %s is the best: %.4f", best.name, best.content["best_value"])


def _check_complete(sweep: SweepFile, folder: Path) -> None:
    missing = [n for n in range(sweep.total) if not run_folder(folder, n).has_ended()]
    # A space may have fewer configurations than run_cap; no later run is due.
    end = min((n for n in missing if run_folder(folder, n).sweep_end_reason()), default=sweep.total)
    due = [n for n in missing if n < end or run_folder(folder, n).is_assigned()]
    if due or len(missing) == sweep.total:
        names = ", ".join(f"{number:04d}" for number in (due or missing)[:5])
        raise UserError(
            f"{folder}: {len(due or missing)} runs are not over, {names} among them; {RERUN_AGENTS}"
        )


def _score_again(
    best: EndedRun, metric: str, combined: CombinedMetrics, arguments: argparse.Namespace
) -> float:
    """The best run's metric from its checkpoint, which must be the value it was selected for."""
    missing = [n for n in ("train", "val", "dataset") if getattr(arguments, n) is None]
    if missing:
        raise UserError(f"--{missing[0]}: is missing; the best run's checkpoint is scored again")
    device = select_device(arguments.device, arguments.threads)
    path = best.folder.path / "checkpoint.pt"
    if not path.exists():
        raise UserError(
            f"{path}: no such file; gcodefp.clean may have deleted it: remove the run's folder, "
            f"then {RERUN_AGENTS}, which trains it again"
        )
    checkpoint = read_checkpoint(path, device)
    _check_same_run(checkpoint, best, path)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
    metrics = validate(checkpoint.network, checkpoint.hyperparameters, data.val)
    measured = (metrics | combined(metrics)).get(metric)
    value = float(best.content["best_value"])
    if measured is None:  # A train metric is of a training pass and cannot be scored again.
        return value
    if not math.isclose(measured, value, rel_tol=TOLERANCE, abs_tol=TOLERANCE):
        raise UserError(
            f"{path}: {metric} is {measured:.4f} when scored again, the run reported {value:.4f}; "
            f"the checkpoint was changed: remove {best.folder.path}, then {RERUN_AGENTS}"
        )
    return measured


def _check_same_run(checkpoint: Checkpoint, best: EndedRun, path: Path) -> None:
    """Raises UserError if the checkpoint is not the one that the run has recorded."""
    stored = asdict(checkpoint.hyperparameters)
    stored |= {"best_epoch": checkpoint.epoch, "best_value": checkpoint.value}
    expected = dict(best.content["hyperparameters"])
    expected |= {name: best.content[name] for name in ("best_epoch", "best_value")}
    for name, value in expected.items():
        if stored.get(name) != value:
            raise UserError(
                f"{path}: {name} is {stored.get(name)!r}, in run.json {value!r}: it is another "
                f"run's checkpoint; remove {best.folder.path}, then {RERUN_AGENTS}"
            )


if __name__ == "__main__":
    sys.exit(main())
