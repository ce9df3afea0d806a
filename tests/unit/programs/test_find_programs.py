"""Programs are found by what is executed, and their clock by when it is."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from replays import FIRST_LINE, LINES, LONGEST_LINE, STEP, Replay, begins, blocks, replay

from gcodefp.programs.identification import find_programs, program_seconds, same_programs

# Which program


def names(groups: list[list[str]]) -> set[frozenset[str]]:
    return {frozenset(group) for group in groups}


def test_a_program_is_told_by_its_lines_and_not_by_its_name() -> None:
    half = begins(0)[LINES // 2]
    recordings = [
        replay("face_1").recording,
        replay("damageface_1").recording,
        replay("pocket_1", program=1).recording,
        # The second half alone, faster.
        replay("late_1", start=half, speed=1.5).recording,
    ]
    for order in permutations(recordings):
        found = [[run.name for run in group] for group in same_programs(order)]
        assert names(found) == names([["face_1", "damageface_1", "late_1"], ["pocket_1"]])


def test_recordings_that_miss_most_lines_of_each_other_are_of_one_program() -> None:
    # So fast that less than every second line is seen, and not the same ones.
    fast = [replay(f"a_{i}", phase=0.7 * i, speed=17.0).recording for i in range(4)]
    seen = [set(run.lines.tolist()) for run in fast]
    assert min(len(a & b) / len(a) for a in seen for b in seen) < 0.5
    assert [len(group) for group in same_programs([*fast, replay("b_1", 1).recording])] == [4, 1]


def test_the_reference_has_the_median_length_and_the_name_is_the_most_common() -> None:
    recordings = [
        replay("x_1", speed=1.5).recording,
        replay("y_2", speed=1.0).recording,
        replay("y_1", speed=0.8).recording,
        replay("c_2", program=1).recording,
        replay("b_1", program=1).recording,
    ]
    found = find_programs(recordings)
    assert [(program.name, program.reference.name) for program, _ in found] == [
        # Of equally common names the first.
        ("b", "c_2"),
        ("y", "y_2"),
    ]
    assert [[run.name for run in of] for _, of in found] == [["b_1", "c_2"], ["x_1", "y_2", "y_1"]]
    lines = zip(range(FIRST_LINE, FIRST_LINE + LINES), blocks(0).tolist(), strict=True)
    assert found[1][0].executed == frozenset(lines)


def test_programs_of_one_operation_have_names_of_their_own() -> None:
    recordings = [replay(f"part_{n}", program=n % 2).recording for n in range(4)]
    assert [program.name for program, _ in find_programs(recordings)] == ["part", "part_2"]


# Which time of the program


def clock(run: Replay, reference: Replay) -> NDArray[np.float64]:
    of = reference.recording
    return program_seconds(run.recording, of.lines, of.seconds)


def test_the_clock_of_an_exact_replay_is_the_program_s() -> None:
    reference = replay("a_1")
    np.testing.assert_allclose(clock(reference, reference), reference.recording.seconds)
    np.testing.assert_allclose(clock(replay("a_2"), reference), reference.recording.seconds)


@pytest.mark.parametrize(
    "changed",
    [
        {"speed": 0.8},
        {"speed": 1.25},
        {"phase": 0.2},
        {"lost": slice(50, 60)},
        {"lost": slice(0, 7)},
        {"lost": slice(100, 180)},
        {"start": 20.0},
        {"start": 20.0, "speed": 1.1, "lost": slice(9, 30)},
    ],
)
def test_the_clock_of_another_recording_is_never_far_off(changed: dict[str, float]) -> None:
    reference, run = replay("a_1"), replay("a_2", **changed)
    found = clock(run, reference)
    assert (np.diff(found) > 0).all()
    # A line is seen up to a row late in either log, and how fast the last one runs is not known.
    allowed = 1.1 * STEP + LONGEST_LINE * abs(1 - 1 / changed.get("speed", 1.0))
    if "lost" in changed:
        # A line that began while rows were lost is seen that much later.
        allowed += LONGEST_LINE
    assert np.abs(found - run.program_seconds).max() <= allowed


def test_a_recording_that_shares_no_line_with_the_reference_is_laid_between_its_lines() -> None:
    whole = replay("a_1").recording
    even, odd = whole.lines % 2 == 0, whole.lines % 2 == 1
    lines = np.where(odd, whole.lines - 1, whole.lines)
    run = replace(whole, lines=np.where(even, whole.lines + 1, whole.lines))
    found = program_seconds(run, lines, whole.seconds)
    assert (np.diff(found) >= 0).all()
    assert np.abs(found - whole.seconds).max() <= 2 * LONGEST_LINE


def test_before_and_after_the_lines_in_common_time_goes_on() -> None:
    whole = replay("a_1")
    middle = replay("a_2", start=20.0, lost=slice(60, 999))
    found = clock(whole, middle)
    expected = whole.program_seconds - middle.program_seconds[0]
    np.testing.assert_allclose(found, expected, atol=1.1 * STEP)
