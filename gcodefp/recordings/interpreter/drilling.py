"""Drilling cycles, G73 to G89: the moves of a hole (RS-274/NGC, section 3.5.16)."""

from collections.abc import Iterator
from typing import NamedTuple

from gcodefp.recordings.interpreter.tool_moves import PathMove, Point, at_height

MAX_PECKS = 1000
CHIP_BREAK_MM = 0.254
CYCLES = (73, 74, 76, 81, 82, 83, 84, 85, 86, 88, 89)
PECKING, FEEDS_OUT, DWELLS = (73, 83), (74, 84, 85, 89), (76, 82, 86, 88, 89)


class Hole(NamedTuple):
    """One hole of a drilling cycle, in mm and seconds; heights are along the axis across.

    Attributes:
        peck: depth of one peck; 0 without.
        clear: the height where the cycle ends.
        feed_out: up to where boring and tapping feed out.
    """

    code: int
    top: float
    bottom: float
    clear: float
    feed_out: float
    peck: float
    dwell_seconds: float
    feed_mm_min: float


def drill(hole: Hole, place: Point, axis: int) -> Iterator[PathMove]:
    """The moves of a hole from a place at its top."""

    def move(kind: str, height: float) -> PathMove:
        nonlocal place
        start, place = place, at_height(place, axis, height)
        return PathMove(kind, start, place, hole.feed_mm_min if kind == "feed" else 0.0)

    is_pecking = hole.code in PECKING and hole.peck > 0
    depths = [hole.bottom]
    if is_pecking:
        pecks = int((hole.top - hole.bottom) / hole.peck * (1 - 1e-12))
        depths = [hole.top - hole.peck * (i + 1) for i in range(pecks)] + depths
    for depth in depths:
        yield move("feed", depth)
        if depth != hole.bottom:
            up = hole.top if hole.code == 83 else min(depth + CHIP_BREAK_MM, hole.top)
            yield move("rapid", up)
            if hole.code == 83:
                yield move("rapid", min(depth + CHIP_BREAK_MM, hole.top))
    if hole.code in DWELLS and hole.dwell_seconds:
        yield PathMove("dwell", place, place, seconds=hole.dwell_seconds)
    if hole.code in FEEDS_OUT:
        yield move("feed", hole.feed_out)
    if hole.clear != place[axis]:
        yield move("rapid", hole.clear)


class Cycle:
    """What holds until a cycle ends: its R, depth, Q and P, and the level where it began."""

    def __init__(self) -> None:
        self._words: dict[str, float] = {}
        self.initial_level: float | None = None

    def end(self) -> None:
        """By a code of another motion."""
        self._words.clear()
        self.initial_level = None

    def hole(
        self,
        code: float,
        words: dict[str, float],
        depth_letter: str,
        level: float,
        offset: float | None,
        scale: float,
    ) -> Hole:
        """The hole of a block, with feed 0; it ends at its top.

        Args:
            level: where the tool is.
            offset: of the axis; None with incremental coordinates.
            scale: mm of a length unit.

        Raises:
            ValueError: no block of the cycle had R or the depth, or the hole does not go down, or
                in too many pecks.
        """
        self._words |= {k: v for k, v in words.items() if k in (depth_letter, "R", "Q", "P")}
        if not self._words.keys() >= {depth_letter, "R"}:
            raise ValueError(f"a cycle without R or {depth_letter}")
        if self.initial_level is None:
            self.initial_level = level
        top, bottom = self._words["R"] * scale, self._words[depth_letter] * scale
        top += self.initial_level if offset is None else offset
        bottom += top if offset is None else offset
        peck = abs(self._words.get("Q", 0.0)) * scale
        if bottom > top:
            raise ValueError("the cycle's bottom is above its R")
        if top - bottom > MAX_PECKS * peck > 0:
            raise ValueError(f"more than {MAX_PECKS} pecks")
        return Hole(int(code), top, bottom, top, top, peck, self._words.get("P", 0.0), 0.0)
