"""The files of a prediction: the G-code, a table of its blocks, and what is known of the whole."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.reconstruct import DANGER, comment
from gcodefp.prediction.predicted import NEAR_SECONDS, Candidate, Predicted, bounds, stretches

PREDICTION_FORMAT = "gcodefp-prediction-1"
TABLE_COLUMNS = (
    "first_row",
    "last_row",
    "line",
    "block",
    "confidence",
    "confidence_clock_known",
    "x_mm",
    "y_mm",
    "z_mm",
)
EVENLY = "rows of the recording are taken as evenly spaced in time"
MEANING = (
    "confidence: probability that the controller reports this block, its clock unknown",
    "clock known: the same, if the sensors lag by the median of the training recordings",
    f"agreement: share of rows read at the same place within {NEAR_SECONDS:g} s from the rows "
    "around them alone",
)


def gcode_text(
    predicted: Predicted,
    checkpoint: str,
    notes: Sequence[str],
    clock: NDArray[np.str_] | None = None,
) -> str:
    """A program in RS-274 with a comment for each block, and what to know at its head.

    Args:
        checkpoint: its SHA-256.
        notes: warnings.
        clock: (N,) what the controller's clock showed at each row, for the comments.
    """
    lines = [comment(of) for of in (*_head(predicted, checkpoint), *MEANING, EVENLY, *notes)]
    for stretch in stretches(predicted):
        about = [
            f"confidence {stretch.confidence:.2f}",
            f"rows {stretch.first_row}-{stretch.last_row}",
            f"line {stretch.line}",
            f"clock known {stretch.confidence_clock_known:.2f}",
        ]
        if clock is not None and clock[stretch.at]:
            about.append(f"at {clock[stretch.at]}")
        lines.append(f"{stretch.block} {comment(', '.join(about))}")
    return "\n".join(lines) + "\n"


def free_text(predicted: Predicted, checkpoint: str, notes: Sequence[str]) -> str:
    """The same of the blocks that the network writes row by row, without knowing any program."""
    freely = "blocks are written freely, row by row, from all words of the training recordings"
    lines = [comment(of) for of in (*_head(predicted, checkpoint), freely, EVENLY, *notes)]
    blocks = predicted.free_block
    for first, end in bounds(blocks[1:] == blocks[:-1]):
        rows = comment(f"rows {predicted.row[first]}-{predicted.row[end - 1]}")
        lines.append(f"{blocks[first]} {rows}".lstrip())
    return "\n".join(lines) + "\n"


def table_text(predicted: Predicted) -> str:
    """CSV with one line per block; a position that is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(TABLE_COLUMNS)
    for s in stretches(predicted):
        position = ["" if np.isnan(mm) else f"{mm:.3f}" for mm in s.position_mm]
        sure = [f"{s.confidence:.4f}", f"{s.confidence_clock_known:.4f}"]
        writer.writerow([s.first_row, s.last_row, s.line, s.block, *sure, *position])
    return text.getvalue()


def document(predicted: Predicted) -> dict[str, Any]:
    """What is known of the whole recording, for the JSON file."""
    return {
        "recording": predicted.name,
        "rows": len(predicted.row),
        "blocks": len(stretches(predicted)),
        "program": predicted.program._asdict(),
        "operation": predicted.operation._asdict(),
        "programs": [candidate._asdict() for candidate in predicted.programs],
        "operations": [candidate._asdict() for candidate in predicted.operations],
        "confidence": predicted.mean_confidence,
        "confidence_clock_known": predicted.mean_clock_known,
        "agreement": predicted.agreement,
        "doubts": predicted.doubts,
        "rows_evenly_spaced": True,
    }


def _head(predicted: Predicted, checkpoint: str) -> list[str]:
    return [
        DANGER,
        f"recording {predicted.name}, {len(predicted.row)} rows",
        f"program {_told(predicted.program)}, operation {_told(predicted.operation)}",
        f"mean confidence {predicted.mean_confidence:.2f}, "
        f"clock known {predicted.mean_clock_known:.2f}, agreement {predicted.agreement:.2f}",
        f"checkpoint sha256 {checkpoint}",
    ]


def _told(candidate: Candidate) -> str:
    return f"{candidate.name} {candidate.probability:.2f}"
