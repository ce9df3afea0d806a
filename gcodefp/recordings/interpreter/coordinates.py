"""The coordinate systems of a program: work offsets, G52, G92, and where the machine goes home.

Positions are in mm, in the frame that G54 has at the start. The offset is what is added to a
programmed coordinate: work offset + shift (G92, G52).
"""

from collections.abc import Sequence

from gcodefp.recordings.interpreter.dialects import Dialect
from gcodefp.recordings.interpreter.tool_moves import Point

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
