"""Runs, or the best runs of sweeps, side by side: read, scored on one split, and described."""

from collections.abc import Collection, Mapping, Sequence
from math import inf, isclose, isfinite, nan
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.errors import UserError
from gcodefp.evaluation.bootstrap import Statistic, paired_difference, with_interval
from gcodefp.evaluation.decode import predict_split
from gcodefp.evaluation.metrics import compute_metrics
from gcodefp.evaluation.names import MODEL, PREDICTORS, PRIMARY, SENSORS
from gcodefp.evaluation.significance import MIN_RECORDINGS, significant_sign
from gcodefp.evaluation.split_evaluation import labelled_predictions, open_evaluation
from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import Row, read_metrics
from gcodefp.reporting.wording import PRIMARY_ROWS, interval_text
from gcodefp.sweeps.ranking import EndedRun, ended_runs, ranked
from gcodefp.sweeps.run_folder import SCORED_STATES, SELECTABLE_STATE, RunFolder, run_folders
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.sweeps.system_metrics import system_summary

COMPARISON_FORMAT = "gcodefp-comparison-2"
SCRIPT_NOTE = (
    "No checkpoint is scored: a user script trained these runs, and their values are those that "
    "it logged. They have no intervals: whether a run is significantly better is not tested"
)
TEST_NOTE = (
    "TEST SPLIT: choosing a run by these numbers leaks the test split into the choice, and leaves "
    "no unseen recordings to report on. Choose by the val split"
)
STATUS_HINT = "python -m gcodefp.status shows its progress"
COMPARED_FIELDS = ("state", "best_value", "best_epoch", "epochs", "seconds", "parameters", "device")
NETWORK_PREDICTORS = tuple(name for name, p in PREDICTORS.items() if p.kind == SENSORS)
"""Predictors that use a network; all others predict the same for all runs."""

Scores = dict[str, dict[str, list[dict[str, Any]]]]
"""Predictor -> metric -> of each run, in order: an `Estimate` and `difference`, to the first run
and paired over recordings (None for the first run itself)."""


class ComparedRun(NamedTuple):
    """A run that has ended and has weights.

    Attributes:
        content: its run.json.
        history: its metrics.csv, a row an epoch.
        file: sweep.json; None where the results hold that of another sweep only.
    """

    folder: RunFolder
    content: Mapping[str, Any]
    history: list[Row]
    file: SweepFile | None

    @property
    def name(self) -> str:
        """`SWEEP/NUMBER`."""
        return f"{self.folder.sweep_id}/{self.folder.path.name}"

    @property
    def best(self) -> Row:
        """The metrics after its best epoch; empty if metrics.csv has lost them."""
        epoch = self.content["best_epoch"]
        return next((row for row in self.history if row["epoch"] == epoch), {})

    @property
    def combined(self) -> Collection[str]:
        """The metrics that its sweep computes from logged ones."""
        return self.file.specification.options.combined.texts if self.file else ()

    @property
    def has_script(self) -> bool:
        """Whether a user script trained it."""
        return self.file is not None and self.file.script is not None

    def is_ranked_by(self, objective: Objective) -> bool:
        """Whether the value that it is ranked by is this metric's, as far as it has epochs."""
        if self.content["best_epoch"] is None:
            return True
        value = self.best.get(objective.metric)
        return value is not None and isclose(value, self.content["best_value"], rel_tol=1e-9)


class ComparedSweep(NamedTuple):
    """The ended runs of a sweep, best first; `file` as of a run."""

    folder: Path
    runs: list[EndedRun]
    file: SweepFile | None


def find_folders(texts: Sequence[str], runs: Path) -> list[Path]:
    """The folders that the command line names, each as it is or below `runs`.

    A number alone is a run of the sweep there, if there is one sweep only.

    Raises:
        UserError: there is no such folder, or there are fewer than two.
    """
    folders: dict[Path, None] = {}
    for text in texts:
        candidates = [Path(text), runs / text]
        if text.isdecimal() and len(sweeps := [p for p in runs.glob("*") if run_folders(p)]) == 1:
            candidates.append(sweeps[0] / text.zfill(4))
        path = next((p.absolute() for p in candidates if p.is_dir()), None)
        if path is None:
            raise UserError(
                f"{text}: no such folder, and none is {runs / text}; name runs as SWEEP/NUMBER, "
                "or NUMBER where there is one sweep, sweeps as SWEEP, and with --runs the folder "
                "that keeps them"
            )
        folders[path] = None
    if len(folders) < 2:
        raise UserError(f"{texts[0]}: is the only one; name two or more runs or sweeps")
    return list(folders)


def is_sweep(folder: Path) -> bool:
    """Whether the folder holds runs rather than being one. Raises UserError: neither."""
    if any((folder / name).exists() for name in ("hyperparameters.json", "run.json")):
        return False
    if not run_folders(folder):
        raise UserError(
            f"{folder}: is not the folder of a run (it has no hyperparameters.json or run.json), "
            "nor one of a sweep; name results/runs/SWEEP/NUMBER or results/runs/SWEEP"
        )
    return True


def read_run(folder: Path) -> ComparedRun:
    """Reads one run. Raises UserError: it is not a run of a sweep, has not ended, or failed."""
    run = RunFolder(folder)
    if not run.is_assigned():
        raise UserError(
            f"{folder}: is not a run of a sweep (it has no hyperparameters.json); name one of a "
            "sweep, results/runs/SWEEP/NUMBER"
        )
    content = run.read_outcome()
    if content is None:
        raise UserError(f"{folder}: this run has not ended; {STATUS_HINT}")
    if content["state"] not in SCORED_STATES:
        raise UserError(
            f"{folder}: this run failed ({content['failure']}: {content['reason']}) and left no "
            "weights to compare; name another run"
        )
    history = read_metrics(folder / "metrics.csv")
    return ComparedRun(run, content, history, sweep_file_of(folder.parent))


def sweep_file_of(folder: Path) -> SweepFile | None:
    """The sweep.json of RESULTS/runs/SWEEP, if the results or the folder itself have it."""
    sweep = folder.parent.parent / "sweep"
    paths = [sweep / "sweep.json", *sorted(sweep.glob("*/sweep.json")), folder / "sweep.json"]
    files = (read_sweep(path) for path in paths if path.is_file())
    return next((file for file in files if file.sweep_id == folder.name), None)


def read_compared_sweep(folder: Path, objective: Objective) -> ComparedSweep:
    """Reads the runs of one sweep.

    Raises:
        UserError: no run was trained to its end, or they are ranked by another metric.
    """
    file = sweep_file_of(folder)
    runs = ranked(ended_runs(folder, file.run_limit if file else inf), objective)
    if not runs or runs[0].content["state"] != SELECTABLE_STATE:
        raise UserError(f"{folder}: no run of this sweep was trained to its end yet; {STATUS_HINT}")
    best = read_run(runs[0].folder.path)
    if not best.is_ranked_by(objective):
        raise UserError(
            f"{best.folder.path}: its best value, {best.content['best_value']}, is no "
            f"{objective.metric}: its sweep is ranked by another metric; compare single runs"
        )
    return ComparedSweep(folder, runs, file)


def score_runs(
    runs: Sequence[ComparedRun], split_name: str, dataset: Path, device: torch.device
) -> tuple[Scores, list[str]]:
    """Every metric of every run's decoder, as `evaluate` measures it, and notes on the dataset.

    Args:
        dataset: dataset.json; its NPZ files lie beside it.

    Raises:
        UserError: a file is missing or damaged, or a run was trained on another dataset.
    """
    paths = {split_name: dataset.with_name(f"{split_name}.npz")}
    opened = [
        open_evaluation(run.folder.path / "checkpoint.pt", dataset, {} if index else paths, device)
        for index, run in enumerate(runs)
    ]
    split, description = opened[0].splits[split_name], opened[0].description
    scored = []
    for inputs in opened:
        decoding = predict_split(inputs.decoder, split, device)
        dataset_description = inputs.decoder.description
        predictors = labelled_predictions(decoding, split, dataset_description, NETWORK_PREDICTORS)
        scored.append({name: compute_metrics(each) for name, each in predictors.items()})
    scores = {
        name: {metric: _entries([run[name][metric] for run in scored]) for metric in metrics}
        for name, metrics in scored[0].items()
    }
    conditions = (
        (split_name == "test", TEST_NOTE),
        (description.leaky, LEAKY_NOTE),
        (description.document["controller_is_input"], CONTROLLER_NOTE),
    )
    return scores, [note for holds, note in conditions if holds]


def _entries(statistics: Sequence[Statistic]) -> list[dict[str, Any]]:
    first = statistics[0]
    entries = [{**with_interval(each)._asdict(), "difference": None} for each in statistics]
    for entry, other in zip(entries[1:], statistics[1:], strict=True):
        entry["difference"] = paired_difference(other, first)._asdict()
    return entries


def describe_comparison(
    runs: Sequence[ComparedRun], sweeps: Sequence[ComparedSweep], objective: Objective, split: str
) -> dict[str, Any]:
    """compare.json without scores; lists have an entry for each run, or sweep, in their order.

    Args:
        objective: what the runs were ranked by.
        split: the scored one, val or test.
    """
    return {
        "notes": [],
        "conclusions": [],
        "metric": objective.metric,
        "goal": objective.goal,
        "split": split,
        "sweeps": [_sweep_facts(sweep) for sweep in sweeps],
        "runs": [
            {"run": run.name, **{f: run.content.get(f) for f in COMPARED_FIELDS}}
            | system_summary(run.folder.path)
            for run in runs
        ],
        "hyperparameters": _differing_rows([run.content["hyperparameters"] for run in runs]),
        "at_best_epoch": _best_metrics(runs),
        "scores": {},
    }


def _differing_rows(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Name -> its value in each column, for those that are not the same in all."""
    names = dict.fromkeys(name for column in columns for name in column)
    table = {name: [column.get(name) for column in columns] for name in names}
    return {name: row for name, row in table.items() if any(value != row[0] for value in row)}


def _best_metrics(runs: Sequence[ComparedRun]) -> dict[str, list[float | None]]:
    """Metric of the val split, or a combined one -> its value at the best epoch of each run.

    Of a user script it has all metrics; those that are not finite are None.
    """
    names = dict.fromkeys(
        name
        for run in runs
        for name in run.best
        if run.has_script or name.startswith("val/") or name in run.combined
    )
    names.pop("epoch", None)
    return {
        name: [value if isfinite(value := run.best.get(name, nan)) else None for run in runs]
        for name in names
    }


def _sweep_facts(sweep: ComparedSweep) -> dict[str, Any]:
    """Numbers of one sweep; the median is over the runs that have a value."""
    states = [run.content["state"] for run in sweep.runs]
    values = [r.content["best_value"] for r in sweep.runs if r.content["state"] in SCORED_STATES]
    return {
        "sweep": sweep.folder.name,
        "method": sweep.file.specification.method if sweep.file else None,
        "runs_wanted": sweep.file.total if sweep.file else None,
        "runs_over": len(states),
        **{state: states.count(state) for state in ("finished", "stopped", "failed")},
        "best_run": sweep.runs[0].folder.path.name,
        "best": sweep.runs[0].content["best_value"],
        "median": median(values),
    }


def compare_with_first(names: Sequence[str], scores: Scores, split: str, metric: str) -> list[str]:
    """Whether each run is better than the first one, by the primary metric in windows.

    Args:
        split: on which the runs are scored.
        metric: by which their epochs were chosen.
    """
    sentences = []
    first, *others = names
    for name, score in zip(others, scores[MODEL][PRIMARY][1:], strict=True):
        difference = score["difference"]
        sign = significant_sign(difference)
        if difference["low"] == difference["high"] == 0:
            conclusion = f"equal to {first} in these recordings, as where templates alone decode"
        elif difference["recordings"] < MIN_RECORDINGS:
            conclusion = f"not shown to be better or worse than {first} (at least {MIN_RECORDINGS} "
            conclusion += "recordings are needed)"
        elif not sign:
            conclusion = f"not significantly better or worse than {first}"
        else:
            conclusion = f"{'better' if sign > 0 else 'worse'} than {first}"
        points = interval_text(difference, "+.1f", unit=" percentage points")
        sentences.append(
            f"{name} is {conclusion}: {points} of {PRIMARY_ROWS}, "
            f"paired over {difference['recordings']} recordings of the {split} split; epochs, and "
            f"a sweep's best run, were chosen by {metric}{' on them' if split == 'val' else ''}, "
            "and each run is one training (sweep.seeds_per_winner repeats the best ones)."
        )
    return sentences
