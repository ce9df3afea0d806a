"""From program lines to moves: straight lines and arcs, in millimetres.

Arc centres follow RS-274/NGC, section 3.5.3.1 (radius format): R positive turns at most half a
circle, negative more. The sign of the square root is that of grbl's gcode.c.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import atan2, hypot, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from gcodefp.recordings.gcode import parse_block
from gcodefp.simulation.writer import ProgramLine

INCH_MM = 25.4
PARK_MM = (111.42, -13.11, 25.9926)
"""Where programs start, in work coordinates: read from the first rows of the real recordings."""
MACHINE_ORIGIN_MM = (47.561, 16.885, -25.9926)
"""Work zero in machine coordinates."""

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Move:
    """One line (radius 0) or arc or helix about Z; positions in mm, angles in radians.

    `sweep` is positive counter-clockwise. `feed_mm_min` is 0 for rapids.
    """

    line_index: int
    motion: int
    start_mm: tuple[float, float, float]
    end_mm: tuple[float, float, float]
    feed_mm_min: float
    centre_mm: tuple[float, float] = (0.0, 0.0)
    radius_mm: float = 0.0
    start_angle: float = 0.0
    sweep: float = 0.0

    @property
    def length_mm(self) -> float:
        """Length along the path."""
        rise = self.end_mm[2] - self.start_mm[2]
        if self.radius_mm:
            return hypot(self.radius_mm * self.sweep, rise)
        return hypot(*(b - a for a, b in zip(self.start_mm, self.end_mm, strict=True)))


def trace_program(
    lines: Sequence[ProgramLine], park_mm: tuple[float, float, float] = PARK_MM
) -> list[Move]:
    """The moves of a program in inches, from the parking position; lines that stand still go.

    Raises:
        ValueError: an arc's radius does not reach its end point.
    """
    moves: list[Move] = []
    position, motion, feed = park_mm, 0, 0.0
    for index, line in enumerate(lines):
        words = parse_block(line.text)
        target, radius, machine_frame = list(position), 0.0, False
        for letter, number in words:
            if letter == "G" and number <= 3:
                motion = int(number)
            elif letter == "G":
                machine_frame = number == 53
            elif letter == "F":
                feed = number * INCH_MM
            elif letter == "R":
                radius = number * INCH_MM
            elif letter in "XYZ":
                axis = "XYZ".index(letter)
                shift = MACHINE_ORIGIN_MM[axis] if machine_frame else 0.0
                target[axis] = number * INCH_MM - shift
        end = (target[0], target[1], target[2])
        if end != position:
            moves.append(_move(index, motion, position, end, feed if motion else 0.0, radius))
        position = end
    return moves


def _move(
    index: int,
    motion: int,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    feed: float,
    radius: float,
) -> Move:
    if motion < 2:
        return Move(index, motion, start, end, feed)
    dx, dy = end[0] - start[0], end[1] - start[1]
    chord = hypot(dx, dy)
    # Coordinates are rounded to 1e-4 inch, so half circles may miss by about that much.
    if chord > 2 * abs(radius) + 0.02 or chord == 0:
        raise ValueError(f"line {index}: no arc of radius {radius:g} mm spans {chord:g} mm")
    radius_mm = max(abs(radius), chord / 2)
    height = sqrt(max(radius_mm**2 - (chord / 2) ** 2, 0.0)) / chord
    side = -1.0 if (motion == 2) != (radius < 0) else 1.0
    centre = (
        start[0] + dx / 2 - side * height * dy,
        start[1] + dy / 2 + side * height * dx,
    )
    angle = atan2(start[1] - centre[1], start[0] - centre[0])
    sweep = (atan2(end[1] - centre[1], end[0] - centre[0]) - angle) % (2 * pi)
    if motion == 2:
        sweep -= 2 * pi
    return Move(index, motion, start, end, feed, centre, radius_mm, angle, sweep)
