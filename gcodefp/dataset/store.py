"""The files of a dataset: `dataset.json` describes it, an NPZ file holds the rows of each split.

Shapes: N rows, C channels, U distinct blocks, R recordings, W windows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.channels import Scaler
from gcodefp.dataset.document import DatasetDocument
from gcodefp.dataset.vocabulary import Vocabulary
from gcodefp.documents import read_document
from gcodefp.errors import UserError
from gcodefp.files import digest, read_arrays, sha256, write_arrays
from gcodefp.programs.lag import MAX_LAG_SECONDS, is_doubtful
from gcodefp.programs.table import Programs, read_programs

FORMAT = "gcodefp-dataset-2"
PROGRAMS_FILE = "programs.npz"
ARRAY_NAMES = {"state": "place", "lag_corrected_row": "sensed_row"}
"""Field of Split -> name of its array in the NPZ, where the first version named it otherwise."""
REBUILD = "snakemake --cores all --forcerun preprocess"
CONTROLLER_NOTE = "controller position is an input: not sensing"
LEAKY_NOTE = "LEAKY SPLIT: shuffled windows, only for comparison with numbers published that way"


@dataclass
class Split:
    """The rows of one split.

    The sensors' samples of a row lag behind its controller reports (block, position, clock) by a
    constant of the recording. The labels `state` and `lag_corrected_row` are corrected for the lag;
    like all labels they come from the line reports.

    Attributes:
        signals: (N, C) float32, standardised; 0 where invalid.
        valid: (N, C) whether a sample is valid.
        environment: (N, 2) pressure in kPa and temperature in degC; NaN where no node has them.
        block: (N,) index into `blocks`.
        blocks: (U,) canonical text of each block.
        line: (N,) line number that the controller reports.
        operation: (N,) class of the operation; -1 if it is not in the train split.
        position_mm: (N, 3) reported tool position; NaN where unknown. A label, never an input.
        mm_per_unit: (N,) millimetres per length unit of the row's block.
        seconds: (N,) since the recording's first row.
        recording: (N,) index into `recordings`.
        row: (N,) data row in the CSV file.
        program: (N,) index into the programs of the train split; -1 if it is not one of them.
        state: (N,) state of the programs that the sensors measure, with a fraction; NaN if unknown.
        lag_corrected_row: (N,) the row, of these N, at which the controller reported that state.
        recordings: (R,) names.
        lag_seconds: (R,) of the sensors behind the controller; NaN if unknown.
        window_start: (W,) first row of each window.
    """

    signals: NDArray[np.float32]
    valid: NDArray[np.bool_]
    environment: NDArray[np.float32]
    block: NDArray[np.int32]
    blocks: NDArray[np.str_]
    line: NDArray[np.int64]
    operation: NDArray[np.int16]
    position_mm: NDArray[np.float32]
    mm_per_unit: NDArray[np.float32]
    seconds: NDArray[np.float64]
    recording: NDArray[np.int16]
    row: NDArray[np.int32]
    program: NDArray[np.int16]
    state: NDArray[np.float32]
    lag_corrected_row: NDArray[np.int32]
    recordings: NDArray[np.str_]
    lag_seconds: NDArray[np.float32]
    window_start: NDArray[np.int32]


@dataclass(frozen=True)
class DatasetDescription:
    """A dataset without its splits: dataset.json, checked and parsed, and programs.npz.

    Attributes:
        window: rows per window.
        leaky: whether windows of one recording are in several splits.
        sha256: split -> hash of its NPZ file.
        document: dataset.json as it is, a DatasetDocument.
    """

    window: int
    leaky: bool
    scaler: Scaler
    vocabulary: Vocabulary
    programs: Programs
    sha256: Mapping[str, str]
    document: Mapping[str, Any]

    @property
    def max_lag_seconds(self) -> float:
        """Of the lags that were searched."""
        return float(self.document.get("lags", {}).get("max_seconds", MAX_LAG_SECONDS))

    @property
    def lag_groups(self) -> list[str]:
        """The groups of channels that check lags; none in datasets of earlier versions."""
        return list(self.document.get("lags", {}).get("groups", []))

    def doubtful_lags(self) -> list[str]:
        """The names of the recordings whose lag is doubtful."""
        recordings = self.document["recordings"].items()
        return [n for n, entry in recordings if is_doubtful(entry.get("lag_uncertainty_seconds"))]

    def scale_position(self, position_mm: NDArray[np.floating]) -> NDArray[np.float32]:
        """Tool positions (N, 3) in mm as standard deviations of the train split."""
        scale = self.document["position_mm"]
        return ((position_mm - scale["mean"]) / scale["std"]).astype(np.float32)

    def position_mm(self, scaled: NDArray[np.floating]) -> NDArray[np.float32]:
        """The inverse of `scale_position`: (N, 3) in mm."""
        scale = self.document["position_mm"]
        return (scaled * scale["std"] + scale["mean"]).astype(np.float32)

    def training_data_digest(self) -> str:
        """Hash of all that a training run reads: the train and val splits, not test."""
        splits = {"window": self.window, "train": self.sha256["train"], "val": self.sha256["val"]}
        fields = ("channels", "centered", "vocabulary", "position_mm", "programs")
        control = {} if self.control is None else {"control": self.control}
        return digest(splits | control | {key: self.document[key] for key in fields})

    def check_training_data(self, learning_digest: str, path: Path) -> None:
        """Raises UserError if `path` (a checkpoint, run or sweep) was made from another dataset.

        Args:
            learning_digest: of the dataset that it was made from.
        """
        if learning_digest != (own_digest := self.training_data_digest()):
            raise UserError(
                f"{path}: was trained on another dataset (learning_digest "
                f"{learning_digest[:12]}, not {own_digest[:12]}); name its own dataset with "
                "--dataset, or run the sweep again: snakemake --cores all"
            )

    @property
    def control(self) -> str | None:
        """The control that the splits were changed for; None for an unchanged dataset."""
        return self.document.get("control")

    def with_control(self, control: str | None) -> "DatasetDescription":
        """A copy that is marked with a control, so that both have different digests."""
        return replace(self, document={**self.document, "control": control}) if control else self

    def check(self, path: Path, split: str) -> None:
        """Raises UserError if the NPZ is not the one that dataset.json describes."""
        if sha256(path) != self.sha256[split]:
            raise UserError(
                f"{path}: is not the {split} split that dataset.json describes (its sha256 "
                f"differs); make both again with: {REBUILD}"
            )


def join_splits(first: Split, second: Split) -> Split:
    """The rows of two splits of a dataset as one, those of the second behind those of the first."""
    shifts = {
        "block": len(first.blocks),
        "recording": len(first.recordings),
        "lag_corrected_row": len(first.recording),
        "window_start": len(first.recording),
    }
    arrays = dict(vars(second))
    for name, shift in shifts.items():
        arrays[name] = arrays[name] + arrays[name].dtype.type(shift)
    return Split(
        **{name: np.concatenate([array, arrays[name]]) for name, array in vars(first).items()}
    )


def write_split(path: Path, split: Split) -> None:
    """Writes one NPZ; the same arrays give the same bytes."""
    write_arrays(path, {ARRAY_NAMES.get(name, name): array for name, array in vars(split).items()})


def read_split(path: Path, description: DatasetDescription, name: str) -> Split:
    """Reads one NPZ of a dataset.

    Raises:
        UserError: the file is missing or truncated, or is another split than `name`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; it is made by: {REBUILD}")
    description.check(path, name)
    stored = {field: ARRAY_NAMES.get(field, field) for field in Split.__dataclass_fields__}
    arrays = read_arrays(path, list(stored.values()), REBUILD)
    return Split(**{field: arrays[name] for field, name in stored.items()})


def read_description(path: Path) -> DatasetDescription:
    """Reads dataset.json and the programs.npz beside it.

    Raises:
        UserError: one of them is missing or truncated, or they do not belong together.
    """
    document = read_document(path, FORMAT, DatasetDocument, REBUILD)
    programs_path = path.with_name(PROGRAMS_FILE)
    programs = read_programs(programs_path, REBUILD)
    if sha256(programs_path) != document["programs"]["sha256"]:
        raise UserError(
            f"{programs_path}: does not belong to {path} (its sha256 differs); make both again "
            f"with: {REBUILD}"
        )
    return parse_description(document, programs)


def parse_description(document: Mapping[str, Any], programs: Programs) -> DatasetDescription:
    """The description in a dataset.json document, or in a checkpoint's copy of one."""
    channels = document["channels"]
    return DatasetDescription(
        window=document["window"]["rows"],
        leaky=document["leaky"],
        scaler=Scaler(
            tuple(c["name"] for c in channels),
            tuple(c["mean"] for c in channels),
            tuple(c["std"] for c in channels),
            document["centered"],
            document.get("zscored", False),
        ),
        vocabulary=parse_vocabulary(document),
        programs=programs,
        sha256={name: split["sha256"] for name, split in document["splits"].items()},
        document=document,
    )


def parse_vocabulary(document: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary in a dataset.json document."""
    fields = document["vocabulary"].items()
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in fields}
    return Vocabulary(**values)
