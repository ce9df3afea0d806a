"""A split of other labelled recordings, for a checkpoint that was trained without them."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

from gcodefp.dataset.store import DatasetDescription, Split
from gcodefp.dataset.windows import assemble, evaluation_stride
from gcodefp.errors import UserError
from gcodefp.programs.lag import log_doubtful
from gcodefp.programs.table import lag_corrected_labels
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.columns import describe_channels, missing_channels_problem
from gcodefp.recordings.copies import find_copies, parse_signature
from gcodefp.recordings.laboratory.lab_files import list_recordings, name_of
from gcodefp.recordings.laboratory.layout import stored_layout
from gcodefp.recordings.loading import Excluded, load_recordings

logger = logging.getLogger("gcodefp.dataset")


def read_external_split(
    folder: Path, description: DatasetDescription, allow_missing: bool = False
) -> tuple[Split, Excluded, list[str]]:
    """Cleans, scales and windows all labelled recordings of a folder.

    Args:
        allow_missing: whether nodes may lack some of their channels.

    Returns:
        the split, the excluded recordings (those that are a train or val recording by name or
        by their samples, copies of each other, and those that a cleaning rule excludes), and the
        names of the recordings whose lag is doubtful.

    Raises:
        UserError: a file cannot be read, or no recording is left.
    """
    members, excluded = _read_usable(folder, description, allow_missing)
    signals = {r.name: description.scaler.apply(r) for r in members}
    masks, limit = description.scaler.group_masks(), description.max_lag_seconds
    alignment = {
        r.name: lag_corrected_labels(r, signals[r.name], description.programs, masks, limit)
        for r in members
    }
    split = assemble(
        members,
        signals,
        alignment,
        description.scaler,
        description.vocabulary,
        description.window,
        evaluation_stride(description.window),
        description.document["window"]["max_gap_seconds"],
    )
    if not split.window_start.size:
        raise UserError(f"{folder}: no window of {description.window} rows fits between gaps")
    lags = {name: aligned.lag for name, aligned in alignment.items()}
    return split, excluded, log_doubtful(lags, description.lag_groups)


def _read_usable(
    folder: Path, description: DatasetDescription, allow_missing: bool
) -> tuple[list[Recording], Excluded]:
    """The recordings of a folder that can be scored, and the others with the reason."""
    names = {
        name: split
        for split in ("train", "val")
        for name in description.document["splits"][split]["recordings"]
    }
    layout = stored_layout(description.document)
    sources = {name_of(r): r for r in list_recordings(folder, (), layout)}
    reasons = {
        name: f"a recording of this name is in the {names[name]} split"
        for name in sources
        if name in names
    }
    recordings: dict[str, Recording] = {}
    excluded: Excluded = []
    if new_sources := [source for name, source in sources.items() if name not in reasons]:
        programs = description.programs
        recordings, excluded = load_recordings(
            new_sources,
            description.document["groups"],
            description.window,
            channels=description.scaler.channels,
            period_seconds=float(programs.step_seconds),
        )
        reasons |= dict(_unusable(recordings, names, description, allow_missing))
    for name, reason in reasons.items():
        excluded.append({"recording": name, "reason": reason})
        logger.warning("excluded %s: %s", name, reason)
    members = [recording for name, recording in recordings.items() if name not in reasons]
    if not members:
        raise UserError(f"{folder}: no recording is left; the reasons are above")
    return members, excluded


def _unusable(
    recordings: Mapping[str, Recording],
    names: Mapping[str, str],
    description: DatasetDescription,
    allow_missing: bool,
) -> Iterator[tuple[str, str]]:
    """Recordings with the reason; those that only lack whole nodes are logged and stay."""
    described = description.document["recordings"]
    train_val_signatures = {
        name: parse_signature(described[name]["signature"])
        for name in names
        # Datasets of earlier versions have no signatures.
        if "signature" in described.get(name, {})
    }
    signatures = {name: recording.signature for name, recording in recordings.items()}
    copies = find_copies(signatures, train_val_signatures)
    channels = description.scaler.channels
    for name, recording in recordings.items():
        if name in copies:
            where = f" of the {names[copies[name]]} split" if copies[name] in names else ""
            yield name, f"a copy of {copies[name]}{where}, by its samples"
            continue
        if recording.program is not None:
            yield name, "it has no line report: only preprocess labels it, with the train split's"
            continue
        present = recording.signals.columns
        if (problem := missing_channels_problem(channels, present)) and not allow_missing:
            yield name, problem
        elif missing := [channel for channel in channels if channel not in present]:
            logger.warning("%s: missing are %s", name, describe_channels(missing, channels))
