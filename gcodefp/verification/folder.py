"""Where the files of finished results lie, and where those are that they were made from."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from gcodefp.errors import UserError

PLACES = tuple(
    map(
        PurePath,
        ("dataset/dataset.json", "dataset/train.npz", "sweep/sweep.json", "best/checkpoint.pt"),
    )
)
"""Where the pipeline has its files, whatever it was told to call their folder."""


@dataclass(frozen=True)
class ResultsFolder:
    """The folder that the pipeline's configuration calls `results`."""

    path: Path

    @property
    def dataset(self) -> Path:
        return self.path / "dataset" / "dataset.json"

    @property
    def sweep(self) -> Path:
        return self.path / "sweep" / "sweep.json"

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def best(self) -> Path:
        return self.path / "best"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def explanation(self) -> Path:
        return self.path / "explanation"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def protocols(self) -> Path:
        return self.path / "protocols" / "protocols.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    def name(self, path: Path) -> str:
        """A file for readers: relative to the folder, if it lies in it."""
        return str(path.relative_to(self.path) if path.is_relative_to(self.path) else path)


def read_any(path: Path) -> dict[str, Any]:
    """A JSON document of whatever format.

    Raises:
        UserError: it is missing, or no JSON document.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error})") from None
    if not isinstance(document, dict):
        raise UserError(f"{path}: no JSON document of gcodefp")
    return document


def recorded_roots(documents: Iterable[Mapping[str, Any]]) -> set[PurePath]:
    """What the results folder was called when the documents were written.

    That was on another machine or from another working directory perhaps. It is what stands before
    the places that the pipeline has for its files.
    """
    roots = set()
    for document in documents:
        for recorded in inputs_of(document):
            parts = PurePath(recorded).parts
            for place in PLACES:
                if parts[-len(place.parts) :] == place.parts:
                    roots.add(PurePath(*parts[: -len(place.parts)]))
    return roots


def inputs_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Recorded path -> SHA-256 of each file that a document was made from."""
    found: dict[str, str] = document.get("provenance", {}).get("inputs", {})
    return found


def located(results: ResultsFolder, recorded: str, roots: Iterable[PurePath]) -> Path:
    """Where a recorded path is now: in this results folder, if it was in the one of then."""
    path = PurePath(recorded)
    for root in sorted(roots, key=lambda root: -len(root.parts)):
        below = _below(path, root)
        # Of a folder that was called `.` nobody knows what lay in it.
        if below and (root.parts or (results.path / below).exists()):
            return results.path / below
    return Path(recorded)


def _below(path: PurePath, root: PurePath) -> PurePath | None:
    """The part of a path below a root; a relative root may stand anywhere in an absolute path."""
    if path.is_relative_to(root):
        return path.relative_to(root)
    depth = len(root.parts)
    if not depth or root.is_absolute():
        return None
    starts = range(len(path.parts) - depth, 0, -1)
    start = next((i for i in starts if path.parts[i : i + depth] == root.parts), None)
    return None if start is None else PurePath(*path.parts[start + depth :])
