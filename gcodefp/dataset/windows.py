"""Windows over rows, and which window speaks for a row."""

import logging
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.channels import Scaler
from gcodefp.dataset.store import Description, Split
from gcodefp.dataset.vocabulary import UNSEEN, Vocabulary
from gcodefp.errors import UserError
from gcodefp.programs.table import Alignment, align_recording
from gcodefp.recordings.cleaning import LeftOut, Recording, load_recordings
from gcodefp.recordings.reader import find_recordings, recording_name


def window_starts(
    recording: NDArray[np.integer],
    seconds: NDArray[np.floating],
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> NDArray[np.int32]:
    """First rows of windows that cover every row of every long enough stretch.

    A stretch ends with its recording and at a gap in the clock; no window crosses either. The last
    window of a stretch is moved back to end with it.

    Args:
        recording: (N,) index of each row's recording; rows of one recording are neighbours.
        seconds: (N,) clock of each row within its recording.
        window: rows per window.
        stride: rows from one window to the next.

    Returns:
        (W,), ascending.
    """
    new = (np.diff(recording) != 0) | (np.diff(seconds) > max_gap_seconds)
    edges = np.concatenate([[0], np.flatnonzero(new) + 1, [len(recording)]])
    starts: list[int] = []
    for first, end in pairwise(edges.tolist()):
        if end - first >= window:
            starts += [*range(first, end - window, stride), end - window]
    return np.array(starts, np.int32)


def row_to_window_mask(starts: NDArray[np.integer], window: int) -> NDArray[np.bool_]:
    """Which rows each window speaks for: the window in whose middle a row lies most speaks for it.

    Args:
        starts: (W,) first rows.

    Returns:
        (W, window), true once for every row that lies in any window.
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
    alignment: Mapping[str, Alignment],
    scaler: Scaler,
    vocabulary: Vocabulary,
    window: int,
    stride: int,
    max_gap_seconds: float,
) -> Split:
    """Joins recordings, one after the other, and lays windows over them.

    Args:
        alignment: recording -> where its rows are in the programs.
    """
    lengths = [len(recording.row) for recording in recordings]
    classes = {name: i for i, name in enumerate(vocabulary.operations)}
    operations = [classes.get(recording.operation, UNSEEN) for recording in recordings]
    blocks, block = np.unique(np.concatenate([r.blocks for r in recordings]), return_inverse=True)
    seconds = np.concatenate([r.seconds for r in recordings])
    recording = np.repeat(np.arange(len(recordings), dtype=np.int16), lengths)
    states = [alignment[recording.name] for recording in recordings]
    first = np.cumsum([0, *lengths])
    return Split(
        signals=np.concatenate([scaler.apply(r) for r in recordings]),
        valid=np.concatenate([scaler.valid(r) for r in recordings]),
        environment=np.concatenate([r.environment for r in recordings]),
        block=block.astype(np.int32),
        blocks=blocks,
        line=np.concatenate([r.lines for r in recordings]),
        operation=np.repeat(np.array(operations, np.int16), lengths),
        position_mm=np.concatenate([r.position_mm for r in recordings]),
        mm_per_unit=np.concatenate([r.mm_per_unit for r in recordings]),
        seconds=seconds,
        recording=recording,
        row=np.concatenate([r.row for r in recordings]),
        program=np.repeat(np.array([p.program for p in states], np.int16), lengths),
        state=np.concatenate([p.state for p in states]),
        lag_corrected_row=_joined([p.lag_corrected_row for p in states], first),
        recordings=np.array([r.name for r in recordings]),
        lag_seconds=np.array([p.lag_seconds for p in states], np.float32),
        window_start=window_starts(recording, seconds, window, stride, max_gap_seconds),
    )


def _joined(rows: Sequence[NDArray[np.int32]], first: NDArray[np.integer]) -> NDArray[np.int32]:
    """Row numbers within each recording as row numbers within the split."""
    moved = [of + start for of, start in zip(rows, first[:-1], strict=True)]
    return np.concatenate(moved).astype(np.int32)


logger = logging.getLogger("gcodefp.foreign")


def read_recordings(folder: Path, description: Description) -> tuple[Split, LeftOut]:
    """Cleans, scales and windows all labelled recordings of a folder.

    Returns:
        the split, and the recordings that a rule left out, with the reason; those that the
        checkpoint was trained on, by their names, are among them.

    Raises:
        UserError: a file cannot be read, or no recording is left.
    """
    seen = {
        name: split
        for split in ("train", "val")
        for name in description.document["splits"][split]["recordings"]
    }
    known, new = [], []
    for path in find_recordings(folder):
        name = recording_name(path)
        if name in seen:
            reason = f"a recording of this name is in the {seen[name]} split"
            known.append({"recording": name, "reason": reason})
            logger.warning("left out %s: %s", name, reason)
        else:
            new.append(path)
    if not new:
        raise UserError(f"{folder}: no recording is left; the reasons are above")
    loaded, left_out = load_recordings(new, description.document["groups"], description.window)
    recordings = list(loaded.values())
    scaler = description.scaler
    alignment = {
        r.name: align_recording(r, scaler.apply(r), description.programs) for r in recordings
    }
    # Windows overlap by half: each row is once near the middle of a window.
    split = assemble(
        recordings,
        alignment,
        scaler,
        description.vocabulary,
        description.window,
        max(1, description.window // 2),
        description.document["window"]["max_gap_seconds"],
    )
    if not split.window_start.size:
        raise UserError(f"{folder}: no window of {description.window} rows fits between gaps")
    return split, [*known, *left_out]
