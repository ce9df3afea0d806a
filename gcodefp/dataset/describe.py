"""What dataset.json says of recordings, splits and programs."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcodefp.dataset.store import PROGRAMS_FILE, Split
from gcodefp.files import sha256
from gcodefp.programs.table import UNKNOWN, Placed, Programs
from gcodefp.recordings.clean import Recording
from gcodefp.recordings.gcode import Word, parse_block


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


def describe_recording(recording: Recording, placed: Placed, programs: Programs) -> dict[str, Any]:
    """What it runs, how far its sensors lag, and how much each cleaning rule touched."""
    known = placed.program != UNKNOWN
    return {
        "operation": recording.operation,
        "program": str(programs.names[placed.program]) if known else None,
        "lag_seconds": round(placed.lag_seconds, 3) if known else None,
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
