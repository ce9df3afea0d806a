"""Many recordings, cleaned; what a rule leaves out is named with its reason."""

import logging
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from gcodefp.errors import UserError
from gcodefp.recordings.clean import Recording, RecordingRejected, load_recording
from gcodefp.recordings.read import recording_name

logger = logging.getLogger("gcodefp.recordings")

LeftOut = list[dict[str, str]]
"""`recording` and `reason` of each recording that was left out."""


def load_recordings(
    paths: Sequence[Path], groups: Sequence[str], minimum_rows: int, workers: int = 1
) -> tuple[dict[str, Recording], LeftOut]:
    """Recordings by name, and those that a rule left out.

    Args:
        paths: at least one, all in the same folder.
        workers: processes that read files.

    Raises:
        UserError: a file cannot be read, or no recording is left.
    """
    load = partial(_try_load, groups=tuple(groups), minimum_rows=minimum_rows)
    if workers == 1:
        loaded = [load(path) for path in paths]
    else:
        with ProcessPoolExecutor(workers) as pool:
            loaded = list(pool.map(load, paths, chunksize=4))
    recordings = {r.name: r for r in loaded if isinstance(r, Recording)}
    left_out = [
        {"recording": recording_name(path), "reason": reason}
        for path, reason in zip(paths, loaded, strict=True)
        if isinstance(reason, str)
    ]
    for entry in left_out:
        logger.warning("left out %(recording)s: %(reason)s", entry)
    if not recordings:
        raise UserError(f"{paths[0].parent}: no recording is left; the reasons are above")
    return recordings, left_out


def _try_load(path: Path, groups: Sequence[str], minimum_rows: int) -> Recording | str:
    try:
        return load_recording(path, groups, minimum_rows)
    except RecordingRejected as reason:
        return str(reason)
