"""The verdict on a negative control: whether it beats its reference baseline, which is a leak."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.controls import LABELS_SHUFFLED, PRESENCE_ONLY, SENSORS_PERMUTED
from gcodefp.dataset.store import Split
from gcodefp.documents import read_document
from gcodefp.evaluation.bootstrap import Estimate, estimate
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


class ControlVerdict(NamedTuple):
    """Exact-line accuracy of one predictor on a control.

    Attributes:
        limit: the baseline that it must not beat.
        score, limit_score: accuracies of predictor and baseline.
        difference: score minus limit_score, on the same rows.
    """

    limit: str
    score: Estimate
    limit_score: Estimate
    difference: Estimate

    @property
    def fails(self) -> bool:
        """Whether the predictor is not significantly better than the limit."""
        return side_of_zero(self.difference.low, self.difference.high) <= 0

    def to_json(self) -> dict[str, Any]:
        """An entry of `answers` in control.json."""
        return {
            "limit": self.limit,
            "score": self.score._asdict(),
            "limit_score": self.limit_score._asdict(),
            "difference": self.difference._asdict(),
            "fails": self.fails,
        }


def assess_control(
    control: str,
    predictions: Mapping[str, RowPredictions],
    limits: Mapping[str, RowPredictions],
    test: Split,
    rows: NDArray[np.integer],
) -> dict[str, ControlVerdict]:
    """Compares each of SENSOR_PREDICTORS with the baseline that it must not beat.

    Args:
        predictions, limits: of these rows, by name.
        rows: (N,) of the test split, whose labels are the true ones.
    """
    true_blocks, recording = test.blocks[test.block[rows]], test.recording[rows]
    ones, limit = np.ones(len(rows)), LIMITS[control]
    limit_correct = (limits[limit].blocks == true_blocks).astype(int)
    verdicts = {}
    for name in SENSOR_PREDICTORS:
        correct = (predictions[name].blocks == true_blocks).astype(int)
        verdicts[name] = ControlVerdict(
            limit,
            estimate(correct, ones, recording),
            estimate(limit_correct, ones, recording),
            estimate(correct - limit_correct, ones, recording),
        )
    return verdicts


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
            _percent(verdict[key]) for key in ("score", "limit_score", "difference")
        )
        warnings.append(
            f"LEAK: negative control {control['control']} ({control['what']}) beats its reference "
            f"baseline: {name} predicts "
            f"{score} % of the lines exactly, '{verdict['limit']}' {limit} %, difference {gain}: "
            "that much of its score does not come from sensing the motion"
        )
    return warnings


def _percent(estimated: Mapping[str, Any]) -> str:
    value, low, high = (100 * estimated[key] for key in ("value", "low", "high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"
