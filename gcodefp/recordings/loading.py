"""Loads the recordings of a folder: each cleaned by itself, then compared with each other."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from gcodefp.errors import UserError
from gcodefp.recordings.cleaning import MAX_RATE_RATIO, Recording, load_recording
from gcodefp.recordings.clock import median_period
from gcodefp.recordings.lab_files import Recordable, name_of, paths_of
from gcodefp.recordings.reader import RecordingRejected

logger = logging.getLogger("gcodefp.recordings")

Excluded = list[dict[str, str]]
"""`recording` and `reason` of each excluded recording."""


def load_recordings(
    sources: Sequence[Recordable],
    groups: Sequence[str],
    minimum_rows: int,
    workers: int = 1,
    channels: Sequence[str] = (),
    period_seconds: float | None = None,
    canonical: Path | None = None,
) -> tuple[dict[str, Recording], Excluded]:
    """Recordings by name, and those that a rule excludes; their notes are logged.

    Args:
        sources: at least one, all in the same folder.
        workers: processes that read files.
        channels: names whose spelling holds; else the most common one does.
        period_seconds: what the median row period has to be near; else that of all recordings.
        canonical: folder for the tables that a layout makes, as Parquet.

    Raises:
        UserError: a file cannot be read, or no recording is left.
    """
    load = partial(
        _load_or_exclude, groups=tuple(groups), minimum_rows=minimum_rows, canonical=canonical
    )
    if workers == 1:
        results = [load(source) for source in sources]
    else:
        with ProcessPoolExecutor(workers) as pool:
            results = list(pool.map(load, sources, chunksize=4))
    recordings: dict[str, Recording] = {}
    excluded: Excluded = []
    for source, result in zip(sources, results, strict=True):
        if isinstance(result, Recording):
            recordings[result.name] = result
        else:
            excluded.append({"recording": name_of(source), "reason": result})
            logger.warning("excluded %s: %s", name_of(source), result)
    _log_unread(list(recordings.values()))
    if not recordings:
        folder = paths_of(sources)[0].parent
        raise UserError(f"{folder}: no recording is left; the reasons are above")
    _unify_spelling(list(recordings.values()), channels)
    _compare_rates(list(recordings.values()), period_seconds)
    for recording in recordings.values():
        for note in recording.notes:
            logger.warning("%s: %s", recording.name, note)
    return recordings, excluded


def _log_unread(recordings: Sequence[Recording]) -> None:
    """Lists the columns that a layout does not map, and mapped ones that some files lack."""
    for kind, text in (
        ("unmapped", "%s: not read, since the layout neither maps nor ignores them: %s"),
        ("missing", "%s: mapped by the layout, but not in all recordings: %s"),
    ):
        names: dict[str, dict[str, None]] = {}
        for recording in recordings:
            for source, columns_ in recording.unread.get(kind, {}).items():
                names.setdefault(source, {}).update(dict.fromkeys(columns_))
        for source, unread in names.items():
            logger.warning(text, source, ", ".join(unread))


def _unify_spelling(recordings: Collection[Recording], channels: Sequence[str]) -> None:
    """Gives channels whose names differ in case alone the most common of these names."""
    counts = Counter(channel for r in recordings for channel in r.signals.columns)
    common = [name for name, _ in counts.most_common()]
    spelling = {name.casefold(): name for name in (*reversed(common), *channels)}
    for recording in recordings:
        names = recording.signals.columns
        if changed := {c: spelling[c.casefold()] for c in names if c != spelling[c.casefold()]}:
            recording.signals = recording.signals.rename(columns=changed)
            recording.notes.append(f"taken as the same channels: {changed}")


def _compare_rates(recordings: Collection[Recording], period_seconds: float | None) -> None:
    periods = [median_period(recording.seconds) for recording in recordings]
    usual = period_seconds or float(np.median(periods))
    for recording, period in zip(recordings, periods, strict=True):
        if not usual / MAX_RATE_RATIO <= period <= usual * MAX_RATE_RATIO:
            recording.notes.append(
                f"a row every {period:.3f} s, in the other recordings every {usual:.3f} s: rows of "
                "different rates are not comparable; resample or exclude this recording"
            )


def _load_or_exclude(
    source: Recordable, groups: Sequence[str], minimum_rows: int, canonical: Path | None
) -> Recording | str:
    try:
        return load_recording(source, groups, minimum_rows, canonical)
    except RecordingRejected as rejection:
        return str(rejection)
