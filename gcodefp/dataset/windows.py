"""Windows over rows, the row-to-window mask, and splits assembled from recordings."""

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.channels import Scaler
from gcodefp.dataset.store import Description, Split
from gcodefp.dataset.vocabulary import UNSEEN, Vocabulary
from gcodefp.errors import UserError
from gcodefp.programs.table import Alignment, align_recording
from gcodefp.recordings.cleaning import Excluded, Recording, load_recordings
from gcodefp.recordings.reader import find_recordings, recording_name

logger = logging.getLogger("gcodefp.dataset")


def window_starts(
    recording: NDArray[np.integer],
    seconds: NDArray[np.floating],
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> NDArray[np.int32]:
    """First rows of windows that cover every row of every segment of at least `window` rows.

    A segment ends with its recording and at a gap in the clock; no window crosses either. The last
    window of a segment is moved back to end with it.

    Args:
        recording: (N,) index of each row's recording; rows of one recording are contiguous.
        seconds: (N,) clock of each row within its recording.
        window: rows per window.
        stride: rows from one window to the next.

    Returns:
        (W,), ascending.
    """
    is_segment_start = (np.diff(recording) != 0) | (np.diff(seconds) > max_gap_seconds)
    edges = np.concatenate([[0], np.flatnonzero(is_segment_start) + 1, [len(recording)]])
    starts: list[int] = []
    for first, end in pairwise(edges.tolist()):
        if end - first >= window:
            starts += [*range(first, end - window, stride), end - window]
    return np.array(starts, np.int32)


def row_to_window_mask(starts: NDArray[np.integer], window: int) -> NDArray[np.bool_]:
    """Assigns each row to one window: of those that contain it, the one with the nearest middle.

    Args:
        starts: (W,) first rows.

    Returns:
        (W, window), true exactly once for every row in any window.
    """
    rows = starts[:, None] + np.arange(window)
    distance = np.broadcast_to(np.abs(np.arange(window) - (window - 1) / 2), rows.shape)
    order = np.lexsort((distance.ravel(), rows.ravel()))
    first = np.diff(rows.ravel()[order], prepend=-1) != 0
    row_mask = np.zeros(rows.size, bool)
    row_mask[order[first]] = True
    return row_mask.reshape(rows.shape)


def assemble(
    recordings: Sequence[Recording],
    signals: Mapping[str, NDArray[np.float32]],
    alignment: Mapping[str, Alignment],
    scaler: Scaler,
    vocabulary: Vocabulary,
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> Split:
    """Concatenates recordings and lays windows over them.

    Args:
        signals: recording -> scaled signals (rows, channels).
        alignment: recording -> its alignment with the programs.
    """
    lengths = [len(recording.row) for recording in recordings]
    classes = {name: i for i, name in enumerate(vocabulary.operations)}
    operations = [classes.get(recording.operation, UNSEEN) for recording in recordings]
    alignments = [alignment[recording.name] for recording in recordings]

    def concatenate(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(recording, name) for recording in recordings])

    def repeat(values: Sequence[int]) -> NDArray[np.int16]:
        return np.repeat(np.array(values, np.int16), lengths)

    blocks, block = np.unique(concatenate("blocks"), return_inverse=True)
    seconds, recording = concatenate("seconds"), repeat(range(len(recordings)))
    # Row numbers within a recording become row numbers within the split.
    offset = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
    corrected = np.concatenate([a.lag_corrected_row for a in alignments]) + offset
    return Split(
        signals=np.concatenate([signals[r.name] for r in recordings]),
        valid=np.concatenate([scaler.valid(r) for r in recordings]),
        environment=concatenate("environment"),
        block=block.astype(np.int32),
        blocks=blocks,
        line=concatenate("lines"),
        operation=repeat(operations),
        position_mm=concatenate("position_mm"),
        mm_per_unit=concatenate("mm_per_unit"),
        seconds=seconds,
        recording=recording,
        row=concatenate("row"),
        program=repeat([a.program for a in alignments]),
        state=np.concatenate([a.state for a in alignments]),
        lag_corrected_row=corrected.astype(np.int32),
        recordings=np.array([r.name for r in recordings]),
        lag_seconds=np.array([a.lag_seconds for a in alignments], np.float32),
        window_start=window_starts(recording, seconds, window, stride, max_gap_seconds),
    )


def held_out_stride(window: int) -> int:
    """Rows between windows of val and test: half a window, so that each row is near a middle."""
    return max(1, window // 2)


def read_external_split(folder: Path, description: Description) -> tuple[Split, Excluded]:
    """Cleans, scales and windows all labelled recordings of a folder.

    Returns:
        the split, and the excluded recordings: named like a train or val recording, or excluded by
        a cleaning rule.

    Raises:
        UserError: a file cannot be read, or no recording is left.
    """
    split_of_recording = {
        name: split
        for split in ("train", "val")
        for name in description.document["splits"][split]["recordings"]
    }
    known_recordings: Excluded = []
    new_paths = []
    for path in find_recordings(folder):
        if (name := recording_name(path)) in split_of_recording:
            reason = f"a recording of this name is in the {split_of_recording[name]} split"
            known_recordings.append({"recording": name, "reason": reason})
            logger.warning("excluded %s: %s", name, reason)
        else:
            new_paths.append(path)
    if not new_paths:
        raise UserError(f"{folder}: no recording is left; the reasons are above")
    recordings_by_name, excluded = load_recordings(
        new_paths, description.document["groups"], description.window
    )
    recordings, programs = list(recordings_by_name.values()), description.programs
    signals = {r.name: description.scaler.apply(r) for r in recordings}
    split = assemble(
        recordings,
        signals,
        {r.name: align_recording(r, signals[r.name], programs) for r in recordings},
        description.scaler,
        description.vocabulary,
        description.window,
        held_out_stride(description.window),
        description.document["window"]["max_gap_seconds"],
    )
    if not split.window_start.size:
        raise UserError(f"{folder}: no window of {description.window} rows fits between gaps")
    return split, [*known_recordings, *excluded]
