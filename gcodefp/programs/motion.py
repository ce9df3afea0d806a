"""Converts program lines to moves, and plans their speeds with finite acceleration.

The planner's method is that of grbl's planner.c (https://github.com/gnea/grbl, GPL; no code is
copied): the speed at a junction follows from the allowed deviation, a backward pass ensures that
every move can brake in time, a forward pass that its speed can be reached. Unlike in grbl, an arc
is one move, with limited centripetal acceleration as in LinuxCNC, instead of many chords.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import atan2, cos, hypot, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.columns import INCH_MM
from gcodefp.recordings.interpreter import ExecutedBlock, interpret_program
from gcodefp.recordings.interpreter.dialects import Dialect
from gcodefp.recordings.interpreter.tool_moves import PLANE_AXES, PathMove

PARK_MM = (111.42, -13.11, 25.9926)
"""Where programs start, in work coordinates: from the first rows of the real recordings."""
MACHINE_ORIGIN_MM = (47.561, 16.885, -25.9926)
"""Work zero in machine coordinates."""

ARC_CHORDS = 16

Vector = NDArray[np.float64]


DWELL_MM = 1e-6
"""Length of the move that stands for a dwell."""


@dataclass(frozen=True)
class Move:
    """One line (radius 0), arc, or helix about Z; positions in mm, angles in radians.

    `swept_angle`, of an arc, is positive counter-clockwise. `feed_mm_min` is 0 for rapids.
    """

    line_index: int
    motion: int
    start_mm: tuple[float, float, float]
    end_mm: tuple[float, float, float]
    feed_mm_min: float
    centre_mm: tuple[float, float] = (0.0, 0.0)
    radius_mm: float = 0.0
    start_angle: float = 0.0
    swept_angle: float = 0.0

    @property
    def length_mm(self) -> float:
        """Length along the path."""
        rise = self.end_mm[2] - self.start_mm[2]
        if self.radius_mm:
            return hypot(self.radius_mm * self.swept_angle, rise)
        return hypot(*(b - a for a, b in zip(self.start_mm, self.end_mm, strict=True)))


def trace_program(
    texts: Sequence[str], park_mm: tuple[float, float, float] = PARK_MM
) -> list[Move]:
    """The moves of a program in inches, from the parking position; lines without motion have none.

    Raises:
        ValueError: a line is not understood, such as an arc whose radius does not reach its end.
    """
    x, y, z = MACHINE_ORIGIN_MM
    run = interpret_program(
        "\n".join(texts),
        dialect=Dialect.RS274,
        mm_per_unit=INCH_MM,
        start_mm=(*park_mm, 0.0),
        machine_zero_mm=(-x, -y, -z),
    )
    for number, _, error_text in run.not_understood:
        raise ValueError(f"line {number - 1}: {error_text}")
    return moves_of(run.blocks)


def moves_of(blocks: Sequence[ExecutedBlock]) -> list[Move]:
    """The moves of executed blocks, whose indices are the moves' `line_index`.

    Moves of the extruder alone have none; arcs in other planes are chords, and a dwell is a move
    that is too slow to be one.
    """
    moves = []
    for index, block in enumerate(blocks):
        for move in block.moves:
            if move.kind == "dwell" and move.seconds > 0:
                x, y, z = move.start_mm[:3]
                feed = DWELL_MM / move.seconds * 60
                moves.append(Move(index, 1, (x, y, z), (x, y, z + DWELL_MM), feed))
            for part in _chords(move) if move.kind == "arc" and move.plane != 17 else (move,):
                is_turn = part.kind == "arc"
                if is_turn or (part.kind != "dwell" and part.start_mm[:3] != part.end_mm[:3]):
                    moves.append(_move(index, _motion(part), part))
    return moves


def _motion(move: PathMove) -> int:
    if move.kind == "arc":
        return 3 if move.swept_angle > 0 else 2
    # A printer's G0 keeps to the feed.
    return int(move.kind == "feed" or move.feed_mm_min > 0)


def _chords(arc: PathMove) -> list[PathMove]:
    a, b, _ = PLANE_AXES[arc.plane]
    points = [arc.start_mm]
    for part in range(1, ARC_CHORDS + 1):
        share = part / ARC_CHORDS
        cosine, sine = cos(arc.swept_angle * share), sin(arc.swept_angle * share)
        x, y = (arc.start_mm[axis] - arc.centre_mm[axis] for axis in (a, b))
        point = [p + share * (q - p) for p, q in zip(arc.start_mm, arc.end_mm, strict=True)]
        point[a] = arc.centre_mm[a] + cosine * x - sine * y
        point[b] = arc.centre_mm[b] + sine * x + cosine * y
        points.append((point[0], point[1], point[2], point[3]))
    return [PathMove("feed", p, q, arc.feed_mm_min) for p, q in pairwise(points)]


def _move(index: int, motion: int, move: PathMove) -> Move:
    start, end, centre = move.start_mm[:3], move.end_mm[:3], move.centre_mm[:2]
    if move.kind != "arc":
        return Move(index, motion, start, end, move.feed_mm_min)
    angle = atan2(start[1] - centre[1], start[0] - centre[0])
    radius, swept_angle = move.radius_mm, move.swept_angle
    return Move(index, motion, start, end, move.feed_mm_min, centre, radius, angle, swept_angle)


@dataclass(frozen=True)
class MachineLimits:
    """Limits of the machine; the rates are those of the rapids in the real recordings."""

    acceleration_mm_s2: float = 250.0
    junction_deviation_mm: float = 0.02
    axis_rate_mm_min: tuple[float, float, float] = (3000.0, 3000.0, 1350.0)


@dataclass(frozen=True)
class Kinematics:
    """Move index (T,), position, velocity and acceleration (T, 3) of the tool at T times."""

    move_index: NDArray[np.intp]
    position_mm: Vector
    velocity_mm_s: Vector
    acceleration_mm_s2: Vector


@dataclass(frozen=True)
class Trajectory:
    """A planned program of M moves.

    Attributes:
        junction_mm_s: speeds before, between and after the moves, (M + 1,).
        peak_mm_s: the highest speed within each move, (M,).
        start_seconds: start of each move, and end of the last one, (M + 1,).
    """

    moves: tuple[Move, ...]
    limits: MachineLimits
    junction_mm_s: Vector
    peak_mm_s: Vector
    start_seconds: Vector
    length_mm: Vector = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "length_mm", np.array([move.length_mm for move in self.moves]))

    @property
    def seconds(self) -> float:
        """Duration of the whole program."""
        return float(self.start_seconds[-1])

    def kinematics_at(self, seconds: Vector) -> Kinematics:
        """The state at times (T,); at rest before the start and after the end."""
        clipped = np.clip(seconds, 0.0, self.seconds)
        index = np.searchsorted(self.start_seconds, clipped, side="right") - 1
        index = np.minimum(index, len(self.moves) - 1)
        distance, speed, tangential = self._along(index, clipped - self.start_seconds[index])
        is_resting = (seconds < 0) | (seconds > self.seconds)
        tangential = np.where(is_resting, 0.0, tangential)
        return _on_path(self.moves, index, distance / self.length_mm[index], speed, tangential)

    def _along(self, index: NDArray[np.intp], elapsed: Vector) -> tuple[Vector, Vector, Vector]:
        acceleration = self.limits.acceleration_mm_s2
        entry, exit_ = self.junction_mm_s[index], self.junction_mm_s[index + 1]
        peak = self.peak_mm_s[index]
        remaining = np.maximum(np.diff(self.start_seconds)[index] - elapsed, 0.0)
        is_accelerating = elapsed < (peak - entry) / acceleration
        is_braking = ~is_accelerating & (remaining < (peak - exit_) / acceleration)
        speed = np.where(is_accelerating, entry + acceleration * elapsed, peak)
        speed = np.where(is_braking, exit_ + acceleration * remaining, speed)
        ramp_seconds = (peak - entry) / acceleration
        cruise = (peak + entry) / 2 * ramp_seconds + peak * (elapsed - ramp_seconds)
        distance = np.where(is_accelerating, (entry + speed) / 2 * elapsed, cruise)
        distance = np.where(
            is_braking, self.length_mm[index] - (exit_ + speed) / 2 * remaining, distance
        )
        tangential = acceleration * (is_accelerating.astype(float) - is_braking.astype(float))
        return distance, speed, tangential


def plan(moves: Sequence[Move], limits: MachineLimits | None = None) -> Trajectory:
    """Plans speeds for moves of positive length, from rest to rest."""
    limits = limits or MachineLimits()
    acceleration = limits.acceleration_mm_s2
    length = np.array([move.length_mm for move in moves])
    nominal = np.array([_nominal_mm_s(move, limits) for move in moves])
    squared = _junction_limits(moves, nominal, limits) ** 2
    for index in range(len(moves) - 1, -1, -1):
        squared[index] = min(squared[index], squared[index + 1] + 2 * acceleration * length[index])
    for index in range(len(moves)):
        reachable = squared[index] + 2 * acceleration * length[index]
        squared[index + 1] = min(squared[index + 1], reachable)
    junction = np.sqrt(squared)
    entry, exit_ = junction[:-1], junction[1:]
    peak = np.sqrt((squared[:-1] + squared[1:]) / 2 + acceleration * length)
    peak = np.maximum(np.minimum(nominal, peak), np.maximum(entry, exit_))
    ramps_mm = (2 * peak**2 - squared[:-1] - squared[1:]) / (2 * acceleration)
    duration = (2 * peak - entry - exit_) / acceleration + np.maximum(length - ramps_mm, 0) / peak
    start = np.concatenate([[0.0], np.cumsum(duration)])
    return Trajectory(tuple(moves), limits, junction, peak, start)


def tangent(move: Move, fraction: float) -> Vector:
    """The unit vector of travel at a fraction (0 to 1) of a move, (3,)."""
    index = np.zeros(1, dtype=np.intp)
    state = _on_path((move,), index, np.array([fraction]), np.ones(1), np.zeros(1))
    return np.asarray(state.velocity_mm_s[0])


def _nominal_mm_s(move: Move, limits: MachineLimits) -> float:
    rates = np.array(limits.axis_rate_mm_min) / 60
    if move.radius_mm:
        max_speed = min(float(rates.min()), sqrt(limits.acceleration_mm_s2 * move.radius_mm))
    else:
        direction = np.abs(tangent(move, 0.0))
        max_speed = float(np.min(rates / np.maximum(direction, 1e-9)))
    return min(max_speed, move.feed_mm_min / 60) if move.motion else max_speed


def _junction_limits(moves: Sequence[Move], nominal: Vector, limits: MachineLimits) -> Vector:
    speeds = np.zeros(len(moves) + 1)
    for index in range(1, len(moves)):
        cosine = -float(tangent(moves[index - 1], 1.0) @ tangent(moves[index], 0.0))
        half_sine = np.sqrt(max(0.5 * (1 - cosine), 0.0))
        limit = min(nominal[index - 1], nominal[index])
        if half_sine < 1 - 1e-9:
            deviation = limits.acceleration_mm_s2 * limits.junction_deviation_mm
            limit = min(limit, float(np.sqrt(deviation * half_sine / (1 - half_sine))))
        speeds[index] = limit
    return speeds


def _on_path(
    moves: Sequence[Move],
    index: NDArray[np.intp],
    fraction: Vector,
    speed: Vector,
    tangential: Vector,
) -> Kinematics:
    start = np.array([move.start_mm for move in moves])[index]
    delta = np.array([move.end_mm for move in moves])[index] - start
    length = np.array([move.length_mm for move in moves])[index]
    radius = np.array([move.radius_mm for move in moves])[index]
    swept_angle = np.array([move.swept_angle for move in moves])[index]
    centre = np.array([move.centre_mm for move in moves])[index]
    angle = np.array([move.start_angle for move in moves])[index] + swept_angle * fraction
    outward = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    turn_direction = np.stack([-outward[:, 1], outward[:, 0]], axis=-1)
    is_arc = (radius > 0)[:, None]
    position = start + delta * fraction[:, None]
    position[:, :2] = np.where(is_arc, centre + radius[:, None] * outward, position[:, :2])
    direction = delta / length[:, None]
    turn_rate = radius * swept_angle / length
    direction[:, :2] = np.where(is_arc, turn_rate[:, None] * turn_direction, direction[:, :2])
    acceleration = direction * tangential[:, None]
    centripetal = np.divide(
        (turn_rate * speed) ** 2, radius, out=np.zeros_like(speed), where=radius > 0
    )
    acceleration[:, :2] -= centripetal[:, None] * outward
    return Kinematics(index, position, direction * speed[:, None], acceleration)
