"""Whether the winner is the best of all runs, and its checkpoint the one that is evaluated."""

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError
from gcodefp.files import read_json, sha256
from gcodefp.sweep.best_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.sweep.run_folder import COUNTED, WINS, run_folder
from gcodefp.sweep.runs_table import FACTS, curves_csv, runs_csv, work_csv
from gcodefp.sweep.selection import Selection, describe_selection, select, select_of_sweeps
from gcodefp.sweep.sweep_file import SweepFile, read_sweep
from gcodefp.sweep.table import EndedRun, common_objective
from gcodefp.verification.check import Check, run_check
from gcodefp.verification.differences import differences, table_differences
from gcodefp.verification.folder import ResultsFolder

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


def _best(results: ResultsFolder) -> dict[str, Any]:
    return read_json(results.best / "run.json", BEST_FORMAT, BEST_REBUILD)


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
