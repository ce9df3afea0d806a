"""Interprets the text of a program: the blocks that a controller executes, and their moves.

No parser on PyPI does it: gcodeparser splits lines into words, without state; pygcode (2017) has no
O words, expressions or E; printrun's gcoder knows printers only.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gcodefp.recordings.gcode import Word, format_block
from gcodefp.recordings.interpreter.dialects import Dialect, detect_dialect, read_lines
from gcodefp.recordings.interpreter.macro_expressions import Key, Parameters
from gcodefp.recordings.interpreter.modal_machine import ModalMachine
from gcodefp.recordings.interpreter.program_flow import ExecutedLine, ProgramFlow
from gcodefp.recordings.interpreter.tool_moves import PathMove, Point

_KIND_ORDER = ("dwell", "rapid", "feed", "arc")
_HARMLESS = re.compile(
    r"(?:SET_(?!GCODE_OFFSET|KINEMATIC)|EXCLUDE_OBJECT|TURN_OFF_HEATERS|TEMPERATURE_WAIT|RESPOND|ECHO"
    r"|STATUS|HELP|ACTIVATE_EXTRUDER|BED_MESH_(?:CLEAR|PROFILE|OUTPUT)|SKEW_PROFILE|PID_|QUERY_"
    r"|GET_POSITION|UPDATE_DELAYED_GCODE|CLEAR_PAUSE|SDCARD_|SAVE_VARIABLE|TIMELAPSE_TAKE_FRAME"
    r"|PRINT_STATS|MANUAL_STEPPER|SYNC_EXTRUDER_MOTION|M\d+)\w*(?:\s|$)",
    re.IGNORECASE,
)
"""Klipper's commands that are no G-code and leave the head and its coordinates alone."""


class ExecutedBlock(NamedTuple):
    """One executed line of a program.

    Attributes:
        line: its number in the file, from 1.
        text: canonical, numbers with at most four decimals; of a line that is no words, the line
            without comments.
        words: evaluated, with exact numbers; none on lines that are no words.
        start_mm, end_mm: X, Y, Z and E, in the frame that G54 has at the start.
        mm_per_unit: millimetres of a length unit behind it.
        kind: of its moves the last of `dwell`, `rapid`, `feed`, `arc`; `flow` of lines that decide
            what is executed; else `none`.
        feed_mm_min: of its last move by feed; 0 for rapids.
        error_text: why it is not understood: its moves may be others, and so may the start of those
            after it. Empty if it is.
    """

    line: int
    text: str
    words: tuple[Word, ...]
    start_mm: Point
    end_mm: Point
    kind: str
    feed_mm_min: float
    error_text: str
    moves: tuple[PathMove, ...]
    mm_per_unit: float


@dataclass(frozen=True)
class Interpretation:
    """The executed blocks of a program; notes are assumptions that a user should know."""

    dialect: Dialect
    blocks: list[ExecutedBlock]
    notes: tuple[str, ...] = ()

    @property
    def not_understood(self) -> list[tuple[int, str, str]]:
        """Line number, text and error of each line that was not understood at least once."""
        lines = {b.line: (b.line, b.text, b.error_text) for b in self.blocks if b.error_text}
        return sorted(lines.values())

    def summary(self, most: int = 5) -> str:
        """A line for a log, with the first lines that were not understood."""
        lines = self.not_understood
        shown = "; ".join(f"line {n}: {text[:60]!r}: {why}" for n, text, why in lines[:most])
        more = f"; and {len(lines) - most} more lines" if len(lines) > most else ""
        count = sum(not block.error_text for block in self.blocks)
        share = f"{count} of {len(self.blocks)} executed blocks understood"
        understood = f"{self.dialect}: {share}"
        return f"{understood}; {shown}{more}" if lines else understood


def interpret_program(
    text: str,
    *,
    dialect: Dialect | None = None,
    mm_per_unit: float = 1.0,
    start_mm: Point = (0.0, 0.0, 0.0, 0.0),
    machine_zero_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Interpretation:
    """Executes a program.

    Args:
        text: of the program file.
        dialect: by default as the text tells.
        mm_per_unit: until G20 or G21.
        start_mm: X, Y, Z and E of the machine in the frame of G54.
        machine_zero_mm: the machine's zero in this frame; G28, G53 and G10 L2 refer to it.

    Raises:
        UserError: the program does not end.
    """
    dialect = dialect or detect_dialect(text)
    machine = ModalMachine(dialect, mm_per_unit, start_mm, machine_zero_mm)
    parameters = Parameters(lambda key: _system_value(key, machine))
    flow = ProgramFlow(read_lines(text, dialect), dialect, parameters)
    blocks = list(_execute(flow.executed_lines(), machine, dialect))
    notes = []
    if not (machine.has_units or dialect.is_printer) and any(b.moves for b in blocks):
        notes.append(f"no G20 or G21: a length of 1 is taken as {mm_per_unit:g} mm")
    if machine.frame.has_assumed_offset:
        notes.append("a work offset that the program does not set is taken as that of G54")
    return Interpretation(dialect, blocks, tuple(notes))


def _execute(
    lines: Iterator[ExecutedLine], machine: ModalMachine, dialect: Dialect
) -> Iterator[ExecutedBlock]:
    for executed in lines:
        start, moves, error_text = machine.position, tuple[PathMove, ...](), executed.error_text
        if executed.words:
            moves, problem = machine.execute(executed.words)
            error_text = "; ".join(filter(None, (error_text, problem)))
        elif dialect is Dialect.KLIPPER and not error_text:
            error_text = "" if _HARMLESS.match(executed.text) else "a macro may move the machine"
        if len(moves) == 1:
            kind, _, _, feed, *_ = moves[0]
        elif moves:
            kind = max((move.kind for move in moves), key=_KIND_ORDER.index)
            feed = next((m.feed_mm_min for m in reversed(moves) if m.feed_mm_min), 0.0)
        else:
            kind, feed = "flow" if executed.is_flow else "none", 0.0
        yield ExecutedBlock(
            executed.line, executed.text or format_block(executed.words), executed.words, start,
            machine.position, kind, feed, error_text, moves, machine.mm_per_unit,
        )  # fmt: skip


def _system_value(key: Key, machine: ModalMachine) -> float | None:
    """Current position: #5420 to #5422 and #<_x> of LinuxCNC."""
    axes = {"_x": 0, "_y": 1, "_z": 2, 5420: 0, 5421: 1, 5422: 2}
    return machine.programmed(axes[key]) if key in axes else None
