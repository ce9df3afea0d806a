"""Everything that figures and report are made of, read from a finished pipeline's files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import REBUILD as DATASET_REBUILD
from gcodefp.errors import UserError
from gcodefp.evaluation.files import EVALUATION_FORMAT, EVALUATION_REBUILD
from gcodefp.explanation.files import EXPLANATION_REBUILD
from gcodefp.files import read_json
from gcodefp.findings.explanation import Explanation, read_explanation
from gcodefp.findings.predictions import Predictions, read_predictions
from gcodefp.search.nesting import leaf
from gcodefp.sweep.best_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.sweep.sweep_file import FORMAT as SWEEP_FORMAT
from gcodefp.sweep.sweep_file import REBUILD as SWEEP_REBUILD

CONTROL_NOTE = "CONTROL NOT FAILED ({}): something else than sensing gives lines away"
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """The files of one pipeline.

    Attributes:
        dataset, sweep, winner, evaluation: dataset.json, sweep.json, best/run.json and
            evaluation/metrics.json.
        runs: best/runs.csv, all runs, winner first.
        curves: best/curves.csv, all epochs of all runs.
        work: best/work.csv, who worked on which run and when; runs trained elsewhere have no lines.
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
    def marks(self) -> tuple[str, ...]:
        """What every figure and page has to say in red; empty for an honest evaluation."""
        known = (
            (self.evaluation["leaky"], LEAKY_NOTE),
            (self.evaluation["controller_is_input"], CONTROLLER_NOTE),
        )
        controls = self.evaluation.get("controls") or ()
        broken = (CONTROL_NOTE.format(of["what"]) for of in controls if not of["fails"])
        return (*(note for holds, note in known if holds), *broken)


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
    if foreign := results.evaluation["foreign"]:
        raise UserError(
            f"{path}: is of other recordings, {foreign}; figures and report are of the "
            f"pipeline's own test split: {EVALUATION_REBUILD}"
        )
    # What both have read is the checkpoint.
    scored, chosen = (
        set(of["provenance"]["inputs"].values()) for of in (results.evaluation, results.winner)
    )
    if not scored & chosen:
        raise UserError(
            f"{path}: is of another checkpoint than the winner's; make it anew: "
            f"{EVALUATION_REBUILD}"
        )


def _check_explanation(results: Results, path: Path) -> None:
    """It is of the checkpoint and the test split that were evaluated."""
    explained, scored = (
        of["provenance"]["inputs"] for of in (results.explanation.document, results.evaluation)
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
