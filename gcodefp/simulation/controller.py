"""The controller's reports: time, line, position, feed and modes, as in the real logs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.programs.motion import INCH_MM, MACHINE_ORIGIN_MM, Trajectory, Vector
from gcodefp.recordings.gcode import PROGRAM_END
from gcodefp.simulation.programs import Program

MOVING_SECONDS = 0.257
RESTING_SECONDS = 0.515
JITTER_SECONDS = 0.002
GAP_SHARE = 0.004
LOOK_AHEAD_LINES = 26
"""Lines in the planner's buffer, which fills before the machine moves."""
LOOK_AHEAD_ROWS = 8
HOLD_ROWS = 4
END_ROWS = 9


@dataclass(frozen=True)
class Report:
    """The R status reports of a recording.

    Attributes:
        seconds: times of the reports; the program starts at 0, (R,).
        line_index: program line that each reports, (R,).
        clock_seconds: time of day of the program's start.
    """

    seconds: Vector
    line_index: NDArray[np.intp]
    clock_seconds: float


def report_times(trajectory: Trajectory, program: Program, rng: np.random.Generator) -> Report:
    """Draws the times of the reports and the line that each names."""
    full = min(LOOK_AHEAD_LINES, len(program) - 3)
    ahead = np.minimum(rng.integers(8, 13) * np.arange(1, LOOK_AHEAD_ROWS + 1), full)
    before = np.where(ahead < full, MOVING_SECONDS, RESTING_SECONDS)
    count = int(trajectory.seconds / MOVING_SECONDS) + 1
    periods = MOVING_SECONDS + rng.normal(0, JITTER_SECONDS, count)
    periods += np.where(rng.random(count) < GAP_SHARE, rng.uniform(0.25, 1.5, count), 0.0)
    running = rng.uniform(0.0, 0.1) + np.concatenate([[0.0], np.cumsum(periods)])
    running = running[running <= trajectory.seconds]
    after = RESTING_SECONDS + rng.normal(0, JITTER_SECONDS, HOLD_ROWS + END_ROWS)
    seconds = np.concatenate(
        [
            running[0] - np.cumsum(before[::-1])[::-1],
            running,
            trajectory.seconds + np.cumsum(after),
        ]
    )
    line_of_move = np.array([move.line_index for move in trajectory.moves])
    lines = np.concatenate(
        [
            ahead,
            line_of_move[trajectory.at(running).move_index],
            np.repeat([len(program) - 2, len(program) - 1], [HOLD_ROWS, END_ROWS]),
        ]
    )
    clock_seconds = rng.integers(9 * 3600, 17 * 3600) + rng.random()
    return Report(seconds, lines, float(clock_seconds))


def controller_rows(
    trajectory: Trajectory, program: Program, report: Report
) -> Mapping[str, NDArray[Any] | list[str]]:
    """The controller's columns of the R reports, labels included."""
    motion, feed, ends_mm = _per_line(trajectory, program)
    lines = report.line_index
    position_mm = trajectory.at(report.seconds).position_mm
    # Before it moves, the controller reports the end of the block that it planned last.
    position_mm = np.where((report.seconds < 0)[:, None], ends_mm[lines], position_mm)
    machine_mm = position_mm + np.array(MACHINE_ORIGIN_MM)
    texts = [program[line].text for line in lines]
    ended = np.array([text in PROGRAM_END for text in texts])
    in_machine_frame = ended | np.array([text.startswith("G53") for text in texts])
    shown = np.where(in_machine_frame[:, None], machine_mm, position_mm)
    shown = np.where(ended[:, None], shown, shown / INCH_MM)
    number = np.array([line.number for line in program])[lines]
    empty = np.full(len(lines), np.nan)
    return {
        "t_console": [format_clock(report.clock_seconds + t) for t in report.seconds],
        "stat": np.where(ended, 3, 5),
        "line": number,
        **{f"pos{axis}": np.round(shown[:, i], 5) for i, axis in enumerate("xyz")},
        **{f"mpo{axis}": np.round(machine_mm[:, i], 5) for i, axis in enumerate("xyz")},
        "vel": empty,
        "feed": np.where(ended, 0.0, feed[lines]),
        "unit": ended.astype(int),
        "dist": np.zeros(len(lines), dtype=int),
        "plane": empty,
        "coor": np.where(ended, 1, 2),
        "momo": np.where(ended, 4, motion[lines]),
        "gcode_line": number,
        "gcode_string": texts,
    }


def format_clock(seconds: float) -> str:
    """The time of day as HH:MM:SS.mmm."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds / 1000:06.3f}"


def _per_line(trajectory: Trajectory, program: Program) -> tuple[NDArray[np.int64], Vector, Vector]:
    """Modal motion, feed in mm/min and end point in mm of each program line."""
    move_of_line = {move.line_index: move for move in trajectory.moves}
    motion = np.zeros(len(program), dtype=np.int64)
    feed = np.zeros(len(program))
    ends = np.zeros((len(program), 3))
    last = trajectory.moves[0]
    for index in range(len(program)):
        last = move_of_line.get(index, last)
        motion[index] = last.motion
        feed[index] = round(last.feed_mm_min, 2)
        ends[index] = last.end_mm
    return motion, feed, ends
