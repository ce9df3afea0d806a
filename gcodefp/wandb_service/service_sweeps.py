"""Sweeps of the W&B service: created once, found again, adopted from others."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.files import digest, read_json, write_json
from gcodefp.sweeps.rules import NO_RULES
from gcodefp.sweeps.specification import Specification
from gcodefp.wandb_service.session import SweepAddress, base_url, open_session, translate_errors

logger = logging.getLogger(__name__)

CREATED_FORMAT = "gcodefp-wandb-sweep-1"
TRAINER = {
    "program": "gcodefp/train.py",
    "command": ["${env}", "${interpreter}", "-m", "gcodefp.train", "${args}"],
}
"""What agents start, whatever the YAML says: the runs of this pipeline are its own trainer's."""
PAUSED = "PAUSED"
CANCELLED = ("CANCELED", "CANCELLED")
OVER = ("FINISHED", "STOPPED", *CANCELLED, "CRASHED", "FAILED")
"""States of a sweep in which no agent gets a run any more."""


def check_plain(specification: Specification, where: str) -> None:
    """Raises UserError if the configuration adds what the service's search does not know."""
    if specification.rules != NO_RULES:
        added = ", ".join(specification.rules.describe())
        raise UserError(
            f"{where}: sweep.engine: wandb searches on the service, which knows the YAML alone; "
            f"take {added} out of the configuration's sweep, or set sweep.engine: local"
        )


def create_once(
    document: Mapping[str, Any], identity: str, folder: Path, project: str, entity: str | None
) -> SweepAddress:
    """The sweep with this identity, created on the service if it is not there yet.

    The service itself is asked too, so that not even a kill between creation and writing it down
    makes a second one.

    Args:
        identity: the hash of all that decides the runs; it stands in the sweep's description.
        folder: keeps what was created, outside of what Snakemake removes.

    Raises:
        UserError: the service refuses, or cannot be reached.
    """
    where = digest([base_url(), entity, project, identity])[:8]
    path = folder / f"wandb-{where}.json"
    if path.exists():
        known = read_json(path, CREATED_FORMAT, "remove it, and the service is asked for the sweep")
        return SweepAddress(known["entity"], known["project"], known["id"])
    api = open_session()
    mark = f"[gcodefp {identity}]"
    address = _marked(api, mark, project, entity) or _create(document, mark, project, entity)
    known = {"entity": address.entity, "project": address.project, "id": address.sweep_id}
    write_json(path, CREATED_FORMAT, known)
    return address


def read_sweep_config(address: SweepAddress) -> tuple[dict[str, Any], str]:
    """The YAML of a sweep as the service keeps it, and the sweep's state.

    Raises:
        UserError: there is no such sweep.
    """
    api = open_session()
    with translate_errors(f"reading sweep {address}"):
        sweep = api.sweep(str(address))
        return dict(sweep.config), str(sweep.state).upper()


def count_runs(address: SweepAddress) -> int:
    """How many runs a sweep has there by now."""
    api = open_session()
    with translate_errors(f"reading sweep {address}"):
        return len(api.sweep(str(address)).runs)


def sweep_state(address: SweepAddress) -> str:
    """RUNNING, PAUSED, or one of OVER."""
    return read_sweep_config(address)[1]


def _create(
    document: Mapping[str, Any], mark: str, project: str, entity: str | None
) -> SweepAddress:
    import wandb

    told = str(document.get("description") or "")
    config = {**document, "description": f"{told} {mark}".strip(), **TRAINER}
    with translate_errors(f"creating a sweep in {entity or 'the default entity'}/{project}"):
        sweep_id = wandb.sweep(config, entity=entity, project=project)
        path = "/".join(filter(None, [entity, project, sweep_id]))
        sweep = wandb.Api().sweep(path)
        return SweepAddress(sweep.entity, sweep.project, sweep_id)


def _marked(api: Any, mark: str, project: str, entity: str | None) -> SweepAddress | None:
    """A sweep of the project whose description has the mark, and that was not cancelled."""
    import wandb.errors

    with translate_errors(f"listing the sweeps of {project}"):
        owner = entity or api.default_entity
        try:
            sweeps = list(api.project(project, entity=owner).sweeps())
        except (wandb.errors.CommError, ValueError):
            return None  # The project is not there yet.
        for sweep in sweeps:
            is_marked = mark in str(sweep.config.get("description", ""))
            if is_marked and str(sweep.state).upper() not in CANCELLED:
                return SweepAddress(sweep.entity, sweep.project, sweep.id)
    return None
