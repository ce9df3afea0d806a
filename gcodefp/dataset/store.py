"""The files of a dataset: `dataset.json` says what it is, one NPZ holds the rows of each split."""

import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.channels import Scaler
from gcodefp.dataset.vocabulary import Vocabulary
from gcodefp.errors import UserError
from gcodefp.files import digest, read_json, replacing, sha256, write_json
from gcodefp.programs.table import UNKNOWN, Alignment, Programs, read_programs
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.gcode import Word, parse_block

FORMAT = "gcodefp-dataset-2"
PROGRAMS_FILE = "programs.npz"
ARRAY_NAMES = {"state": "place", "lag_corrected_row": "sensed_row"}
"""Fields of Split whose arrays have another name in the NPZ, so that older files are read on."""
REBUILD = "snakemake --cores all --forcerun preprocess"
CONTROLLER_NOTE = "controller position is an input: not sensing"
LEAKY_NOTE = "LEAKY SPLIT: shuffled windows, only for comparison with numbers published that way"


@dataclass
class Split:
    """The rows of one split: N rows, C channels, U distinct blocks, R recordings, W windows.

    What the controller says (block, position, clock) and what the sensors see lie apart by the
    recording's lag: `state` and `lag_corrected_row` tell what the machine does at the time that the
    sensors of a row measured. They rest on the controller's log, as labels do.

    Attributes:
        signals: (N, C) float32, scaled; 0 where no valid sample is.
        valid: (N, C) whether a sample is valid.
        environment: (N, 2) pressure in kPa and temperature in degC; NaN where no node has them.
        block: (N,) index into `blocks`.
        blocks: (U,) canonical text of each block.
        line: (N,) line number that the controller reports.
        operation: (N,) class of the operation; -1 if the train split has none of it.
        position_mm: (N, 3) reported tool position; NaN where unknown. A label, never an input.
        mm_per_unit: (N,) millimetres per length unit of the row's block.
        seconds: (N,) since the recording's first row.
        recording: (N,) index into `recordings`.
        row: (N,) data row in the CSV file.
        program: (N,) index into the programs of the train split; -1 if it has none of it.
        state: (N,) the place in the programs that the sensors see; NaN if unknown.
        lag_corrected_row: (N,) the row (of these N) whose block and position the sensors see.
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
class Description:
    """What dataset.json and programs.npz say, as far as later steps need it."""

    window: int
    leaky: bool
    scaler: Scaler
    vocabulary: Vocabulary
    programs: Programs
    sha256: Mapping[str, str]
    document: Mapping[str, Any]

    def scale_position(self, position_mm: NDArray[np.floating]) -> NDArray[np.float32]:
        """Tool positions (N, 3) in mm as standard deviations of the train split."""
        scale = self.document["position_mm"]
        return ((position_mm - scale["mean"]) / scale["std"]).astype(np.float32)

    def position_mm(self, scaled: NDArray[np.floating]) -> NDArray[np.float32]:
        """What `scale_position` was given."""
        scale = self.document["position_mm"]
        return (scaled * scale["std"] + scale["mean"]).astype(np.float32)

    def learning_digest(self) -> str:
        """Changes exactly when a training run could see another train or val split."""
        seen = {"window": self.window, "train": self.sha256["train"], "val": self.sha256["val"]}
        decides = ("channels", "centered", "vocabulary", "position_mm", "programs")
        changed = {} if self.control is None else {"control": self.control}
        return digest(seen | changed | {key: self.document[key] for key in decides})

    def check_learning_digest(self, learning_digest: str, path: Path) -> None:
        """Raises UserError if `path` (a checkpoint, run or sweep) was made from another dataset.

        Args:
            learning_digest: of the dataset that it was made from.
        """
        if learning_digest != (own := self.learning_digest()):
            raise UserError(
                f"{path}: was trained on another dataset than this (learning_digest "
                f"{learning_digest[:12]}, not {own[:12]}); name its own dataset with --dataset, or "
                "run the sweep again: snakemake --cores all"
            )

    @property
    def control(self) -> str | None:
        """The control that the splits were changed for; None for an honest dataset."""
        return self.document.get("control")

    def for_control(self, control: str | None) -> "Description":
        """The same, marked as changed for a control, so that nobody takes it for the other."""
        return replace(self, document={**self.document, "control": control}) if control else self

    def check(self, path: Path, split: str) -> None:
        """Raises UserError if the NPZ is not the one that dataset.json describes."""
        if sha256(path) != self.sha256[split]:
            raise UserError(
                f"{path}: is not the {split} split that dataset.json describes (its sha256 "
                f"differs); make both anew with: {REBUILD}"
            )


def write_split(path: Path, split: Split) -> None:
    """Writes one NPZ; the same arrays give the same bytes."""
    with replacing(path) as temporary, temporary.open("wb") as handle:
        arrays = {ARRAY_NAMES.get(name, name): array for name, array in vars(split).items()}
        np.savez_compressed(handle, allow_pickle=False, **arrays)


def read_split(path: Path, description: Description, name: str) -> Split:
    """Reads one NPZ of a dataset.

    Raises:
        UserError: the file is missing, torn, or is another split than `name`.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; it is made by: {REBUILD}")
    description.check(path, name)
    try:
        # NumPy leaves a file that it opens itself open when it is torn.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            names = {name: ARRAY_NAMES.get(name, name) for name in Split.__dataclass_fields__}
            return Split(**{name: arrays[stored] for name, stored in names.items()})
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: cannot be read ({error}); make it anew: {REBUILD}") from None


def write_description(path: Path, content: Mapping[str, Any]) -> None:
    """Writes dataset.json."""
    write_json(path, FORMAT, content)


def read_description(path: Path) -> Description:
    """Reads dataset.json."""
    document = read_json(path, FORMAT, REBUILD)
    beside = path.with_name(PROGRAMS_FILE)
    programs = read_programs(beside, REBUILD)
    if sha256(beside) != document["programs"]["sha256"]:
        raise UserError(
            f"{beside}: does not belong to {path} (its sha256 differs); make both anew with: "
            f"{REBUILD}"
        )
    return description_of(document, programs)


def description_of(document: Mapping[str, Any], programs: Programs) -> Description:
    """The description in a dataset.json document, or in a checkpoint's copy of one."""
    channels = document["channels"]
    return Description(
        window=document["window"]["rows"],
        leaky=document["leaky"],
        scaler=Scaler(
            tuple(c["name"] for c in channels),
            tuple(c["mean"] for c in channels),
            tuple(c["std"] for c in channels),
            document["centered"],
        ),
        vocabulary=vocabulary_of(document),
        programs=programs,
        sha256={name: split["sha256"] for name, split in document["splits"].items()},
        document=document,
    )


def vocabulary_of(document: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary in a dataset.json document."""
    fields = document["vocabulary"]
    return Vocabulary(
        commands=tuple(fields["commands"]),
        parameter_types=tuple(fields["parameter_types"]),
        parameter_values=tuple(fields["parameter_values"]),
        operations=tuple(fields["operations"]),
        steps=fields["steps"],
    )


def describe_splits(
    splits: Mapping[str, Split], names: Mapping[str, list[str]], folder: Path
) -> dict[str, Any]:
    """Recordings, counts and hash of each split; its NPZ is in the folder."""
    return {
        name: {
            "recordings": names[name],
            "rows": len(split.row),
            "windows": len(split.window_start),
            "sha256": sha256(folder / f"{name}.npz"),
        }
        for name, split in splits.items()
    }


def count_words(split: Split) -> dict[str, int]:
    """Word -> how often the split's rows execute it; by letter and number."""
    counts: Counter[Word] = Counter()
    rows = np.bincount(split.block, minlength=len(split.blocks))
    for text, count in zip(split.blocks.tolist(), rows.tolist(), strict=True):
        for word in parse_block(text):
            counts[word] += count
    return {str(word): counts[word] for word in sorted(counts)}


def describe_programs(programs: Programs, folder: Path) -> dict[str, Any]:
    """Names, size and hash of the programs; their NPZ is in the folder."""
    return {
        "names": programs.names.tolist(),
        "places": len(programs),
        "step_seconds": float(programs.step_seconds),
        "sha256": sha256(folder / PROGRAMS_FILE),
    }


def position_scale(train: Sequence[Recording]) -> dict[str, list[float]]:
    """Mean and deviation of the reported positions, axis by axis; 0 and 1 where none is known."""
    positions = np.concatenate([r.position_mm for r in train]).astype(np.float64)
    finite = np.isfinite(positions)
    known = np.where(finite, positions, np.where(finite.any(axis=0), np.nan, 0.0))
    deviation = np.nanstd(known, axis=0)
    return {
        "mean": np.nanmean(known, axis=0).tolist(),
        "std": np.where(deviation > 0, deviation, 1.0).tolist(),
    }


def describe_recording(
    recording: Recording, alignment: Alignment, programs: Programs
) -> dict[str, Any]:
    """What it runs, how far its sensors lag, and how much each cleaning rule touched."""
    known = alignment.program != UNKNOWN
    return {
        "operation": recording.operation,
        "program": str(programs.names[alignment.program]) if known else None,
        "lag_seconds": round(alignment.lag_seconds, 3) if known else None,
        "rows": len(recording.row),
        "longest_gap_seconds": round(float(np.diff(recording.seconds).max(initial=0.0)), 3),
        **recording.counts,
    }


def total_counts(recordings: Iterable[Recording]) -> dict[str, int]:
    """Rule -> rows or samples that it touched, rules that touched none included."""
    total: Counter[str] = Counter()
    for recording in recordings:
        total.update(recording.counts)
    return dict(total)
