"""Recordings (.csv, .csv.gz) to train.npz, val.npz, test.npz and dataset.json.

Channels, their scale and the vocabulary are those of the train split. How files are cleaned, which
were left out and why, and how much each rule touched is in dataset.json.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from gcodefp.command_line import not_negative, positive, run_step, share, step_parser
from gcodefp.dataset.channels import Scaler, fit_scaler
from gcodefp.dataset.split import (
    METHODS,
    SPLITS,
    held_out_recordings,
    same_program,
    split_chronological,
    split_held_out,
    split_recordings,
)
from gcodefp.dataset.store import (
    LEAKY_NOTE,
    PROGRAMS_FILE,
    Split,
    count_words,
    describe_programs,
    describe_recording,
    describe_splits,
    position_scale,
    total_counts,
    write_description,
    write_split,
)
from gcodefp.dataset.vocabulary import Vocabulary, build_vocabulary
from gcodefp.dataset.windows import assemble
from gcodefp.errors import UserError
from gcodefp.programs.table import Alignment, align_recording, learn_programs, write_programs
from gcodefp.provenance import provenance
from gcodefp.recordings.cleaning import Recording, load_recordings
from gcodefp.recordings.columns import GROUPS
from gcodefp.recordings.reader import find_recordings

logger = logging.getLogger("gcodefp.preprocess")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("preprocess", __doc__)
    add = parser.add_argument
    add("--recordings", type=Path, required=True, help="folder of .csv and .csv.gz files")
    add("--exclude", nargs="*", default=[], metavar="NAME", help="recordings to leave out")
    add("--output", type=Path, required=True, help="folder for the NPZ files and dataset.json")
    add("--groups", nargs="+", required=True, choices=GROUPS, help="channel groups that are inputs")
    add(
        "--min-coverage", type=share, required=True, help="share of train recordings with a channel"
    )
    add("--center", action="store_true", help="take away each recording's own mean of a channel")
    add("--window", type=positive, required=True, help="rows per window")
    add("--stride", type=positive, required=True, help="rows between windows of the train split")
    add("--max-gap-seconds", type=float, required=True, help="no window crosses a longer gap")
    add("--split", choices=METHODS, required=True, help="what lies wholly in one split")
    add("--held-out", nargs="*", default=[], metavar="PATTERN", help="recordings that are the test")
    add("--val-fraction", type=share, required=True)
    add("--test-fraction", type=share, required=True)
    add("--seed", type=not_negative, required=True, help="of the split")
    add("--workers", type=positive, default=1, help="processes that read files")
    return run_step(parser, _preprocess, argv)


def _preprocess(arguments: argparse.Namespace) -> None:
    paths = find_recordings(arguments.recordings, arguments.exclude)
    recordings, left_out = load_recordings(
        paths, arguments.groups, arguments.window, arguments.workers
    )
    names = _draw_splits(recordings, arguments)
    train = [recordings[name] for name in names["train"]]
    scaler = fit_scaler(train, arguments.min_coverage, arguments.center)
    vocabulary = build_vocabulary(
        np.unique(np.concatenate([r.blocks for r in train])), (r.operation for r in train)
    )
    programs = learn_programs(train, {r.name: scaler.apply(r) for r in train})
    alignment = {
        name: align_recording(recording, scaler.apply(recording), programs)
        for name, recording in recordings.items()
    }
    splits = _assemble_splits(recordings, alignment, names, scaler, vocabulary, arguments)
    for name, split in splits.items():
        write_split(arguments.output / f"{name}.npz", split)
        logger.info(
            "%s: %d recordings, %d rows, %d windows",
            *(name, len(names[name]), len(split.row), len(split.window_start)),
        )
    write_programs(arguments.output / PROGRAMS_FILE, programs)
    document = {
        "provenance": provenance(paths),
        "leaky": arguments.split == "window",
        **_describe_options(arguments),
        "splits": describe_splits(splits, names, arguments.output),
        "channels": scaler.describe(),
        "centered": scaler.centered,
        "vocabulary": asdict(vocabulary),
        "words": {"train": count_words(splits["train"])},
        "position_mm": position_scale(train),
        "programs": describe_programs(programs, arguments.output),
        "left_out": left_out,
        "recordings": {
            name: describe_recording(recording, alignment[name], programs)
            for name, recording in recordings.items()
        },
        "counts": total_counts(recordings.values()),
    }
    # Last: the NPZ files are only a dataset once this names them by their hashes.
    write_description(arguments.output / "dataset.json", document)


def _draw_splits(
    recordings: Mapping[str, Recording], arguments: argparse.Namespace
) -> dict[str, list[str]]:
    """Split -> names of its recordings."""
    operations = {name: recording.operation for name, recording in recordings.items()}
    if arguments.split == "window":
        return dict.fromkeys(SPLITS, sorted(operations))
    if arguments.split == "recording":
        return split_recordings(
            operations, arguments.val_fraction, arguments.test_fraction, arguments.seed
        )
    if arguments.split == "chronological":
        return split_chronological(operations, arguments.val_fraction, arguments.test_fraction)
    if not arguments.held_out:
        raise UserError(
            f"split.held_out is empty: split.by {arguments.split!r} needs patterns of the "
            "recordings that are the test, such as ['damage*']"
        )
    held_out = held_out_recordings(operations, arguments.held_out)
    if arguments.split == "program":
        held_out = same_program(held_out, list(recordings.values()))
    return split_held_out(operations, held_out, arguments.val_fraction, arguments.seed)


def _assemble_splits(
    recordings: Mapping[str, Recording],
    alignment: Mapping[str, Alignment],
    names: Mapping[str, list[str]],
    scaler: Scaler,
    vocabulary: Vocabulary,
    arguments: argparse.Namespace,
) -> dict[str, Split]:
    """Rows and windows of each split; no split is left without a window."""

    def assembled(name: str, stride: int) -> Split:
        chosen = [recordings[recording] for recording in names[name]]
        return assemble(
            chosen,
            alignment,
            scaler,
            vocabulary,
            arguments.window,
            stride,
            arguments.max_gap_seconds,
        )

    splits = {"train": assembled("train", arguments.stride)}
    if arguments.split == "window":
        splits = _shuffle_windows(splits["train"], arguments)
    else:
        # Held-out windows overlap by half: each row is once near the middle of a window.
        splits |= {name: assembled(name, max(1, arguments.window // 2)) for name in SPLITS[1:]}
    for name, split in splits.items():
        if not split.window_start.size:
            raise UserError(
                f"split {name}: no window of {arguments.window} rows fits between gaps of over "
                f"{arguments.max_gap_seconds} s; lower window.rows or raise window.max_gap_seconds"
            )
    return splits


def _shuffle_windows(everything: Split, arguments: argparse.Namespace) -> dict[str, Split]:
    """The leaky split: overlapping windows of the same recordings on all sides."""
    logger.warning(LEAKY_NOTE)
    starts = np.random.default_rng(arguments.seed).permutation(everything.window_start)
    test = round(arguments.test_fraction * len(starts))
    val = test + round(arguments.val_fraction * len(starts))
    parts = {"train": starts[val:], "val": starts[test:val], "test": starts[:test]}
    return {n: replace(everything, window_start=np.sort(part)) for n, part in parts.items()}


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
            "val_fraction": arguments.val_fraction,
            "test_fraction": arguments.test_fraction,
            "seed": arguments.seed,
        },
        "groups": arguments.groups,
        "controller_is_input": "controller" in arguments.groups,
    }


if __name__ == "__main__":
    sys.exit(main())
