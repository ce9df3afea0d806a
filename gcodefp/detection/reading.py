"""Reads recordings for the detector: sensors alone, in evenly spaced rows.

The time stamps of a file, where it has some, say when its rows were logged, and its rows are
interpolated to evenly spaced ones. How far apart a controller logs its rows is thereby no evidence;
a gap in the log is a straight line.
"""

import logging
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.dataset.store import DatasetDescription
from gcodefp.detection.profile import Array, RecordingSignals
from gcodefp.errors import UserError
from gcodefp.programs.lag import interpolate_rows
from gcodefp.recordings import columns
from gcodefp.recordings.clock import elapsed_seconds
from gcodefp.recordings.copies import Signature, find_copies, parse_signature, sensor_signature
from gcodefp.recordings.laboratory.lab_files import RawRecording, list_recordings, name_of
from gcodefp.recordings.laboratory.layout import stored_layout
from gcodefp.recordings.loading import read_unlabelled

logger = logging.getLogger("gcodefp.detection")

MIN_ROWS = 32
MAX_GAP_SHARE = 4.0
"""A clock by which a recording is longer than this many times its rows is not believed."""


class UniformRecording(NamedTuple):
    """A recording of N rows, evenly spaced.

    Attributes:
        file_row: (M,) data rows in the file, ascending.
        uniform_row: (M,) of these among the N rows, with a fraction.
        clock: (M,) its text at each of them; None without one.
        signature: of its samples, by which copies are recognised.
        notes: caveats: on the durations, or the signals.
    """

    recording: RecordingSignals
    file_row: NDArray[np.int32]
    uniform_row: Array
    clock: NDArray[np.str_] | None
    signature: Signature
    notes: tuple[str, ...] = ()


def read_uniform(
    source: RawRecording, description: DatasetDescription, allow_missing: bool = False
) -> UniformRecording:
    """Reads and scales one recording.

    Raises:
        UserError: as `read_unlabelled`.
    """
    # In units of the train split: while a recording runs its own deviation is not known.
    scaler = replace(description.scaler, zscored=False)
    step = float(description.programs.step_seconds)
    read = read_unlabelled(source, scaler.channels, MIN_ROWS, step, allow_missing)
    own = read.recording
    signals, valid = scaler.apply(own), scaler.valid(own)
    uniform_row = np.arange(len(signals), dtype=np.float64)
    notes = list(own.notes)
    if read.missing:
        notes.append(f"{len(read.missing)} channels are missing: {', '.join(read.missing)}")
    is_plausible = False
    if read.clock is not None:
        texts = pd.Series(read.clock)
        seconds = elapsed_seconds(
            pd.to_numeric(texts, errors="coerce") if _is_number(texts) else texts
        )
        if is_plausible := _is_plausible(seconds, len(signals) * step):
            uniform_row = seconds / step
            at = np.arange(int(uniform_row[-1] + 1e-6) + 1)
            rows = np.interp(at, uniform_row, np.arange(len(signals)))
            signals = interpolate_rows(signals, rows).astype(np.float32)
            valid = valid[np.floor(rows).astype(int)] & valid[np.ceil(rows).astype(int)]
    if not is_plausible:
        reason = "no clock" if read.clock is None else "a clock that is unread, jumps or goes back"
        notes.append(
            f"CAVEAT: {reason} ({columns.CLOCK}): its rows are taken to be {step:.3f} s apart, "
            "so its duration may be wrong; repair the clock"
        )
    recording = RecordingSignals(own.name, signals, valid)
    signature = sensor_signature(own.signals)
    return UniformRecording(recording, own.row, uniform_row, read.clock, signature, tuple(notes))


def copy_of(uniform: UniformRecording, description: DatasetDescription) -> str | None:
    """The recording of the train or val split with these samples, under any name."""
    splits, described = description.document["splits"], description.document["recordings"]
    # Datasets of earlier versions have no signatures.
    originals = {
        name: parse_signature(described[name]["signature"])
        for split in ("train", "val")
        for name in splits[split]["recordings"]
        if "signature" in described.get(name, {})
    }
    return find_copies({"": uniform.signature}, originals).get("")


def _is_number(texts: pd.Series) -> bool:
    """Whether a layout made seconds of the clock."""
    return bool(pd.to_numeric(texts, errors="coerce").notna().all())


def _is_plausible(seconds: Array, usual_seconds: float) -> bool:
    if not np.isfinite(seconds).all() or (np.diff(seconds) < 0).any():
        return False
    return usual_seconds / MAX_GAP_SHARE < seconds[-1] < usual_seconds * MAX_GAP_SHARE


def read_dataset(
    folder: Path, names: Collection[str], description: DatasetDescription
) -> list[UniformRecording]:
    """The recordings of these names.

    Raises:
        UserError: none can be read.
    """
    recordings = []
    for source in list_recordings(folder, [], stored_layout(description.document)):
        if name_of(source) not in names:
            continue
        try:
            recordings.append(read_uniform(source, description, allow_missing=True))
        except UserError as error:
            logger.warning("not used: %s", error)
    if not recordings:
        raise UserError(f"{folder}: has none of the {len(names)} recordings of the dataset")
    if missing := sorted(set(names) - {uniform.recording.name for uniform in recordings}):
        logger.warning(
            "%s: %d of the %d recordings of the dataset are not used: %s",
            *(folder, len(missing), len(names), ", ".join(missing)),
        )
    return recordings
