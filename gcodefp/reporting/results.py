"""The files of a finished pipeline, from which figures and report are made."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from gcodefp.dataset.document import DatasetForReport
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import REBUILD as DATASET_REBUILD
from gcodefp.detection.verdict import DETECTION_FORMAT
from gcodefp.detection.verdict import REBUILD as DETECTION_REBUILD
from gcodefp.documents import Document as Model
from gcodefp.documents import read_document
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import CONTROL_FORMAT, CONTROL_REBUILD
from gcodefp.evaluation.documents import ControlDocument, MetricsDocument
from gcodefp.evaluation.names import EVALUATION_FORMAT, EVALUATION_REBUILD, EXPLANATION_REBUILD
from gcodefp.files import read_json
from gcodefp.reporting.predictions import (
    JsonContent,
    Predictions,
    StoredExplanation,
    read_explanation,
    read_predictions,
)
from gcodefp.reporting.sweep_results import SweepDocument, SweepResults, read_sweep_results
from gcodefp.sweeps.sweep_file import FORMAT as SWEEP_FORMAT
from gcodefp.sweeps.sweep_file import REBUILD as SWEEP_REBUILD

CONTROL_NOTE = "LEAK: negative control ({}) beats its reference baseline without sensing the motion"
RESULTS_FLAGS = {
    "dataset": "dataset.json",
    "sweep": "sweep.json",
    "best": "folder of select_best",
    "evaluation": "folder of evaluate",
    "explanation": "folder of explain",
}
"""Argument of `read_results`, and flag of the steps -> what it names."""


@dataclass(frozen=True, kw_only=True)
class Results(SweepResults):
    """The files of one pipeline.

    Attributes:
        dataset, evaluation: dataset.json and evaluation/metrics.json.
        predictions: evaluation/predictions.npz.
        explanation: explanation/explanation.json and .npz.
        detection: detection/detection.json; None without one.
    """

    dataset: JsonContent
    evaluation: JsonContent
    predictions: Predictions
    explanation: StoredExplanation
    detection: JsonContent | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that every figure and page shows in red; empty for a valid evaluation."""
        warnings = [LEAKY_NOTE] if self.evaluation["leaky"] else []
        warnings += [CONTROLLER_NOTE] if self.evaluation["controller_is_input"] else []
        leaks = (c["what"] for c in self.evaluation["controls"] if not c["fails"])
        return (*warnings, *map(CONTROL_NOTE.format, leaks))

    @property
    def documents(self) -> dict[str, JsonContent]:
        """File -> its content, of all JSON documents."""
        return {
            "dataset.json": self.dataset,
            **super().documents,
            "evaluation/metrics.json": self.evaluation,
            "explanation/explanation.json": self.explanation.document,
            **({"detection/detection.json": self.detection} if self.detection else {}),
        }

    def redacted(self) -> Self:
        """The same without the absolute paths of the author's machine."""
        results = super().redacted()
        explanation = results.redact_paths(results.explanation.document)
        return replace(
            results,
            dataset=results.redact_paths(results.dataset),
            evaluation=results.redact_paths(results.evaluation),
            explanation=replace(results.explanation, document=explanation),
            detection=results.detection and results.redact_paths(results.detection),
        )


def read_results(
    dataset: Path,
    sweep: Path,
    best: Path,
    evaluation: Path,
    explanation: Path,
    show_paths: bool = False,
    detection: Path | None = None,
) -> Results:
    """Reads the files of a pipeline.

    Args:
        dataset, sweep: dataset.json and sweep.json.
        best, evaluation, explanation: the folders of select_best, evaluate and explain.
        detection: detection.json of fit_detector, if there is one.

    Raises:
        UserError: a file is missing or damaged, or is of another sweep, checkpoint or test.
    """
    metrics = read_result(evaluation / "metrics.json")
    results = Results(
        **vars(read_sweep_results(sweep, best)),
        dataset=read_result(dataset),
        evaluation=metrics,
        predictions=read_predictions(evaluation / "predictions.npz", metrics),
        explanation=read_explanation(explanation),
        detection=(
            read_json(detection, DETECTION_FORMAT, DETECTION_REBUILD) if detection else None
        ),
    )
    _check_evaluation(results, evaluation / "metrics.json")
    _check_explanation(results, explanation / "explanation.json")
    return results if show_paths else results.redacted()


RESULT_FILES: dict[str, tuple[str, type[Model], str]] = {
    "dataset.json": (DATASET_FORMAT, DatasetForReport, DATASET_REBUILD),
    "sweep.json": (SWEEP_FORMAT, SweepDocument, SWEEP_REBUILD),
    "control.json": (CONTROL_FORMAT, ControlDocument, CONTROL_REBUILD),
    "metrics.json": (EVALUATION_FORMAT, MetricsDocument, EVALUATION_REBUILD),
}
"""Name of a file -> its format, what it has to be, and the command that rebuilds it."""


def read_result(path: Path) -> dict[str, Any]:
    """Reads one of RESULT_FILES. Raises UserError: it is missing or damaged."""
    return read_document(path, *RESULT_FILES[path.name])


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
            f"{path}: is of another checkpoint than the winner's; rebuild it with: "
            f"{EVALUATION_REBUILD}"
        )


def _check_explanation(results: Results, path: Path) -> None:
    """Raises UserError unless it is of the checkpoint and the test split that were evaluated."""
    explained, scored = (
        document["provenance"]["inputs"]
        for document in (results.explanation.document, results.evaluation)
    )
    other = [name for name, digest in explained.items() if digest not in scored.values()]
    if other or results.explanation.document["rows"] != results.evaluation["rows"]:
        raise UserError(
            f"{path}: is of other files than were evaluated ({', '.join(other)}); rebuild it with: "
            f"{EXPLANATION_REBUILD}"
        )


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each file or folder that results are read from."""
    for name, content in RESULTS_FLAGS.items():
        is_of_sweep = name in ("sweep", "best")
        text = content if is_of_sweep else f"{content}; not for a sweep of another program"
        parser.add_argument(f"--{name}", type=Path, required=is_of_sweep, help=text)
    parser.add_argument("--detection", type=Path, help="detection.json, if there is one")
    help_text = "show absolute paths, which name folders of this machine"
    parser.add_argument("--show-paths", action="store_true", help=help_text)


def results_from_flags(arguments: argparse.Namespace) -> SweepResults:
    """Reads the files and folders of RESULTS_FLAGS; `Results`, unless another program trained.

    Raises UserError: as `read_results`, or a flag is missing.
    """
    paths = {name: getattr(arguments, name) for name in RESULTS_FLAGS}
    missing = [name for name, path in paths.items() if path is None]
    if not missing:
        return read_results(**paths, show_paths=arguments.show_paths, detection=arguments.detection)
    results = read_sweep_results(arguments.sweep, arguments.best)
    if not results.is_external:
        raise UserError(
            f"--{missing[0]}: is missing; {arguments.sweep} is a sweep of gcodefp's own trainer, "
            "whose best checkpoint is evaluated"
        )
    return results if arguments.show_paths else results.redacted()
