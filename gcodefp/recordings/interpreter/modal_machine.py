"""A controller's modal state, and the moves that a block of words makes of it.

RS-274/NGC, section 3.5, with what grbl, LinuxCNC, Mach3, Marlin and Klipper add. Not traced: tool
radius compensation, rotated, scaled and polar coordinates, and axes other than X, Y, Z and E:
blocks that need them are not understood; only the turning of A, B and C is ignored. The path is
that of the tool's tip: length compensation does not change it.
"""

from collections.abc import Sequence
from math import isfinite, pi

from gcodefp.recordings.columns import INCH_MM
from gcodefp.recordings.gcode import Word
from gcodefp.recordings.interpreter.dialects import Dialect
from gcodefp.recordings.interpreter.tool_moves import (
    CYCLES,
    MIN_ARC_ANGLE,
    PLANE_AXES,
    WORK_OFFSETS,
    Arc,
    Coordinates,
    Hole,
    PathMove,
    Point,
    arc_by_centre,
    arc_by_radius,
    at_height,
    drill,
    linear_move,
)

MAX_REPEATS = 1000
MAX_TURNS = 10_000
MAX_DWELL_SECONDS = 60.0
"""Of RS274, where Fanuc's milliseconds cannot be told from seconds."""
MODES: dict[float, tuple[str, float | bool]] = {
    17: ("plane", 17), 18: ("plane", 18), 19: ("plane", 19),
    20: ("mm_per_unit", INCH_MM), 21: ("mm_per_unit", 1.0),
    90: ("is_absolute", True), 91: ("is_absolute", False),
    90.1: ("has_absolute_centres", True), 91.1: ("has_absolute_centres", False),
    93: ("feed_mode", 93), 94: ("feed_mode", 94), 95: ("feed_mode", 95),
    98: ("retract", 98), 99: ("retract", 99),
}  # fmt: skip
SPLINES = {5.0, 5.1}
MOTIONS = {0.0, 1.0, 2.0, 3.0, *SPLINES, 33.0, 38.2, 38.3, 38.4, 38.5, 80.0, *map(float, CYCLES)}
NONMODAL = {4.0, 10.0, 28.0, 28.1, 30.0, 30.1, 52.0, 53.0, 92.0, 92.1, 92.2, 92.3}
"""They hold for their block alone; most use its axis words for themselves."""
WITHOUT_MOTION = {
    8.0, 9.0, 13.1, 15.0, 40.0, 43.0, 43.1, 43.2, 44.0, 49.0, 50.0, 50.1, 61.0, 61.1, 64.0, 69.0,
    96.0, 97.0, 103.0, 113.0, 187.0,
}  # fmt: skip
UNTRACED_MODES: dict[float, tuple[float, str]] = {
    7.0: (8.0, "diameter mode"),
    12.1: (13.1, "polar interpolation"),
    16.0: (15.0, "polar coordinates"),
    **dict.fromkeys((41.0, 41.1, 42.0, 42.1), (40.0, "tool radius compensation")),
    51.0: (50.0, "scaling"),
    51.1: (50.1, "mirroring"),
    68.0: (69.0, "rotated coordinates"),
    68.2: (69.0, "a tilted plane"),
    112.0: (113.0, "polar interpolation"),
}
"""Modes that are not traced: the code that begins one -> the code that ends it, and its name."""
WITHOUT_TARGET = {51.0, 51.1, 68.0, 68.2, 76.0}
"""Their axis words are no target of a motion."""
GROUPS = {
    **dict.fromkeys(MOTIONS - {80.0}, "motion"),
    **{code: name for code, (name, _) in MODES.items()},
    **dict.fromkeys(WORK_OFFSETS, "offset"),
    **dict.fromkeys(NONMODAL - {4.0}, "nonmodal"),
}
RETRACTIONS = {10.0, 11.0}
"""Of a printer's filament, by lengths that its firmware holds."""
PRINTER_CODES = {
    *(0.0, 1.0, 2.0, 3.0, 4.0, 17.0, 18.0, 19.0, 20.0, 21.0, 28.0, 53.0, 90.0, 91.0, 92.0, 92.1),
    *WORK_OFFSETS,
}
MOVING_M_CODES = {
    98.0: "calls a file", 125.0: "parks", 206.0: "shifts the origin", 218.0: "sets a tool's offset",
    428.0: "shifts the origin", 600.0: "parks", 701.0: "loads filament", 702.0: "unloads filament",
}  # fmt: skip
_OTHER_AXES = "UVW"


class ModalMachine:
    """Executes blocks; positions are in the frame that G54 has at the start.

    Args:
        start_mm: where the machine stands.
        machine_zero_mm: where the machine's zero lies: G28 and G53 refer to it.
    """

    def __init__(
        self,
        dialect: Dialect,
        mm_per_unit: float,
        start_mm: Point,
        machine_zero_mm: tuple[float, float, float],
    ) -> None:
        self._dialect = dialect
        self.position: Point = start_mm
        self.frame = Coordinates(dialect, machine_zero_mm)
        self.motion = self._motion_before = 0.0
        self.plane = 17
        self.is_absolute = self.is_absolute_e = True
        self.has_absolute_centres = False
        self.mm_per_unit = mm_per_unit
        self.feed_mode, self.retract = 94, 99 if dialect is Dialect.LINUXCNC else 98
        self.feed = self.spindle = 0.0
        self._doubts: dict[float, str] = {}
        self._errors: list[str] = []
        self._is_still = False
        self._cycle: dict[str, float] = {}
        self._initial_level: float | None = None
        self.has_units = False

    @property
    def extrudes_absolutely(self) -> bool:
        """Klipper's G90 leaves M83 as it is, Marlin's ends it; G91 is relative in both."""
        return self.is_absolute_e and (self.is_absolute or self._dialect is not Dialect.KLIPPER)

    def programmed(self, axis: int) -> float:
        """The position in the program's coordinates and units."""
        return (self.position[axis] - self.frame.offset[axis]) / self.mm_per_unit

    def execute(self, words: Sequence[Word]) -> tuple[tuple[PathMove, ...], str]:
        """The moves of a block, and why it is not understood, empty if it is."""
        values: dict[str, float] = {}
        codes, self._is_still = list[float](), False
        self._errors = errors = list[str]()
        for letter, number in words:
            if letter == "G":
                codes.append(number)
                error_text = self._g_code(number)
            elif letter == "M":
                error_text = self._m_code(number)
            elif letter in values:
                error_text = f"{letter} is there twice"
            else:
                values[letter] = number
                continue
            if error_text:
                errors.append(error_text)
        groups = [GROUPS[code] for code in codes if code in GROUPS]
        if 80 in codes:
            self.motion = self._motion_before if "motion" in groups else 80.0
        if len(groups) > len({*groups}):
            errors.append("two codes of one modal group")
        if not (self._is_still and self._dialect.is_printer):
            self.feed = values["F"] * self.mm_per_unit if "F" in values else self.feed
            self.spindle = values.get("S", self.spindle)
        if not self._dialect.is_printer:
            errors += [f"{axis} is not traced" for axis in _OTHER_AXES if axis in values]
        moves = () if self._is_still else self._moves(codes, values)
        return moves, "; ".join(dict.fromkeys(errors))

    def _moves(self, codes: list[float], values: dict[str, float]) -> tuple[PathMove, ...]:
        """The moves of a block whose modal codes hold already."""
        once, start = next((code for code in codes if code in NONMODAL), 0.0), self.position
        try:
            moves = self._execute_once(once, values) if once else self._move(values, False)
        except (ValueError, ArithmeticError) as error:
            self._errors.append(str(error))
            self.position = start
            return ()
        if moves:
            self.position = moves[-1].end_mm
            if not all(map(isfinite, self.position)):
                self.position, moves = start, ()
                self._errors.append("the position is not finite")
            self._errors += [f"{name} is not traced" for name in self._doubts.values()]
            if self.motion in SPLINES:
                self._errors.append("a spline is traced as a line")
        return moves

    # G and M codes

    def _g_code(self, number: float) -> str:
        """Sets what a code sets; why it is not understood, empty if it is."""
        if self._dialect.is_printer and number not in PRINTER_CODES:
            self._is_still = True
            return "" if number in RETRACTIONS else f"G{number:g} is not known"
        self._is_still |= number in WITHOUT_TARGET
        if number in MOTIONS:
            self.motion = number
            if number not in CYCLES:
                self._cycle, self._initial_level = {}, None
            if number < 4:
                self._motion_before = number
            return "a probe stops where it touches" if 38 < number < 39 else ""
        if number in NONMODAL:
            is_unknown = number == 30 and 30 not in self.frame.homes
            return "the second reference point is not in the program" if is_unknown else ""
        if number in MODES:
            name, value = MODES[number]
            setattr(self, name, value)
            if number in (90, 91) and self._dialect is not Dialect.KLIPPER:
                self.is_absolute_e = number == 90
            self.has_units |= number in (20, 21)
            return ""
        if number in WORK_OFFSETS:
            self.frame.select(WORK_OFFSETS[number])
            return ""
        for begin in [b for b in self._doubts if UNTRACED_MODES[b][0] == number]:
            del self._doubts[begin]
        if number in UNTRACED_MODES:
            self._doubts[number] = UNTRACED_MODES[number][1]
            return f"{self._doubts[number]} is not traced"
        if number in WITHOUT_MOTION:
            return ""
        self._is_still = True
        return f"G{number:g} is not known"

    def _m_code(self, number: float) -> str:
        if number in (82, 83):
            self.is_absolute_e = number == 82
        if not self._dialect.is_printer:
            return ""
        self._is_still = True  # Its X, Y, Z and E are settings
        effect = MOVING_M_CODES.get(number)
        return f"M{number:g} {effect}" if effect else ""

    def _execute_once(self, code: float, values: dict[str, float]) -> tuple[PathMove, ...]:
        """The codes that use a block's axis words for themselves, and hold for it alone."""
        if code == 4:
            return self._dwell(values) + (
                () if self._dialect.is_printer else self._move(values, False)
            )
        if code == 53:
            return self._move(values, True)
        if code in (28, 30):
            return self._go_home(int(code), values)
        lengths = self._lengths(values, "XYZE" if code == 92 else "XYZ")
        if code in (28.1, 30.1):
            self.frame.homes[int(code)] = self.position[:3]
        elif code == 10:
            self.frame.set_work_offset(values, lengths, self.position)
        elif code == 52:
            self.frame.set_local(lengths)
        else:
            self.frame.shift_origin(code, lengths, self.position)
        return ()

    def _lengths(self, values: dict[str, float], axes: str) -> list[tuple[int, float]]:
        return [(i, values[a] * self.mm_per_unit) for i, a in enumerate(axes) if a in values]

    def _dwell(self, values: dict[str, float]) -> tuple[PathMove, ...]:
        seconds = values.get("P", 0.0)
        if self._dialect.is_printer:
            seconds = values.get("S", seconds / 1000)
        if seconds < 0:
            raise ValueError("the dwell is negative")
        if self._dialect is Dialect.RS274 and seconds > MAX_DWELL_SECONDS:
            raise ValueError(
                f"a dwell of {seconds:g} s is ignored: is P in milliseconds? Write seconds, of "
                f"more than {MAX_DWELL_SECONDS:g} in several G4"
            )
        return (PathMove("dwell", self.position, self.position, seconds=seconds),)

    def _go_home(self, code: int, values: dict[str, float]) -> tuple[PathMove, ...]:
        """By way of a point to the reference point, with the axes that are named; else with all."""
        axes = [axis for axis, _ in self._lengths(values, "XYZ")] or [0, 1, 2]
        via = self.position if self._dialect.is_printer else self._target(values, False)
        end, home = list(via), self.frame.homes.get(code, self.frame.zero)
        for axis in axes:
            end[axis] = home[axis]
        moves = linear_move("rapid", self.position, via)
        moves += linear_move("rapid", via, (end[0], end[1], end[2], end[3]))
        if self._dialect.is_printer:
            self.frame.forget_shift(axes)
        return moves

    # Motion

    def _target(self, values: dict[str, float], in_machine_frame: bool) -> Point:
        scale, (x, y, z, e), (dx, dy, dz, de) = self.mm_per_unit, self.position, self.frame.offset
        if in_machine_frame:
            dx, dy, dz = self.frame.zero
        if not (self.is_absolute or in_machine_frame):
            dx, dy, dz = x, y, z
        if "X" in values:
            x = values["X"] * scale + dx
        if "Y" in values:
            y = values["Y"] * scale + dy
        if "Z" in values:
            z = values["Z"] * scale + dz
        if "E" in values:
            e = values["E"] * scale + (de if self.extrudes_absolutely else e)
        return x, y, z, e

    def _feed_for(self, move: PathMove) -> PathMove:
        """The move with its feed, which depends on its length in inverse time mode."""
        if self.feed_mode == 94:
            return move._replace(feed_mm_min=self.feed)
        if self.feed_mode == 95:
            return move._replace(feed_mm_min=self.feed * self.spindle)
        return move._replace(feed_mm_min=self.feed / self.mm_per_unit * move.length_mm)

    def _move(self, values: dict[str, float], in_machine_frame: bool) -> tuple[PathMove, ...]:
        motion = self.motion
        if values.keys().isdisjoint("XYZEIJK" if motion in (2, 3) else "XYZE"):
            return ()
        if motion in CYCLES:
            return self._drill(values)
        start, end = self.position, self._target(values, in_machine_frame)
        if motion in (2, 3):
            arc = self._arc(values, start, end)
            return (self._feed_for(arc),) if arc.kind == "arc" or end != start else ()
        if motion == 80:
            raise ValueError("axis words, but no motion is active")
        if motion == 0:
            return linear_move("rapid", start, end, self.feed if self._dialect.is_printer else 0.0)
        moves = linear_move("feed", start, end, self.feed)
        return moves if self.feed_mode == 94 else tuple(map(self._feed_for, moves))

    def _arc(self, values: dict[str, float], start: Point, end: Point) -> PathMove:
        a, b, _ = PLANE_AXES[self.plane]
        is_clockwise, turns = self.motion == 2, values.get("P", 0.0)
        try:
            centre, radius, sweep = self._shape(values, start, end)
        except ValueError as error:
            self._errors.append(str(error))
            return PathMove("feed", start, end)
        # Marlin's P counts whole circles before the arc, of a whole circle itself too.
        is_partial = abs(sweep) < 2 * pi - MIN_ARC_ANGLE
        turns = turns if self._dialect.is_printer and is_partial else max(turns - 1, 0)
        if not 0 <= turns <= MAX_TURNS or turns != int(turns):
            raise ValueError(f"P{values['P']:g} turns")
        sweep += (-2 if is_clockwise else 2) * pi * turns
        point = [start[0], start[1], start[2]]
        point[a], point[b] = centre
        centre_mm = (point[0], point[1], point[2])
        return PathMove("arc", start, end, 0.0, centre_mm, radius, sweep, self.plane)

    def _shape(self, values: dict[str, float], start: Point, end: Point) -> Arc:
        a, b, _ = PLANE_AXES[self.plane]
        is_clockwise = self.motion == 2
        first, second, last = (start[a], start[b]), (end[a], end[b]), "IJK"
        if "R" in values:
            return arc_by_radius(first, second, values["R"] * self.mm_per_unit, is_clockwise)
        if last[a] not in values and last[b] not in values:
            raise ValueError("an arc without a centre or radius")
        offsets = [values.get(last[axis]) for axis in (a, b)]
        if self.has_absolute_centres:
            if None in offsets:
                raise ValueError("an absolute centre needs both coordinates")
            base = (self.frame.offset[a], self.frame.offset[b])
        else:
            base = first
        x, y = (o + (v or 0.0) * self.mm_per_unit for o, v in zip(base, offsets, strict=True))
        return arc_by_centre(first, second, (x, y), is_clockwise)

    def _drill(self, values: dict[str, float]) -> tuple[PathMove, ...]:
        """The holes of a cycle; its R, depth, Q and P hold until another motion."""
        repeats = values.get("L", 1.0)
        if not 0 <= repeats <= MAX_REPEATS:
            raise ValueError(f"{repeats:g} repeats of a cycle")
        point, scale, c = self.position, self.mm_per_unit, PLANE_AXES[self.plane][2]
        depth_letter = "XYZ"[c]
        self._cycle |= {k: v for k, v in values.items() if k in (depth_letter, "R", "Q", "P")}
        if not self._cycle.keys() >= {depth_letter, "R"}:
            raise ValueError(f"a cycle without R or {depth_letter}")
        if self._initial_level is None:
            self._initial_level = point[c]
        initial, offset = self._initial_level, self.frame.offset[c]
        top = self._cycle["R"] * scale + (offset if self.is_absolute else initial)
        bottom = self._cycle[depth_letter] * scale + (offset if self.is_absolute else top)
        hole = Hole(
            code=int(self.motion),
            top=top,
            bottom=bottom,
            clearance=top if self.retract == 99 else max(initial, top),
            peck=abs(self._cycle.get("Q", 0.0)) * scale,
            dwell_seconds=self._cycle.get("P", 0.0),
            feed_mm_min=self.feed * (self.spindle if self.feed_mode == 95 else 1.0),
        )
        moves = list[PathMove]()
        if initial < top:
            moves += linear_move("rapid", point, point := at_height(point, c, top))
        # On its way to the hole LinuxCNC goes back to the initial level.
        level = max(point[c], top, initial if self.retract == 98 else top)
        across = {k: v for k, v in values.items() if k in "XYZ" and k != depth_letter}
        for _ in range(int(repeats)):
            self.position = point
            target = at_height(self._target(across, False), c, level)
            moves += linear_move("rapid", point, point := target)
            moves += linear_move("rapid", point, point := at_height(point, c, top))
            moves += drill(hole, point, c)
            point, level = moves[-1].end_mm, hole.clearance
        return tuple(moves)
