"""The verdict on a negative control: whether it beats its reference baseline, which is a leak."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.controls import LABELS_SHUFFLED, PRESENCE_ONLY, SENSORS_PERMUTED
from gcodefp.dataset.store import Split
from gcodefp.documents import read_document
from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.documents import ControlDocument
from gcodefp.evaluation.metrics import RowPredictions
from gcodefp.evaluation.names import MAJORITY, MAJORITY_PRIVILEGED, PREDICTORS, SENSORS
from gcodefp.evaluation.verdicts import side_of_zero

CONTROL_FORMAT = "gcodefp-control-1"
CONTROL_REBUILD = "snakemake --cores all --forcerun control"

LIMITS: Mapping[str, str] = {
    LABELS_SHUFFLED: MAJORITY,
    SENSORS_PERMUTED: MAJORITY_PRIVILEGED,
    PRESENCE_ONLY: MAJORITY_PRIVILEGED,
}
"""Control -> the baseline that it must not beat: what is predictable without the motion."""
SENSOR_PREDICTORS = tuple(
    name for name, predictor in PREDICTORS.items() if predictor.kind == SENSORS
)
"""The predictors from sensors alone."""


def assess_control(
    control: str,
    predictions: Mapping[str, RowPredictions],
    test: Split,
    rows: NDArray[np.integer],
) -> dict[str, dict[str, Any]]:
    """Compares the exact lines of SENSOR_PREDICTORS with those of the baseline.

    Args:
        predictions: of these rows, by name, the baselines' too.
        rows: (N,) of the test split, whose labels are the true ones.

    Returns:
        `answers` of control.json; `fails` says that the predictor is not significantly better.
    """
    true_blocks, recording = test.blocks[test.block[rows]], test.recording[rows]
    ones, limit = np.ones(len(rows)), LIMITS[control]
    limit_correct = (predictions[limit].blocks == true_blocks).astype(int)
    answers = {}
    for name in SENSOR_PREDICTORS:
        correct = (predictions[name].blocks == true_blocks).astype(int)
        difference = estimate(correct - limit_correct, ones, recording)
        answers[name] = {
            "limit": limit,
            "score": estimate(correct, ones, recording)._asdict(),
            "limit_score": estimate(limit_correct, ones, recording)._asdict(),
            "difference": difference._asdict(),
            "fails": side_of_zero(difference.low, difference.high) <= 0,
        }
    return answers


def read_controls(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """The content of each control.json without format and provenance."""
    documents = [
        read_document(path, CONTROL_FORMAT, ControlDocument, CONTROL_REBUILD) for path in paths
    ]
    return [
        {key: value for key, value in document.items() if key not in ("format", "provenance")}
        for document in documents
    ]


def leak_warnings(control: Mapping[str, Any]) -> list[str]:
    """A warning for each predictor that beats its limit, from the content of control.json."""
    warnings = []
    for name, verdict in control["answers"].items():
        if verdict["fails"]:
            continue
        score, limit, gain = (
            "{value:.1f} [{low:.1f}, {high:.1f}]".format(
                **{bound: 100 * verdict[key][bound] for bound in ("value", "low", "high")}
            )
            for key in ("score", "limit_score", "difference")
        )
        warnings.append(
            f"LEAK: negative control {control['control']} ({control['what']}) beats its reference "
            f"baseline: {name} predicts "
            f"{score} % of the lines exactly, '{verdict['limit']}' {limit} %, difference {gain}: "
            "that much of its score does not come from sensing the motion"
        )
    return warnings
