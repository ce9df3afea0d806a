"""What predictions.npz says of the rows of the test split."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.evaluation.names import EVALUATION_REBUILD, MODEL, PREDICTORS

PREDICTION_FIELDS = {
    "block": "blocks",
    "operation": "operation",
    "program": "program",
    "position_mm": "answered_mm",
}
"""How the array of an answer ends -> the field of Predictions that it goes to."""


class Sequences(NamedTuple):
    """Lines of whole recordings, in order; those too short for a row of their own are filled in.

    Attributes:
        executed_recording: (E,) index into `Predictions.recordings`.
        executed_block: (E,) texts.
        executed_seconds: (E,) since the recording's first row; NaN if it has no row of its own.
        reconstructed_recording: (F,) index into `Predictions.recordings`.
        reconstructed_block: (F,) texts, as read by the answer WHOLE.
    """

    executed_recording: NDArray[np.int16]
    executed_block: NDArray[np.str_]
    executed_seconds: NDArray[np.float64]
    reconstructed_recording: NDArray[np.int16]
    reconstructed_block: NDArray[np.str_]


@dataclass(frozen=True)
class Predictions:
    """N rows of R test recordings; answers are by the names of `PREDICTORS`.

    Attributes:
        recordings: (R,) names.
        recording: (N,) index into `recordings`.
        seconds: (N,) since the recording's first row.
        position_mm: (N, 3) tool position that the controller reported; NaN where unknown.
        mm_per_unit: (N,) millimetres per length unit of the row's block.
        lag_seconds: (R,) of the sensors, relative to the program's median; NaN if unknown.
        operations, programs: names of the classes.
        true_operation, true_program: (N,) classes; -1 if the train split has none of it.
        true_block: (N,) texts.
        blocks: whose answer -> (N,) texts.
        operation: whose answer -> (N,) classes.
        program: the same; those who do not say are not in it.
        answered_mm: whose answer -> (N, 3); those who do not say are not in it.
        sequences: None in a file of before they were written.
    """

    recordings: NDArray[np.str_]
    recording: NDArray[np.int16]
    seconds: NDArray[np.float64]
    position_mm: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]
    lag_seconds: NDArray[np.float32]
    operations: NDArray[np.str_]
    programs: NDArray[np.str_]
    true_operation: NDArray[np.int16]
    true_program: NDArray[np.int16]
    true_block: NDArray[np.str_]
    blocks: Mapping[str, NDArray[np.str_]]
    operation: Mapping[str, NDArray[np.int64]]
    program: Mapping[str, NDArray[np.int64]]
    answered_mm: Mapping[str, NDArray[np.float32]]
    sequences: Sequences | None = None

    def right(self, name: str = MODEL) -> NDArray[np.bool_]:
        """Whether each row's whole block is right, (N,)."""
        return self.blocks[name] == self.true_block


def read_predictions(path: Path) -> Predictions:
    """Reads the file.

    Raises:
        UserError: it is missing, or cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; it is made by: {EVALUATION_REBUILD}")
    answers = {
        field: {name: f"{kind.array}_{ending}" for name, kind in PREDICTORS.items()}
        for ending, field in PREDICTION_FIELDS.items()
    }
    apart = {*answers, "sequences"}
    plain = [name for name in Predictions.__dataclass_fields__ if name not in apart]
    try:
        # NumPy leaves a file that it opens itself open when it is torn.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            there: dict[str, Any] = {
                field: {name: arrays[array] for name, array in of.items() if array in arrays}
                for field, of in answers.items()
            }
            if all(name in arrays for name in Sequences._fields):
                there["sequences"] = Sequences(*(arrays[name] for name in Sequences._fields))
            there["blocks"] = {MODEL: arrays[answers["blocks"][MODEL]], **there["blocks"]}
            return Predictions(**{field: arrays[field] for field in plain}, **there)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); make it anew: {EVALUATION_REBUILD}"
        ) from None
