"""Assembles recordings: controller reports, interpolated sensors, faults, CSV files.

The randomness of a recording follows from the seed and its name alone, so that asking for more
recordings, or for other programs, changes none.
"""

import gzip
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from gcodefp.files import replacing
from gcodefp.simulation.faults import choose_nodes, add_faults
from gcodefp.simulation.controller import controller_rows, Report, report_times
from gcodefp.simulation.path import Vector, trace_program
from gcodefp.simulation.planner import Trajectory, plan
from gcodefp.simulation.programs import build_program
from gcodefp.simulation.sensors import (
    machine_load,
    measure_node,
    motor_currents,
    sample_clock,
)

SENSOR_DECIMALS = 5
CONTROLLER_DECIMALS = 5


@cache
def planned(program: str) -> Trajectory:
    """The trajectory of a program; the same in each of its recordings."""
    return plan(trace_program(build_program(program)))


def simulate_recordings(
    folder: Path, recordings_per_program: int, seed: int, programs: Sequence[str]
) -> list[Path]:
    """Writes `PROGRAM_NNN.csv.gz` for each program and returns the paths.

    Args:
        seed: not negative; the same seed gives the same bytes.
        programs: names from `programs.PROGRAMS`.
    """
    paths = []
    for program in programs:
        for number in range(1, recordings_per_program + 1):
            path = folder / f"{program}_{number:03d}.csv.gz"
            write_csv(path, simulate_recording(program, number, seed))
            paths.append(path)
    return paths


def simulate_recording(program: str, number: int, seed: int) -> pd.DataFrame:
    """One recording, a row per controller report, in the columns of the real ones."""
    name = f"{program}_{number:03d}"
    rng = np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    trajectory = planned(program)
    report = report_times(trajectory, build_program(program), rng)
    columns = controller_rows(trajectory, build_program(program), report)
    columns = columns | _sensor_rows(program, trajectory, report, rng)
    label = ["gcode_line", "gcode_string"]
    order = [name for name in columns if name not in label] + label
    return add_faults(pd.DataFrame(columns)[order], rng)


def _sensor_rows(
    program: str, trajectory: Trajectory, report: Report, rng: np.random.Generator
) -> dict[str, Vector]:
    """Samples on each node's own clock, interpolated onto the controller's reports."""
    seconds = report.seconds
    engagement = np.array([line.engagement for line in build_program(program)])
    lag_seconds = rng.uniform(0.2, 1.0)
    columns: dict[str, Vector] = {}
    for node in (None, *choose_nodes(rng)):
        delay = lag_seconds + rng.normal(0, 0.03)
        # The nodes start a little late and end a little early: constant beyond, as in the real.
        clock = sample_clock(seconds[0] + 0.3, seconds[-1] - 0.3, rng)
        load = machine_load(trajectory, engagement, clock - delay)
        measured = motor_currents(load, rng) if node is None else measure_node(node, load, rng)
        prefix = "" if node is None else f"{node.name}."
        for quantity, values in measured.items():
            onto = np.interp(seconds, clock, values)
            columns[prefix + quantity] = np.round(onto, SENSOR_DECIMALS)
    return columns


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a gzipped CSV, whole or not at all, whose bytes depend on the table alone."""
    text = table.to_csv(index=False, lineterminator="\n").encode()
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(text, compresslevel=6, mtime=0))
