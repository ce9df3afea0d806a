"""Whether a negative control beats its reference baseline, which is a leak, or has none."""

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
from gcodefp.evaluation.significance import side_of_zero
from gcodefp.programs.table import UNKNOWN

CONTROL_FORMAT = "gcodefp-control-1"
CONTROL_REBUILD = "snakemake --cores all --forcerun control"

REFERENCE_BASELINES: Mapping[str, str] = {
    LABELS_SHUFFLED: MAJORITY,
    SENSORS_PERMUTED: MAJORITY_PRIVILEGED,
    PRESENCE_ONLY: MAJORITY_PRIVILEGED,
}
"""Control -> the baseline that it must not beat: what is predictable without the motion."""
KEEPS_PROGRAM = (SENSORS_PERMUTED,)
"""Controls with the sensors of the operation, which tell the program."""
COMMON_PROGRAM = "the test split's most common program"
"""What the programs of other controls must not beat: no constant guess is correct more often."""
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
    """Compares SENSOR_PREDICTORS with a baseline: their blocks, and their programs.

    Args:
        predictions: of these rows, by name, the baselines' too.
        rows: (N,) of the test split, whose labels are the true ones.

    Returns:
        `answers` and `program_answers` of control.json: the comparisons of blocks and of programs.
    """
    blocks = test.blocks[test.block[rows]]
    is_correct = {name: predicted.blocks == blocks for name, predicted in predictions.items()}
    programs = {
        name: predicted.program == test.program[rows]
        for name, predicted in predictions.items()
        if predicted.program is not None
    }
    program, recording = test.program[rows], test.recording[rows]
    compared = {"answers": _compare(is_correct, REFERENCE_BASELINES[control], recording)}
    in_train = program[program != UNKNOWN]
    if control not in KEEPS_PROGRAM and len(in_train):
        programs[COMMON_PROGRAM] = program == np.bincount(in_train).argmax()
        compared["program_answers"] = _compare(programs, COMMON_PROGRAM, recording)
    return compared


def _compare(
    correct: Mapping[str, NDArray[np.bool_]], reference: str, recording: NDArray[np.integer]
) -> dict[str, Any]:
    """Compares SENSOR_PREDICTORS with the predictor `reference`, by their correct rows (N,)."""
    count = {name: rows.astype(int) for name, rows in correct.items()}
    ones, entries = np.ones(len(recording)), {}
    for name in SENSOR_PREDICTORS:
        if name not in count:
            continue
        difference = estimate(count[name] - count[reference], ones, recording)
        entries[name] = {
            "limit": reference,
            "score": estimate(count[name], ones, recording)._asdict(),
            "limit_score": estimate(count[reference], ones, recording)._asdict(),
            "difference": difference._asdict(),
            "fails": side_of_zero(difference.low, difference.high) <= 0,
        }
    return entries


def no_leak(entry: Mapping[str, Any]) -> bool:
    """Whether a control, or one comparison, has no leak: it `fails` to beat the reference."""
    return bool(entry["fails"])


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
    """A warning for each predictor that beats the reference, from the content of control.json."""
    warnings = []
    for what, name, entry in comparisons(control):
        if no_leak(entry):
            continue
        score, reference, gain = (
            "{value:.1f} [{low:.1f}, {high:.1f}]".format(
                **{bound: 100 * entry[key][bound] for bound in ("value", "low", "high")}
            )
            for key in ("score", "limit_score", "difference")
        )
        warnings.append(
            f"LEAK: negative control {control['control']} ({control['what']}) beats its reference "
            f"baseline: of {name} the {what} is correct in {score} % of the rows, of "
            f"'{entry['limit']}' in {reference} %, difference {gain}: "
            "that much of its score does not come from sensing the motion"
        )
    return warnings


def comparisons(control: Mapping[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """What was compared, the predictor, and the numbers, from the content of control.json."""
    kinds = ("block", "answers"), ("program", "program_answers")
    return [(what, *answer) for what, key in kinds for answer in control.get(key, {}).items()]
