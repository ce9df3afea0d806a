"""Which recordings are learnt from, which choose the best run, and which are kept for the test.

Windows that overlap, or that come from one recording, look alike. A split that puts some of them on
both sides measures memory, so a recording lies wholly in one split. The one exception, `window`, is
there to compare with numbers published that way; everything made from it is marked as leaky.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from fnmatch import fnmatchcase

import numpy as np

from gcodefp.errors import UserError
from gcodefp.recordings.clean import Recording

SPLITS = ("train", "val", "test")
METHODS = ("recording", "session", "program", "window")
SAME_PROGRAM_OVERLAP = 0.5
"""Operations that share this much of their (line, block) pairs run the same program."""


def split_recordings(
    operations: Mapping[str, str], val_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[str]]:
    """Recordings drawn for each split, operation by operation.

    An operation of three or more recordings is in all three splits; a smaller one only trains.

    Args:
        operations: recording -> operation.
    """
    return _checked(_drawn(operations, val_fraction, test_fraction, seed))


def _drawn(
    operations: Mapping[str, str], val_fraction: float, test_fraction: float, seed: int
) -> dict[str, list[str]]:
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    random = np.random.default_rng(seed)
    for operation in sorted(set(operations.values())):
        names = sorted(name for name, of in operations.items() if of == operation)
        names = [names[i] for i in random.permutation(len(names))]
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
    return _checked(_drawn(others, val_fraction, 0.0, seed) | {"test": list(held_out)})


def same_program(held_out: Set[str], recordings: Iterable[Recording]) -> set[str]:
    """The recordings held out and all others that run one of their programs.

    Two operations may hide one program (a second session, an air cut), so it is told by what is
    executed: operations that share half of their (line, block) pairs run the same program.
    """
    by_operation: dict[str, set[tuple[int, str]]] = {}
    recordings = list(recordings)
    for recording in recordings:
        pairs = set(zip(recording.lines.tolist(), recording.blocks.tolist(), strict=True))
        by_operation[recording.operation] = by_operation.get(recording.operation, set()) | pairs

    def share_a_program(one: str, other: str) -> bool:
        first, second = by_operation[one], by_operation[other]
        return len(first & second) >= SAME_PROGRAM_OVERLAP * min(len(first), len(second))

    unseen = {recording.operation for recording in recordings if recording.name in held_out}
    # Again and again: what shares a program with a recording taken in is taken in too.
    while more := {
        operation
        for operation in by_operation.keys() - unseen
        if any(share_a_program(operation, other) for other in unseen)
    }:
        unseen |= more
    return {recording.name for recording in recordings if recording.operation in unseen}


def _checked(splits: dict[str, list[str]]) -> dict[str, list[str]]:
    for split in SPLITS:
        if not splits[split]:
            counts = ", ".join(f"{name} {len(splits[name])}" for name in SPLITS)
            raise UserError(
                f"split: no recording is left for {split} (recordings: {counts}); add recordings "
                "(three of an operation are in all splits) or change split.* in the configuration"
            )
    return {split: sorted(splits[split]) for split in SPLITS}
