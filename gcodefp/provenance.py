"""The provenance that every JSON document of a step records."""

import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from gcodefp.files import sha256

PACKAGES = (
    "gcodefp", "matplotlib", "numpy", "optuna", "pandas", "plotly", "scikit-learn", "snakemake",
    "torch", "wandb",
)  # fmt: skip


def provenance(inputs: Iterable[Path] = ()) -> dict[str, Any]:
    """UTC time, command, git commit, package versions, host and the SHA-256 of each input."""
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": _git_state(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "host": platform.node(),
        "machine": platform.machine(),
        "inputs": {str(path): sha256(path) for path in inputs},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git_state() -> dict[str, Any] | None:
    """Commit of the checkout that this package lies in, and whether it has local changes."""
    folder = Path(__file__).parent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "."))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return finished.stdout.strip()
