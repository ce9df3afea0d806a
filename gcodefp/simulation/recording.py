"""Assembles recordings: controller reports, interpolated sensors, faults, CSV files.

The random numbers of a recording depend on the seed and its name alone, not on other recordings or
programs.
"""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.files import replacing
from gcodefp.programs.motion import MACHINE_ORIGIN_MM, Trajectory, Vector, plan, trace_program
from gcodefp.recordings.columns import INCH_MM
from gcodefp.recordings.gcode import PROGRAM_END
from gcodefp.simulation.alterations import altered_lines, altered_table, altered_trajectory
from gcodefp.simulation.programs import PROGRAMS, MillProgram, build_program
from gcodefp.simulation.sensors import (
    NODES,
    Node,
    machine_load,
    measure_node,
    motor_currents,
    sample_clock,
)

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
class StatusReports:
    """The R line reports of a recording.

    Attributes:
        seconds: times of the reports; the program starts at 0, (R,).
        line_index: reported program line, (R,).
        clock_seconds: time of day of the program's start.
    """

    seconds: Vector
    line_index: NDArray[np.intp]
    clock_seconds: float


def report_times(
    trajectory: Trajectory, program: MillProgram, rng: np.random.Generator
) -> StatusReports:
    """Draws the times of the reports and their lines."""
    max_ahead = min(LOOK_AHEAD_LINES, len(program) - 3)
    lines_ahead = np.minimum(rng.integers(8, 13) * np.arange(1, LOOK_AHEAD_ROWS + 1), max_ahead)
    look_ahead_periods = np.where(lines_ahead < max_ahead, MOVING_SECONDS, RESTING_SECONDS)
    count = int(trajectory.seconds / MOVING_SECONDS) + 1
    periods = MOVING_SECONDS + rng.normal(0, JITTER_SECONDS, count)
    periods += np.where(rng.random(count) < GAP_SHARE, rng.uniform(0.25, 1.5, count), 0.0)
    moving = rng.uniform(0.0, 0.1) + np.concatenate([[0.0], np.cumsum(periods)])
    moving = moving[moving <= trajectory.seconds]
    end_periods = RESTING_SECONDS + rng.normal(0, JITTER_SECONDS, HOLD_ROWS + END_ROWS)
    seconds = np.concatenate(
        [
            moving[0] - np.cumsum(look_ahead_periods[::-1])[::-1],
            moving,
            trajectory.seconds + np.cumsum(end_periods),
        ]
    )
    line_of_move = np.array([move.line_index for move in trajectory.moves])
    lines = np.concatenate(
        [
            lines_ahead,
            line_of_move[trajectory.kinematics_at(moving).move_index],
            np.repeat([len(program) - 2, len(program) - 1], [HOLD_ROWS, END_ROWS]),
        ]
    )
    clock_seconds = rng.integers(9 * 3600, 17 * 3600) + rng.random()
    return StatusReports(seconds, lines, float(clock_seconds))


def controller_rows(
    trajectory: Trajectory, program: MillProgram, report: StatusReports
) -> Mapping[str, NDArray[Any] | list[str]]:
    """The controller's columns of the R reports, labels included."""
    motion, feed, ends_mm = _per_line(trajectory, program)
    lines = report.line_index
    position_mm = trajectory.kinematics_at(report.seconds).position_mm
    # Before motion the controller reports the end of the last planned block.
    position_mm = np.where((report.seconds < 0)[:, None], ends_mm[lines], position_mm)
    machine_mm = position_mm + np.array(MACHINE_ORIGIN_MM)
    texts = [program[line].text for line in lines]
    is_end = np.array([text in PROGRAM_END for text in texts])
    in_machine_frame = is_end | np.array([text.startswith("G53") for text in texts])
    reported_position = np.where(in_machine_frame[:, None], machine_mm, position_mm)
    reported_position = np.where(is_end[:, None], reported_position, reported_position / INCH_MM)
    line_number = np.array([line.number for line in program])[lines]
    empty = np.full(len(lines), np.nan)
    return {
        "t_console": [format_clock(report.clock_seconds + t) for t in report.seconds],
        "stat": np.where(is_end, 3, 5),
        "line": line_number,
        **{f"pos{axis}": np.round(reported_position[:, i], 5) for i, axis in enumerate("xyz")},
        **{f"mpo{axis}": np.round(machine_mm[:, i], 5) for i, axis in enumerate("xyz")},
        "vel": empty,
        "feed": np.where(is_end, 0.0, feed[lines]),
        "unit": is_end.astype(int),
        "dist": np.zeros(len(lines), dtype=int),
        "plane": empty,
        "coor": np.where(is_end, 1, 2),
        "momo": np.where(is_end, 4, motion[lines]),
        "gcode_line": line_number,
        "gcode_string": texts,
    }


def format_clock(seconds: float) -> str:
    """The time of day as HH:MM:SS.mmm."""
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{milliseconds / 1000:06.3f}"


def _per_line(
    trajectory: Trajectory, program: MillProgram
) -> tuple[NDArray[np.int64], Vector, Vector]:
    """Modal motion, feed in mm/min and end point in mm of each program line."""
    lines = [move.line_index for move in trajectory.moves]
    latest = np.searchsorted(lines, np.arange(len(program)), side="right") - 1
    moves = [trajectory.moves[index] for index in latest.clip(min=0)]
    return (
        np.array([move.motion for move in moves]),
        np.array([round(move.feed_mm_min, 2) for move in moves]),
        np.array([move.end_mm for move in moves]),
    )


FAULT_SHARE = 1 / 8
"""Share of recordings with a fault of each kind."""


def choose_nodes(rng: np.random.Generator) -> list[Node]:
    """The nodes of a recording in column order; with probability FAULT_SHARE one is missing."""
    order = [NODES[index] for index in rng.permutation(len(NODES))]
    return order[1:] if rng.random() < FAULT_SHARE else order


def add_faults(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A copy in which each fault occurs with the probability FAULT_SHARE."""
    table = table.copy()
    has_freeze, has_gaps, has_duplicates = rng.random(3) < FAULT_SHARE
    nodes = list(dict.fromkeys(name.split(".")[0] for name in table.columns if "." in name))

    def columns_of(node: str) -> list[str]:
        return [name for name in table.columns if name.startswith(f"{node}.")]

    if has_freeze:
        frozen = columns_of(str(rng.choice(nodes)))
        row = int(rng.integers(len(table) // 4, len(table)))
        table.loc[row:, frozen] = table.loc[row, frozen].to_numpy(float)
    if has_gaps:  # Three short ones in one node, as when its radio link is interrupted.
        columns = columns_of(str(rng.choice(nodes)))
        for first in rng.integers(0, len(table) - 4, 3):
            table.loc[first : first + int(rng.integers(0, 4)), columns] = np.nan
    if has_duplicates:  # Two rows, as when a log is flushed twice.
        duplicates = rng.choice(len(table), 2, replace=False)
        order = np.sort(np.concatenate([np.arange(len(table)), duplicates]))
        table = table.iloc[order].reset_index(drop=True)
    return table


SENSOR_DECIMALS = 5
LAG_MEDIAN_SECONDS, LAG_LOG_SPREAD = 0.85, 0.85
LAG_BOUNDS_SECONDS = (0.2, 3.5)
"""Lag of the sensors, a constant of each recording: as in the real recordings the median is three
reports, a tenth of the lags are above ten, and none above fourteen."""


@cache
def plan_program(program: str) -> Trajectory:
    """The trajectory of a program; the same in each of its recordings."""
    return plan(trace_program([line.text for line in build_program(program)]))


def simulate_recordings(
    folder: Path,
    recordings_per_program: int,
    seed: int,
    programs: Sequence[str],
    alteration: str | None = None,
) -> list[Path]:
    """Writes `PROGRAM_NNN.csv.gz` for each program and returns the paths.

    Args:
        folder: created if missing.
        recordings_per_program: 1 or more.
        seed: not negative; the same seed gives the same files.
        programs: names from `programs.PROGRAMS`.
        alteration: one of `alterations.ALTERATIONS`; None for good recordings.
    """
    paths = []
    for program in programs:
        for number in range(1, recordings_per_program + 1):
            path = folder / f"{program}_{number:03d}.csv.gz"
            write_csv(path, simulate_recording(program, number, seed, alteration))
            paths.append(path)
    return paths


def simulate_recording(
    program: str, number: int, seed: int, alteration: str | None = None
) -> pd.DataFrame:
    """One recording with a row per controller report and the columns of the real ones."""
    name = f"{program}_{number:03d}"
    rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    lines, trajectory = build_program(program), plan_program(program)
    # Numbers of its own: the good recording of this name and seed has the same noise.
    altered = np.random.default_rng([seed, number, 1])
    if alteration:
        lines = altered_lines(program, alteration, altered)
        trajectory = plan(trace_program([line.text for line in lines]))
        trajectory = altered_trajectory(trajectory, alteration, altered)
    report = report_times(trajectory, lines, rng)
    columns = {
        **controller_rows(trajectory, lines, report),
        **_sensor_rows(lines, trajectory, report, rng),
    }
    label = ["gcode_line", "gcode_string"]
    order = [column for column in columns if column not in label] + label
    table = add_faults(pd.DataFrame(columns)[order], rng)
    if not alteration:
        return table
    donors = [other for other in PROGRAMS if other != program]
    donor = simulate_recording(donors[altered.integers(len(donors))], number, seed)
    return altered_table(table, donor, alteration, altered)


def _sensor_rows(
    program: MillProgram,
    trajectory: Trajectory,
    report: StatusReports,
    rng: np.random.Generator,
) -> dict[str, Vector]:
    """Samples on each node's own clock, interpolated onto the controller's reports."""
    seconds = report.seconds
    engagement = np.array([line.engagement for line in program])
    lag_seconds = draw_lag_seconds(rng)
    columns: dict[str, Vector] = {}
    for node in (None, *choose_nodes(rng)):
        delay = lag_seconds + rng.normal(0, 0.03)
        # Nodes start later and end earlier than the controller; samples beyond are constant, as in
        # the real recordings.
        clock = sample_clock(seconds[0] + 0.3, seconds[-1] - 0.3, rng)
        load = machine_load(trajectory, engagement, clock - delay)
        quantities = motor_currents(load, rng) if node is None else measure_node(node, load, rng)
        prefix = "" if node is None else f"{node.name}."
        for quantity, values in quantities.items():
            samples = np.interp(seconds, clock, values)
            columns[prefix + quantity] = np.round(samples, SENSOR_DECIMALS)
    return columns


def draw_lag_seconds(rng: np.random.Generator) -> float:
    """Lag of the sensors behind the controller in one recording."""
    lag = LAG_MEDIAN_SECONDS * np.exp(rng.normal(0.0, LAG_LOG_SPREAD))
    return float(np.clip(lag, *LAG_BOUNDS_SECONDS))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a gzipped CSV atomically; its bytes depend on the table alone."""
    text = table.to_csv(index=False, lineterminator="\n").encode()
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(text, compresslevel=6, mtime=0))
