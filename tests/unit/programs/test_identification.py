"""Programs are identified by the lines that are executed, and their time by when."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from replays import FIRST_LINE, LINES, LONGEST_LINE, STEP, Replay, begins, blocks, replay

from gcodefp.programs.identification import find_programs, group_by_program, program_seconds
from gcodefp.programs.table import fit_programs, lag_corrected_labels


def test_a_program_is_identified_by_its_lines_and_not_by_its_name() -> None:
    half = begins(0)[LINES // 2]
    recordings = [
        replay("face_1").recording,
        replay("damageface_1").recording,
        replay("pocket_1", program=1).recording,
        # The second half alone, faster.
        replay("late_1", start=half, speed=1.5).recording,
    ]
    expected = {frozenset(["face_1", "damageface_1", "late_1"]), frozenset(["pocket_1"])}
    for order in permutations(recordings):
        groups = group_by_program(order)
        assert {frozenset(recording.name for recording in group) for group in groups} == expected


def test_recordings_that_miss_most_lines_of_each_other_are_of_one_program() -> None:
    # So fast that less than every second line is reported, and not the same ones.
    fast = [replay(f"a_{i}", phase=0.7 * i, speed=17.0).recording for i in range(4)]
    lines = [set(recording.lines.tolist()) for recording in fast]
    assert min(len(a & b) / len(a) for a in lines for b in lines) < 0.5
    assert [len(group) for group in group_by_program([*fast, replay("b_1", 1).recording])] == [4, 1]


def test_near_identical_programs_stay_apart_if_asked() -> None:
    own, edited = replay("own_1").recording, replay("edited_1").recording
    edited.blocks = edited.blocks.copy()
    edited.blocks[edited.lines == edited.lines[len(edited.lines) // 2]] = "G1 X99"
    assert len(group_by_program([own, edited])) == 1
    assert len(group_by_program([own, edited], share=1.0)) == 2
    assert len(group_by_program([own, replay("again_1").recording], share=1.0)) == 1
    signals = {r.name: np.random.default_rng(0).normal(size=(len(r.row), 3)) for r in (own, edited)}
    programs = fit_programs([own, edited], signals, same_share=1.0)
    # The edited program is a closer match than the first one that half of its lines match.
    assert [
        str(programs.names[lag_corrected_labels(r, signals[r.name], programs, {}).program])
        for r in (own, edited)
    ] == ["own", "edited"]


def test_programs_have_the_most_common_name_and_the_median_length() -> None:
    recordings = [
        replay("x_1", speed=1.5).recording,
        replay("y_2", speed=1.0).recording,
        replay("y_1", speed=0.8).recording,
        replay("c_2", program=1).recording,
        replay("b_1", program=1).recording,
    ]
    programs = find_programs(recordings)
    # Of equally common names the first.
    assert [(p.name, p.reference.name) for p in programs] == [("b", "c_2"), ("y", "y_2")]
    names = [[recording.name for recording in program.recordings] for program in programs]
    assert names == [["b_1", "c_2"], ["x_1", "y_2", "y_1"]]
    lines = zip(range(FIRST_LINE, FIRST_LINE + LINES), blocks(0).tolist(), strict=True)
    assert programs[1].executed == frozenset(lines)
    parts = [replay(f"part_{n}", program=n % 2).recording for n in range(4)]
    assert [program.name for program in find_programs(parts)] == ["part", "part_2"]


def clock(run: Replay, reference: Replay) -> NDArray[np.float64]:
    return program_seconds(run.recording, reference.recording.lines, reference.recording.seconds)


@pytest.mark.parametrize(
    "changed",
    [{}, {"speed": 0.8}, {"speed": 1.25}, {"phase": 0.2}, {"start": 20.0},
     *({"missing": slice(*rows)} for rows in ((50, 60), (0, 7), (100, 180))),
     {"start": 20.0, "speed": 1.1, "missing": slice(9, 30)}],
)  # fmt: skip
def test_the_time_of_another_recording_is_near_the_true_one(changed: dict[str, float]) -> None:
    reference, run = replay("a_1"), replay("a_2", **changed)
    seconds = clock(run, reference)
    assert (np.diff(seconds) > 0).all()
    # A line is reported up to a row late in either log, and the speed of the last one is unknown.
    allowed = 1.1 * STEP + LONGEST_LINE * abs(1 - 1 / changed.get("speed", 1.0))
    if "missing" in changed:
        # A line that began in lost rows is reported that much later.
        allowed += LONGEST_LINE
    if not changed:
        allowed = 1e-9
    assert np.abs(seconds - run.program_seconds).max() <= allowed


def test_without_a_common_line_times_are_interpolated_between_lines() -> None:
    whole = replay("a_1").recording
    is_even = whole.lines % 2 == 0
    lines = np.where(is_even, whole.lines, whole.lines - 1)
    run = replace(whole, lines=np.where(is_even, whole.lines + 1, whole.lines))
    seconds = program_seconds(run, lines, whole.seconds)
    assert (np.diff(seconds) >= 0).all()
    assert np.abs(seconds - whole.seconds).max() <= 2 * LONGEST_LINE
