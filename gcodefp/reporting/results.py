"""The files of a finished pipeline, from which figures and report are made."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import REBUILD as DATASET_REBUILD
from gcodefp.errors import UserError
from gcodefp.evaluation.names import (
    EVALUATION_FORMAT,
    EVALUATION_REBUILD,
    EXPLANATION_FORMAT,
    EXPLANATION_REBUILD,
    PREDICTORS,
    WITH_CONFIDENCE,
)
from gcodefp.files import read_json
from gcodefp.reporting.predictions import Predictions, open_arrays, read_predictions
from gcodefp.sweeps.sweep_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.sweeps.sweep_file import FORMAT as SWEEP_FORMAT
from gcodefp.sweeps.sweep_file import REBUILD as SWEEP_REBUILD
from gcodefp.sweeps.values import leaf

CONTROL_NOTE = "CONTROL NOT FAILED ({}): lines are predicted from something else than sensing"
RESULTS_FLAGS = {
    "dataset": "dataset.json",
    "sweep": "sweep.json",
    "best": "folder of select_best",
    "evaluation": "folder of evaluate",
    "explanation": "folder of explain",
}
"""Argument of `read_results`, and flag of the steps -> what it names."""
Document = Mapping[str, Any]
"""Content of a JSON file."""


@dataclass(frozen=True)
class Explanation:
    """N scored rows of the test split, as in predictions.npz; C channels.

    The excerpt is T neighbouring rows of one recording.

    Attributes:
        document: explanation.json.
        confidence: predictor -> (N,) predicted probability of its block.
        excerpt_seconds: (T,) since the recording's first row.
        excerpt_samples: (T, C) in the channel's unit, less the recording's own mean if the
            dataset is `centered`; NaN where no sample is valid.
        excerpt_valid: (T, C) whether a sample is valid.
        excerpt_block, excerpt_read: (T,) texts, true and predicted in windows.
    """

    document: Document
    confidence: Mapping[str, NDArray[np.float64]]
    excerpt_seconds: NDArray[np.float64]
    excerpt_samples: NDArray[np.float32]
    excerpt_valid: NDArray[np.bool_]
    excerpt_block: NDArray[np.str_]
    excerpt_read: NDArray[np.str_]


def read_explanation(folder: Path) -> Explanation:
    """Reads explanation.json and explanation.npz.

    Raises:
        UserError: one is missing, or cannot be read.
    """
    document = read_json(folder / "explanation.json", EXPLANATION_FORMAT, EXPLANATION_REBUILD)
    separate = ("document", "confidence")
    with open_arrays(folder / "explanation.npz", EXPLANATION_REBUILD) as arrays:
        return Explanation(
            document,
            {name: arrays[f"{PREDICTORS[name].array}_confidence"] for name in WITH_CONFIDENCE},
            *(arrays[f] for f in Explanation.__dataclass_fields__ if f not in separate),
        )


@dataclass(frozen=True)
class Results:
    """The files of one pipeline.

    Attributes:
        dataset, sweep, winner, evaluation: dataset.json, sweep.json, best/run.json and
            evaluation/metrics.json.
        runs: best/runs.csv, all runs, winner first.
        curves: best/curves.csv, all epochs of all runs.
        work: best/work.csv, the time and process of each epoch; runs trained elsewhere have none.
        predictions: evaluation/predictions.npz.
        explanation: explanation/explanation.json and .npz.
    """

    dataset: Document
    sweep: Document
    winner: Document
    evaluation: Document
    runs: pd.DataFrame
    curves: pd.DataFrame
    work: pd.DataFrame
    predictions: Predictions
    explanation: Explanation

    @property
    def searched(self) -> dict[str, Document]:
        """Hyperparameter -> what the sweep, or its first phase, draws it from."""
        return {leaf(path): entry for path, entry in self.sweep["parameters"].items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that every figure and page shows in red; empty for a valid evaluation."""
        warnings = [LEAKY_NOTE] if self.evaluation["leaky"] else []
        warnings += [CONTROLLER_NOTE] if self.evaluation["controller_is_input"] else []
        controls = self.evaluation.get("controls") or ()
        not_failed = (control["what"] for control in controls if not control["fails"])
        return (*warnings, *map(CONTROL_NOTE.format, not_failed))


def read_results(
    dataset: Path, sweep: Path, best: Path, evaluation: Path, explanation: Path
) -> Results:
    """Reads the files of a pipeline.

    Args:
        dataset, sweep: dataset.json and sweep.json.
        best, evaluation, explanation: the folders of select_best, evaluate and explain.

    Raises:
        UserError: a file is missing, cannot be read, or is of another sweep, checkpoint or test.
    """
    results = Results(
        dataset=read_json(dataset, DATASET_FORMAT, DATASET_REBUILD),
        sweep=read_json(sweep, SWEEP_FORMAT, SWEEP_REBUILD),
        winner=read_json(best / "run.json", BEST_FORMAT, BEST_REBUILD),
        evaluation=read_json(evaluation / "metrics.json", EVALUATION_FORMAT, EVALUATION_REBUILD),
        runs=_read_table(best / "runs.csv"),
        curves=_read_table(best / "curves.csv"),
        work=_read_table(best / "work.csv"),
        predictions=read_predictions(evaluation / "predictions.npz"),
        explanation=read_explanation(explanation),
    )
    if results.sweep["id"] not in results.winner["sweeps"]:
        raise UserError(
            f"{best / 'run.json'}: is of sweep {', '.join(results.winner['sweeps'])}, {sweep} is "
            f"{results.sweep['id']}; make it anew with: {BEST_REBUILD}"
        )
    _check_evaluation(results, evaluation / "metrics.json")
    _check_explanation(results, explanation / "explanation.json")
    return results


def _check_evaluation(results: Results, path: Path) -> None:
    """Raises UserError unless it is of the winner's checkpoint and of the own test split."""
    if external := results.evaluation["external"]:
        raise UserError(
            f"{path}: is of other recordings, {external}; figures and report are of the "
            f"pipeline's own test split: {EVALUATION_REBUILD}"
        )
    # The input that both have in common is the checkpoint.
    scored, selected = (
        set(document["provenance"]["inputs"].values())
        for document in (results.evaluation, results.winner)
    )
    if not scored & selected:
        raise UserError(
            f"{path}: is of another checkpoint than the winner's; make it anew: "
            f"{EVALUATION_REBUILD}"
        )


def _check_explanation(results: Results, path: Path) -> None:
    """Raises UserError unless it is of the checkpoint and the test split that were evaluated."""
    explained, scored = (
        document["provenance"]["inputs"]
        for document in (results.explanation.document, results.evaluation)
    )
    other = [name for name, digest in explained.items() if digest not in scored.values()]
    if other:
        raise UserError(
            f"{path}: is of other files than were evaluated ({', '.join(other)}); make it anew: "
            f"{EXPLANATION_REBUILD}"
        )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype={"run": str, "sweep": str})
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {BEST_REBUILD}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no table ({error}); make it anew: {BEST_REBUILD}") from None


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each file or folder that results are read from."""
    for name, content in RESULTS_FLAGS.items():
        parser.add_argument(f"--{name}", type=Path, required=True, help=content)


def results_from_flags(arguments: argparse.Namespace) -> Results:
    """Reads the files and folders of RESULTS_FLAGS; raises as `read_results`."""
    return read_results(*(getattr(arguments, name) for name in RESULTS_FLAGS))
