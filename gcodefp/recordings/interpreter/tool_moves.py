"""The shapes of moves: lines, arcs, and the holes of drilling cycles.

Arcs follow RS-274/NGC, section 3.5.3; the sign of the square root in radius format is that of
grbl's gcode.c.
"""

from collections.abc import Iterator
from math import atan2, hypot, pi, sqrt
from typing import NamedTuple

Point = tuple[float, float, float, float]
"""X, Y, Z and E in mm."""
Pair = tuple[float, float]
Arc = tuple[Pair, float, float]
"""Centre and radius in mm, and sweep: the angle in radians, positive counter-clockwise."""

PLANE_AXES = {17: (0, 1, 2), 18: (2, 0, 1), 19: (1, 2, 0)}
"""Plane -> the axes of an arc, and the axis across, as indices of XYZ."""
ROUNDING_MM = 0.02
"""Tolerance of arcs: coordinates are rounded to 1e-4 inch."""
MAX_RADIUS_ERROR_MM = 0.5
MIN_ARC_ANGLE = 5e-7
"""Radians; a smaller one is a full circle. This and the last are grbl's."""


class PathMove(NamedTuple):
    """A line, an arc or a dwell.

    Attributes:
        kind: `rapid`, `feed`, `arc` or `dwell`.
        centre_mm, radius_mm: of an arc at its start; radius 0 without.
        sweep: of an arc, seen from the axis across.
        plane: of an arc, 17, 18 or 19.
        seconds: of a dwell.
    """

    kind: str
    start_mm: Point
    end_mm: Point
    feed_mm_min: float = 0.0
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius_mm: float = 0.0
    sweep: float = 0.0
    plane: int = 17
    seconds: float = 0.0

    @property
    def length_mm(self) -> float:
        """Along the path of X, Y and Z; of E where these rest."""
        delta = [b - a for a, b in zip(self.start_mm, self.end_mm, strict=True)]
        if self.kind == "arc":
            return hypot(self.radius_mm * self.sweep, delta[PLANE_AXES[self.plane][2]])
        return hypot(*delta[:3]) or abs(delta[3])


def arc_by_radius(start: Pair, end: Pair, radius: float, is_clockwise: bool) -> Arc:
    """An arc in its plane; a negative radius turns more than half a circle.

    Raises:
        ValueError: the radius does not reach.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    chord = hypot(dx, dy)
    if chord > 2 * abs(radius) + ROUNDING_MM or chord == 0:
        raise ValueError(f"no arc of radius {radius:g} mm spans {chord:g} mm")
    radius_mm = max(abs(radius), chord / 2)
    height = sqrt(max(radius_mm**2 - (chord / 2) ** 2, 0.0)) / chord
    side = -1.0 if is_clockwise != (radius < 0) else 1.0
    centre = (start[0] + dx / 2 - side * height * dy, start[1] + dy / 2 + side * height * dx)
    return centre, radius_mm, _sweep(start, end, centre, is_clockwise)


def arc_by_centre(start: Pair, end: Pair, centre: Pair, is_clockwise: bool) -> Arc:
    """An arc about a centre; a full circle where start and end are one point.

    Raises:
        ValueError: start and end have different distances from the centre.
    """
    radius = hypot(start[0] - centre[0], start[1] - centre[1])
    error = abs(hypot(end[0] - centre[0], end[1] - centre[1]) - radius)
    if error > MAX_RADIUS_ERROR_MM or error > max(ROUNDING_MM, 0.001 * radius) or radius == 0:
        raise ValueError(f"the arc's radius is {radius:.4g} mm, at its end {error:.2g} mm off")
    sweep = _sweep(start, end, centre, is_clockwise)
    if abs(sweep) < MIN_ARC_ANGLE:
        sweep += -2 * pi if is_clockwise else 2 * pi
    return centre, radius, sweep


def _sweep(start: Pair, end: Pair, centre: Pair, is_clockwise: bool) -> float:
    angle = atan2(start[1] - centre[1], start[0] - centre[0])
    sweep = (atan2(end[1] - centre[1], end[0] - centre[0]) - angle) % (2 * pi)
    return sweep - 2 * pi if is_clockwise else sweep


def line(kind: str, start: Point, end: Point, feed: float = 0.0) -> tuple[PathMove, ...]:
    """One move, or none where the machine is already at its end."""
    return (PathMove(kind, start, end, feed),) if end != start else ()


def at_height(place: Point, axis: int, height: float) -> Point:
    """The place with another coordinate of an axis (0 to 2)."""
    x, y, z, e = (height if index == axis else old for index, old in enumerate(place))
    return x, y, z, e


MAX_PECKS = 1000
CHIP_BREAK_MM = 0.254
CYCLES = (73, 81, 82, 83, 84, 85, 86, 88, 89)
PECKING, FEEDS_OUT, DWELLS = (73, 83), (84, 85, 89), (82, 86, 88, 89)


class Hole(NamedTuple):
    """One hole of a drilling cycle, in mm and seconds; heights are along the axis across.

    Attributes:
        clear: the height where the cycle ends, and up to which boring and tapping feed out.
        peck: depth of one peck; 0 without.
    """

    code: int
    top: float
    bottom: float
    clear: float
    peck: float
    dwell_seconds: float
    feed_mm_min: float


def drill(hole: Hole, place: Point, axis: int) -> Iterator[PathMove]:
    """The moves of a hole from a place at its top (RS-274/NGC, section 3.5.16).

    Raises ValueError: the hole does not go down, or in too many pecks.
    """
    if hole.bottom > hole.top:
        raise ValueError("the cycle's bottom is above its R")
    if hole.top - hole.bottom > MAX_PECKS * hole.peck > 0:
        raise ValueError(f"more than {MAX_PECKS} pecks")

    def move(kind: str, height: float) -> PathMove:
        nonlocal place
        start, place = place, at_height(place, axis, height)
        return PathMove(kind, start, place, hole.feed_mm_min if kind == "feed" else 0.0)

    depths = [hole.bottom]
    if hole.code in PECKING and hole.peck > 0:
        pecks = int((hole.top - hole.bottom) / hole.peck * (1 - 1e-12))
        depths = [hole.top - hole.peck * (i + 1) for i in range(pecks)] + depths
    for depth in depths:
        yield move("feed", depth)
        if depth != hole.bottom:
            if hole.code == 83:
                yield move("rapid", hole.top)
            yield move("rapid", min(depth + CHIP_BREAK_MM, hole.top))
    if hole.code in DWELLS and hole.dwell_seconds:
        yield PathMove("dwell", place, place, seconds=hole.dwell_seconds)
    if hole.clear != place[axis]:
        yield move("feed" if hole.code in FEEDS_OUT else "rapid", hole.clear)
