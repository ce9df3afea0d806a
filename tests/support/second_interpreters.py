"""Compares the path of gcodefp's interpreter with that of LinuxCNC's rs274, or of Printrun.

    python tests/support/second_interpreters.py FILE...             (Debian: linuxcnc-uspace)
    python tests/support/second_interpreters.py --printer FILE...   (pip: Printrun)

rs274 gives each line and arc of the path, Printrun's gcoder the end point of each printer's block;
its G28 X0 homes all axes and is left out. Exits with 1 if an end point is more than 0.01 mm off.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from math import dist, floor, pi
from pathlib import Path

from gcodefp.recordings.interpreter import interpret_program
from gcodefp.recordings.interpreter.dialects import Dialect
from gcodefp.recordings.interpreter.tool_moves import PLANE_AXES, PathMove
from gcodefp.recordings.laboratory.program_file import read_program

TOLERANCE_MM = 0.01
PLANES = {"XY": 17, "XZ": 18, "YZ": 19}
_CANON = re.compile(r"N\S* +([A-Z0-9_]+)\((.*)\)")


def rs274_path(path: Path, program: str = "rs274") -> list[tuple[float, ...]]:
    """The path by LinuxCNC: 0 (rapid), 1 (feed) or an arc's plane, X, Y, Z, its centre and turns.

    Raises:
        ValueError: LinuxCNC refuses the program.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "variables").touch()
        tools = [f"T{number} P{number} D0 Z0 ;\n" for number in range(1, 200)]
        (Path(folder) / "tools").write_text("".join(tools))
        command = [program, "-g", "-t", "tools", "-v", "variables", str(path.resolve())]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if "PROGRAM_END" not in run.stdout:
        raise ValueError(f"{path}: {run.stderr.strip()}")
    moves_found, scale, plane = list[tuple[float, ...]](), 1.0, 17
    work, shift = [0.0] * 3, [0.0] * 3
    for name, arguments in _CANON.findall(run.stdout):
        if name == "USE_LENGTH_UNITS":
            scale = 25.4 if "INCH" in arguments else 1.0
        elif name == "SELECT_PLANE":
            plane = PLANES[arguments[-2:]]
        elif name in ("SET_G5X_OFFSET", "SET_G92_OFFSET"):
            offset = [float(x) * scale for x in arguments.split(",")[-6:-3]]
            work, shift = (offset, shift) if "G5X" in name else (work, offset)
        elif name in ("STRAIGHT_TRAVERSE", "STRAIGHT_FEED", "ARC_FEED"):
            numbers = [float(x) for x in arguments.split(",")]
            total = [a + b for a, b in zip(work, shift, strict=True)]
            moves_found.append(_move(name, numbers, scale, plane, total))
    return moves_found


def _move(
    name: str, numbers: list[float], scale: float, plane: int, offset: list[float]
) -> tuple[float, ...]:
    if name != "ARC_FEED":
        return (
            float(name == "STRAIGHT_FEED"),
            *(x * scale + o for x, o in zip(numbers[:3], offset, strict=True)),
        )
    a, b, c = PLANE_AXES[plane]
    end = [0.0] * 3
    end[a], end[b], end[c] = numbers[0], numbers[1], numbers[5]
    ends = [x * scale + o for x, o in zip(end, offset, strict=True)]
    centre = (numbers[2] * scale + offset[a], numbers[3] * scale + offset[b])
    return (plane, *ends, *centre, numbers[4])


def own_path(text: str, dialect: Dialect | None = Dialect.LINUXCNC) -> list[tuple[float, ...]]:
    """The path in the form of `rs274_path`."""
    moves = [m for b in interpret_program(text, dialect=dialect).blocks for m in b.moves]
    return [_as_row(move) for move in moves if move.kind != "dwell"]


def _as_row(move: PathMove) -> tuple[float, ...]:
    if move.kind != "arc":
        return (float(move.kind == "feed"), *move.end_mm[:3])
    a, b, _ = PLANE_AXES[move.plane]
    turns = floor(abs(move.swept_angle) / (2 * pi) - 1e-9) + 1
    centre = (move.centre_mm[a], move.centre_mm[b])
    return (move.plane, *move.end_mm[:3], *centre, turns if move.swept_angle > 0 else -turns)


def printer_errors_mm(text: str) -> list[float]:
    """How far the end point of each block that moves is from Printrun's."""
    from printrun.gcoder import GCode

    other, ends = GCode(deferred=True), dict[int, tuple[float, float, float]]()
    other.prepare([])
    for number, line in enumerate(text.splitlines(), 1):
        if (block := other.append(line, store=False)) is not None:
            ends[number] = (block.current_x, block.current_y, block.current_z)
    blocks = [b for b in interpret_program(text).blocks if b.moves and b.text != "G28 X0"]
    return [dist(block.end_mm[:3], ends[block.line]) for block in blocks]


def path_error_mm(first: Sequence[tuple[float, ...]], second: Sequence[tuple[float, ...]]) -> float:
    """The largest distance of two paths, moves that rest left out; infinite if they differ."""
    paths = [_without_rests(first), _without_rests(second)]
    if len(paths[0]) != len(paths[1]):
        return float("inf")
    pairs = list(zip(*paths, strict=True))
    if any(len(a) != len(b) or a[0] != b[0] or a[6:] != b[6:] for a, b in pairs):
        return float("inf")
    return max((dist(a[1:6], b[1:6]) for a, b in pairs), default=0.0)


def _without_rests(path: Sequence[tuple[float, ...]]) -> list[tuple[float, ...]]:
    kept: list[tuple[float, ...]] = []
    position = (0.0, 0.0, 0.0)
    for row in path:
        if row[0] > 1 or dist(row[1:4], position) > 1e-4:
            kept.append(row)
        position = (row[1], row[2], row[3])
    return kept


def read_path(path: Path) -> list[tuple[float, ...]]:
    """A path that `--record` has written."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [tuple(float(number) for number in line.split()) for line in lines]


def main() -> int:
    """Prints the largest distance of each file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--program", default="rs274", help="the executable rs274")
    parser.add_argument("--printer", action="store_true", help="compare with Printrun")
    parser.add_argument("--record", action="store_true", help="write rs274's path as FILE.path")
    arguments = parser.parse_args()
    worst = 0.0
    for path in arguments.files:
        if arguments.printer:
            errors = printer_errors_mm(read_program(path))
            worst = max(worst, *errors)
            print(f"{path.name}: {len(errors)} end points, at most {max(errors):.5f} mm apart")
            continue
        own, other = own_path(read_program(path)), rs274_path(path, arguments.program)
        error = path_error_mm(own, other)
        if arguments.record:
            rows = (" ".join(f"{number:.5g}" for number in row) for row in other)
            path.with_suffix(".path").write_text("\n".join(rows) + "\n", encoding="utf-8")
        worst = max(worst, error)
        print(f"{path.name}: {len(own)} moves, at most {error:.5f} mm apart")
    return int(worst > TOLERANCE_MM)


if __name__ == "__main__":
    sys.exit(main())
