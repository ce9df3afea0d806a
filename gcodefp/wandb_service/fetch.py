"""Fetches runs that were trained elsewhere from the W&B service."""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import append_metrics
from gcodefp.model.trainer import Killed, describe_failure
from gcodefp.sweeps.lease import LeaseState, LeaseWatch
from gcodefp.sweeps.run_folder import SCORED_STATES, RunFolder
from gcodefp.sweeps.wandb_log import SUMMARY
from gcodefp.wandb_service.service import SweepAddress, open_session, translate_errors
from gcodefp.wandb_service.training import find_or_create_run_folder, folder_of

logger = logging.getLogger(__name__)

TERMINAL_RUN_STATES = ("finished", "failed", "crashed", "killed")
"""States of a run on the service that has ended."""


def fetch_runs(
    address: SweepAddress, sweep_folder: Path, objective: Objective, checkpoints: bool = True
) -> None:
    """Writes run folders, history and checkpoint of the runs that have ended there and not here.

    Args:
        checkpoints: whether weights are needed; a run without any counts as failed then.

    Raises UserError: the service does not answer, or there is no such sweep.
    """
    api = open_session()
    unfinished = []
    with translate_errors(f"fetching the runs of sweep {address}"):
        runs = sorted(api.sweep(str(address)).runs, key=lambda run: str(run.created_at))
        for run in runs:
            folder = folder_of(sweep_folder, run.id)
            if folder is not None and folder.has_ended():
                continue
            if run.state not in TERMINAL_RUN_STATES or (folder is not None and _may_resume(folder)):
                unfinished.append(f"{run.id} ({run.state})")
                continue
            folder = folder or find_or_create_run_folder(sweep_folder, run.id, _assigned(run))
            history = _fetch_history(run, folder)
            summary = run.summary.get(SUMMARY)
            content = json.loads(summary) if summary else _reconstruct(run, history, objective)
            has_weights = not checkpoints or _fetch_checkpoint(run, folder)
            if content["state"] in SCORED_STATES and not has_weights:
                content |= {"state": "failed", "reason": "W&B has no checkpoint of it"}
            folder.end({"host": None, **content, "wandb_run": run.id, "sweep": folder.sweep_id})
            logger.info("run %s is %s, fetched from W&B", folder.path.name, run.id)
    if unfinished:
        logger.warning("skipped, since they are unfinished: %s", ", ".join(unfinished))


def _may_resume(folder: RunFolder) -> bool:
    """Whether an agent resumes the unfinished run of this folder, crashed as W&B has it."""
    is_held = LeaseWatch().state(folder.path) is not LeaseState.FREE
    return is_held or (folder.files / "last.pt").exists()


def _assigned(run: Any) -> dict[str, Any]:
    return {name: value for name, value in run.config.items() if not name.startswith("_")}


def _fetch_history(run: Any, folder: RunFolder) -> list[dict[str, float]]:
    """Writes metrics.csv; W&B's steps are our epochs, and its rows are in any order of names."""

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and math.isfinite(value)

    rows = [
        {"epoch": row["_step"]}
        | {n: float(v) for n, v in row.items() if is_number(v) and not n.startswith("_")}
        for row in run.scan_history()
    ]
    logged = [row for row in rows if len(row) > 1]
    names = ["epoch", *sorted({name for row in logged for name in row} - {"epoch"})]
    (folder.path / "metrics.csv").unlink(missing_ok=True)
    for row in logged:
        append_metrics(folder.path / "metrics.csv", {n: row.get(n, math.nan) for n in names})
    return logged


def _reconstruct(
    run: Any, history: Sequence[Mapping[str, float]], objective: Objective
) -> dict[str, Any]:
    """The run.json of a run that was killed, or that a user script trained."""
    assigned, metric = _assigned(run), objective.metric
    values = [(objective.loss(row[metric]), row["epoch"]) for row in history if metric in row]
    if run.state != "finished" or not values:
        lacks = "" if values else f", without a value of {metric}"
        return describe_failure(Killed(f"it is {run.state} on W&B{lacks}"), assigned)
    _, epoch = min(values)
    best = next(row[metric] for row in history if row["epoch"] == epoch)
    return describe_failure(Killed(), assigned) | {
        "state": "finished",
        "failure": None,
        "reason": "finished on W&B",
        "best_value": best,
        "best_epoch": epoch,
        "epochs": len(history),
    }


def _fetch_checkpoint(run: Any, folder: RunFolder) -> bool:
    """Downloads the run's best checkpoint; False if it has logged none."""
    for artifact in run.logged_artifacts():
        if artifact.type == "model" and "best" in artifact.aliases:
            artifact.download(root=str(folder.path))
            return (folder.path / "checkpoint.pt").exists()
    return False
