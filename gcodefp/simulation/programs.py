"""The simulated G-code programs: facing, pocketing and adaptive clearing, two sizes each.

They resemble the programs of the real recordings: inches, 22 inches per minute when cutting and 7.3
when entering, raster passes linked by quarter arcs, helical entries as short lines.
Numbers in the names are sizes in millimetres.
"""

from collections.abc import Callable
from functools import cache
from math import cos, pi, sin
from typing import Any, NamedTuple

from gcodefp.recordings.columns import INCH_MM
from gcodefp.recordings.gcode import MAX_DECIMALS

CUTTING_FEED = 22.0
ENTRY_FEED = 7.3
FIRST_LINE = 16
"""Number of the first motion line; the post-processor's header comes before it."""


class ProgramLine(NamedTuple):
    """One line of a program; `engagement` is the share of the tool's width that cuts."""

    number: int
    text: str
    engagement: float


def format_cam_number(number: float) -> str:
    """At most four decimals and always a point, as in CAM output: 0 is `0.`."""
    text = f"{number:.{MAX_DECIMALS}f}".rstrip("0")
    return "0." if text in ("-0.", "0.") else text


class ProgramWriter:
    """Appends moves to a program; lengths in inches, feeds in inches per minute."""

    def __init__(self) -> None:
        self.lines: list[ProgramLine] = []
        self._words: dict[str, str] = {}

    def rapid(self, **axes: float) -> None:
        """Moves without cutting (G0)."""
        self._append("G0", axes, "", 0.0)

    def linear(self, engagement: float, *, feed: float | None = None, **axes: float) -> None:
        """Cuts along a straight line (G1)."""
        tail = "" if feed is None else f"F{format_cam_number(feed)}"
        self._append("G1", axes, tail, engagement)

    def arc(self, engagement: float, *, clockwise: bool, radius: float, **axes: float) -> None:
        """Cuts along an arc of at most half a turn in the XY plane (G2 or G3, R word)."""
        command = "G2" if clockwise else "G3"
        self._append(command, axes, f"R{format_cam_number(radius)}", engagement)

    def finish(self) -> tuple[ProgramLine, ...]:
        """Retracts to the machine's Z zero, ends the program and returns its lines."""
        self.rapid(z=0.6)
        self._add("G53 G0 Z0.", 0.0)
        self._add("M30", 0.0)
        return tuple(self.lines)

    def _append(self, command: str, axes: dict[str, float], tail: str, engagement: float) -> None:
        words = {letter.upper(): format_cam_number(value) for letter, value in axes.items()}
        changed = [
            letter + number for letter, number in words.items() if self._words.get(letter) != number
        ]
        if not changed:
            return
        head = [] if self._words.get("G") == command else [command]
        self._words.update(words, G=command)
        self._add(" ".join([*head, *changed, *([tail] if tail else [])]), engagement)

    def _add(self, text: str, engagement: float) -> None:
        self.lines.append(ProgramLine(FIRST_LINE + len(self.lines), text, engagement))


MillProgram = tuple[ProgramLine, ...]


def face(width_mm: float, passes: int, radius: float) -> MillProgram:
    """Raster passes along X from the right edge, linked by two quarter arcs each.

    Args:
        width_mm: of the stock, which the passes overrun on both sides.
        passes: number of passes.
        radius: of the linking arcs, half the distance between passes, in inches.
    """
    left, right, y = -0.1254, width_mm / INCH_MM + 0.1254, 0.0427
    writer = ProgramWriter()
    writer.rapid(x=right + 0.05, y=y)
    writer.rapid(z=0.6)
    writer.rapid(z=0.125)
    writer.linear(0.0, z=0.025, feed=ENTRY_FEED)
    for step in range(1, 6):
        angle = pi / 2 * step / 5
        writer.linear(0.1 * step, x=right + 0.05 - 0.025 * (1 - cos(angle)),
                    z=0.025 * (1 - sin(angle)))  # fmt: skip
    for number in range(passes):
        is_leftward = number % 2 == 0
        x, side = (left, -1.0) if is_leftward else (right, 1.0)
        # Climb milling engages less than conventional milling: the microphone measures it.
        writer.linear(0.55 if is_leftward else 0.8, x=x, feed=CUTTING_FEED if number == 0 else None)
        if number < passes - 1:
            for turn in (1, 2):
                y += radius
                writer.arc(0.25, clockwise=is_leftward, radius=radius,
                           x=x + side * radius if turn == 1 else x, y=y)  # fmt: skip
    return writer.finish()


def pocket(size_mm: float, depths: tuple[float, ...], loops: int, turns: float) -> MillProgram:
    """At each depth a helical entry, then concentric squares with rounded corners, outwards."""
    centre, tool_radius = 1.575, 0.0625
    last_half = size_mm / INCH_MM / 2 - tool_radius
    first_half = 0.4 * last_half
    writer = ProgramWriter()
    top = 0.1
    for depth in depths:
        write_helical_entry(writer, (centre, centre), 0.1, top, depth, turns)
        for loop in range(loops):
            half = first_half + (last_half - first_half) * loop / max(loops - 1, 1)
            write_rounded_square(writer, centre, half, min(0.12, 0.6 * half))
        top = depth + 0.02
        if depth != depths[-1]:
            writer.rapid(z=top)
    return writer.finish()


def adaptive(length_mm: float, radius: float, loops: int, turns: float) -> MillProgram:
    """A helical entry, then D-shaped loops along X: half a circle that cuts, a line back."""
    x, y, floor = 0.6, 1.2, -0.125
    writer = ProgramWriter()
    write_helical_entry(writer, (x, y), 0.6 * radius, 0.1, floor, turns)
    writer.linear(0.4, x=x, y=y - radius, feed=CUTTING_FEED)
    advance = length_mm / INCH_MM / loops
    for number in range(loops):
        # Engagement varies as around corners of the stock, so that loops differ.
        engagement = 0.65 + 0.3 * sin(2 * pi * number / loops)
        writer.arc(engagement, clockwise=False, radius=radius, x=x + radius, y=y)
        writer.arc(engagement * 0.8, clockwise=False, radius=radius, x=x, y=y + radius)
        x += advance
        y += 0.25 * advance
        writer.linear(0.0, x=x, y=y - radius)
    return writer.finish()


def write_helical_entry(
    writer: ProgramWriter,
    centre: tuple[float, float],
    radius: float,
    top: float,
    floor: float,
    turns: float,
) -> None:
    """Moves above a helix and descends it counter-clockwise in sixteen lines a turn."""
    writer.rapid(x=centre[0] + radius, y=centre[1])
    writer.rapid(z=max(top + 0.1, 0.2))
    writer.linear(0.0, z=top, feed=ENTRY_FEED)
    count = round(16 * turns)
    for step in range(1, count + 1):
        angle = 2 * pi * step / 16
        writer.linear(
            0.3,
            x=centre[0] + radius * cos(angle),
            y=centre[1] + radius * sin(angle),
            z=top + (floor - top) * step / count,
        )


def write_rounded_square(writer: ProgramWriter, centre: float, half: float, corner: float) -> None:
    """A counter-clockwise square; the tool engages more in its inner corners."""
    low, high = centre - half, centre + half
    writer.linear(0.5, x=high, y=centre, feed=CUTTING_FEED)
    writer.linear(0.5, y=high - corner)
    writer.arc(0.9, clockwise=False, radius=corner, x=high - corner, y=high)
    writer.linear(0.5, x=low + corner)
    writer.arc(0.9, clockwise=False, radius=corner, x=low, y=high - corner)
    writer.linear(0.5, y=low + corner)
    writer.arc(0.9, clockwise=False, radius=corner, x=low + corner, y=low)
    writer.linear(0.5, x=high - corner)
    writer.arc(0.9, clockwise=False, radius=corner, x=high, y=low + corner)
    writer.linear(0.5, y=centre)


_BUILDERS: dict[str, tuple[Callable[..., MillProgram], dict[str, Any]]] = {
    "face40": (face, {"width_mm": 40, "passes": 10, "radius": 0.083}),
    "face50": (face, {"width_mm": 50, "passes": 9, "radius": 0.11}),
    "pocket25": (pocket, {"size_mm": 25, "depths": (-0.06, -0.12), "loops": 2, "turns": 1}),
    "pocket40": (pocket, {"size_mm": 40, "depths": (-0.125,), "loops": 3, "turns": 1.5}),
    "adaptive25": (adaptive, {"length_mm": 25, "radius": 0.2, "loops": 12, "turns": 1}),
    "adaptive40": (adaptive, {"length_mm": 40, "radius": 0.3, "loops": 8, "turns": 0.75}),
}
_SIZES = {face: ("width_mm",), pocket: ("size_mm",), adaptive: ("length_mm", "radius")}

PROGRAMS = tuple(_BUILDERS)
"""Names of the programs that can be simulated."""


@cache
def build_program(name: str, scale: float = 1, fewer: bool = False) -> MillProgram:
    """The lines of a program.

    Args:
        name: one of PROGRAMS.
        scale: factor of its size.
        fewer: whether it has a pass, a depth or a loop less.
    """
    builder, arguments = _BUILDERS[name]
    changed = {size: scale * arguments[size] for size in _SIZES[builder]}
    if fewer and len(arguments.get("depths", ())) > 1:
        changed["depths"] = arguments["depths"][:-1]
    elif fewer:
        repeated = "passes" if builder is face else "loops"
        changed[repeated] = arguments[repeated] - 1
    return builder(**(arguments | changed))
