"""sweep.json: which sweep this is, what it searches, and on which data; and how it is created."""

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from gcodefp.code_digest import runs_digest
from gcodefp.command_line import RUNS
from gcodefp.dataset.store import DatasetDescription, read_description
from gcodefp.documents import Count, Document, Finite, Provenance, Sha256, read_document
from gcodefp.errors import UserError
from gcodefp.files import digest, write_json
from gcodefp.provenance import provenance
from gcodefp.sweeps.sampling import checked_total
from gcodefp.sweeps.search_options import read_options
from gcodefp.sweeps.specification import (
    MAX_RUNS,
    Specification,
    load_specification,
    read_specification,
    with_script,
)
from gcodefp.sweeps.user_script.command import UserScript

FORMAT = "gcodefp-sweep-1"
REBUILD = "snakemake --cores all create_sweep"
FUNCTION = UserScript(None, (), None)
"""A Python function, which `gcodefp.sweeps.agent` calls."""


@dataclass(frozen=True)
class SweepFile:
    """What sweep.json says.

    Attributes:
        sweep_id: a hash of all that decides the runs, and not of how many are wanted.
        total: how many runs are wanted, whoever runs them.
    """

    sweep_id: str
    specification: Specification
    seed: int
    total: int
    document: Mapping[str, Any]

    @property
    def script(self) -> UserScript | None:
        """What trains the runs; None for this project's trainer."""
        return self.specification.script

    @property
    def address(self) -> str | None:
        """ENTITY/PROJECT/ID on the W&B service; None for a sweep of the local engine."""
        return self.document.get("wandb")

    @property
    def run_limit(self) -> float:
        """Runs with this number or a higher one are ignored, as after run_cap was lowered.

        A sweep of the service has none: it may get more runs than run_cap at its creation.
        """
        return math.inf if self.address else self.total

    @property
    def is_existing(self) -> bool:
        """Whether somebody else created it on the service, and trains it."""
        return bool(self.document.get("existing"))

    @property
    def is_repeat(self) -> bool:
        """Whether its runs are those of other sweeps again, with other seeds."""
        return bool(self.document.get("is_repeat"))

    def check_dataset(self, description: DatasetDescription, path: Path, dataset: Path) -> None:
        """Raises UserError: the sweep, read from `path`, is one over another dataset."""
        if description.training_data_digest() != self.document["learning_digest"]:
            raise UserError(
                f"{path}: is a sweep over another dataset than {dataset}; run create_sweep again"
            )


def origin_of(
    specification: Specification, inputs: Sequence[Path], dataset: Path | None
) -> dict[str, Any]:
    """Provenance and digests of a sweep; a user script has no training code of ours."""
    has_script = specification.script is not None
    return {
        "provenance": provenance([*inputs, *([dataset] if dataset else [])]),
        "learning_digest": read_description(dataset).training_data_digest() if dataset else None,
        "training_code": None if has_script else runs_digest(specification.method),
    }


def compute_sweep_id(specification: Specification, seed: int, origin: Mapping[str, Any]) -> str:
    """The id of a sweep: the same search on the same data with the same code has the same id."""
    digests = origin["learning_digest"], origin["training_code"]
    return digest([specification.identity_content(), seed, *digests])[:8]


def write_sweep(
    path: Path,
    sweep_id: str,
    specification: Specification,
    seed: int,
    total: int,
    origin: Mapping[str, Any],
    address: str | None = None,
) -> None:
    """Writes sweep.json.

    Args:
        origin: `provenance`, `learning_digest` of the dataset (None without one) and
            `training_code` (None if a user script trains).
        address: ENTITY/PROJECT/ID on the W&B service, if its engine is used.
    """
    content = {
        "id": sweep_id,
        "engine": "wandb" if address else "local",
        "wandb": address,
        "method": specification.method,
        "metric": specification.objective.metric,
        "goal": specification.objective.goal,
        "seed": seed,
        "runs": total,
        "parameters": {n: p.describe() for n, p in specification.parameters.items()},
        "as_written": dict(specification.document),
        **({"program": specification.script.describe()} if specification.script else {}),
        **specification.options.describe(),
        **origin,
    }
    write_json(path, FORMAT, content)


class _SweepOptions(Document):
    model_config = ConfigDict(extra="forbid", strict=True)

    constraints: list[str] = Field(default_factory=list)
    conditions: dict[str, str] = Field(default_factory=dict)
    first: list[dict[str, Any]] = Field(default_factory=list)  # points to try first
    width: int | None = Field(None, ge=1, le=MAX_RUNS)
    combined: dict[str, str] = Field(default_factory=dict)


class _ScriptEntry(Document):
    path: str | None
    command: list[str]
    digest: Sha256 | None


class _SweepDocument(Document):
    """What the engines need of sweep.json; `id` names a folder."""

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    wandb: str | None = None
    existing: bool = False
    is_repeat: bool = False
    as_written: dict[str, Any]
    program: _ScriptEntry | None = None  # the user script
    rules: _SweepOptions | None = None  # what the configuration adds
    pareto: dict[str, Literal["maximize", "minimize"]] | None = Field(
        None, min_length=2, max_length=2
    )
    seed: int = Field(ge=-(2**63), lt=2**64)
    runs: int = Field(ge=0, le=MAX_RUNS)
    learning_digest: str | None = None  # of the training data
    training_code: str | None = None


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
    named = {name: v for name, v in (("entity", entity), ("project", project)) if v is not None}
    inputs = [Path(config)] if isinstance(config, str | Path) else []
    where = str(config) if inputs else "sweep"
    if isinstance(config, str | Path):
        specification = load_specification(Path(config))
    else:
        specification = with_script(read_specification(_plain(config), where), where)
    specification = replace(
        specification,
        document={**specification.document, **named},
        run_cap=run_cap or specification.run_cap,
        script=specification.script or (None if dataset else _function(specification, where)),
    )
    total = checked_total(specification, where, seed)
    origin = origin_of(specification, inputs, Path(dataset) if dataset else None)
    sweep_id = compute_sweep_id(specification, seed, origin)
    if specification.script is FUNCTION:
        sweep_id = digest([sweep_id, uuid.uuid4().hex])[:8]
    path = Path(runs) / sweep_id / "sweep.json"
    write_sweep(path, sweep_id, specification, seed, total, origin)
    return sweep_id


def _function(specification: Specification, where: str) -> UserScript:
    """FUNCTION, which trains a sweep without a script and a dataset.

    Raises UserError: the sweep has no metric, or is one of gcodefp's own trainer.
    """
    if specification.document.get("program"):
        raise UserError(f"{where}: a sweep of gcodefp's own trainer needs dataset='…/dataset.json'")
    if specification.document.get("metric") is None:
        raise UserError(
            f"{where}: metric: is missing; add the name of one that your function logs and its "
            "goal: it decides which run is best"
        )
    return FUNCTION


def _plain(config: Any) -> Any:
    """A configuration from Python as YAML would hold it; tuples are lists."""
    try:
        return json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        raise UserError(f"sweep: {error}; write numbers, strings, lists and dicts") from None


def read_sweep(path: Path) -> SweepFile:
    """Reads sweep.json. Raises UserError: it is missing or damaged."""
    document = read_document(path, FORMAT, _SweepDocument, REBUILD)
    specification = read_specification(document["as_written"], str(path))
    entry = document.get("program")
    script = UserScript(**entry | {"command": tuple(entry["command"])}) if entry else None
    options = read_options(
        specification.parameters, **document.get("rules", {}), has_script=script is not None
    )
    return SweepFile(
        sweep_id=document["id"],
        specification=replace(specification, options=options, script=script),
        seed=document["seed"],
        total=document["runs"],
        document=document,
    )


BEST_FORMAT = "gcodefp-best-2"
BEST_REBUILD = "snakemake --cores all --forcerun select_best"


class _Seeds(Document):
    runs: list[str]


class BestRun(Document):
    """best/run.json, format gcodefp-best-2; a run of a user script is not scored again.

    It has no best epoch if it has only a result.
    """

    provenance: Provenance
    run: str
    folder: Annotated[str, Field(pattern=r"^[\w-]+/\d+$")] | None = None
    sweeps: list[str] = Field(min_length=1)
    metric: str
    goal: Literal["maximize", "minimize"]
    runs: Count
    best_value: Finite
    scored_again: Finite | None
    best_epoch: Annotated[int, Field(ge=1, le=10**6)] | None
    hyperparameters: dict[str, bool | Finite | str | list[Any] | None]
    seeds: list[_Seeds]
    combined: dict[str, str] = Field(default_factory=dict)
    parameters: Count | None  # the number of weights
    seconds: Annotated[float, Field(ge=0, le=1e15)] | None
    device: str | None


def read_best(path: Path) -> dict[str, Any]:
    """Reads best/run.json. Raises UserError: it is missing or damaged."""
    return read_document(path, BEST_FORMAT, BestRun, BEST_REBUILD)
