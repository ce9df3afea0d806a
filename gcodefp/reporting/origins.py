"""Where the numbers come from: for each step its command, commit, inputs and versions."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gcodefp.findings.results import Results


def origins(results: Results, protocols: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Where each file comes from: time, command line, commit, host and inputs.

    Args:
        protocols: provenance of the table of protocols, if there is one.
    """
    known = _provenances(results, protocols)
    return [_origin(name, provenance) for name, provenance in known.items()]


def _provenances(
    results: Results, protocols: Mapping[str, Any] | None
) -> dict[str, Mapping[str, Any]]:
    """File -> its provenance, of all that the page is made from."""
    documents = {
        "dataset.json": results.dataset,
        "sweep.json": results.sweep,
        "best/run.json": results.winner,
        "evaluation/metrics.json": results.evaluation,
        "explanation/explanation.json": results.explanation.document,
    }
    found = {name: document["provenance"] for name, document in documents.items()}
    return found | ({"protocols/protocols.json": protocols} if protocols else {})


def _origin(name: str, provenance: Mapping[str, Any]) -> dict[str, Any]:
    program, *arguments = provenance["argv"]
    git = provenance["git"]
    return {
        "file": name,
        "utc": provenance["utc"],
        "command": shlex.join(["python", "-m", f"gcodefp.{Path(program).stem}", *arguments]),
        "commit": git["commit"] if git else "unknown (no git checkout)",
        "dirty": bool(git and git["dirty"]),
        "host": f"{provenance['host']} ({provenance['machine']})",
        "inputs": sorted(provenance["inputs"].items()),
    }


def versions(results: Results, protocols: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Package -> version, all of them where the steps did not run with the same.

    Args:
        protocols: as of `origins`.
    """
    found: dict[str, set[str]] = {}
    for provenance in _provenances(results, protocols).values():
        for name, version in {"python": provenance["python"], **provenance["packages"]}.items():
            found.setdefault(name, set()).add(version or "not installed")
    return [(name, " and ".join(sorted(known))) for name, known in found.items()]
