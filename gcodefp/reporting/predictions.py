"""The predictions for the rows of the test split, as evaluation/predictions.npz holds them."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.evaluation.names import EVALUATION_REBUILD, MODEL, PREDICTORS

PREDICTOR_ARRAYS = {
    "blocks": "block",
    "operation": "operation",
    "program": "program",
    "predicted_mm": "position_mm",
}
"""Field of Predictions -> suffix of the array that each predictor has for it."""


class Sequences(NamedTuple):
    """Lines of whole recordings, in order, with those too short for a row of their own.

    Attributes:
        executed_recording: (E,) index into `Predictions.recordings`.
        executed_block: (E,) texts.
        executed_seconds: (E,) since the recording's first row; NaN if it has no row of its own.
        reconstructed_recording: (F,) index into `Predictions.recordings`.
        reconstructed_block: (F,) texts, as predicted by WHOLE.
    """

    executed_recording: NDArray[np.int16]
    executed_block: NDArray[np.str_]
    executed_seconds: NDArray[np.float64]
    reconstructed_recording: NDArray[np.int16]
    reconstructed_block: NDArray[np.str_]


@dataclass(frozen=True)
class Predictions:
    """N rows of R test recordings.

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
        blocks: predictor -> (N,) texts.
        operation: predictor -> (N,) classes.
        program, predicted_mm: predictor -> (N,) classes, (N, 3) positions; of those that predict
            them.
        sequences: None in a file that is older than they are.
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
    predicted_mm: Mapping[str, NDArray[np.float32]]
    sequences: Sequences | None = None

    def is_correct(self, name: str = MODEL) -> NDArray[np.bool_]:
        """Whether each row's whole block is correct, (N,)."""
        return self.blocks[name] == self.true_block


@contextmanager
def open_arrays(path: Path, rebuild: str) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays of an NPZ file; errors while they are read name the file.

    Raises:
        UserError: the file is missing, torn, or has not all arrays.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; it is made by: {rebuild}")
    try:
        # NumPy does not close a file that it opens itself when it is torn.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            yield arrays
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); make it anew: {rebuild}") from None


def read_predictions(path: Path) -> Predictions:
    """Reads the file. Raises UserError: as `open_arrays`."""
    separate = {*PREDICTOR_ARRAYS, "sequences"}
    with open_arrays(path, EVALUATION_REBUILD) as arrays:
        fields: dict[str, Any] = {
            name: arrays[name] for name in Predictions.__dataclass_fields__ if name not in separate
        }
        for field, suffix in PREDICTOR_ARRAYS.items():
            names = {name: f"{kind.array}_{suffix}" for name, kind in PREDICTORS.items()}
            fields[field] = {name: arrays[key] for name, key in names.items() if key in arrays}
        if MODEL not in fields["blocks"]:
            raise KeyError(f"{PREDICTORS[MODEL].array}_{PREDICTOR_ARRAYS['blocks']}")
        if all(name in arrays for name in Sequences._fields):
            fields["sequences"] = Sequences(*(arrays[name] for name in Sequences._fields))
        return Predictions(**fields)
