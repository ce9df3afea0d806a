"""Whether figures and report are what their files give: they are made once more and compared."""

import csv
import hashlib
import io
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import torch
from matplotlib.image import imread
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import read_controls
from gcodefp.evaluation.explanation import describe_explanation, explain_split, explanation_arrays
from gcodefp.evaluation.names import (
    BREAKDOWN,
    EVALUATION_FORMAT,
    EVALUATION_REBUILD,
    EXPLANATION_FORMAT,
    EXPLANATION_REBUILD,
)
from gcodefp.evaluation.split_scores import (
    Evaluated,
    describe_evaluation,
    evaluate_split,
    prediction_arrays,
    reconstructed_programs,
)
from gcodefp.files import read_json, sha256
from gcodefp.model.checkpoint import read_checkpoint
from gcodefp.model.data import to_tensors
from gcodefp.model.epoch import validate
from gcodefp.model.trainer import describe_device
from gcodefp.reporting.figures import FIGURES
from gcodefp.reporting.figures.style import SUFFIXES, draw_figures
from gcodefp.reporting.page import FIGURES_REBUILD, render
from gcodefp.reporting.protocols_table import (
    PROTOCOLS_FORMAT,
    PROTOCOLS_REBUILD,
    described,
    protocol_lines,
    read_fold,
)
from gcodefp.reporting.results import Results, read_results
from gcodefp.reporting.verification import (
    Check,
    ResultsFolder,
    array_differences,
    differences,
    in_words,
    inputs_of,
    located,
    read_any,
    recorded_roots,
    run_check,
    table_differences,
)
from gcodefp.sweeps.ranking import (
    FACTS,
    EndedRun,
    Selection,
    common_objective,
    curves_csv,
    describe_selection,
    runs_csv,
    select,
    select_of_sweeps,
    work_csv,
)
from gcodefp.sweeps.run_folder import COUNTED, WINS, run_folder
from gcodefp.sweeps.sweep_file import BEST_FORMAT, BEST_REBUILD, SweepFile, read_sweep

REPORT_REBUILD = "snakemake --cores all report_page"
SHOWN_LETTERS = 70


def check_drawings(results: ResultsFolder) -> list[Check]:
    """The figures, and the page with figures drawn anew in it."""
    names = ", ".join(SUFFIXES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        figures = run_check(
            "figures",
            f"{len(FIGURES)} drawn again ({names}): the same bytes, or of PNG the same pixels",
            lambda: _figures(results, folder),
        )
        page = run_check(
            "report.html",
            "rendered again, with figures drawn anew: the same bytes",
            lambda: _page(results, folder),
        )
    return [figures, page]


def _read(results: ResultsFolder) -> Results:
    return read_results(
        results.dataset, results.sweep, results.best, results.evaluation, results.explanation
    )


def _figures(results: ResultsFolder, folder: Path) -> Iterator[str]:
    draw_figures(_read(results), folder)
    for stem in FIGURES:
        for suffix in SUFFIXES:
            path, again = (of / f"{stem}.{suffix}" for of in (results.figures, folder))
            if not path.is_file():
                yield f"{results.name(path)} is not here; it is made by: {FIGURES_REBUILD}"
            elif (due := again.read_bytes()) != (found := path.read_bytes()):
                wrong = _other_pixels(due, found) if suffix == "png" else "other bytes"
                if wrong:
                    yield (
                        f"{results.name(path)} is not what matplotlib {matplotlib.__version__} "
                        f"draws from the files ({wrong})"
                    )


def _other_pixels(due: bytes, found: bytes) -> str | None:
    """How the pictures in two PNG files differ; libraries may pack the same one differently."""
    try:
        one, other = (imread(io.BytesIO(of), format="png") for of in (due, found))
    except (SyntaxError, OSError, ValueError):
        return "no PNG"
    if one.shape != other.shape:
        return "another size"
    count = int((np.abs(one - other) > 0).any(axis=-1).sum())
    return f"{count} pixels differ" if count else None


def _page(results: ResultsFolder, figures: Path) -> Iterator[str]:
    if not results.report.is_file():
        yield f"{results.report}: no such file; it is made by: {REPORT_REBUILD}"
        return
    found = results.report.read_bytes().decode("utf-8")
    due = render(_read(results), figures, results.protocols)
    if due != found:
        lines = list(_other_lines(_short(due).splitlines(), _short(found).splitlines()))
        yield from lines or ["its line ends are others than the files give"]


def _other_lines(due: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    for number, (given, there) in enumerate(zip(due, found, strict=False), 1):
        if given != there:
            shown, right = _around(there, given), _around(given, there)
            yield f"line {number} has {shown}, the files give {right}"
    if len(due) != len(found):
        yield f"it has {len(found)} lines, the files give {len(due)}"


def _short(page: str) -> str:
    """The page with a hash in place of each figure, which is a very long line."""
    return re.sub(
        r"base64,[A-Za-z0-9+/=]+",
        lambda of: f"figure {hashlib.sha256(of.group().encode()).hexdigest()[:8]}",
        page,
    )


def _around(text: str, other: str) -> str:
    """The part of a line where it begins to differ."""
    pairs = enumerate(zip(text, other, strict=False))
    equal = next((index for index, (a, b) in pairs if a != b), min(len(text), len(other)))
    first = max(0, equal - SHOWN_LETTERS // 2)
    return repr(text[first : first + SHOWN_LETTERS].strip())


EXPLANATION_TOLERANCE = 1e-3
"""Relative, and absolute for arrays: confidences are sums of many rounded numbers."""
EXPLAINED_ELSEWHERE = 5e-3
"""The same for what another kind of device has to give too, and the share of rows it may miss."""
FOUND = ("explanation/explanation.json", "explanation/explanation.npz")
EXPLANATION_NAMES = tuple(f"{name}, asked again" for name in FOUND)
"""The checks."""
ONLY_ON_THE_SAME = ("differences", "overconfidence", "bins")
"""Numbers near 0, or of few rows: another device rounds otherwise."""


class _Again(NamedTuple):
    found: dict[str, Any]
    due: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    same: bool


def check_explanation(results: ResultsFolder, device: torch.device) -> list[Check]:
    """Asks the winner about the test split again."""
    try:
        again = _explain(results, device)
    except Exception as error:
        return [Check(name, False, f"cannot be: {in_words(error)}") for name in EXPLANATION_NAMES]
    on = f"on {again.due['device']}, explained on {again.found['device']}"
    looks = (
        (f"sensors left out and calibration, {on}", _document),
        (f"every row, {on}", _arrays),
    )
    return [
        run_check(name, what, partial(look, results, again))
        for name, (what, look) in zip(EXPLANATION_NAMES, looks, strict=True)
    ]


def _explain(results: ResultsFolder, device: torch.device) -> _Again:
    path = results.explanation / "explanation.json"
    found = read_json(path, EXPLANATION_FORMAT, EXPLANATION_REBUILD)
    checkpoint = read_checkpoint(results.best / "checkpoint.pt", device)
    description = read_description(results.dataset)
    if checkpoint.description.learning_digest() != description.learning_digest():
        raise UserError(f"{results.best / 'checkpoint.pt'}: was trained on another dataset")
    test = read_split(results.dataset.with_name("test.npz"), description, "test")
    explained = explain_split(checkpoint, test, device)
    return _Again(
        found,
        describe_explanation(explained, test, checkpoint.description, device),
        explanation_arrays(explained, test, checkpoint.description),
        found["device"] == describe_device(device),
    )


def _document(results: ResultsFolder, again: _Again) -> Iterator[str]:
    # These say where and when, which is another today.
    apart = {"format", "provenance", "device", *(() if again.same else ONLY_ON_THE_SAME)}
    due, found = (_without(of, apart) for of in (again.due, again.found))
    yield from differences(due, found, EXPLANATION_TOLERANCE if again.same else EXPLAINED_ELSEWHERE)


def _without(content: Any, keys: set[str]) -> Any:
    """The same JSON document without these keys, wherever they are."""
    if isinstance(content, Mapping):
        return {key: _without(of, keys) for key, of in content.items() if key not in keys}
    if isinstance(content, list | tuple):
        return [_without(of, keys) for of in content]
    return content


def _arrays(results: ResultsFolder, again: _Again) -> Iterator[str]:
    with np.load(results.explanation / "explanation.npz", allow_pickle=False) as arrays:
        found = dict(arrays)
    granted = 0.0 if again.same else EXPLAINED_ELSEWHERE
    yield from array_differences(again.arrays, found, EXPLANATION_TOLERANCE, granted)


PROTOCOLS_TOLERANCE = 1e-9
"""Relative: the folds may be added up in another order."""


def check_protocols(results: ResultsFolder) -> list[Check]:
    """Puts the evaluations together again; no check where there is no table."""
    if not results.protocols.exists():
        return []
    what = "its lines are what the evaluations of its folds give, which are not scored again"
    return [
        run_check("protocols/protocols.json, put together again", what, lambda: _table(results))
    ]


def _table(results: ResultsFolder) -> Iterator[str]:
    document = read_json(results.protocols, PROTOCOLS_FORMAT, PROTOCOLS_REBUILD)
    winner = read_json(results.best / "run.json", BEST_FORMAT, BEST_REBUILD)
    roots = recorded_roots([read_any(results.evaluation / "metrics.json")])
    recorded = [name for name in inputs_of(document) if PurePath(name).name == "metrics.json"]
    folds = [read_fold(located(results, name, roots).parent) for name in recorded]
    due = described(protocol_lines(folds), document["left_out"], winner)
    found = {key: of for key, of in document.items() if key not in ("format", "provenance")}
    yield from differences(due, found, PROTOCOLS_TOLERANCE)


TOLERANCE = 1e-6
"""Relative; the same device gives the same numbers but for their last digits."""
OTHER_DEVICE = 5e-3
"""What select_best grants another kind of device, of numbers and of the share of rows."""
CHOSEN = ("best/run.json", "evaluation/metrics.json", "evaluation/predictions.npz")
NAMES = (*(f"{name}, scored again" for name in CHOSEN), "evaluation/gcode, read again")
"""The checks."""


class _ScoredAgain(NamedTuple):
    """What was read and scored once more."""

    metrics: dict[str, Any]
    test: Split
    evaluated: Evaluated
    description: Description
    device: torch.device


def check_scores(results: ResultsFolder, device: torch.device, threads: int) -> list[Check]:
    """Scores the winner on val and test split.

    Args:
        threads: processor cores that the baselines may use.
    """
    try:
        again = _score(results, device, threads)
        grace, on = _grace(results, again.metrics, device)
    except Exception as error:
        return [Check(name, False, f"cannot be: {in_words(error)}") for name in NAMES]
    count = sum(len(of) for of in again.evaluated.scores.values())
    looks = (
        (f"the winner has the value that it was chosen by {on}", _chosen),
        (f"{count} metrics with their intervals, {on}", _metrics),
        (f"every row, {on}", _predictions),
        (f"the reconstructed programs, {on}", _programs),
    )
    return [
        run_check(name, what, partial(look, results, again, grace))
        for name, (what, look) in zip(NAMES, looks, strict=True)
    ]


def _score(results: ResultsFolder, device: torch.device, threads: int) -> _ScoredAgain:
    metrics = read_json(results.evaluation / "metrics.json", EVALUATION_FORMAT, EVALUATION_REBUILD)
    checkpoint = read_checkpoint(results.best / "checkpoint.pt", device)
    description = read_description(results.dataset)
    if checkpoint.description.learning_digest() != description.learning_digest():
        raise UserError(f"{results.best / 'checkpoint.pt'}: was trained on another dataset")
    test, train = (_split(results, description, name) for name in ("test", "train"))
    evaluated = evaluate_split(checkpoint, test, train, device, threads)
    return _ScoredAgain(metrics, test, evaluated, checkpoint.description, device)


def _split(results: ResultsFolder, description: Description, name: str) -> Split:
    return read_split(results.dataset.with_name(f"{name}.npz"), description, name)


def _grace(
    results: ResultsFolder, metrics: Mapping[str, Any], device: torch.device
) -> tuple[float, str]:
    """How much numbers may differ, and why so much."""
    # Older results do not tell where they were evaluated: as a rule where they were trained.
    recorded = metrics.get("device") or _best(results)["device"]
    now = describe_device(device)
    if recorded == now:
        return TOLERANCE, f"on the same kind of device ({now}; up to {TOLERANCE:g})"
    return OTHER_DEVICE, f"on {now} instead of {recorded} (up to {OTHER_DEVICE:g})"


def _best(results: ResultsFolder) -> dict[str, Any]:
    return read_json(results.best / "run.json", BEST_FORMAT, BEST_REBUILD)


def _chosen(results: ResultsFolder, again: _ScoredAgain, grace: float) -> Iterator[str]:
    """On the val split, whose labels have the lags taken out."""
    best = _best(results)
    checkpoint = read_checkpoint(results.best / "checkpoint.pt", again.device)
    val = _split(results, again.description, "val")
    data = to_tensors(val, again.description, again.device)
    measured = validate(checkpoint.network, checkpoint.hyperparameters, data)
    learnt = vars(checkpoint.hyperparameters)
    due: dict[str, Any] = {
        "best_epoch": checkpoint.epoch,
        # A run that W&B told of may leave out defaults.
        "hyperparameters": {name: learnt[name] for name in best["hyperparameters"]},
    }
    if best["metric"] in measured:  # A train metric belongs to a pass of training.
        due |= dict.fromkeys(("best_value", "scored_again"), measured[best["metric"]])
    yield from differences(due, {key: best[key] for key in due}, grace)


def _metrics(results: ResultsFolder, again: _ScoredAgain, grace: float) -> Iterator[str]:
    roots = recorded_roots([again.metrics])
    paths = (located(results, of, roots) for of in inputs_of(again.metrics))
    controls = read_controls([path for path in paths if path.name == "control.json"])
    due = describe_evaluation(
        again.evaluated, again.test, again.description, again.device, controls
    )
    due |= {"external": None, "excluded": []}
    # These say where and when, which is another today.
    apart = ("format", "provenance", "device", *(BREAKDOWN if _granted(grace) else ()))
    due, found = ({k: v for k, v in of.items() if k not in apart} for of in (due, again.metrics))
    yield from differences(due, found, grace)


def _predictions(results: ResultsFolder, again: _ScoredAgain, grace: float) -> Iterator[str]:
    due = prediction_arrays(again.evaluated, again.test, again.description)
    with np.load(results.evaluation / "predictions.npz", allow_pickle=False) as arrays:
        found = dict(arrays)
    if _granted(grace):
        # Rows that are read otherwise make other sequences, of other lengths.
        due, found = (
            {name: array for name, array in of.items() if not name.startswith("reconstructed_")}
            for of in (due, found)
        )
    yield from array_differences(due, found, TOLERANCE, _granted(grace))


def _granted(grace: float) -> float:
    """The share of rows that may be read otherwise: none on the same kind of device."""
    return 0.0 if grace == TOLERANCE else grace


def _programs(results: ResultsFolder, again: _ScoredAgain, grace: float) -> Iterator[str]:
    due = reconstructed_programs(again.evaluated.decoding, again.test, again.description)
    folder = results.evaluation / "gcode"
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.nc"))}
    for name in dict.fromkeys([*due, *found]):
        path = results.name(folder / f"{name}.nc")
        if name not in due or name not in found:
            yield f"{path} {'is missing' if name in due else 'should not be there'}"
        elif due[name] != found[name] and not _granted(grace):
            yield f"{path} is not what is read from the sensors"


NOT_OF_RUNS = ("format", "provenance", "scored_again")
"""What best/run.json says besides that which the runs say."""


def sweeps_of_winner(results: ResultsFolder) -> list[SweepFile]:
    """sweep.json of each sweep that the winner was chosen from, in their order.

    Raises:
        UserError: one is missing.
    """
    paths = [results.sweep, *sorted(results.sweep.parent.glob("*/sweep.json"))]
    files = {of.sweep_id: of for of in (read_sweep(path) for path in paths)}
    wanted = _best(results)["sweeps"]
    if missing := [name for name in wanted if name not in files]:
        raise UserError(
            f"{results.best / 'run.json'}: is of sweep {', '.join(missing)}, whose sweep.json is "
            f"not in {results.sweep.parent}; make it anew: {BEST_REBUILD}"
        )
    return [files[name] for name in wanted]


def check_sweeps(results: ResultsFolder) -> tuple[Check, list[SweepFile]]:
    """Whether the sweeps of the winner can be read, and those that can."""
    found: list[SweepFile] = []

    def look() -> Iterator[str]:
        found.extend(sweeps_of_winner(results))
        yield from ()

    return run_check("sweeps", "sweep.json of each that best/run.json names", look), found


def check_winner(results: ResultsFolder, sweeps: list[SweepFile]) -> list[Check]:
    """The files of best/, each against the run folders."""
    looks = (
        ("best/runs.csv", "its first run is its best, and the one of best/run.json", _own_order),
        ("runs of best/runs.csv", "its lines are what the run folders say", _runs_table),
        ("best/curves.csv", "its lines are what the run folders say", _curves_table),
        ("best/work.csv", "its lines are what the run folders say", _work_table),
        ("best/run.json", "names the best of all run folders", _winner),
        ("best/checkpoint.pt", "is that of the best of all run folders", _checkpoint),
    )
    return [run_check(name, what, partial(look, results, sweeps)) for name, what, look in looks]


def _selection(results: ResultsFolder, sweeps: list[SweepFile]) -> Selection:
    return select_of_sweeps(sweeps, results.runs)


def _own_order(results: ResultsFolder, sweeps: list[SweepFile]) -> Iterator[str]:
    """Needs no run folder: those may be too large to be kept."""
    runs = _runs_of_table(results.best / "runs.csv", sweeps)
    objective = common_objective([sweep.specification for sweep in sweeps])
    best = select(runs, objective).winner
    if best is not runs[0]:
        yield f"its first run is {runs[0].name}, but {best.name} is better"
    if (named := _best(results)["run"]) != best.name:
        yield f"its best run is {best.name}, best/run.json says {named}"


def _runs_of_table(path: Path, sweeps: list[SweepFile]) -> list[EndedRun]:
    """The lines of runs.csv as runs, whose folders are not looked at."""
    repeats = {sweep.sweep_id for sweep in sweeps if sweep.is_repeat}
    with path.open(encoding="utf-8", newline="") as handle:
        lines = list(csv.DictReader(handle))
    return [
        EndedRun(
            run_folder(path.parent / line["sweep"], int(line["run"])),
            _content(line),
            int(line["run"]),
            line["sweep"] in repeats,
        )
        for line in lines
    ]


def _content(line: dict[str, str]) -> dict[str, Any]:
    counted = line["state"] in COUNTED
    return {
        "state": line["state"],
        "best_value": float(line["best_value"]) if counted else None,
        "parameters": int(line["parameters"]) if counted and line["parameters"] else None,
        "hyperparameters": {k: v for k, v in line.items() if k not in ("run", "sweep", *FACTS)},
    }


def _runs_table(results: ResultsFolder, sweeps: list[SweepFile]) -> Iterator[str]:
    found = (results.best / "runs.csv").read_text(encoding="utf-8")
    return table_differences(runs_csv(_selection(results, sweeps).ranking), found, ["run"])


def _curves_table(results: ResultsFolder, sweeps: list[SweepFile]) -> Iterator[str]:
    found = (results.best / "curves.csv").read_text(encoding="utf-8")
    due = curves_csv(_selection(results, sweeps).ranking)
    return table_differences(due, found, ["run", "epoch"])


def _work_table(results: ResultsFolder, sweeps: list[SweepFile]) -> Iterator[str]:
    if (results.best / "work.csv").read_text(encoding="utf-8") != work_csv(
        _selection(results, sweeps).ranking
    ):
        yield "tells of other times or processes than the run folders"


def _winner(results: ResultsFolder, sweeps: list[SweepFile]) -> Iterator[str]:
    selection = _selection(results, sweeps)
    if selection.winner.content["state"] != WINS:
        yield f"no run was trained to its end, {selection.winner.name} neither"
    found = {k: v for k, v in _best(results).items() if k not in NOT_OF_RUNS}
    yield from differences(describe_selection(selection, sweeps), found)


def _checkpoint(results: ResultsFolder, sweeps: list[SweepFile]) -> Iterator[str]:
    digest = sha256(results.best / "checkpoint.pt")
    recorded = _best(results)["provenance"]["inputs"].values()
    if digest not in recorded:
        yield "is not the file that best/run.json was made from"
    path = _selection(results, sweeps).winner.folder.path / "checkpoint.pt"
    if sha256(path) != digest:
        yield f"is not {results.name(path)}"
