"""The files of a finished pipeline, from which figures and report are made."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Self, get_type_hints

import numpy as np
from numpy.typing import NDArray

from gcodefp.command_line import DETECTION
from gcodefp.dataset.document import DatasetForReport
from gcodefp.dataset.store import CONTROLLER_NOTE, LEAKY_NOTE
from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import REBUILD as DATASET_REBUILD
from gcodefp.detection.verdict import DETECTION_FORMAT
from gcodefp.detection.verdict import REBUILD as DETECTION_REBUILD
from gcodefp.documents import ArraySpec, check_arrays, read_document
from gcodefp.documents import Document as Model
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import CONTROL_FORMAT, CONTROL_REBUILD, no_leak
from gcodefp.evaluation.documents import (
    ControlDocument,
    DetectionDocument,
    ExplanationDocument,
    MetricsDocument,
)
from gcodefp.evaluation.names import (
    EVALUATION_FORMAT,
    EVALUATION_REBUILD,
    EXPLANATION_FORMAT,
    EXPLANATION_REBUILD,
    GCODEFP,
    MODEL,
    PREDICTORS,
)
from gcodefp.files import read_arrays
from gcodefp.reporting.sweep_results import (
    JsonContent,
    SweepDocument,
    SweepResults,
    read_sweep_results,
)
from gcodefp.sweeps.sweep_file import FORMAT as SWEEP_FORMAT
from gcodefp.sweeps.sweep_file import REBUILD as SWEEP_REBUILD

PROTOCOLS_REBUILD = "snakemake --cores all protocols"
CONTROL_NOTE = "LEAK: negative control ({}) beats its reference baseline without sensing the motion"

# predictions.npz and explanation.npz

FAR_MM = 1e6
LONG_SECONDS = 1e9
BLOCK = ArraySpec("U", ("N",))
POSITION = ArraySpec("f", ("N", 3), -FAR_MM, FAR_MM, nan=True)


@dataclass(frozen=True)
class Predictions:
    """N rows of R test recordings, and the lines of each as a whole.

    Attributes:
        recordings: (R,) names.
        recording: (N,) index into `recordings`.
        seconds: (N,) since the recording's first row.
        position_mm: (N, 3) tool position that the controller reported; NaN where unknown.
        mm_per_unit: (N,) millimetres per length unit of the row's block.
        true_block: (N,) texts.
        executed_recording, executed_block, executed_seconds: (E,) lines of the recordings, in
            order, also those too short for a row of their own (seconds NaN).
        reconstructed_recording, reconstructed_block: (F,) the same, as predicted by WHOLE.
        blocks: predictor -> (N,) texts.
        predicted_mm: predictor -> (N, 3) tool position, of those that predict it.
    """

    recordings: Annotated[NDArray[np.str_], ArraySpec("U", ("R",))]
    recording: Annotated[NDArray[np.int16], ArraySpec("i", ("N",), 0, "R")]
    seconds: Annotated[NDArray[np.float64], ArraySpec("f", ("N",), -LONG_SECONDS, LONG_SECONDS)]
    position_mm: Annotated[NDArray[np.float32], POSITION]
    mm_per_unit: Annotated[NDArray[np.float32], ArraySpec("f", ("N",), 1e-6, FAR_MM)]
    true_block: Annotated[NDArray[np.str_], BLOCK]
    executed_recording: Annotated[NDArray[np.int16], ArraySpec("i", ("E",), 0, "R")]
    executed_block: Annotated[NDArray[np.str_], ArraySpec("U", ("E",))]
    executed_seconds: Annotated[
        NDArray[np.float64], ArraySpec("f", ("E",), -LONG_SECONDS, LONG_SECONDS, nan=True)
    ]
    reconstructed_recording: Annotated[NDArray[np.int16], ArraySpec("i", ("F",), 0, "R")]
    reconstructed_block: Annotated[NDArray[np.str_], ArraySpec("U", ("F",))]
    blocks: Mapping[str, NDArray[np.str_]]
    predicted_mm: Mapping[str, NDArray[np.float32]]

    def is_correct(self, name: str = MODEL) -> NDArray[np.bool_]:
        """Whether each row's whole block is correct, (N,)."""
        return self.blocks[name] == self.true_block


def _checked_arrays(
    path: Path, fields: type, more: dict[str, ArraySpec], rebuild: str, lengths: dict[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays that a dataclass has as fields with an ArraySpec, and `more` arrays."""
    hints = get_type_hints(fields, include_extras=True)
    own = {n: hint.__metadata__[0] for n, hint in hints.items() if hasattr(hint, "__metadata__")}
    arrays = read_arrays(path, [*own, *more], rebuild)
    check_arrays(arrays, {**own, **more}, path, rebuild, lengths)
    return {name: arrays[name] for name in own}, {name: arrays[name] for name in more}


def read_predictions(path: Path, evaluation: JsonContent) -> Predictions:
    """Reads predictions.npz.

    Args:
        evaluation: the metrics.json beside it, which counts its rows.

    Raises:
        UserError: the file is missing, truncated, or not what this metrics.json was computed from.
    """
    counts = {name: model["position_error_mm"]["n"] for name, model in evaluation["models"].items()}
    blocks = {name: f"{PREDICTORS[name].array}_block" for name in counts}
    positions = {name: f"{PREDICTORS[name].array}_position_mm" for name in counts if counts[name]}
    more = dict.fromkeys(blocks.values(), BLOCK) | dict.fromkeys(positions.values(), POSITION)
    own, arrays = _checked_arrays(
        path, Predictions, more, EVALUATION_REBUILD, {"N": evaluation["rows"]}
    )
    for name, array in positions.items():
        both = np.isfinite(arrays[array] + own["position_mm"]).all(axis=1).sum()
        if both != counts[name]:
            raise UserError(
                f"{path}: {array} has positions in {both} rows, metrics.json counts "
                f"{counts[name]}; rebuild both with: {EVALUATION_REBUILD}"
            )
    return Predictions(
        **own,
        blocks={name: arrays[array] for name, array in blocks.items()},
        predicted_mm={name: arrays[array] for name, array in positions.items()},
    )


@dataclass(frozen=True)
class StoredExplanation:
    """N scored rows of the test split, as in predictions.npz; C channels.

    The excerpt is T neighbouring rows of one recording.

    Attributes:
        document: explanation.json.
        confidence: predictor -> (N,) predicted probability of its block.
        excerpt_seconds: (T,) since the recording's first row.
        excerpt_samples: (T, C) in the channel's unit, less the recording's own mean if the
            dataset is `centered`; in the recording's own standard deviations if it is `zscored`;
            NaN where no sample is valid.
        excerpt_valid: (T, C) whether a sample is valid.
        excerpt_block, excerpt_read: (T,) texts, true and predicted in windows.
    """

    document: JsonContent
    confidence: Mapping[str, NDArray[np.float64]]
    excerpt_seconds: Annotated[
        NDArray[np.float64], ArraySpec("f", ("T",), -LONG_SECONDS, LONG_SECONDS)
    ]
    excerpt_samples: Annotated[
        NDArray[np.float32], ArraySpec("f", ("T", "C"), -1e30, 1e30, nan=True)
    ]
    excerpt_valid: Annotated[NDArray[np.bool_], ArraySpec("b", ("T", "C"))]
    excerpt_block: Annotated[NDArray[np.str_], ArraySpec("U", ("T",))]
    excerpt_read: Annotated[NDArray[np.str_], ArraySpec("U", ("T",))]


def read_explanation(folder: Path) -> StoredExplanation:
    """Reads explanation.json and explanation.npz.

    Raises:
        UserError: one is missing or damaged.
    """
    document = read_document(
        folder / "explanation.json", EXPLANATION_FORMAT, ExplanationDocument, EXPLANATION_REBUILD
    )
    path = folder / "explanation.npz"
    names = {name: f"{PREDICTORS[name].array}_confidence" for name in GCODEFP}
    more = dict.fromkeys(names.values(), ArraySpec("f", ("N",), 0, 1 + 1e-6))
    lengths = {"N": document["rows"], "C": len(document["channels"])}
    own, arrays = _checked_arrays(path, StoredExplanation, more, EXPLANATION_REBUILD, lengths)
    if not len(own["excerpt_seconds"]):
        raise UserError(f"{path}: the excerpt has no rows; rebuild it with: {EXPLANATION_REBUILD}")
    confidence = {name: arrays[array] for name, array in names.items()}
    return StoredExplanation(document, confidence, **own)


# The files of a pipeline


@dataclass(frozen=True, kw_only=True)
class Results(SweepResults):
    """The files of one pipeline.

    Attributes:
        dataset, evaluation: dataset.json and evaluation/metrics.json.
        predictions: evaluation/predictions.npz.
        explanation: explanation/explanation.json and .npz.
        detection: detection/detection.json; None without one.
        protocols_command: makes the protocols with the configuration of these results.
    """

    dataset: JsonContent
    evaluation: JsonContent
    predictions: Predictions
    explanation: StoredExplanation
    detection: JsonContent | None = None
    protocols_command: str = PROTOCOLS_REBUILD

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that every figure and page shows in red; empty for a valid evaluation."""
        warnings = [LEAKY_NOTE] if self.evaluation["leaky"] else []
        warnings += [CONTROLLER_NOTE] if self.evaluation["controller_is_input"] else []
        leaks = (c["what"] for c in self.evaluation["controls"] if not no_leak(c))
        return (*warnings, *map(CONTROL_NOTE.format, leaks))

    @property
    def is_simulated(self) -> bool:
        """Whether the recordings are; of datasets of earlier versions nobody knows."""
        return self.dataset.get("simulated") is True

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
        """The same without the absolute paths of the author's computer."""
        results = super().redacted()
        explanation = results.redact_paths(results.explanation.document)
        return replace(results, explanation=replace(results.explanation, document=explanation))


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
    """Raises UserError unless both are of the best run's checkpoint and of the own test split."""
    if external := results.evaluation["external"]:
        raise UserError(
            f"{evaluation}: is of other recordings, {external}; figures and report are of the "
            f"pipeline's own test split: {EVALUATION_REBUILD}"
        )
    explained, scored, selected = (
        document["provenance"]["inputs"]
        for document in (results.explanation.document, results.evaluation, results.best_run)
    )
    # The input that both have in common is the checkpoint.
    if not set(scored.values()) & set(selected.values()):
        raise UserError(
            f"{evaluation}: is of another checkpoint than the best run's; rebuild it with: "
            f"{EVALUATION_REBUILD}"
        )
    other = [name for name, digest in explained.items() if digest not in scored.values()]
    if other or results.explanation.document["rows"] != results.evaluation["rows"]:
        raise UserError(
            f"{explanation}: is of other files than were evaluated ({', '.join(other)}); rebuild "
            f"it with: {EXPLANATION_REBUILD}"
        )


def results_from_flags(arguments: argparse.Namespace) -> SweepResults:
    """Reads the files and folders of RESULTS_FLAGS; `Results`, unless a user script trained.

    Raises UserError: a file is missing or damaged, or is of another sweep, checkpoint or test.
    """
    results = read_sweep_results(arguments.sweep, arguments.best)
    if not results.has_script:
        results = _with_evaluation(results, arguments)
    return results if arguments.show_paths else results.redacted()


def _with_evaluation(results: SweepResults, arguments: argparse.Namespace) -> Results:
    """The sweep with the dataset, and with what is known of its best run."""
    folder, metrics = arguments.evaluation, read_result(arguments.evaluation / "metrics.json")
    beside = arguments.dataset.parent.parent / DETECTION
    detection = arguments.detection or (beside if beside.is_file() else None)
    complete = Results(
        **vars(results),
        dataset=read_result(arguments.dataset),
        evaluation=metrics,
        predictions=read_predictions(folder / "predictions.npz", metrics),
        explanation=read_explanation(arguments.explanation),
        detection=detection
        and read_document(detection, DETECTION_FORMAT, DetectionDocument, DETECTION_REBUILD),
    )
    explanation = arguments.explanation / "explanation.json"
    _check_origins(complete, folder / "metrics.json", explanation)
    return complete
