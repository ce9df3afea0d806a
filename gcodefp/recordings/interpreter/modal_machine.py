"""A controller's modal state, and the moves that a block of words makes of it.

RS-274/NGC, section 3.5, with what grbl, LinuxCNC, Mach3, Fanuc's mills, Marlin and Klipper add.
Not traced: tool radius compensation, rotated, scaled and polar coordinates, and axes other than X,
Y, Z and E. Blocks that need them are not understood; only the turning of A, B and C is ignored. The
path is that of the tool's tip: length compensation does not change it.
"""

from collections.abc import Sequence
from math import isfinite, pi
from typing import NamedTuple

from gcodefp.recordings.gcode import Word
from gcodefp.recordings.interpreter import g_codes
from gcodefp.recordings.interpreter.coordinates import EXTENDED_OFFSETS, WORK_OFFSETS, Coordinates
from gcodefp.recordings.interpreter.dialects import Dialect
from gcodefp.recordings.interpreter.drilling import CYCLES, Cycle, drill
from gcodefp.recordings.interpreter.tool_moves import (
    MIN_ARC_ANGLE,
    PLANE_AXES,
    Arc,
    PathMove,
    Point,
    arc_by_centre,
    arc_by_radius,
    at_height,
    line,
)

MAX_REPEATS = 1000
MAX_TURNS = 10_000

_OTHER_AXES = "UVW"


class Modal(NamedTuple):
    """The modal state behind a block.

    Attributes:
        motion: the G code that axis words move by.
        plane: 17, 18 or 19.
        is_absolute, is_absolute_e, has_absolute_centres: coordinates of XYZ, of E and of IJK.
        feed_mode: 93 (inverse time), 94 (a minute) or 95 (a turn).
        retract: 98 or 99, of drilling cycles.
        work_offset: 1 for G54, and so on; over 100 for G54.1.
        feed: the F word, in lengths of mm.
        spindle: the S word.
        offset_mm: what is added to a programmed X, Y, Z and E.
    """

    motion: float
    plane: int
    is_absolute: bool
    is_absolute_e: bool
    has_absolute_centres: bool
    mm_per_unit: float
    feed_mode: int
    retract: int
    work_offset: int
    feed: float
    spindle: float
    offset_mm: Point


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
        self._complaints: list[str] = []
        self._is_still = False
        self._cycle = Cycle()
        self._modal: Modal | None = None
        self.has_units = False

    @property
    def modal(self) -> Modal:
        """The state behind the last block."""
        if self._modal is None:
            self._modal = Modal(
                self.motion, self.plane, self.is_absolute, self.extrudes_absolutely,
                self.has_absolute_centres, self.mm_per_unit, self.feed_mode, self.retract,
                self.frame.work_offset, self.feed, self.spindle, self.frame.offset,
            )  # fmt: skip
        return self._modal

    @property
    def extrudes_absolutely(self) -> bool:
        """Klipper's G90 leaves M83 as it is, Marlin's ends it; G91 is relative in both."""
        return self.is_absolute_e and (self.is_absolute or self._dialect is not Dialect.KLIPPER)

    def forget_modal(self) -> None:
        """After a change of the state from outside."""
        self._modal = None

    def programmed(self, axis: int) -> float:
        """The position in the program's coordinates and units."""
        return (self.position[axis] - self.frame.offset[axis]) / self.mm_per_unit

    def execute(self, words: Sequence[Word]) -> tuple[tuple[PathMove, ...], str]:
        """The moves of a block, and why it is not understood, empty if it is."""
        values: dict[str, float] = {}
        codes, self._is_still = list[float](), False
        self._complaints = complaints = list[str]()
        for letter, number in words:
            if letter == "G":
                codes.append(number)
                complaint = self._g_code(number)
            elif letter == "M":
                complaint = self._m_code(number)
            elif letter in values:
                complaint = f"{letter} is there twice"
            else:
                values[letter] = number
                continue
            if complaint:
                complaints.append(complaint)
        groups = [g_codes.GROUPS[code] for code in codes if code in g_codes.GROUPS]
        if 80 in codes:
            is_group_of_its_own = self._dialect is Dialect.FANUC or "motion" in groups
            self.motion = self._motion_before if is_group_of_its_own else 80.0
        if len(groups) > len({*groups}):
            complaints.append("two codes of one modal group")
        if not (self._is_still and self._dialect.is_printer):
            self._set_rates(values)
        if not self._dialect.is_printer:
            complaints += [f"{axis} is not traced" for axis in _OTHER_AXES if axis in values]
        moves = () if self._is_still else self._moves(codes, values)
        return moves, "; ".join(dict.fromkeys(complaints))

    def _set_rates(self, values: dict[str, float]) -> None:
        if "F" in values:
            self.feed, self._modal = values["F"] * self.mm_per_unit, None
        if "S" in values:
            self.spindle, self._modal = values["S"], None

    def _moves(self, codes: list[float], values: dict[str, float]) -> tuple[PathMove, ...]:
        """The moves of a block whose modal codes hold already."""
        once = next((code for code in codes if code in g_codes.NONMODAL), 0.0)
        if once == 54.1:
            self.frame.select(EXTENDED_OFFSETS + int(values.get("P", 1)))
            self._modal, once = None, 0.0
        try:
            moves = self._execute_once(once, values) if once else self._move(values, False)
        except (ValueError, ArithmeticError) as error:
            self._complaints.append(str(error))
            return ()
        if moves:
            self.position = moves[-1].end_mm
            if not all(map(isfinite, self.position)):
                self.position, moves = moves[0].start_mm, ()
                self._complaints.append("the position is not finite")
            self._complaints += [f"{name} is not traced" for name in self._doubts.values()]
            if self.motion in g_codes.SPLINES:
                self._complaints.append("a spline is traced as a line")
        return moves

    # G and M codes

    def _g_code(self, number: float) -> str:
        is_fanuc = self._dialect is Dialect.FANUC
        if self._dialect.is_printer and number not in g_codes.PRINTER_CODES:
            self._is_still = True
            return "" if number in g_codes.RETRACTIONS else f"G{number:g} is not known"
        if number in g_codes.SPLINES and is_fanuc:
            return ""  # How far Fanuc's controllers look ahead
        is_threading = number == 76 and not is_fanuc
        self._is_still |= is_threading or number in g_codes.WITHOUT_TARGET
        if is_threading:
            return "a threading cycle is not traced"
        if number in g_codes.MOTIONS:
            if number != self.motion:
                self._modal = None
                self.motion = number
            if number not in CYCLES:
                self._cycle.end()
            if number < 4:
                self._motion_before = number
            return "a probe stops where it touches" if 38 < number < 39 else ""
        if number in g_codes.NONMODAL:
            is_unknown = number == 30 and 30 not in self.frame.homes
            return "the second reference point is not in the program" if is_unknown else ""
        self._modal = None
        if (modes := g_codes.MODES.get(number)) is not None:
            for name, value in modes.items():
                setattr(self, name, value)
            if number in (90, 91) and self._dialect is not Dialect.KLIPPER:
                self.is_absolute_e = number == 90
            self.has_units |= number in (20, 21)
            return ""
        if number in WORK_OFFSETS:
            self.frame.select(WORK_OFFSETS[number])
            return ""
        for begin in [b for b in self._doubts if g_codes.UNTRACED_MODES[b][0] == number]:
            del self._doubts[begin]
        if number in g_codes.UNTRACED_MODES:
            self._doubts[number] = g_codes.UNTRACED_MODES[number][1]
            return f"{g_codes.UNTRACED_MODES[number][1]} is not traced"
        if number in g_codes.WITHOUT_MOTION:
            return ""
        self._is_still = True
        return f"G{number:g} is not known"

    def _m_code(self, number: float) -> str:
        if number in (82, 83):
            self.is_absolute_e, self._modal = number == 82, None
        if not self._dialect.is_printer:
            return ""
        self._is_still = True  # Its X, Y, Z and E are settings
        effect = g_codes.MOVING_M_CODES.get(number)
        return f"M{number:g} {effect}" if effect else ""

    def _execute_once(self, code: float, values: dict[str, float]) -> tuple[PathMove, ...]:
        """The codes that use a block's axis words for themselves, and hold for it alone."""
        if code == 4:
            takes_x = self._dialect.is_printer or self._dialect is Dialect.FANUC
            return self._dwell(values) + (() if takes_x else self._move(values, False))
        if code == 53:
            return self._move(values, True)
        if code in (28, 30):
            return self._go_home(int(code), values)
        lengths = self._lengths(values, "XYZE" if code == 92 else "XYZ")
        if code in (28.1, 30.1):
            self.frame.homes[int(code)] = self.position[:3]
        elif code == 10:
            self.frame.set_work_offset(values, lengths, self.position, self.is_absolute)
        elif code == 52:
            self.frame.set_local(lengths)
        else:
            self.frame.shift_origin(code, lengths, self.position)
        self._modal = None
        return ()

    def _lengths(self, values: dict[str, float], axes: str) -> list[tuple[int, float]]:
        return [(i, values[a] * self.mm_per_unit) for i, a in enumerate(axes) if a in values]

    def _dwell(self, values: dict[str, float]) -> tuple[PathMove, ...]:
        seconds = values.get("P", 0.0)
        if self._dialect.is_printer or self._dialect is Dialect.FANUC:
            seconds = values.get("S" if self._dialect.is_printer else "X", seconds / 1000)
        if seconds < 0:
            raise ValueError("the dwell is negative")
        return (PathMove("dwell", self.position, self.position, seconds=seconds),)

    def _go_home(self, code: int, values: dict[str, float]) -> tuple[PathMove, ...]:
        """By way of a point to the reference point, with the axes that are named; else with all."""
        axes = [axis for axis, _ in self._lengths(values, "XYZ")] or [0, 1, 2]
        via = self.position if self._dialect.is_printer else self._target(values, False)
        end, home = list(via), self.frame.homes.get(code, self.frame.zero)
        for axis in axes:
            end[axis] = home[axis]
        moves = line("rapid", self.position, via)
        moves += line("rapid", via, (end[0], end[1], end[2], end[3]))
        if self._dialect.is_printer:
            self.frame.forget_shift(axes)
            self._modal = None
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
            return line("rapid", start, end, self.feed if self._dialect.is_printer else 0.0)
        moves = line("feed", start, end, self.feed)
        return moves if self.feed_mode == 94 else tuple(map(self._feed_for, moves))

    def _arc(self, values: dict[str, float], start: Point, end: Point) -> PathMove:
        a, b, _ = PLANE_AXES[self.plane]
        is_clockwise, turns = self.motion == 2, values.get("P", 0.0)
        try:
            centre, radius, sweep = self._shape(values, start, end)
        except ValueError as error:
            self._complaints.append(str(error))
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
        repeats = values.get("L", values.get("K", 1.0))
        if not 0 <= repeats <= MAX_REPEATS:
            raise ValueError(f"{repeats:g} repeats of a cycle")
        is_fanuc, place = self._dialect is Dialect.FANUC, self.position
        c = PLANE_AXES[self.plane][2]
        depth_letter, offset = "XYZ"[c], self.frame.offset[c] if self.is_absolute else None
        hole = self._cycle.hole(
            self.motion, values, depth_letter, place[c], offset, self.mm_per_unit
        )
        initial = self._cycle.initial_level or 0.0
        clear = hole.top if self.retract == 99 else max(initial, hole.top)
        hole = hole._replace(
            clear=clear,
            feed_out=hole.top if is_fanuc else clear,
            dwell_seconds=hole.dwell_seconds / (1000 if is_fanuc else 1),
            feed_mm_min=self.feed * (self.spindle if self.feed_mode == 95 else 1.0),
        )
        moves = list[PathMove]()
        if initial < hole.top and (place[c] < hole.top or not is_fanuc):
            moves += line("rapid", place, place := at_height(place, c, hole.top))
        # On its way to the hole LinuxCNC goes back to the initial level, Fanuc stays below.
        is_rising = self.retract == 98 and not is_fanuc
        level = max(place[c], hole.top, initial if is_rising else hole.top)
        across = {k: v for k, v in values.items() if k in "XYZ" and k != depth_letter}
        for _ in range(int(repeats)):
            self.position = place
            target = at_height(self._target(across, False), c, level)
            moves += line("rapid", place, place := target)
            moves += line("rapid", place, place := at_height(place, c, hole.top))
            moves += drill(hole, place, c)
            place, level = moves[-1].end_mm, hole.clear
        return tuple(moves)
