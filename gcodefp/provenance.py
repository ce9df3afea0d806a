"""The provenance that every JSON document of a stage records."""

import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePath, PureWindowsPath
from typing import Any

from gcodefp.files import sha256

PACKAGES = (
    "gcodefp", "matplotlib", "numpy", "optuna", "pandas", "scikit-learn", "snakemake",
    "torch", "wandb",
)  # fmt: skip


def provenance(inputs: Iterable[Path] = ()) -> dict[str, Any]:
    """UTC time, command, git commit, package versions, host and the SHA-256 of each input."""
    return {
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "argv": [Path(sys.argv[0]).name, *map(_relative_to_cwd, sys.argv[1:])],
        "git": _git_state(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "host": platform.node(),
        "machine": platform.machine(),
        "inputs": {_relative_to_cwd(str(path)): sha256(path) for path in inputs},
    }


def _relative_to_cwd(word: str) -> str:
    """A path below the working directory relative to it: that folder's own path is private."""
    path, here = PurePath(word), Path.cwd()
    return str(path.relative_to(here)) if path != here and path.is_relative_to(here) else word


ANCHORS = ("dataset/dataset.json", "dataset/train.npz", "sweep/sweep.json", "best/checkpoint.pt")
"""Inputs that show the path of the results folder when a document was written."""


def results_roots(inputs: Iterable[str]) -> set[PurePath]:
    """Paths of the results folder, when these inputs were recorded."""
    return {
        PurePath(*PurePath(text).parts[: -len(PurePath(anchor).parts)])
        for text in inputs
        for anchor in ANCHORS
        if PurePath(text).match(anchor)
    }


# The folders of an absolute path; not those of `mm/min` or of `../x`.
_FOLDERS = re.compile(r"""(?<![\w.~/\\:…-])(?:~|[A-Za-z]:)?[/\\](?:[^\s/\\'"<>|:,;()]+[/\\])+""")


def without_private_folders(content: Any, roots: Iterable[PurePath]) -> Any:
    """A JSON document without absolute paths, in keys and values.

    Paths below a root (a results folder) begin with RESULTS, of others the name is left.
    """
    texts = [f"{root}/" for root in sorted(roots, key=str, reverse=True) if root.is_absolute()]

    def shortened(text: str) -> str:
        for root in texts:
            text = text.replace(root, "RESULTS/")
        if PurePath(text).is_absolute() or PureWindowsPath(text).is_absolute():
            return f"…/{PureWindowsPath(text).name}"
        return _FOLDERS.sub("…/", text)

    def walk(part: Any) -> Any:
        if isinstance(part, str):
            return shortened(part) if "/" in part or "\\" in part else part
        if isinstance(part, dict):
            return {walk(key): walk(value) for key, value in part.items()}
        return list(map(walk, part)) if isinstance(part, list) else part

    return walk(content)


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
