"""Which recordings are learnt from, which choose the best run, and which are kept for the test.

Windows that overlap, or that come from one recording, look alike. A split that puts some of them on
both sides measures memory, so a recording lies wholly in one split. The one exception, `window`, is
there to compare with numbers published that way; everything made from it is marked as leaky.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from fnmatch import fnmatchcase

import numpy as np

from gcodefp.errors import UserError
from gcodefp.programs.identification import same_programs
from gcodefp.recordings.cleaning import Recording

SPLITS = ("train", "val", "test")
METHODS = ("recording", "chronological", "session", "program", "window")
Order = Callable[[list[str]], list[str]]
"""Brings the recordings of an operation into the order in which splits are dealt: test first."""


def split_recordings(
    operations: Mapping[str, str], val_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[str]]:
    """Recordings drawn for each split, operation by operation.

    An operation of three or more recordings is in all three splits; a smaller one only trains.

    Args:
        operations: recording -> operation.
    """
    return _checked(_dealt(operations, val_fraction, test_fraction, _at_random(seed)))


def split_chronological(
    operations: Mapping[str, str], val_fraction: float, test_fraction: float
) -> dict[str, list[str]]:
    """The last recordings of each operation are the test, those just before them validate.

    Their names tell the order: recordings of an operation are numbered as they are made.

    Args:
        operations: recording -> operation.
    """
    return _checked(_dealt(operations, val_fraction, test_fraction, _latest_first))


def _at_random(seed: int) -> Order:
    random = np.random.default_rng(seed)
    return lambda names: [names[i] for i in random.permutation(len(names))]


def _latest_first(names: list[str]) -> list[str]:
    """By number, since 10 comes after 9; names without one come before those with one."""

    def numbers(name: str) -> list[int]:
        return [int(digits) for digits in re.findall(r"\d+", name)]

    return sorted(names, key=lambda name: (numbers(name), name), reverse=True)


def _dealt(
    operations: Mapping[str, str], val_fraction: float, test_fraction: float, order: Order
) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for operation in sorted(set(operations.values())):
        names = order(sorted(name for name, of in operations.items() if of == operation))
        test = val = 0
        if len(names) >= 3:
            # At least one each where any is asked for, and at least one is left to train.
            if test_fraction > 0:
                test = min(max(1, round(test_fraction * len(names))), len(names) - 2)
            if val_fraction > 0:
                val = min(max(1, round(val_fraction * len(names))), len(names) - test - 1)
        splits["test"] += names[:test]
        splits["val"] += names[test : test + val]
        splits["train"] += names[test + val :]
    return splits


def held_out_recordings(recordings: Iterable[str], patterns: Sequence[str]) -> set[str]:
    """The recordings whose name matches a shell pattern, such as `damage*`."""
    names = set(recordings)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"split.held_out: {pattern!r} matches none of the recordings")
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}


def split_held_out(
    operations: Mapping[str, str], held_out: Set[str], val_fraction: float, seed: int
) -> dict[str, list[str]]:
    """The recordings held out are the test; the others train and validate.

    Args:
        operations: recording -> operation.
    """
    others = {name: of for name, of in operations.items() if name not in held_out}
    return _checked(_dealt(others, val_fraction, 0.0, _at_random(seed)) | {"test": list(held_out)})


def same_program(held_out: Set[str], recordings: Sequence[Recording]) -> set[str]:
    """The recordings held out and all others that run one of their programs."""
    groups = [{run.name for run in group} for group in same_programs(recordings)]
    return set(held_out).union(*(group for group in groups if group & held_out))


def _checked(splits: dict[str, list[str]]) -> dict[str, list[str]]:
    for split in SPLITS:
        if not splits[split]:
            counts = ", ".join(f"{name} {len(splits[name])}" for name in SPLITS)
            raise UserError(
                f"split: no recording is left for {split} (recordings: {counts}); add recordings "
                "(three of an operation are in all splits) or change split.* in the configuration"
            )
    return {split: sorted(splits[split]) for split in SPLITS}
