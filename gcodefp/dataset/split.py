"""Assigns recordings to the train, val and test splits.

Windows of one recording are alike; a model that has memorised some of them predicts the others, so
a recording lies wholly in one split. The exception, `window`, is for comparison with numbers
published that way; everything made from it is marked as leaky.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from fnmatch import fnmatchcase

import numpy as np

from gcodefp.errors import UserError
from gcodefp.programs.identification import SAME_PROGRAM_SHARE, group_by_program
from gcodefp.recordings.cleaning import Recording

SPLITS = ("train", "val", "test")
METHODS = ("recording", "chronological", "session", "program", "window")
Order = Callable[[list[str]], list[str]]
"""Orders the recordings of an operation: test first, then val, then train."""


def assign_splits(
    recordings: Mapping[str, Recording],
    copies: Mapping[str, str],
    method: str,
    patterns: Sequence[str],
    val_patterns: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    same_share: float,
) -> dict[str, list[str]]:
    """Split -> names of its recordings; copies are in the split of their original.

    Args:
        copies: recording -> the original of which it is a copy.
        method: one of METHODS; the leaky `window` has all recordings in each split.
        patterns: of the test recordings, for `session` and `program`.
        val_patterns: of the val recordings, such as those of a session; none: by val_fraction.
        seed, same_share: `split.seed` and `programs.same_share` of the configuration.

    Raises UserError: a split has no recording, or there are no patterns, or one matches nothing.
    """
    operations = {name: recording.operation for name, recording in recordings.items()}
    if method == "window":
        return dict.fromkeys(SPLITS, sorted(operations))
    sessions = {name: recording.session for name, recording in recordings.items()}
    held_out: set[str] = set()
    if method in ("session", "program"):
        if not patterns:
            raise UserError(
                f"split.held_out is empty: split.by {method!r} needs patterns of the recordings of "
                "the test split, such as ['damage*']"
            )
        held_out = match_recordings(operations, patterns, sessions)
    if method == "program":
        held_out = expand_to_programs(held_out, list(recordings.values()), same_share)
    val = match_recordings(operations, val_patterns, sessions, "split.val_held_out") - held_out
    order = latest_first_order if method == "chronological" else random_order(seed)
    originals = {name: operations[name] for name in operations if name not in copies}
    held_out, val = ({copies.get(name, name) for name in group} for group in (held_out, val))
    names = split_recordings(originals, val_fraction, test_fraction, order, held_out, val)
    return {
        split: sorted([*members, *(c for c, original in copies.items() if original in members)])
        for split, members in names.items()
    }


def split_recordings(
    operations: Mapping[str, str],
    val_fraction: float,
    test_fraction: float,
    order: Order,
    held_out: Set[str] = frozenset(),
    val_held_out: Set[str] = frozenset(),
) -> dict[str, list[str]]:
    """Split -> names of its recordings, operation by operation.

    An operation of three or more recordings is in all three splits; a smaller one is in train only.

    Args:
        operations: recording -> operation.
        order: `random_order`, or `latest_first_order`, which tests on the last recordings.
        held_out: if there are any, they are the test split, and test_fraction is ignored.
        val_held_out: the same for the val split and val_fraction.

    Raises:
        UserError: a split has no recording.
    """
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    others = operations.keys() - held_out - val_held_out
    for operation in sorted(set(operations.values())):
        names = order(sorted(name for name in others if operations[name] == operation))
        test = val = 0
        if len(names) >= 3:
            # At least one recording each where the fraction is not 0, and at least one in train.
            if test_fraction > 0 and not held_out:
                test = min(max(1, round(test_fraction * len(names))), len(names) - 2)
            if val_fraction > 0 and not val_held_out:
                val = min(max(1, round(val_fraction * len(names))), len(names) - test - 1)
        splits["test"] += names[:test]
        splits["val"] += names[test : test + val]
        splits["train"] += names[test + val :]
    splits["test"] += held_out
    splits["val"] += val_held_out
    for split in SPLITS:
        if not splits[split]:
            counts = ", ".join(f"{name} {len(splits[name])}" for name in SPLITS)
            raise UserError(
                f"split: no recording is left for {split} (recordings: {counts}); add recordings "
                "(three of an operation are in all splits) or change split.* in the configuration"
            )
    return {split: sorted(splits[split]) for split in SPLITS}


def random_order(seed: int) -> Order:
    """Random order; one generator serves all operations."""
    rng = np.random.default_rng(seed)
    return lambda names: [names[i] for i in rng.permutation(len(names))]


def latest_first_order(names: list[str]) -> list[str]:
    """By the numbers in the names (10 comes after 9); names without a number are the earliest."""

    def numbers(name: str) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", name)]

    return sorted(names, key=lambda name: (numbers(name), name), reverse=True)


def match_recordings(
    recordings: Iterable[str],
    patterns: Sequence[str],
    sessions: Mapping[str, str] | None = None,
    key: str = "split.held_out",
) -> set[str]:
    """The recordings whose name, or session if there is one, matches a shell pattern: `damage*`.

    Args:
        sessions: recording -> its session, empty without one.
        key: of the configuration, which has the patterns.
    """
    names = {name: (name, *filter(None, [(sessions or {}).get(name)])) for name in recordings}
    matched: set[str] = set()
    for pattern in patterns:
        members = {n for n, texts in names.items() if any(fnmatchcase(t, pattern) for t in texts)}
        if not members:
            raise UserError(f"{key}: {pattern!r} matches no recording")
        matched |= members
    return matched


def expand_to_programs(
    held_out: Set[str], recordings: Sequence[Recording], same_share: float = SAME_PROGRAM_SHARE
) -> set[str]:
    """The held-out recordings and all others that run one of their programs."""
    programs = group_by_program(recordings, same_share)
    groups = [{recording.name for recording in group} for group in programs]
    return set(held_out).union(*(group for group in groups if group & held_out))
