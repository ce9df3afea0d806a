"""Groups recordings by the program that they run: by executed blocks, not by names."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.cleaning import Recording

SAME_PROGRAM_SHARE = 0.5
"""Two recordings run the same program if this share of their common line numbers has the same
block. Other lines do not count: blocks shorter than the time between line reports are missed at
random. In the real recordings the share is 1 or below a quarter."""

LineBlocks = frozenset[tuple[int, str]]
"""Line numbers with their blocks."""


@dataclass(frozen=True)
class Program:
    """A program and the recordings that run it.

    Attributes:
        name: the most common operation of its recordings, with a number if that operation has
            several programs.
        recordings: by length.
        executed: the lines and blocks of all its recordings.
    """

    name: str
    recordings: tuple[Recording, ...]
    executed: LineBlocks

    @property
    def reference(self) -> Recording:
        """The recording of median length; its clock is the program's time."""
        return self.recordings[len(self.recordings) // 2]


def find_programs(
    recordings: Sequence[Recording], share: float = SAME_PROGRAM_SHARE
) -> list[Program]:
    """The programs of recordings, by name; `share` as in `group_by_program`."""
    programs = []
    for group in group_by_program(recordings, share):
        ordered = tuple(sorted(group, key=lambda r: (r.seconds[-1], r.name)))
        counts = Counter(recording.operation for recording in ordered)
        operation = min(counts, key=lambda name: (-counts[name], name))
        executed = frozenset().union(*(executed_lines(r.lines, r.blocks) for r in ordered))
        programs.append(Program(operation, ordered, executed))
    numbers: Counter[str] = Counter()
    numbered = []
    for program in sorted(programs, key=lambda p: (p.name, p.reference.name)):
        numbers[program.name] += 1
        number = f"_{numbers[program.name]}" if numbers[program.name] > 1 else ""
        name = program.name + number
        numbered.append(Program(name, program.recordings, program.executed))
    return numbered


def group_by_program(
    recordings: Sequence[Recording], share: float = SAME_PROGRAM_SHARE
) -> list[list[Recording]]:
    """Groups recordings by the program that they run.

    Two operations may run one program (a second session, an air cut), so names are ignored:
    recordings with the same blocks at the same lines run the same program.

    Args:
        share: of the common line numbers that need the same block; 1: one other block is another
            program.
    """
    groups: list[tuple[LineBlocks, list[Recording]]] = []
    for recording in recordings:
        executed = executed_lines(recording.lines, recording.blocks)
        matching = [group for group in groups if same_block_share(group[0], executed) >= share]
        # A recording that matches two groups merges them.
        groups = [group for group in groups if group not in matching]
        members = [member for _, group in matching for member in group]
        union = executed.union(*(lines for lines, _ in matching))
        groups.append((union, [*members, recording]))
    return [group for _, group in groups]


def executed_lines(lines: NDArray[np.integer], blocks: NDArray[np.str_]) -> LineBlocks:
    """The lines and blocks of N rows."""
    return frozenset(zip(lines.tolist(), blocks.tolist(), strict=True))


def same_block_share(first: LineBlocks, second: LineBlocks) -> float:
    """Share of the common line numbers of two programs that have the same block; 0 without any."""
    common = {line for line, _ in first} & {line for line, _ in second}
    return len(first & second) / len(common) if common else 0.0


def program_seconds(
    recording: Recording, lines: NDArray[np.integer], seconds: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The time in the program at each row of a recording of it, (N,).

    Both clocks are compared at the starts of the lines that both logs contain. Time is interpolated
    between these, and extrapolated with slope 1 before the first and after the last.

    Args:
        lines, seconds: line numbers and times of the program, both (T,).
    """
    program_lines, program_starts = _line_starts(lines, seconds)
    own_lines, own_starts = _line_starts(recording.lines, recording.seconds)
    common = np.isin(own_lines, program_lines)
    if not common.any():
        # No common line: interpolate between neighbouring line numbers.
        common[:] = True
    recording_times = own_starts[common]
    program_times = np.interp(own_lines[common], program_lines, program_starts)
    if len(recording_times) > 1:
        # The first common line may have started before either log.
        recording_times, program_times = recording_times[1:], program_times[1:]
    within = np.interp(recording.seconds, recording_times, program_times)
    before = np.minimum(recording.seconds - recording_times[0], 0)
    return within + before + np.maximum(recording.seconds - recording_times[-1], 0)


def _line_starts(
    lines: NDArray[np.integer], seconds: NDArray[np.floating]
) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """Line numbers, ascending, and the time at which each first occurs."""
    # The majority line can decrease by one; time does not.
    numbers, rows = np.unique(np.maximum.accumulate(lines), return_index=True)
    return numbers, seconds[rows]
