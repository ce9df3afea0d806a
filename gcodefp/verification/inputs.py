"""Whether the files that results were made from are still those that their provenance records."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from gcodefp.dataset.store import REBUILD, read_description
from gcodefp.errors import UserError
from gcodefp.files import sha256
from gcodefp.sweep.run_folder import run_folders
from gcodefp.sweep.sweep_file import SweepFile
from gcodefp.verification.check import Check, run_check
from gcodefp.verification.folder import ResultsFolder, inputs_of, located, read_any, recorded_roots

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
