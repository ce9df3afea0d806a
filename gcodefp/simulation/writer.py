"""Writes G-code the way a CAM post-processor does: modal words only where they change."""

from typing import NamedTuple

from gcodefp.recordings.gcode import MAX_DECIMALS

FIRST_LINE = 16
"""Number of the first motion line; the lines before it are the post-processor's header."""


class ProgramLine(NamedTuple):
    """One line of a program, and how much of the tool's width cuts while it runs (0 to 1)."""

    number: int
    text: str
    engagement: float


def format_cam_number(number: float) -> str:
    """At most four decimals and always a point, as CAM programs print: 0 is `0.`."""
    text = f"{number:.{MAX_DECIMALS}f}".rstrip("0")
    return "0." if text in ("-0.", "0.") else text


class ProgramWriter:
    """Appends moves to a program; lengths in inches, feeds in inches per minute."""

    def __init__(self) -> None:
        self.lines: list[ProgramLine] = []
        self._words: dict[str, str] = {}

    def rapid(self, **axes: float) -> None:
        """Positions without cutting (G0)."""
        self._append("G0", axes, "", 0.0)

    def line(self, engagement: float, *, feed: float | None = None, **axes: float) -> None:
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
