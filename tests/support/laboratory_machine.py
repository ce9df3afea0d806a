"""A machine that executes a known program with known signals: what laboratory_samples logs.

SYNTHETIC, no machine made these values. The rule:

- A program has 20 blocks: modal settings, a rapid above the part, a plunge, 14 cuts, a retract, the
  end. The machine stands for IDLE_SECONDS, then executes it without acceleration (each move at its
  feed from its first to its last moment), then stands for IDLE_SECONDS again.
- Acceleration in g, at the machine's time t in s: Ax = |vx| / 100 · sin(2π 40 t),
  Ay = |vy| / 100 · sin(2π 40 t), Az = 1 + |v| / 100 · sin(2π 60 t), v in mm/s, each plus
  Gaussian noise of NOISE_G from the run's seed. Its RMS about the mean in a cut is |v| / (100 √2).
- Motor current in A of an axis: 0.5 + |v_axis| / 20, plus Gaussian noise of NOISE_A.
- The sensors' clock says t + lag where the controller's says t.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PROGRAMS = ("square", "zigzag", "star")
FIRST_LINE = 2
"""Of a program's blocks; line 1 is a comment."""
IDLE_SECONDS = 2.0
RAPID_MM_S = 25.0
PLUNGE_MM_S = 5.0
CUT_MM_S = 10.0
CUTS = 14
CLEARANCE_MM, DEPTH_MM = 5.0, -0.5
VIBRATION_HZ = 40.0
Z_VIBRATION_HZ = 60.0
MM_S_PER_G = 100.0
NOISE_G = 0.005
IDLE_A, MM_S_PER_A, NOISE_A = 0.5, 20.0, 0.01


class Block(NamedTuple):
    """One line of a program; `line` counts the file's lines from 1, times are the machine's."""

    line: int
    text: str
    start: float
    end: float
    target_mm: tuple[float, float, float]


def cut_points(program: str) -> list[tuple[float, float]]:
    """Where the cuts of a program end, from the first point on: CUTS + 1 points in mm."""
    steps = range(CUTS + 1)
    if program == "square":  # a spiral outwards, each side 3 mm longer than the one before
        points, direction = [(40.0, 40.0)], [(1, 0), (0, 1), (-1, 0), (0, -1)]
        for step in range(CUTS):
            (x, y), (dx, dy), side = points[-1], direction[step % 4], 20.0 + 3.0 * step
            points.append((x + dx * side, y + dy * side))
        return points
    if program == "zigzag":  # long strokes in x, each with a different rise
        return [(50.0 * (step % 2), 2.0 * step + step**2 / 4) for step in steps]
    angles = [2.4 * step for step in steps]  # a star: 2.4 rad from one point to the next
    return [(round(20 * np.cos(a), 3), round(20 * np.sin(a), 3)) for a in angles]


@dataclass(frozen=True)
class Run:
    """A program executed once.

    Attributes:
        seed: of the sensors' noise.
        lag_seconds: sensors' clock - controller's clock.
        speed: factor of all feeds.
        printer: whether cuts extrude (E words), and the program ends with M84 instead of M30.
        numbered: whether each block has an N word, ten times its line.
    """

    program: str = "square"
    seed: int = 0
    lag_seconds: float = 0.0
    speed: float = 1.0
    printer: bool = False
    numbered: bool = False
    blocks: tuple[Block, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self._blocks()))

    def _blocks(self) -> list[Block]:
        blocks: list[Block] = []
        extruded = 0.0
        (x0, y0), *points = cut_points(self.program)

        def add(text: str, target: tuple[float, float, float], mm_s: float | None) -> None:
            start, origin = (
                (blocks[-1].end, blocks[-1].target_mm) if blocks else (IDLE_SECONDS, (0.0,) * 3)
            )
            seconds = float(np.linalg.norm(np.subtract(target, origin))) / (mm_s or np.inf)
            line = len(blocks) + FIRST_LINE
            number = f"N{10 * line} " if self.numbered else ""
            blocks.append(Block(line, number + text, start, start + seconds, target))

        rapid, plunge, cut = (s * self.speed for s in (RAPID_MM_S, PLUNGE_MM_S, CUT_MM_S))
        add("G21 G90 G17" if not self.printer else "G21", (0.0, 0.0, 0.0), None)
        add(f"G0 Z{CLEARANCE_MM:g}", (0.0, 0.0, CLEARANCE_MM), rapid)
        add(f"G0 X{x0:g} Y{y0:g}", (x0, y0, CLEARANCE_MM), rapid)
        add(f"G1 Z{DEPTH_MM:g} F{60 * plunge:g}", (x0, y0, DEPTH_MM), plunge)
        for x, y in points:
            feed = f" F{60 * cut:g}" if (x, y) == points[0] else ""
            extruded += 0.05 * float(np.linalg.norm(np.subtract((x, y), blocks[-1].target_mm[:2])))
            extrusion = f" E{extruded:.4f}" if self.printer else ""
            add(f"G1 X{x:g} Y{y:g}{extrusion}{feed}", (x, y, DEPTH_MM), cut)
        x, y, _ = blocks[-1].target_mm
        add(f"G0 Z{CLEARANCE_MM:g}", (x, y, CLEARANCE_MM), rapid)
        add("M84" if self.printer else "M30", (x, y, CLEARANCE_MM), None)
        return blocks

    @property
    def text(self) -> str:
        """The program file: a comment, then a block a line."""
        comment = "; synthetic" if self.printer else "(synthetic)"
        return "".join(f"{line}\n" for line in (comment, *(block.text for block in self.blocks)))

    @property
    def seconds(self) -> float:
        """From the log's start to its end."""
        return self.blocks[-1].end + IDLE_SECONDS

    def times(self, rate_hz: float) -> NDArray[np.float64]:
        """(N,) the machine's time at each row of a logger."""
        return np.arange(int(self.seconds * rate_hz)) / rate_hz

    def index(self, t: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) index of the block that is executed at each time; -1 before and after."""
        ends = np.array([block.end for block in self.blocks])
        index = np.searchsorted(ends, t, side="right")
        return np.where((t < IDLE_SECONDS) | (index >= len(ends)), -1, index)

    def lines(self, t: NDArray[np.float64]) -> NDArray[np.int64]:
        """(N,) line that is executed at each time; 0 while the machine stands."""
        index = self.index(t)
        return np.where(index < 0, 0, index + FIRST_LINE)

    def position_mm(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3)."""
        times = [IDLE_SECONDS, *(block.end for block in self.blocks)]
        targets = np.array([(0.0, 0.0, 0.0), *(block.target_mm for block in self.blocks)])
        return np.stack([np.interp(t, times, axis) for axis in targets.T], axis=1)

    def velocity_mm_s(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3)."""
        origins = np.array([(0.0, 0.0, 0.0), *(block.target_mm for block in self.blocks)])
        seconds = np.array([block.end - block.start for block in self.blocks])
        moves = np.diff(origins, axis=0)
        velocities = np.divide(moves, seconds[:, None], where=seconds[:, None] > 0, out=0 * moves)
        return np.vstack([velocities, np.zeros(3)])[self.index(t)]

    def feed_mm_min(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) the speed along the path."""
        return 60 * np.linalg.norm(self.velocity_mm_s(t), axis=1)

    def acceleration_g(self, clock: NDArray[np.float64], node: int = 0) -> NDArray[np.float64]:
        """(N, 3) of a sensor node, at times of the sensors' clock."""
        t = clock - self.lag_seconds
        velocity = self.velocity_mm_s(t)
        speed = np.stack([*np.abs(velocity.T[:2]), np.linalg.norm(velocity, axis=1)], axis=1)
        waves = [np.sin(2 * np.pi * hz * t) for hz in (VIBRATION_HZ, VIBRATION_HZ, Z_VIBRATION_HZ)]
        noise = np.random.default_rng([self.seed, node]).normal(scale=NOISE_G, size=(len(t), 3))
        return speed / MM_S_PER_G * np.stack(waves, axis=1) + [0, 0, 1] + noise

    def current_a(self, clock: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 3) of the motors of x, y and z, at times of the sensors' clock."""
        speed = np.abs(self.velocity_mm_s(clock - self.lag_seconds))
        noise = np.random.default_rng([self.seed, 99]).normal(scale=NOISE_A, size=speed.shape)
        return IDLE_A + speed / MM_S_PER_A + noise
