"""The path of a program, and how fast a machine follows it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.programs.motion import MachineLimits, Move, moves_of, plan, tangent, trace_program
from gcodefp.recordings.interpreter import interpret_program
from gcodefp.recordings.interpreter.dialects import Dialect
from gcodefp.simulation.programs import PROGRAMS, build_program

LIMITS = MachineLimits()
Point = tuple[float, float, float]


coordinates = st.integers(-3000, 3000).map(lambda number: number / 100)
points = st.tuples(coordinates, coordinates, coordinates)


@st.composite
def move_chains(draw: st.DrawFn) -> list[Move]:
    """Lines and half circles or half helices, end to end, at various feeds."""
    moves: list[Move] = []
    start = draw(points)
    for end in draw(st.lists(points, min_size=1, max_size=10)):
        chord = math.hypot(end[0] - start[0], end[1] - start[1])
        feed = draw(st.sampled_from([0.0, 90.0, 558.8, 2000.0]))
        if math.dist(start, end) < 0.01:
            continue
        if feed and chord > 0.5 and draw(st.booleans()):
            moves.append(half_turn(start, end, feed, draw(st.booleans())))
        else:
            moves.append(Move(len(moves), 1 if feed else 0, start, end, feed))
        start = end
    return moves or [Move(0, 1, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), 300.0)]


def half_turn(start: Point, end: Point, feed: float, left: bool) -> Move:
    middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    angle = math.atan2(start[1] - middle[1], start[0] - middle[0])
    radius = math.hypot(end[0] - start[0], end[1] - start[1]) / 2
    sweep = math.pi if left else -math.pi
    return Move(0, 3 if left else 2, start, end, feed, middle, radius, angle, sweep)


@settings(max_examples=40, deadline=None)
@given(move_chains())
def test_a_trajectory_keeps_the_limits_and_the_path(moves: list[Move]) -> None:
    trajectory = plan(moves)
    state = trajectory.kinematics_at(np.linspace(0, trajectory.seconds, 2000))
    # Feeds and axis rates.
    speed = np.linalg.norm(state.velocity_mm_s, axis=1)
    feed = np.array([move.feed_mm_min or np.inf for move in moves])[state.move_index]
    assert np.all(speed * 60 <= feed * (1 + 1e-9))
    assert np.all(np.abs(state.velocity_mm_s) * 60 <= np.array(LIMITS.axis_rate_mm_min) * 1.000001)
    # Acceleration along the path and towards the centre, each at most the limit.
    squared, length = trajectory.junction_mm_s**2, trajectory.length_mm
    assert np.all(np.abs(np.diff(squared)) <= 2 * LIMITS.acceleration_mm_s2 * length + 1e-6)
    total = np.linalg.norm(state.acceleration_mm_s2, axis=1)
    assert total.max() <= math.sqrt(2) * LIMITS.acceleration_mm_s2 * (1 + 1e-6)
    # Position is the integral of velocity.
    step = trajectory.seconds / 4000
    seconds = np.arange(4000) * step
    travelled = np.cumsum(trajectory.kinematics_at(seconds + step / 2).velocity_mm_s * step, axis=0)
    position = trajectory.kinematics_at(seconds + step).position_mm
    # A move that begins or ends within a step costs at most the way made in that step.
    slack = step * 75 * len(moves) + 1e-3
    assert np.abs(travelled + moves[0].start_mm - position).max() < slack
    np.testing.assert_allclose(position[-1], moves[-1].end_mm, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(move_chains())
def test_corners_are_taken_no_faster_than_the_junction_deviation_allows(moves: list[Move]) -> None:
    trajectory = plan(moves)
    assert trajectory.junction_mm_s[0] == trajectory.junction_mm_s[-1] == 0
    for index in range(1, len(moves)):
        cosine = -tangent(moves[index - 1], 1.0) @ tangent(moves[index], 0.0)
        half_sine = math.sqrt(max((1 - cosine) / 2, 0))
        if half_sine < 1 - 1e-6:
            # The circle that touches both moves and stays within the deviation of the corner.
            radius = LIMITS.junction_deviation_mm * half_sine / (1 - half_sine)
            allowed = math.sqrt(LIMITS.acceleration_mm_s2 * radius)
            assert trajectory.junction_mm_s[index] <= allowed * (1 + 1e-6)


def test_lines_take_the_time_of_their_trapezoid_and_only_a_reversal_stops() -> None:
    line = Move(0, 1, (0.0, 0.0, 0.0), (100.0, 0.0, 0.0), 600.0)
    assert plan([line]).seconds == pytest.approx(100 / 10 + 10 / LIMITS.acceleration_mm_s2)
    onwards = [Move(i, 1, (10.0 * i, 0.0, 0.0), (10.0 * i + 10, 0.0, 0.0), 600.0) for i in range(2)]
    back = Move(2, 1, (20.0, 0.0, 0.0), (0.0, 0.0, 0.0), 600.0)
    assert plan([*onwards, back]).junction_mm_s == pytest.approx([0, 10, 0, 0], abs=1e-3)


def test_arcs_reach_their_end_or_are_an_error() -> None:
    programs = [[line.text for line in build_program(name)] for name in PROGRAMS]
    arcs = [move for texts in programs for move in trace_program(texts) if move.radius_mm]
    assert arcs
    for arc in arcs:
        angle = arc.start_angle + arc.swept_angle
        end = arc.centre_mm + arc.radius_mm * np.array([math.cos(angle), math.sin(angle)])
        np.testing.assert_allclose(end, arc.end_mm[:2], atol=1e-6)
        assert abs(arc.swept_angle) == pytest.approx(math.pi / 2, abs=0.01)
    with pytest.raises(ValueError, match=r"no arc of radius 2\.54 mm"):
        trace_program(["G0 X0 Y0 Z0", "G2 X1 Y0 R0.1"])


def test_a_dwell_takes_its_time() -> None:
    moves = moves_of(interpret_program("G21\nG1 X10 F600\nG4 P10\nG1 X0").blocks)
    trajectory = plan(moves)
    whole = plan([move for move in moves if move.length_mm > 1])
    assert trajectory.seconds == pytest.approx(whole.seconds + 10, abs=0.1)
    state = trajectory.kinematics_at(np.array([6.0]))
    assert moves[state.move_index[0]].line_index == 2
    np.testing.assert_allclose(state.position_mm, [[10, 0, 0]], atol=1e-5)


def test_a_printers_rapid_keeps_to_its_feed() -> None:
    seconds = [
        plan(moves_of(interpret_program(f"G21\n{code} X100 F600", dialect=dialect).blocks)).seconds
        for code, dialect in (("G1", Dialect.MARLIN), ("G0", Dialect.MARLIN), ("G0", Dialect.RS274))
    ]
    assert seconds[0] == seconds[1] > 10 > 3 > seconds[2]
