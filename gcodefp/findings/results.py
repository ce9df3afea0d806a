"""Everything that figures and report are made of, read from a finished pipeline's files."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.dataset.store import FORMAT as DATASET_FORMAT
from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.dataset.store import REBUILD as DATASET_REBUILD
from gcodefp.errors import UserError
from gcodefp.evaluation.files import BLOCKS, EVALUATION_FORMAT, EVALUATION_REBUILD, MODEL
from gcodefp.files import read_json
from gcodefp.search.nesting import leaf
from gcodefp.sweep.best_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.sweep.sweep_file import FORMAT as SWEEP_FORMAT
from gcodefp.sweep.sweep_file import REBUILD as SWEEP_REBUILD

CONTROLLER_NOTE = "controller position is an input: not sensing"
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Predictions:
    """What predictions.npz says of N rows of R test recordings.

    Attributes:
        recordings: (R,) names.
        recording: (N,) index into `recordings`.
        seconds: (N,) since the recording's first row.
        mm_per_unit: (N,) millimetres per length unit of the row's block.
        operations: names of the operations.
        true_operation, written_operation: (N,) classes; -1 if the train split has none of it.
        true_block: (N,) texts.
        blocks: who wrote them -> (N,) texts.
    """

    recordings: NDArray[np.str_]
    recording: NDArray[np.int16]
    seconds: NDArray[np.float64]
    mm_per_unit: NDArray[np.float32]
    operations: NDArray[np.str_]
    true_operation: NDArray[np.int16]
    written_operation: NDArray[np.int64]
    true_block: NDArray[np.str_]
    blocks: Mapping[str, NDArray[np.str_]]

    @property
    def written_block(self) -> NDArray[np.str_]:
        """What the network wrote, (N,)."""
        return self.blocks[MODEL]

    def right(self, name: str = MODEL) -> NDArray[np.bool_]:
        """Whether each row's whole block is right, (N,)."""
        return self.blocks[name] == self.true_block


@dataclass(frozen=True)
class Results:
    """The files of one pipeline.

    Attributes:
        dataset, sweep, winner, evaluation: dataset.json, sweep.json, best/run.json and
            evaluation/metrics.json.
        runs: best/runs.csv, all runs, winner first.
        curves: best/curves.csv, all epochs of all runs.
        predictions: evaluation/predictions.npz.
    """

    dataset: Document
    sweep: Document
    winner: Document
    evaluation: Document
    runs: pd.DataFrame
    curves: pd.DataFrame
    predictions: Predictions

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
        return tuple(note for holds, note in known if holds)


def read_results(dataset: Path, sweep: Path, best: Path, evaluation: Path) -> Results:
    """Reads the files of a pipeline.

    Args:
        dataset, sweep: dataset.json and sweep.json.
        best, evaluation: the folders of select_best and evaluate.

    Raises:
        UserError: a file is missing, cannot be read, or is of another sweep.
    """
    results = Results(
        dataset=read_json(dataset, DATASET_FORMAT, DATASET_REBUILD),
        sweep=read_json(sweep, SWEEP_FORMAT, SWEEP_REBUILD),
        winner=read_json(best / "run.json", BEST_FORMAT, BEST_REBUILD),
        evaluation=read_json(evaluation / "metrics.json", EVALUATION_FORMAT, EVALUATION_REBUILD),
        runs=_read_table(best / "runs.csv"),
        curves=_read_table(best / "curves.csv"),
        predictions=_read_predictions(evaluation / "predictions.npz"),
    )
    if results.sweep["id"] not in results.winner["sweeps"]:
        raise UserError(
            f"{best / 'run.json'}: is of sweep {', '.join(results.winner['sweeps'])}, {sweep} is "
            f"{results.sweep['id']}; make it anew with: {BEST_REBUILD}"
        )
    return results


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype={"run": str, "sweep": str})
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; it is made by: {BEST_REBUILD}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no table ({error}); make it anew: {BEST_REBUILD}") from None


def _read_predictions(path: Path) -> Predictions:
    if not path.is_file():
        raise UserError(f"{path}: no such file; it is made by: {EVALUATION_REBUILD}")
    fields = [name for name in Predictions.__dataclass_fields__ if name != "blocks"]
    try:
        # NumPy leaves a file that it opens itself open when it is torn.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            blocks = {name: arrays[array] for name, array in BLOCKS.items()}
            return Predictions(**{field: arrays[field] for field in fields}, blocks=blocks)
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: cannot be read ({error}); make it anew: {EVALUATION_REBUILD}"
        ) from None
