"""Recordings (CSV, or a layout's) to train, val, test and programs.npz, and dataset.json.

Channels, their scale, the vocabulary and the programs are fitted to the train split. dataset.json
lists the excluded recordings with the reasons, and counts what each rule of cleaning changed.
"""

import argparse
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.command_line import (
    command_parser,
    not_negative,
    not_negative_number,
    positive,
    run_command,
    share,
)
from gcodefp.dataset.channels import Scaler, fit_position_scale, fit_scaler
from gcodefp.dataset.split import METHODS, SPLITS, assign_splits, match_recordings
from gcodefp.dataset.store import FORMAT, LEAKY_NOTE, PROGRAMS_FILE, Split, write_split
from gcodefp.dataset.vocabulary import build_vocabulary, count_words
from gcodefp.dataset.windows import assemble, evaluation_stride
from gcodefp.errors import UserError
from gcodefp.files import sha256, write_json
from gcodefp.programs.identification import SAME_PROGRAM_SHARE
from gcodefp.programs.labelling import label_recordings
from gcodefp.programs.lag import MAX_LAG_SECONDS, log_doubtful, reliable_groups
from gcodefp.programs.motion import MachineLimits
from gcodefp.programs.table import (
    UNKNOWN,
    LagCorrectedLabels,
    Programs,
    fit_programs,
    lag_corrected_labels,
    write_programs,
)
from gcodefp.provenance import provenance
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.columns import GROUPS, channel_group, describe_channels
from gcodefp.recordings.copies import find_copies, format_signature
from gcodefp.recordings.laboratory.lab_files import (
    SIMULATION_MARK,
    RawRecording,
    list_recordings,
    name_of,
    paths_of,
)
from gcodefp.recordings.laboratory.layout import Layout, describe_layout, read_optional_layout
from gcodefp.recordings.loading import Excluded, load_recordings

logger = logging.getLogger("gcodefp.preprocess")

SHORT_WINDOW_SECONDS = 1.0
MAX_LACKING = 3
"""So many recordings that lack channels are logged."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("preprocess", __doc__)
    add = parser.add_argument
    add("--recordings", type=Path, required=True, help="folder of the files")
    add("--layout", help="how other files are read: a YAML file, or the name of a shipped layout")
    add("--canonical", type=Path, help="folder for the recordings of a layout, as Parquet")
    add("--exclude", nargs="*", default=[], metavar="NAME", help="recordings to exclude")
    add("--output", type=Path, required=True, help="folder for the NPZ files and dataset.json")
    add("--groups", nargs="+", required=True, choices=GROUPS, help="channel groups that are inputs")
    text = "share of train recordings with a channel"
    add("--min-coverage", type=share, required=True, help=text)
    add("--center", action="store_true", help="subtract each recording's own mean of a channel")
    text = "divide by each recording's own standard deviation too"
    add("--zscore", action="store_true", help=text)
    text = "of the sensors' lags that are searched; 0: their clocks are synchronised"
    add("--max-lag-seconds", type=not_negative_number, default=MAX_LAG_SECONDS, help=text)
    text = "of the common lines of two recordings with equal blocks, if they run one program"
    add("--same-program-share", type=share, default=SAME_PROGRAM_SHARE, help=text)
    add("--window", type=positive, required=True, help="rows per window")
    add("--stride", type=positive, required=True, help="rows between windows of the train split")
    add("--max-gap-seconds", type=float, required=True, help="no window crosses a longer gap")
    add("--split", choices=METHODS, required=True, help="how recordings are assigned to splits")
    add("--held-out", nargs="*", default=[], metavar="PATTERN", help="recordings of the test split")
    add("--val-held-out", nargs="*", default=[], metavar="PATTERN", help="those of the val split")
    add("--val-fraction", type=share, required=True)
    add("--test-fraction", type=share, required=True)
    add("--seed", type=not_negative, required=True, help="seed of the division into splits")
    add("--workers", type=positive, default=1, help="processes that read files")
    return run_command(parser, _preprocess, argv)


def _preprocess(arguments: argparse.Namespace) -> None:
    layout = read_optional_layout(arguments.layout)
    sources = list_recordings(arguments.recordings, arguments.exclude, layout)
    _check_patterns(sources, arguments)
    options = arguments.groups, arguments.window, arguments.workers
    recordings, excluded = load_recordings(sources, *options, canonical=arguments.canonical)
    copies = find_copies({name: recording.signature for name, recording in recordings.items()})
    _unify_operations(recordings, copies)
    names = _assign(recordings, copies, arguments)
    excluded += _label(recordings, names, layout, arguments.window)
    train = [recordings[name] for name in names["train"]]
    scaler = fit_scaler(train, arguments.min_coverage, arguments.center, arguments.zscore)
    _log_channels(recordings, train, scaler.channels, arguments.groups)
    blocks = np.unique(np.concatenate([r.blocks for r in train]))
    vocabulary = build_vocabulary(blocks, (r.operation for r in train))
    signals = {name: scaler.apply(recording) for name, recording in recordings.items()}
    max_lag = arguments.max_lag_seconds
    programs = fit_programs(train, signals, max_lag, arguments.same_program_share)
    alignment = _align(recordings, signals, programs, scaler, arguments)
    lag_groups = reliable_groups([alignment[n].lag for n in names["val"]]) if max_lag else []
    _log_caveats(alignment, programs, lag_groups, arguments)
    members = {name: [recordings[n] for n in names[name]] for name in SPLITS}
    splits = _make_splits(members, (signals, alignment, scaler, vocabulary), arguments)
    _write_splits(splits, arguments)
    write_programs(arguments.output / PROGRAMS_FILE, programs)
    document = {
        "provenance": provenance(paths_of(sources)),
        "simulated": (arguments.recordings / SIMULATION_MARK).is_file(),
        "leaky": arguments.split == "window",
        **_describe_options(arguments),
        **_describe_files(splits, names, programs, arguments.output),
        "channels": scaler.describe(),
        "centered": scaler.centered,
        "zscored": scaler.zscored,
        "vocabulary": asdict(vocabulary),
        "words": {"train": count_words(splits["train"].blocks, splits["train"].block)},
        "position_mm": fit_position_scale(train),
        "lags": {"max_seconds": max_lag, "groups": lag_groups},
        "left_out": excluded,
        "recordings": {
            name: _describe_recording(recording, alignment[name], programs, lag_groups)
            | {"missing_channels": _missing(recording, scaler.channels)}
            | {"copy_of": copies.get(name)}
            for name, recording in recordings.items()
        },
        "counts": _total_counts(recordings),
        **({"layout": describe_layout(layout)} if layout else {}),
    }
    # Last, since it contains the hashes of the NPZ files.
    write_json(arguments.output / "dataset.json", FORMAT, document)


def _check_patterns(sources: Sequence[RawRecording], arguments: argparse.Namespace) -> None:
    """Raises UserError before anything is read if a pattern of a split matches no recording."""
    if arguments.split == "window":
        return
    sessions = {name_of(source): getattr(source, "session", "") for source in sources}
    if arguments.split in ("session", "program"):
        match_recordings(sessions, arguments.held_out, sessions)
    match_recordings(sessions, arguments.val_held_out, sessions, "split.val_held_out")


def _assign(
    recordings: Mapping[str, Recording], copies: Mapping[str, str], arguments: argparse.Namespace
) -> dict[str, list[str]]:
    """Split -> names of its recordings."""
    method = arguments.split, arguments.held_out, arguments.val_held_out
    fractions = arguments.val_fraction, arguments.test_fraction
    share = arguments.same_program_share
    return assign_splits(recordings, copies, *method, *fractions, arguments.seed, share)


def _align(
    recordings: Mapping[str, Recording],
    signals: Mapping[str, NDArray[np.float32]],
    programs: Programs,
    scaler: Scaler,
    arguments: argparse.Namespace,
) -> dict[str, LagCorrectedLabels]:
    options = scaler.group_masks(), arguments.max_lag_seconds, arguments.same_program_share
    return {
        name: lag_corrected_labels(recording, signals[name], programs, *options)
        for name, recording in recordings.items()
    }


def _make_splits(
    members: Mapping[str, Sequence[Recording]],
    fitted: tuple[Any, Any, Any, Any],
    arguments: argparse.Namespace,
) -> dict[str, Split]:
    """The splits of their recordings; `fitted` are the arguments of `assemble` from signals on."""
    window, gap = arguments.window, arguments.max_gap_seconds
    train = assemble(members["train"], *fitted, window, arguments.stride, gap)
    if arguments.split == "window":
        return _shuffle_windows(train, arguments)
    stride = evaluation_stride(window)
    others = {name: assemble(members[name], *fitted, window, stride, gap) for name in SPLITS[1:]}
    return {"train": train, **others}


def _label(
    recordings: dict[str, Recording],
    names: dict[str, list[str]],
    layout: Layout | None,
    window: int,
) -> Excluded:
    """Labels recordings without reports from their program files, and excludes the others."""
    program = layout.program if layout else None
    limits = None
    if program and program.acceleration_mm_s2 and program.axis_rate_mm_min:
        limits = MachineLimits(
            acceleration_mm_s2=program.acceleration_mm_s2, axis_rate_mm_min=program.axis_rate_mm_min
        )
    labelled, reasons = label_recordings(recordings, names["train"], limits)
    for name, recording in labelled.items():
        if len(recording.row) < window:
            reasons[name] = f"{len(recording.row)} rows have a label, one window needs {window}"
    for name, reason in reasons.items():
        logger.warning("excluded %s: %s", name, reason)
        del recordings[name]
    recordings.update({name: r for name, r in labelled.items() if name not in reasons})
    for members in names.values():
        members[:] = [name for name in members if name not in reasons]
    if empty := [split for split, members in names.items() if not members]:
        raise UserError(f"split {empty[0]}: no recording of it has labels; the reasons are above")
    return [{"recording": name, "reason": reason} for name, reason in reasons.items()]


def _unify_operations(recordings: Mapping[str, Recording], copies: Mapping[str, str]) -> None:
    """Gives copies and originals one operation: `pocket_001 (1)` is no operation of its own."""
    counts = Counter(recording.operation for recording in recordings.values())
    for copy, original in copies.items():
        both = recordings[original], recordings[copy]
        both[0].operation = max((r.operation for r in both), key=lambda name: counts[name])
    for copy, original in copies.items():
        operation = recordings[copy].operation = recordings[original].operation
        logger.warning(
            "%s is a copy of %s, by its samples: in the same split, as operation %s",
            *(copy, original, operation),
        )


def _log_channels(
    recordings: Mapping[str, Recording],
    train: Sequence[Recording],
    channels: Sequence[str],
    groups: Sequence[str],
) -> None:
    """Lists the channels that are not inputs, and those that single recordings lack."""
    counts = Counter(channel for recording in train for channel in recording.signals.columns)
    if empty := sorted({*groups} - {channel_group(channel) for channel in counts}):
        logger.warning("no train recording has a channel of the group %s", ", ".join(empty))
    if unused := sorted(channel for channel in counts if channel not in channels):
        is_band = any("_band" in channel for channel in unused)
        logger.warning(
            "no inputs, since not valid in enough train recordings: %s%s",
            describe_channels(unused, counts),
            "; a band that is too narrow for the rows' interval has no samples: "
            "inspect_recordings says what helps" * is_band,
        )
    lacking = [
        f"{name}: {describe_channels(missing, channels)}"
        for name, recording in recordings.items()
        if (missing := _missing(recording, channels))
    ]
    if lacking:
        shown = "; ".join(lacking[:MAX_LACKING])
        text = "recordings that lack channels (missing_channels in dataset.json): %d, such as %s"
        logger.warning(text, len(lacking), shown)


def _missing(recording: Recording, channels: Sequence[str]) -> list[str]:
    return [channel for channel in channels if channel not in recording.signals.columns]


def _log_caveats(
    alignment: Mapping[str, LagCorrectedLabels],
    programs: Programs,
    groups: Sequence[str],
    arguments: argparse.Namespace,
) -> None:
    """Warns of windows in which a machine hardly moves, of lags at the limit and doubtful ones."""
    step, rows = float(programs.step_seconds), arguments.window
    if rows * step < SHORT_WINDOW_SECONDS:
        logger.warning(
            "window.rows: %d rows, one every %g s, are %.2f s: few programs differ in so short a "
            "time; resample the recordings to fewer rows a second, or raise window.rows",
            *(rows, step, rows * step),
        )
    limit = arguments.max_lag_seconds - 2 * step
    for name, aligned in alignment.items():
        if 0 < limit < abs(aligned.lag.seconds):
            logger.warning(
                "%s: its lag of %.1f s is at the limit of the search, %g s; are its labels right?",
                *(name, aligned.lag.seconds, arguments.max_lag_seconds),
            )
    log_doubtful({name: aligned.lag for name, aligned in alignment.items()}, groups)


def _shuffle_windows(unsplit: Split, arguments: argparse.Namespace) -> dict[str, Split]:
    """The leaky split: overlapping windows of the same recordings in all splits."""
    logger.warning(LEAKY_NOTE)
    starts = np.random.default_rng(arguments.seed).permutation(unsplit.window_start)
    test = round(arguments.test_fraction * len(starts))
    val = test + round(arguments.val_fraction * len(starts))
    parts = {"train": starts[val:], "val": starts[test:val], "test": starts[:test]}
    return {
        n: replace(unsplit, window_start=np.sort(window_start)) for n, window_start in parts.items()
    }


def _write_splits(splits: Mapping[str, Split], arguments: argparse.Namespace) -> None:
    """Writes the NPZ files of the splits, each of which needs a window."""
    for name, split in splits.items():
        if not split.window_start.size:
            raise UserError(
                f"split {name}: no window of {arguments.window} rows fits between gaps of over "
                f"{arguments.max_gap_seconds} s; lower window.rows or raise window.max_gap_seconds"
            )
    for name, split in splits.items():
        write_split(arguments.output / f"{name}.npz", split)
        counts = len(split.recordings), len(split.row), len(split.window_start)
        logger.info("%s: %d recordings, %d rows, %d windows", name, *counts)


def _describe_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "window": {
            "rows": arguments.window,
            "train_stride_rows": arguments.stride,
            "max_gap_seconds": arguments.max_gap_seconds,
        },
        "split": {
            "by": arguments.split,
            "held_out": arguments.held_out,
            **({"val_held_out": arguments.val_held_out} if arguments.val_held_out else {}),
            "val_fraction": arguments.val_fraction,
            "test_fraction": arguments.test_fraction,
            "seed": arguments.seed,
        },
        "groups": arguments.groups,
        "controller_is_input": "controller" in arguments.groups,
    }


def _describe_files(
    splits: Mapping[str, Split], names: Mapping[str, list[str]], programs: Programs, folder: Path
) -> dict[str, Any]:
    return {
        "splits": {
            name: {
                "recordings": names[name],
                "rows": len(split.row),
                "windows": len(split.window_start),
                "sha256": sha256(folder / f"{name}.npz"),
            }
            for name, split in splits.items()
        },
        "programs": {
            "names": programs.names.tolist(),
            "places": len(programs),
            "step_seconds": float(programs.step_seconds),
            "sha256": sha256(folder / PROGRAMS_FILE),
        },
    }


def _describe_recording(
    recording: Recording, labels: LagCorrectedLabels, programs: Programs, lag_groups: Sequence[str]
) -> dict[str, Any]:
    """Operation, program and lag of a recording, and what each cleaning rule changed."""
    is_known, lag = labels.program != UNKNOWN, labels.lag
    uncertainty, label = lag.uncertainty_seconds(lag_groups), recording.label_uncertainty_seconds
    return {
        "operation": recording.operation,
        **{key: value for key in ("session", "machine") if (value := getattr(recording, key))},
        "program": str(programs.names[labels.program]) if is_known else None,
        "lag_seconds": round(lag.seconds, 3) if is_known else None,
        "lag_by_group_seconds": {name: round(value, 3) for name, value in lag.by_group.items()},
        "lag_uncertainty_seconds": None if uncertainty is None else round(uncertainty, 3),
        **({} if label is None else {"label_uncertainty_seconds": round(label, 3)}),
        "rows": len(recording.row),
        "longest_gap_seconds": round(float(np.diff(recording.seconds).max(initial=0.0)), 3),
        **recording.counts,
        "notes": recording.notes,
        "signature": format_signature(recording.signature),
    }


def _total_counts(recordings: Mapping[str, Recording]) -> dict[str, int]:
    """Rule -> rows or samples that it changed, including 0."""
    total: Counter[str] = Counter()
    for recording in recordings.values():
        total.update(recording.counts)
    return dict(total)


if __name__ == "__main__":
    sys.exit(main())
