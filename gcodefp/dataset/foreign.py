"""Recordings that were in no split, prepared as a checkpoint's dataset prepared its own."""

import logging
from pathlib import Path

from gcodefp.dataset.assemble import assemble
from gcodefp.dataset.store import Description, Split
from gcodefp.errors import UserError
from gcodefp.programs.table import place_recording
from gcodefp.recordings.load import LeftOut, load_recordings
from gcodefp.recordings.read import find_recordings, recording_name

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
    placed = {r.name: place_recording(r, scaler.apply(r), description.programs) for r in recordings}
    # Windows overlap by half: each row is once near the middle of a window.
    split = assemble(
        recordings,
        placed,
        scaler,
        description.vocabulary,
        description.window,
        max(1, description.window // 2),
        description.document["window"]["max_gap_seconds"],
    )
    if not split.window_start.size:
        raise UserError(f"{folder}: no window of {description.window} rows fits between gaps")
    return split, [*known, *left_out]
