"""Moves and frames: lines, arcs, the holes of drilling cycles; work offsets, G52, G92 and homes.

Positions are in mm, in the frame that G54 has at the start. The offset is what is added to a
programmed coordinate: work offset + shift (G92, G52). Arcs follow RS-274/NGC, section 3.5.3; the
sign of the square root in radius format is that of grbl's gcode.c.
"""

from collections.abc import Iterator, Sequence
from math import atan2, hypot, pi, sqrt
from typing import NamedTuple

from gcodefp.recordings.interpreter.dialects import Dialect

Point = tuple[float, float, float, float]
"""X, Y, Z and E in mm."""
Pair = tuple[float, float]
Arc = tuple[Pair, float, float]
"""Centre and radius in mm, and swept angle in radians, positive counter-clockwise."""

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
        swept_angle: of an arc, seen from the axis across.
        plane: of an arc, 17, 18 or 19.
        seconds: of a dwell.
    """

    kind: str
    start_mm: Point
    end_mm: Point
    feed_mm_min: float = 0.0
    centre_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    radius_mm: float = 0.0
    swept_angle: float = 0.0
    plane: int = 17
    seconds: float = 0.0

    @property
    def length_mm(self) -> float:
        """Along the path of X, Y and Z; of E where these rest."""
        delta = [b - a for a, b in zip(self.start_mm, self.end_mm, strict=True)]
        if self.kind == "arc":
            return hypot(self.radius_mm * self.swept_angle, delta[PLANE_AXES[self.plane][2]])
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
    return centre, radius_mm, _swept_angle(start, end, centre, is_clockwise)


def arc_by_centre(start: Pair, end: Pair, centre: Pair, is_clockwise: bool) -> Arc:
    """An arc about a centre; a full circle where start and end are one point.

    Raises:
        ValueError: start and end have different distances from the centre.
    """
    radius = hypot(start[0] - centre[0], start[1] - centre[1])
    error = abs(hypot(end[0] - centre[0], end[1] - centre[1]) - radius)
    if error > MAX_RADIUS_ERROR_MM or error > max(ROUNDING_MM, 0.001 * radius) or radius == 0:
        raise ValueError(f"the arc's radius is {radius:.4g} mm, at its end {error:.2g} mm off")
    swept_angle = _swept_angle(start, end, centre, is_clockwise)
    if abs(swept_angle) < MIN_ARC_ANGLE:
        swept_angle += -2 * pi if is_clockwise else 2 * pi
    return centre, radius, swept_angle


def _swept_angle(start: Pair, end: Pair, centre: Pair, is_clockwise: bool) -> float:
    angle = atan2(start[1] - centre[1], start[0] - centre[0])
    swept_angle = (atan2(end[1] - centre[1], end[0] - centre[0]) - angle) % (2 * pi)
    return swept_angle - 2 * pi if is_clockwise else swept_angle


def linear_move(kind: str, start: Point, end: Point, feed: float = 0.0) -> tuple[PathMove, ...]:
    """One move, or none where the machine is already at its end."""
    return (PathMove(kind, start, end, feed),) if end != start else ()


def at_height(point: Point, axis: int, height: float) -> Point:
    """The point with another coordinate of an axis (0 to 2)."""
    x, y, z, e = (height if index == axis else old for index, old in enumerate(point))
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
    clearance: float
    peck: float
    dwell_seconds: float
    feed_mm_min: float


def drill(hole: Hole, point: Point, axis: int) -> Iterator[PathMove]:
    """The moves of a hole from a point at its top (RS-274/NGC, section 3.5.16).

    Raises ValueError: the hole does not go down, or in too many pecks.
    """
    if hole.bottom > hole.top:
        raise ValueError("the cycle's bottom is above its R")
    if hole.top - hole.bottom > MAX_PECKS * hole.peck > 0:
        raise ValueError(f"more than {MAX_PECKS} pecks")

    def move(kind: str, height: float) -> PathMove:
        nonlocal point
        start, point = point, at_height(point, axis, height)
        return PathMove(kind, start, point, hole.feed_mm_min if kind == "feed" else 0.0)

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
        yield PathMove("dwell", point, point, seconds=hole.dwell_seconds)
    if hole.clearance != point[axis]:
        yield move("feed" if hole.code in FEEDS_OUT else "rapid", hole.clearance)


WORK_OFFSETS = {54.0: 1, 55.0: 2, 56.0: 3, 57.0: 4, 58.0: 5, 59.0: 6, 59.1: 7, 59.2: 8, 59.3: 9}
TOOL_TABLES = (1, 10, 11)

Lengths = Sequence[tuple[int, float]]
"""Axis (0 to 3 for X, Y, Z, E) and length in mm of each word."""


class Coordinates:
    """Offsets of the program's coordinates.

    Args:
        zero_mm: the machine's zero; work offsets of G10 L2 are measured from it.
    """

    def __init__(self, dialect: Dialect, zero_mm: tuple[float, float, float]) -> None:
        self._dialect, self.zero = dialect, zero_mm
        self.homes: dict[int, tuple[float, float, float]] = {28: zero_mm}
        self.work_offset = 1
        self.offset: Point = (0.0, 0.0, 0.0, 0.0)
        self.has_assumed_offset = False
        self._work: dict[int, list[float]] = {}
        self._shift, self._saved_shift = [0.0] * 4, [0.0] * 4

    def _sum(self) -> None:
        work = self._work.get(self.work_offset, (0.0, 0.0, 0.0))
        x, y, z = (w + s for w, s in zip(work, self._shift, strict=False))
        self.offset = (x, y, z, self._shift[3])

    def select(self, index: int) -> None:
        """G54 (1) to G59.3 (9)."""
        self.work_offset = index
        self.has_assumed_offset |= index != 1 and index not in self._work
        self._sum()

    def set_work_offset(self, values: dict[str, float], lengths: Lengths, position: Point) -> None:
        """G10 L2 and L20. Raises ValueError if it sets something else."""
        kind, index = values.get("L", 2.0), int(values.get("P", 0.0)) or self.work_offset
        if kind in TOOL_TABLES:
            return
        if kind not in (2, 20) or values.get("R"):
            raise ValueError("this G10 is not known, or rotates the coordinates")
        if index not in WORK_OFFSETS.values():
            raise ValueError(f"P{index} is no work offset")
        work = self._work.setdefault(index, [0.0] * 3)
        for axis, length in lengths:
            is_here = kind == 20
            work[axis] = (
                position[axis] - self._shift[axis] - length if is_here else length + self.zero[axis]
            )
        self._sum()

    def set_local(self, lengths: Lengths) -> None:
        """G52: the shift of G92 by another name."""
        for axis, length in lengths:
            self._shift[axis] = length
        self._saved_shift = list(self._shift)
        self._sum()

    def shift_origin(self, code: float, lengths: Lengths, position: Point) -> None:
        """G92 and G92.1 to G92.3. Raises ValueError for a G92 that names no axis."""
        if code == 92:
            if not lengths and self._dialect is not Dialect.KLIPPER:
                raise ValueError("G92 without an axis")
            for axis, length in lengths or [(axis, 0.0) for axis in range(4)]:
                self._shift[axis] += position[axis] - self.offset[axis] - length
            self._saved_shift = list(self._shift)
        elif code == 92.3:
            self._shift = list(self._saved_shift)
        else:
            self._shift = [0.0] * 4
            if code == 92.1:
                self._saved_shift = [0.0] * 4
        self._sum()

    def forget_shift(self, axes: Sequence[int]) -> None:
        """Homing of a printer."""
        for axis in axes:
            self._shift[axis] = 0.0
        self._sum()
