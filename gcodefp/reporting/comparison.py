"""Runs, or the best runs of sweeps, side by side: reading, scoring on one split, tables."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from math import inf, isclose, isfinite, nan
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.errors import UserError
from gcodefp.evaluation.bootstrap import (
    Difference,
    Estimate,
    Statistic,
    paired_difference,
    with_interval,
)
from gcodefp.evaluation.decode import predict_split
from gcodefp.evaluation.names import MODEL, PREDICTORS, PRIMARY, SENSORS
from gcodefp.evaluation.split_scores import open_evaluation, score_predictors
from gcodefp.evaluation.verdicts import MIN_RECORDINGS, significant_sign
from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import Row, read_metrics
from gcodefp.reporting.wording import PRIMARY_ROWS, interval_text
from gcodefp.sweeps.ranking import EndedRun, ended_runs, ranked
from gcodefp.sweeps.run_folder import SCORED_STATES, SELECTABLE_STATE, RunFolder, run_folders
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep
from gcodefp.sweeps.system_metrics import system_summary

COMPARISON_FORMAT = "gcodefp-comparison-2"
PROGRAM_NOTE = (
    "No checkpoint is scored: another program trained these runs, and their values are those that "
    "it logged. They have no intervals: whether a run is better beyond chance is not tested"
)
STATUS_HINT = "python -m gcodefp.status shows its progress"
TEST_NOTE = (
    "TEST SPLIT: choosing a run by these numbers leaks the test split into the choice, and leaves "
    "no unseen recordings to report on. Choose by the val split"
)
COMPARED_FIELDS = ("state", "best_value", "best_epoch", "epochs", "seconds", "parameters", "device")
NETWORK_PREDICTORS = tuple(name for name, p in PREDICTORS.items() if p.kind == SENSORS)
"""Predictors that use a network; all others predict the same for all runs."""


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
        return f"{self.folder.sweep}/{self.folder.path.name}"

    @property
    def best(self) -> Row:
        """The metrics after its best epoch; empty if metrics.csv has lost them."""
        epoch = self.content["best_epoch"]
        return next((row for row in self.history if row["epoch"] == epoch), {})

    @property
    def combined(self) -> Collection[str]:
        """The metrics that its sweep computes from logged ones."""
        return self.file.specification.options.combined.texts if self.file else ()

    def is_ranked_by(self, objective: Objective) -> bool:
        """Whether the value that it is ranked by is this metric's, as far as it has epochs."""
        if self.content["best_epoch"] is None:
            return True
        value = self.best.get(objective.metric)
        return value is not None and isclose(value, self.content["best_value"], rel_tol=1e-9)


class ComparedSweep(NamedTuple):
    """The ended runs of a sweep.

    Attributes:
        runs: best first, as `select_best` ranks them.
        file: as of a run.
    """

    folder: Path
    runs: list[EndedRun]
    file: SweepFile | None


class ComparedScore(NamedTuple):
    """One metric of one run.

    Attributes:
        difference: to the first run, paired over recordings; None for the first run itself.
    """

    estimate: Estimate
    difference: Difference | None


class Comparison(NamedTuple):
    """All that is shown and written.

    Attributes:
        sweeps: the sweeps on the command line; the best run of each is compared.
        objective: what the runs were ranked by.
        split: the scored one, val or test.
        scores: predictor -> metric -> a score for each run, in their order.
        notes: warnings beside all numbers.
        is_external: whether another program trained the runs, so that there are no scores.
    """

    runs: Sequence[ComparedRun]
    sweeps: Sequence[ComparedSweep]
    objective: Objective
    split: str
    scores: Mapping[str, Mapping[str, Sequence[ComparedScore]]]
    notes: Sequence[str]
    is_external: bool = False


# Which runs are compared


def find_folders(texts: Sequence[str], runs: Path) -> list[Path]:
    """The folders that the command line names, each as it is or below `runs`.

    Raises:
        UserError: there is no such folder, or there are fewer than two.
    """
    folders: dict[Path, None] = {}
    for text in texts:
        path = next((p.absolute() for p in (Path(text), runs / text) if p.is_dir()), None)
        if path is None:
            raise UserError(
                f"{text}: no such folder, and none is {runs / text}; name runs as SWEEP/NUMBER or "
                "sweeps as SWEEP, and with --runs the folder that keeps them"
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
            f"{objective.metric}: its sweep is ranked by another metric; name that one with "
            "--metric and --goal, or compare single runs"
        )
    return ComparedSweep(folder, runs, file)


def score_runs(comparison: Comparison, dataset: Path, device: torch.device) -> Comparison:
    """Adds every metric of every network, as `evaluate` measures it, and notes on the dataset.

    Args:
        dataset: dataset.json; its NPZ files lie beside it.

    Raises:
        UserError: a file is missing or damaged, or a run was trained on another dataset.
    """
    split_paths = {comparison.split: dataset.with_name(f"{comparison.split}.npz")}
    opened = [
        open_evaluation(run.folder.path / "checkpoint.pt", dataset, {} if index else split_paths,
                        device)
        for index, run in enumerate(comparison.runs)
    ]  # fmt: skip
    split, description = opened[0].splits[comparison.split], opened[0].description
    runs = []
    for inputs in opened:
        decoding = predict_split(inputs.decoder, split, device)
        scored = score_predictors(decoding, split, inputs.decoder.description, NETWORK_PREDICTORS)
        runs.append(scored)
    scores = {
        predictor: {metric: _scores([run[predictor][metric] for run in runs]) for metric in metrics}
        for predictor, metrics in runs[0].items()
    }
    conditions = (
        (comparison.split == "test", TEST_NOTE),
        (description.leaky, LEAKY_NOTE),
        (description.document["controller_is_input"], CONTROLLER_NOTE),
    )
    notes = [note for holds, note in conditions if holds]
    return comparison._replace(scores=scores, notes=notes)


def _scores(statistics: Sequence[Statistic]) -> list[ComparedScore]:
    first, *others = statistics
    return [
        ComparedScore(with_interval(first), None),
        *(ComparedScore(with_interval(other), paired_difference(other, first)) for other in others),
    ]


# What differs


def differing_rows(columns: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Name -> its value in each column, for those that are not the same in all."""
    names = dict.fromkeys(name for column in columns for name in column)
    table = {name: [column.get(name) for column in columns] for name in names}
    return {name: row for name, row in table.items() if any(value != row[0] for value in row)}


def val_metrics(runs: Sequence[ComparedRun], is_external: bool) -> dict[str, list[float | None]]:
    """Metric of the val split, or a combined one -> its value at the best epoch of each run.

    Of another program it has all metrics; those that are not finite are None.
    """
    names = dict.fromkeys(
        name
        for run in runs
        for name in run.best
        if is_external or name.startswith("val/") or name in run.combined
    )
    names.pop("epoch", None)
    return {
        name: [value if isfinite(value := run.best.get(name, nan)) else None for run in runs]
        for name in names
    }


def sweep_facts(sweep: ComparedSweep) -> dict[str, Any]:
    """Numbers of one sweep, best and median over the runs that have a value."""
    states = [run.content["state"] for run in sweep.runs]
    values = [r.content["best_value"] for r in sweep.runs if r.content["state"] in SCORED_STATES]
    return {
        "method": sweep.file.specification.method if sweep.file else None,
        "runs_wanted": sweep.file.total if sweep.file else None,
        "runs_over": len(states),
        "finished": states.count(SELECTABLE_STATE),
        "stopped": states.count("stopped"),
        "failed": states.count("failed"),
        "best_run": sweep.runs[0].folder.path.name,
        "best": sweep.runs[0].content["best_value"],
        "median": median(values),
    }


def differing_ranges(sweeps: Sequence[ComparedSweep]) -> dict[str, list[str]]:
    """Hyperparameter -> what the runs of each sweep have tried, where that differs."""
    ranges = []
    for sweep in sweeps:
        values: dict[str, dict[str, Any]] = {}
        for run in sweep.runs:
            if run.content["state"] in SCORED_STATES:
                for name, value in sorted(run.content["hyperparameters"].items()):
                    values.setdefault(name, {})[str(value)] = value
        ranges.append({name: _range_text([*tried.values()]) for name, tried in values.items()})
    return differing_rows(ranges)


def _range_text(values: Sequence[Any]) -> str:
    if len(values) > 1 and all(isinstance(value, int | float) for value in values):
        return f"{number(min(values))} to {number(max(values))}"
    return ", ".join(sorted(map(number, values)))


def conclusions(comparison: Comparison) -> list[str]:
    """Whether each run is better than the first one, by the primary metric in windows."""
    if comparison.is_external:
        return []
    first, *names = (run.name for run in comparison.runs)
    sentences = []
    for name, score in zip(names, comparison.scores[MODEL][PRIMARY][1:], strict=True):
        assert score.difference is not None, "only the first run has none"
        sign = significant_sign(score.difference)
        if score.difference.recordings < MIN_RECORDINGS:
            conclusion = f"not shown to be better or worse than {first} (at least {MIN_RECORDINGS} "
            conclusion += "recordings are needed)"
        elif not sign:
            conclusion = f"neither better nor worse than {first} beyond chance"
        else:
            conclusion = f"{'better' if sign > 0 else 'worse'} than {first}"
        points = interval_text(score.difference, "+.1f", unit=" percentage points")
        sentences.append(
            f"{name} is {conclusion}: {points} of {PRIMARY_ROWS}, "
            f"paired over {score.difference.recordings} recordings."
        )
    return sentences


# Files


def number(value: object) -> str:
    """A value for a table; `-` where there is none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe_comparison(comparison: Comparison) -> dict[str, Any]:
    """compare.json; lists have an entry for each run, or sweep, in their order."""
    runs, sweeps, objective = comparison.runs, comparison.sweeps, comparison.objective
    return {
        "notes": list(comparison.notes),
        "conclusions": conclusions(comparison),
        "metric": objective.metric,
        "goal": objective.goal,
        "split": comparison.split,
        "sweeps": [{"sweep": sweep.folder.name, **sweep_facts(sweep)} for sweep in sweeps],
        "ranges": differing_ranges(sweeps) if sweeps else {},
        "runs": [
            {"run": run.name, **{f: run.content.get(f) for f in COMPARED_FIELDS}}
            | system_summary(run.folder.path)
            for run in runs
        ],
        "hyperparameters": differing_rows([run.content["hyperparameters"] for run in runs]),
        "at_best_epoch": val_metrics(runs, comparison.is_external),
        "scores": {
            predictor: {
                metric: list(map(_score_entry, scores)) for metric, scores in metrics.items()
            }
            for predictor, metrics in comparison.scores.items()
        },
    }


def _score_entry(score: ComparedScore) -> dict[str, Any]:
    difference = score.difference._asdict() if score.difference else None
    return {**score.estimate._asdict(), "difference": difference}


def scores_csv(comparison: Comparison) -> str:
    """One line for each metric of each predictor of each run, with its difference to the first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    # The first column is the predictor.
    writer.writerow(("answer", "metric", "run", "value", "low", "high", "difference",
                     "difference_low", "difference_high"))  # fmt: skip
    for predictor, metrics in comparison.scores.items():
        for metric, scores in metrics.items():
            for run, score in zip(comparison.runs, scores, strict=True):
                difference = score.difference[:3] if score.difference else (None, None, None)
                writer.writerow([predictor, metric, run.name, *score.estimate[:3], *difference])
    return text.getvalue()
