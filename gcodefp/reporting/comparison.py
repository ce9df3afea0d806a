"""Which runs or sweeps are meant, and what their folders say of them."""

from collections.abc import Mapping, Sequence
from math import inf, isclose
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gcodefp.dataset.store import Description, Split
from gcodefp.errors import UserError
from gcodefp.evaluation.bootstrap import (
    Difference,
    Estimate,
    Statistic,
    paired_difference,
    with_interval,
)
from gcodefp.evaluation.decode import predict_split
from gcodefp.evaluation.names import LAG_ORACLE, PREDICTORS, SENSORS, UPPER_BOUND
from gcodefp.evaluation.split_scores import score
from gcodefp.model.checkpoint import Checkpoint, read_checkpoint
from gcodefp.model.hyperparameters import Objective
from gcodefp.model.run_files import Row, read_metrics
from gcodefp.sweeps.ranking import EndedRun, ended_runs, ranked
from gcodefp.sweeps.run_folder import COUNTED, WINS, RunFolder, run_folders
from gcodefp.sweeps.sweep_file import SweepFile, read_sweep

WATCH = "python -m gcodefp.status shows how far it is"


class ComparedRun(NamedTuple):
    """A run that is over and has weights.

    Attributes:
        content: its run.json.
        history: its metrics.csv, a row an epoch.
    """

    folder: RunFolder
    content: Mapping[str, Any]
    history: list[Row]

    @property
    def name(self) -> str:
        """`SWEEP/NUMBER`."""
        return f"{self.folder.sweep}/{self.folder.path.name}"

    @property
    def best(self) -> Row:
        """What was measured after its best epoch; empty if metrics.csv has lost it."""
        epoch = self.content["best_epoch"]
        return next((row for row in self.history if row["epoch"] == epoch), {})

    def was_decided_by(self, objective: Objective) -> bool:
        """Whether the value that it is ranked by is this metric's."""
        value = self.best.get(objective.metric)
        return value is not None and isclose(value, self.content["best_value"], rel_tol=1e-9)


class ComparedSweep(NamedTuple):
    """The runs of a sweep that are over.

    Attributes:
        runs: best first, as `select_best` ranks them.
        file: its sweep.json; None where the results hold that of another sweep only.
    """

    folder: Path
    runs: list[EndedRun]
    file: SweepFile | None


def find_folders(texts: Sequence[str], runs: Path) -> list[Path]:
    """The folders that the command line names, each as it is or below `runs`.

    Raises:
        UserError: there is no such folder, or one is named twice.
    """
    found: list[Path] = []
    for text in texts:
        path = next((p.absolute() for p in (Path(text), runs / text) if p.is_dir()), None)
        if path is None:
            raise UserError(
                f"{text}: no such folder, and none is {runs / text}; name runs as SWEEP/NUMBER or "
                "sweeps as SWEEP, and with --runs the folder that keeps them"
            )
        if path in found:
            raise UserError(f"{text}: is named twice; name another run or sweep to compare with")
        found.append(path)
    return found


def are_sweeps(folders: Sequence[Path]) -> bool:
    """Whether these are sweeps rather than runs.

    Raises:
        UserError: a folder is neither, or some are sweeps and some runs.
    """
    sweeps = [folder for folder in folders if not _is_run(folder)]
    for folder in sweeps:
        if not run_folders(folder):
            raise UserError(
                f"{folder}: is no folder of a run (it has no hyperparameters.json or run.json), "
                "nor one of a sweep; name results/runs/SWEEP/NUMBER or results/runs/SWEEP"
            )
    if sweeps and len(sweeps) < len(folders):
        run = next(folder for folder in folders if folder not in sweeps)
        raise UserError(f"{sweeps[0]} is a sweep, {run} a run; name runs only, or sweeps only")
    return bool(sweeps)


def _is_run(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("hyperparameters.json", "run.json"))


def read_run(folder: Path) -> ComparedRun:
    """Reads one run.

    Raises:
        UserError: it is no run of a sweep, is not over, or failed.
    """
    run = RunFolder(folder)
    if not run.is_given():
        raise UserError(
            f"{folder}: is no run of a sweep (it has no hyperparameters.json), but one by hand "
            "perhaps, of python -m gcodefp.train, whose weights `evaluate` scores; name runs of "
            "sweeps, results/runs/SWEEP/NUMBER"
        )
    content = run.ended()
    if content is None:
        raise UserError(f"{folder}: this run is not over; {WATCH}")
    if content["state"] not in COUNTED:
        raise UserError(
            f"{folder}: this run failed ({content['failure']}: {content['reason']}) and left no "
            "weights to compare; name another run"
        )
    return ComparedRun(run, content, read_metrics(folder / "metrics.csv"))


def sweep_file_of(folder: Path) -> SweepFile | None:
    """The sweep.json of the sweep or phase with this folder of runs, if the results still have it.

    Args:
        folder: RESULTS/runs/SWEEP.
    """
    sweep = folder.parent.parent / "sweep"
    paths = [sweep / "sweep.json", *sorted(sweep.glob("*/sweep.json"))]
    files = (read_sweep(path) for path in paths if path.is_file())
    return next((of for of in files if of.sweep_id == folder.name), None)


def read_compared_sweep(folder: Path, objective: Objective) -> ComparedSweep:
    """Reads the runs of one sweep.

    Raises:
        UserError: no run was trained to its end, or another metric than this one decided.
    """
    file = sweep_file_of(folder)
    first_beyond = inf if file is None else file.first_beyond
    runs = ranked(ended_runs(folder, first_beyond), objective)
    if not runs or runs[0].content["state"] != WINS:
        raise UserError(f"{folder}: no run of this sweep was trained to its end yet; {WATCH}")
    best = read_run(runs[0].folder.path)
    if not best.was_decided_by(objective):
        raise UserError(
            f"{best.folder.path}: its best value, {best.content['best_value']}, is no "
            f"{objective.metric}: its sweep was decided by another metric; name that one with "
            "--metric and --goal, or compare single runs"
        )
    return ComparedSweep(folder, runs, file)


OF_NETWORK = tuple(
    name
    for name, of in PREDICTORS.items()
    if of.kind in (SENSORS, LAG_ORACLE) and name != UPPER_BOUND
)
"""The answers that a network gives; the others are the same for all runs."""


class Score(NamedTuple):
    """One metric of one run.

    Attributes:
        difference: to the first run, paired over recordings; None for the first run itself.
    """

    estimate: Estimate
    difference: Difference | None


Scores = Mapping[str, Mapping[str, Sequence[Score]]]
"""Answer -> metric -> a score for each run, in their order."""


def read_checkpoints(
    runs: Sequence[ComparedRun], description: Description, dataset: Path, device: torch.device
) -> list[Checkpoint]:
    """The weights of each run.

    Args:
        description: of the dataset that they are scored on; `dataset` is its dataset.json.

    Raises:
        UserError: runs were trained on different datasets, or on another one than this.
    """
    found = [read_checkpoint(run.folder.path / "checkpoint.pt", device) for run in runs]
    digests = [of.description.learning_digest() for of in found]
    for run, digest in zip(runs, digests, strict=True):
        if digest != digests[0]:
            raise UserError(
                f"{run.folder.path}: was trained on another dataset than "
                f"{runs[0].folder.path} (learning_digest {digest[:12]}, not {digests[0][:12]}); "
                "numbers of different datasets cannot be compared"
            )
    if digests[0] != description.learning_digest():
        raise UserError(
            f"{dataset}: is another dataset than that of the runs (learning_digest "
            f"{description.learning_digest()[:12]}, not {digests[0][:12]}); name theirs with "
            "--dataset"
        )
    return found


def score_runs(checkpoints: Sequence[Checkpoint], split: Split, device: torch.device) -> Scores:
    """Every metric of every network, as `evaluate` measures it, and its difference to the first."""
    measured = [_measure(checkpoint, split, device) for checkpoint in checkpoints]
    return {
        answer: {
            metric: _scores([of[answer][metric] for of in measured])
            for metric in measured[0][answer]
        }
        for answer in measured[0]
    }


def _measure(
    checkpoint: Checkpoint, split: Split, device: torch.device
) -> dict[str, dict[str, Statistic]]:
    decoding = predict_split(checkpoint, split, device)
    return score(decoding, decoding.predictions, split, checkpoint.description, OF_NETWORK)


def _scores(statistics: Sequence[Statistic]) -> list[Score]:
    first, *others = statistics
    return [
        Score(with_interval(first), None),
        *(Score(with_interval(of), paired_difference(of, first)) for of in others),
    ]
