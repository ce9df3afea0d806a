"""The programs that recordings run, told from what they execute and not from their names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.cleaning import Recording

SAME_PROGRAM_SHARE = 0.5
"""Recordings run the same program if so many of the line numbers that both have are one block. The
others do not count: short blocks pass between two reports, and each recording sees others of them.
In the real recordings it is all of the lines or less than a quarter."""

Pairs = frozenset[tuple[int, str]]


@dataclass(frozen=True)
class Program:
    """A program, and one recording of it whose clock all others are read by.

    Attributes:
        name: the operation that most of its recordings are called by; with a number behind it if
            that operation has several programs.
        reference: the recording of the median length.
        executed: the (line, block) pairs of all its recordings.
    """

    name: str
    reference: Recording
    executed: Pairs


def find_programs(recordings: Sequence[Recording]) -> list[tuple[Program, list[Recording]]]:
    """The programs of some recordings, by name, with the recordings of each."""
    found = []
    for group in same_programs(recordings):
        runs = sorted(group, key=lambda r: (r.seconds[-1], r.name))
        counts = Counter(run.operation for run in runs)
        name = min(counts, key=lambda of: (-counts[of], of))
        executed = frozenset().union(*(executed_pairs(run.lines, run.blocks) for run in runs))
        found.append((Program(name, runs[len(runs) // 2], executed), runs))
    found = sorted(found, key=lambda of: (of[0].name, of[0].reference.name))
    seen: Counter[str] = Counter()
    return [(_numbered(program, seen), runs) for program, runs in found]


def _numbered(program: Program, seen: Counter[str]) -> Program:
    """The second program of an operation is `name_2`, and so on."""
    seen[program.name] += 1
    if seen[program.name] == 1:
        return program
    return replace(program, name=f"{program.name}_{seen[program.name]}")


def same_programs(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Recordings, grouped by the program that they run.

    Two operations may hide one program (a second session, an air cut), so it is told by what is
    executed: recordings that have the same blocks at the same lines run the same program.
    """
    groups: list[tuple[Pairs, list[Recording]]] = []
    for recording in recordings:
        executed = executed_pairs(recording.lines, recording.blocks)
        alike = [group for group in groups if is_same_program(group[0], executed)]
        # What shares a program with two groups joins them.
        groups = [group for group in groups if group not in alike]
        runs = [run for group in alike for run in group[1]]
        groups.append((executed.union(*(g[0] for g in alike)), [*runs, recording]))
    return [runs for _, runs in groups]


def executed_pairs(lines: NDArray[np.integer], blocks: NDArray[np.str_]) -> Pairs:
    """The (line, block) pairs of N rows."""
    return frozenset(zip(lines.tolist(), blocks.tolist(), strict=True))


def is_same_program(one: Pairs, other: Pairs) -> bool:
    """Whether two sets of (line, block) pairs are of one program."""
    lines = {line for line, _ in one} & {line for line, _ in other}
    return bool(lines) and len(one & other) >= SAME_PROGRAM_SHARE * len(lines)


def program_seconds(
    recording: Recording, lines: NDArray[np.integer], seconds: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The program's clock at each row of a recording of it, (N,).

    Both clocks are read where a line begins that both show. In between time runs evenly, and before
    the first and after the last such line at the same speed.

    Args:
        lines, seconds: line numbers and clock of the program, both (T,).
    """
    numbers, begins = _line_starts(lines, seconds)
    own_numbers, own = _line_starts(recording.lines, recording.seconds)
    both = np.isin(own_numbers, numbers)
    if not both.any():
        # All lines are too short to be seen each time: each begins between its neighbours.
        both[:] = True
    own, other = own[both], np.interp(own_numbers[both], numbers, begins)
    if len(own) > 1:
        # A log may start late: the first line that both have can have begun before either log.
        own, other = own[1:], other[1:]
    at = np.interp(recording.seconds, own, other)
    before = np.minimum(recording.seconds - own[0], 0)
    return at + before + np.maximum(recording.seconds - own[-1], 0)


def _line_starts(
    lines: NDArray[np.integer], seconds: NDArray[np.floating]
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Line numbers, ascending, and the second at which each is first seen."""
    # Where recordings are told by votes, a line can step back by one; time does not.
    numbers, rows = np.unique(np.maximum.accumulate(lines), return_index=True)
    return numbers, seconds[rows]
