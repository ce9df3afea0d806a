"""sweep.json: which sweep this is, what it searches, and on which data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcodefp.files import digest, read_json, write_json
from gcodefp.sweep.specification import Specification, read_specification

FORMAT = "gcodefp-sweep-1"
REBUILD = "snakemake --cores all --forcerun create_sweep"


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


def sweep_identity(
    specification: Specification, seed: int, learning_digest: str, code_digest: str
) -> str:
    """The id of a sweep: the same search on the same data with the same code has the same id."""
    parts = [specification.deciding(), seed, learning_digest, code_digest]
    return digest(parts)[:8]


def write_sweep(path: Path, content: Mapping[str, Any]) -> None:
    """Writes sweep.json."""
    write_json(path, FORMAT, content)


def read_sweep(path: Path) -> SweepFile:
    """Reads sweep.json."""
    document = read_json(path, FORMAT, REBUILD)
    return SweepFile(
        sweep_id=document["id"],
        specification=read_specification(document["as_written"], str(path)),
        seed=document["seed"],
        total=document["runs"],
        document=document,
    )
