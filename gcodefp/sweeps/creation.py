"""Creates a sweep of the local engine: what decides its id, and sweep.json beside its runs."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gcodefp.code_digest import runs_digest
from gcodefp.command_line import RUNS, created_sweep
from gcodefp.dataset.store import read_description
from gcodefp.errors import UserError
from gcodefp.files import digest
from gcodefp.provenance import provenance
from gcodefp.sweeps.program import Program
from gcodefp.sweeps.sampling import check_possible, total_runs
from gcodefp.sweeps.specification import (
    Specification,
    load_specification,
    read_specification,
    with_program,
)
from gcodefp.sweeps.sweep_file import SweepFile, compute_sweep_id, read_sweep, write_sweep
from gcodefp.sweeps.trainable import check_trainable

FUNCTION = Program(None, (), None)
"""A Python function, which `gcodefp.sweeps.agent` calls."""


def checked_total(specification: Specification, where: str, seed: int) -> int:
    """The number of runs of a sweep that can be run. Raises UserError: it cannot."""
    if specification.program is None:
        check_trainable(specification, where)
    try:
        check_possible(specification, seed)
        return total_runs(specification)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def origin_of(
    specification: Specification, inputs: Sequence[Path], dataset: Path | None
) -> dict[str, Any]:
    """Provenance and digests of a sweep; another program has no training code of ours."""
    is_external = specification.program is not None
    return {
        "provenance": provenance([*inputs, *([dataset] if dataset else [])]),
        "learning_digest": read_description(dataset).learning_digest() if dataset else None,
        "training_code": None if is_external else runs_digest(specification.method),
    }


def sweep(
    config: Mapping[str, Any] | str | Path,
    entity: str | None = None,
    project: str | None = None,
    *,
    seed: int = 0,
    run_cap: int | None = None,
    runs: str | Path = RUNS,
    dataset: str | Path | None = None,
) -> str:
    """Creates a sweep that needs no server, in place of `wandb.sweep`.

    Without a `program`, `agent` calls a function of yours; each call of `sweep` creates another one
    then, as the function's code is not known.

    Args:
        config: W&B's sweep configuration, or a path of its YAML.
        entity, project: for a later `wandb sync`.
        seed: of the search.
        run_cap: in place of that of the configuration; a random or Bayesian search needs one.
        runs: folder that keeps the runs of all sweeps.
        dataset: dataset.json, for a sweep of gcodefp's own trainer.

    Returns:
        the sweep's id, the name of its folder.

    Raises UserError: the configuration is not a sweep that can be run.
    """
    if isinstance(config, str | Path):
        specification, where, inputs = load_specification(Path(config)), str(config), [Path(config)]
    else:
        where, inputs = "sweep", []
        specification = with_program(read_specification(_plain(config), where), where)
    named = {name: v for name, v in (("entity", entity), ("project", project)) if v is not None}
    document = {**specification.document, **named}
    specification = replace(
        specification, document=document, run_cap=run_cap or specification.run_cap
    )
    is_function = not (specification.document.get("program") or specification.program or dataset)
    if is_function:
        if document.get("metric") is None:
            raise UserError(
                f"{where}: metric: is missing; add the name of one that your function logs and its "
                "goal: it decides which run is best"
            )
        specification = replace(specification, program=FUNCTION)
    if specification.program is None and not dataset:
        raise UserError(f"{where}: a sweep of gcodefp's own trainer needs dataset='…/dataset.json'")
    total = checked_total(specification, where, seed)
    origin = origin_of(specification, inputs, Path(dataset) if dataset else None)
    identity = origin["learning_digest"], origin["training_code"]
    sweep_id = compute_sweep_id(specification, seed, *identity)
    if is_function:
        sweep_id = digest([sweep_id, uuid.uuid4().hex])[:8]
    write_sweep(sweep_json(sweep_id, runs), sweep_id, specification, seed, total, origin)
    return sweep_id


def sweep_json(sweep_id: str, runs: str | Path = RUNS) -> Path:
    """sweep.json of a sweep that was created without a workflow."""
    return Path(runs) / sweep_id / "sweep.json"


def read_created(sweep_id: str, runs: str | Path = RUNS) -> SweepFile:
    """The sweep with this id, which may have the project before it, as in W&B.

    Raises UserError: there is none.
    """
    return read_sweep(created_sweep(sweep_id, Path(runs)))


def _plain(config: Any) -> Any:
    """A configuration from Python as YAML would hold it; tuples are lists."""
    try:
        return json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        raise UserError(f"sweep: {error}; write numbers, strings, lists and dicts") from None
