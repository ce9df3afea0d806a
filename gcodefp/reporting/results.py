"""The files of a finished pipeline, from which figures and report are made."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from gcodefp.dataset.document import DatasetForReport
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import REBUILD as DATASET_REBUILD
from gcodefp.documents import Document as Model
from gcodefp.documents import read_document
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import CONTROL_FORMAT, CONTROL_REBUILD
from gcodefp.evaluation.documents import ControlDocument, MetricsDocument
from gcodefp.evaluation.names import EVALUATION_FORMAT, EVALUATION_REBUILD, EXPLANATION_REBUILD
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
    """

    dataset: JsonContent
    evaluation: JsonContent
    predictions: Predictions
    explanation: StoredExplanation

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
        }

    def redacted(self) -> Self:
        """The same without the absolute paths of the author's machine."""
        results = super().redacted()
        explanation = results.redact_paths(results.explanation.document)
        return replace(results, explanation=replace(results.explanation, document=explanation))


def read_results(
    dataset: Path,
    sweep: Path,
    best: Path,
    evaluation: Path,
    explanation: Path,
    show_paths: bool = False,
) -> Results:
    """Reads the files of a pipeline.

    Args:
        dataset, sweep: dataset.json and sweep.json.
        best, evaluation, explanation: the folders of select_best, evaluate and explain.

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
    )
    _check_origins(results, evaluation / "metrics.json", explanation / "explanation.json")
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


def _check_origins(results: Results, evaluation: Path, explanation: Path) -> None:
    """Raises UserError unless both are of the winner's checkpoint and of the own test split."""
    if external := results.evaluation["external"]:
        raise UserError(
            f"{evaluation}: is of other recordings, {external}; figures and report are of the "
            f"pipeline's own test split: {EVALUATION_REBUILD}"
        )
    explained, scored, selected = (
        document["provenance"]["inputs"]
        for document in (results.explanation.document, results.evaluation, results.winner)
    )
    # The input that both have in common is the checkpoint.
    if not set(scored.values()) & set(selected.values()):
        raise UserError(
            f"{evaluation}: is of another checkpoint than the winner's; rebuild it with: "
            f"{EVALUATION_REBUILD}"
        )
    other = [name for name, digest in explained.items() if digest not in scored.values()]
    if other or results.explanation.document["rows"] != results.evaluation["rows"]:
        raise UserError(
            f"{explanation}: is of other files than were evaluated ({', '.join(other)}); rebuild "
            f"it with: {EXPLANATION_REBUILD}"
        )


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each file or folder that results are read from."""
    for name, content in RESULTS_FLAGS.items():
        is_of_sweep = name in ("sweep", "best")
        text = content if is_of_sweep else f"{content}; not for a sweep of another program"
        parser.add_argument(f"--{name}", type=Path, required=is_of_sweep, help=text)
    help_text = "show absolute paths, which name folders of this machine"
    parser.add_argument("--show-paths", action="store_true", help=help_text)


def results_from_flags(arguments: argparse.Namespace) -> SweepResults:
    """Reads the files and folders of RESULTS_FLAGS; `Results`, unless another program trained.

    Raises UserError: as `read_results`, or a flag is missing.
    """
    paths = {name: getattr(arguments, name) for name in RESULTS_FLAGS}
    missing = [name for name, path in paths.items() if path is None]
    if not missing:
        return read_results(**paths, show_paths=arguments.show_paths)
    results = read_sweep_results(arguments.sweep, arguments.best)
    if not results.is_external:
        raise UserError(
            f"--{missing[0]}: is missing; {arguments.sweep} is a sweep of gcodefp's own trainer, "
            "whose best checkpoint is evaluated"
        )
    return results if arguments.show_paths else results.redacted()
