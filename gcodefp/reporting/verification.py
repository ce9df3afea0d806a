"""One check: what is looked at, whether it holds, and why."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isclose
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import REBUILD, read_description
from gcodefp.errors import UserError
from gcodefp.files import sha256
from gcodefp.sweeps.run_folder import run_folders
from gcodefp.sweeps.sweep_file import SweepFile

SHOWN = 5
"""So many of the things that are wrong are named; the rest is counted."""


class Check(NamedTuple):
    """What was found out.

    Attributes:
        holds: None if it was left out.
        why: what was compared, or what is wrong.
    """

    name: str
    holds: bool | None
    why: str

    def line(self) -> str:
        """As the terminal shows it."""
        verdict = {True: "ok", False: "NOT ok", None: "left out"}[self.holds]
        return f"{verdict:<8}  {self.name}: {self.why}"


def run_check(name: str, what: str, look: Callable[[], Iterable[str]]) -> Check:
    """Runs a check that tells all that is wrong.

    Args:
        what: what is compared, told where all is well.
        look: yields what is wrong. A file that is missing, or whose content makes no sense, is
            what a check is there to find, and no reason to leave out the others.
    """
    try:
        wrong = list(look())
    except Exception as error:
        wrong = [in_words(error)]
    return Check(name, not wrong, listed(wrong) if wrong else what)


def listed(things: list[str]) -> str:
    """The first few of them."""
    more = f"; and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return "; ".join(things[:SHOWN]) + more


def in_words(error: Exception) -> str:
    """What a check says of a file that could not be looked at."""
    if isinstance(error, UserError | OSError):
        return str(error)
    return f"its files make no sense ({type(error).__name__}: {error})"


SAME_NUMBER = 1e-9
"""Differences below this are rounding, whatever the tolerance."""


def differences(due: Any, found: Any, tolerance: float = 0.0, where: str = "") -> Iterator[str]:
    """Where a JSON document is not what it has to be.

    Args:
        tolerance: how much numbers may differ, relative to the larger one.
        where: the path of keys to these two.
    """
    if isinstance(due, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys([*due, *found]):
            path = f"{where}.{key}" if where else str(key)
            if key not in found:
                yield f"{path} is missing"
            elif key not in due:
                yield f"{path} should not be there"
            else:
                yield from differences(due[key], found[key], tolerance, path)
    elif _is_list(due) and _is_list(found) and len(due) == len(found):
        for index, pair in enumerate(zip(due, found, strict=True)):
            yield from differences(*pair, tolerance, f"{where}[{index}]")
    elif not _same(due, found, tolerance):
        yield f"{where} is {found!r}, it should be {due!r}"


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _same(due: Any, found: Any, tolerance: float) -> bool:
    if _is_number(due) and _is_number(found) and tolerance:
        return isclose(due, found, rel_tol=tolerance, abs_tol=SAME_NUMBER)
    return type(due) is type(found) and bool(due == found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def table_differences(due: str, found: str, key: Sequence[str]) -> Iterator[str]:
    """Where a CSV text is not what it has to be.

    Args:
        key: the columns that name a line.
    """
    if due == found:
        return
    wanted, there = (_lines(text, key) for text in (due, found))
    for name in dict.fromkeys([*wanted, *there]):
        if name not in there:
            yield f"{name} is missing"
        elif name not in wanted:
            yield f"{name} should not be there"
        else:
            yield from differences(wanted[name], there[name], where=name)
    if wanted == there:
        yield "its lines, or their columns, are in another order than they should be"


def _lines(text: str, key: Sequence[str]) -> dict[str, dict[str, str]]:
    """Lines by name, as `run 0002, epoch 3`."""
    rows = csv.DictReader(io.StringIO(text))
    return {", ".join(f"{name} {row[name]}" for name in key): dict(row) for row in rows}


def array_differences(
    due: Mapping[str, NDArray[Any]],
    found: Mapping[str, NDArray[Any]],
    tolerance: float,
    granted: float,
) -> Iterator[str]:
    """Which arrays of an NPZ file are not what they have to be.

    Args:
        tolerance: how much numbers may differ, relative and absolute.
        granted: share of the rows of an array that may be others.
    """
    for name in dict.fromkeys([*due, *found]):
        if name not in due or name not in found:
            yield f"{name} {'is missing' if name in due else 'should not be there'}"
        elif due[name].shape != found[name].shape:
            yield f"{name} has the shape {found[name].shape}, it should have {due[name].shape}"
        elif (other := _other_rows(due[name], found[name], tolerance)) > granted * len(due[name]):
            yield f"{name} is another at {other} of {len(due[name])} rows"


def _other_rows(due: NDArray[Any], found: NDArray[Any], tolerance: float) -> int:
    if due.dtype.kind == "f" and found.dtype.kind == "f":
        same = np.isclose(due, found, rtol=tolerance, atol=tolerance, equal_nan=True)
    else:
        same = np.asarray(due == found)
    return int((~same).reshape(len(due), -1).any(axis=1).sum())


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


REWRITTEN = ("sweep.json", "dataset.json")
"""Written anew, with another date, when a sweep is enlarged or its data are prepared again."""


def check_inputs(results: ResultsFolder, sweeps: list[SweepFile]) -> list[Check]:
    """One check for each document that the report rests on, and one for all runs."""
    documents = _documents(results)
    roots = _roots(results, documents)
    checks = [
        run_check(
            f"inputs of {results.name(path)}",
            f"{len(inputs_of(document))} files have the SHA-256 that it records",
            partial(_changed_of, results, path, roots),
        )
        for path, document in documents.items()
    ]
    checks.append(
        run_check(
            "inputs of the runs",
            f"{sum(1 for _ in _runs(results, sweeps))} runs are of the train and val split",
            partial(_changed_of_runs, results, sweeps, roots),
        )
    )
    checks.append(
        run_check(
            "files of the dataset",
            "train, val, test and programs.npz are those that dataset.json describes",
            partial(_changed_splits, results),
        )
    )
    return checks


def _documents(results: ResultsFolder) -> dict[Path, dict[str, Any]]:
    """What the report rests on, and what that was made from; runs are looked at for themselves.

    Those that cannot be read are empty.
    """
    waiting = [results.dataset, results.sweep, results.best / "run.json"]
    waiting.append(results.evaluation / "metrics.json")
    waiting.append(results.explanation / "explanation.json")
    waiting += [results.protocols] if results.protocols.exists() else []
    found: dict[Path, dict[str, Any]] = {}
    while waiting:
        path = waiting.pop(0)
        if path in found:
            continue
        try:
            found[path] = _with_inputs(path)
        except UserError:
            found[path] = {}
        roots = _roots(results, found)
        sources = (located(results, recorded, roots) for recorded in inputs_of(found[path]))
        waiting += [of for source in sources if (of := _document_of(results, source))]
    return found


def _roots(results: ResultsFolder, documents: Mapping[Path, dict[str, Any]]) -> set[PurePath]:
    """Folds of protocols have the same places as the pipeline, in folders of their own."""
    folds = results.protocols.parent
    return recorded_roots(of for path, of in documents.items() if not path.is_relative_to(folds))


def _document_of(results: ResultsFolder, source: Path) -> Path | None:
    """The document of these results that tells where a file comes from."""
    if not source.is_relative_to(results.path) or source.is_relative_to(results.runs):
        return None
    beside = source.with_name("run.json")
    if source.suffix == ".pt" and beside.is_file():
        return beside
    return source if source.suffix == ".json" else None


def _with_inputs(path: Path) -> dict[str, Any]:
    document = read_any(path)
    origin = document.get("provenance")
    if not isinstance(origin, dict) or not isinstance(origin.get("inputs"), dict):
        raise UserError(f"{path}: records no inputs; it is no result of gcodefp, or was edited")
    return document


def _changed_of(results: ResultsFolder, path: Path, roots: set[PurePath]) -> Iterator[str]:
    yield from _changed(results, inputs_of(_with_inputs(path)), roots)


def _changed(
    results: ResultsFolder, inputs: Mapping[str, str], roots: set[PurePath]
) -> Iterator[str]:
    """Inputs that are missing, or other files than they were."""
    for recorded, digest in inputs.items():
        path = located(results, recorded, roots)
        if not path.is_file():
            # A relative path is meant from where the pipeline was started.
            outside = "" if path.is_absolute() or path.is_relative_to(results.path) else Path.cwd()
            yield f"{results.name(path)} is not here{f', below {outside}' if outside else ''}"
        elif (now := sha256(path)) != digest:
            yield f"{results.name(path)} has changed (SHA-256 {now[:12]}, recorded {digest[:12]})"


def _changed_of_runs(
    results: ResultsFolder, sweeps: list[SweepFile], roots: set[PurePath]
) -> Iterator[str]:
    """Runs are kept when sweep.json and dataset.json are written anew with the same meaning."""
    digest = read_description(results.dataset).learning_digest()
    for sweep in sweeps:
        if sweep.document["learning_digest"] != digest:
            yield f"sweep {sweep.sweep_id} is of another train or val split than dataset.json"
    for path in _runs(results, sweeps):
        inputs = inputs_of(read_any(path))
        due = {name: of for name, of in inputs.items() if PurePath(name).name not in REWRITTEN}
        for wrong in _changed(results, due, roots):
            yield f"{results.name(path)}: {wrong}"


def _runs(results: ResultsFolder, sweeps: list[SweepFile]) -> Iterator[Path]:
    """run.json of every run that the winner was chosen from."""
    for sweep in sweeps:
        for folder in run_folders(results.runs / sweep.sweep_id):
            if folder.is_over() and folder.number < sweep.first_beyond:
                yield folder.path / "run.json"


def _changed_splits(results: ResultsFolder) -> Iterator[str]:
    document = read_any(results.dataset)
    due = {f"{name}.npz": of["sha256"] for name, of in document["splits"].items()}
    due["programs.npz"] = document["programs"]["sha256"]
    for name, digest in due.items():
        path = results.dataset.with_name(name)
        if not path.is_file():
            yield f"{results.name(path)} is not here; it is made by: {REBUILD}"
        elif sha256(path) != digest:
            yield f"{results.name(path)} is not the one that dataset.json describes"
