"""Runs that were trained elsewhere, brought here from the W&B service."""

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
from gcodefp.sweeps.run_folder import COUNTED, RunFolder
from gcodefp.sweeps.wandb_log import SUMMARY
from gcodefp.wandb_service.session import SweepAddress, open_session, translate_errors
from gcodefp.wandb_service.trial import claim, folder_of

logger = logging.getLogger(__name__)

OVER = ("finished", "failed", "crashed", "killed")
"""States of a run on the service; others are not over."""


def fetch_runs(
    address: SweepAddress, sweep_folder: Path, objective: Objective, checkpoints: bool = True
) -> None:
    """Brings the runs that are over there and not here, with history and checkpoint.

    Args:
        checkpoints: whether weights are wanted; a run without any has failed then.

    Raises:
        UserError: the service cannot be asked, or there is no such sweep.
    """
    api = open_session()
    going = []
    with translate_errors(f"fetching the runs of sweep {address}"):
        runs = sorted(api.sweep(str(address)).runs, key=lambda run: str(run.created_at))
        for run in runs:
            folder = folder_of(sweep_folder, run.id)
            if folder is not None and folder.is_over():
                continue
            if run.state not in OVER or (folder is not None and _may_go_on(folder)):
                going.append(f"{run.id} ({run.state})")
                continue
            folder = folder or claim(sweep_folder, run.id, _given(run))
            history = _fetch_history(run, folder)
            told = run.summary.get(SUMMARY)
            content = json.loads(told) if told else _in_its_place(run, history, objective)
            has_weights = not checkpoints or _fetch_checkpoint(run, folder)
            if content["state"] in COUNTED and not has_weights:
                content |= {"state": "failed", "reason": "W&B has no checkpoint of it"}
            folder.end({"host": None, **content, "wandb_run": run.id, "sweep": folder.sweep})
            logger.info("run %s is %s, fetched from W&B", folder.path.name, run.id)
    if going:
        logger.warning("left out, since they are not over, there or here: %s", ", ".join(going))


def _may_go_on(folder: RunFolder) -> bool:
    """A half-done run that was begun here is the next agent's; W&B takes it for crashed."""
    return (folder.path / "last.pt").exists() or LeaseWatch().look(
        folder.path
    ) is not LeaseState.FREE


def _given(run: Any) -> dict[str, Any]:
    return {name: value for name, value in run.config.items() if not name.startswith("_")}


def _fetch_history(run: Any, folder: RunFolder) -> list[dict[str, float]]:
    """Writes metrics.csv; W&B's steps are our epochs, and its rows are in any order of names."""
    found = [
        {"epoch": row["_step"]} | {name: float(row[name]) for name in row if _is_metric(name, row)}
        for row in run.scan_history()
    ]
    logged = [row for row in found if len(row) > 1]
    names = ["epoch", *sorted({name for row in logged for name in row} - {"epoch"})]
    (folder.path / "metrics.csv").unlink(missing_ok=True)
    for row in logged:
        append_metrics(folder.path / "metrics.csv", {n: row.get(n, math.nan) for n in names})
    return logged


def _is_metric(name: str, row: Mapping[str, Any]) -> bool:
    value = row[name]
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return is_number and not name.startswith("_")


def _in_its_place(
    run: Any, history: Sequence[Mapping[str, float]], objective: Objective
) -> dict[str, Any]:
    """What run.json would say of a run that was killed, or that another program trained."""
    asked = _given(run)
    values = [(objective.loss(of[objective.metric]), of["epoch"]) for of in history
              if objective.metric in of]  # fmt: skip
    if run.state != "finished" or not values:
        lacks = "" if values else f", without a value of {objective.metric}"
        return describe_failure(Killed(f"it is {run.state} on W&B{lacks}"), asked)
    _, epoch = min(values)
    best = next(of[objective.metric] for of in history if of["epoch"] == epoch)
    told = {"state": "finished", "failure": None, "reason": "finished on W&B"}
    facts = {"best_value": best, "best_epoch": epoch, "epochs": len(history)}
    return describe_failure(Killed(), asked) | told | facts


def _fetch_checkpoint(run: Any, folder: RunFolder) -> bool:
    """Whether the run has logged a checkpoint; its best one is here then."""
    for artifact in run.logged_artifacts():
        if artifact.type == "model" and "best" in artifact.aliases:
            artifact.download(root=str(folder.path))
            return (folder.path / "checkpoint.pt").exists()
    return False
