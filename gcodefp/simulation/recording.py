"""Assembles recordings: controller reports, interpolated sensors, faults, CSV files.

The random numbers of a recording depend on the seed and its name alone, so that more recordings, or
other programs, change none.
"""

import gzip
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from gcodefp.files import replacing
from gcodefp.programs.motion import Trajectory, Vector, plan, trace_program
from gcodefp.simulation.controller import Report, controller_rows, report_times
from gcodefp.simulation.programs import build_program
from gcodefp.simulation.sensors import (
    NODES,
    Node,
    machine_load,
    measure_node,
    motor_currents,
    sample_clock,
)

FAULT_SHARE = 1 / 8
"""Share of recordings with a fault of each kind."""


def choose_nodes(rng: np.random.Generator) -> list[Node]:
    """The nodes of a recording in its column order; sometimes one is missing."""
    order = [NODES[index] for index in rng.permutation(len(NODES))]
    return order[1:] if rng.random() < FAULT_SHARE else order


def add_faults(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A copy in which each fault occurs with the probability FAULT_SHARE."""
    table = table.copy()
    freezes, drops, repeats = rng.random(3) < FAULT_SHARE
    nodes = list(dict.fromkeys(name.split(".")[0] for name in table.columns if "." in name))
    if freezes:
        _freeze(table, str(rng.choice(nodes)), int(rng.integers(len(table) // 4, len(table))))
    if drops:
        _drop(table, str(rng.choice(nodes)), rng)
    if repeats:
        table = _repeat(table, rng)
    return table


def _freeze(table: pd.DataFrame, node: str, row: int) -> None:
    for name in table.columns:
        if name.startswith(f"{node}."):
            values = table[name].to_numpy(copy=True)
            values[row:] = values[row]
            table[name] = values


def _drop(table: pd.DataFrame, node: str, rng: np.random.Generator) -> None:
    """Three short gaps in one node, as when its radio link breaks off."""
    columns = [name for name in table.columns if name.startswith(f"{node}.")]
    for first in rng.integers(0, len(table) - 4, 3):
        table.loc[first : first + int(rng.integers(0, 4)), columns] = np.nan


def _repeat(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Two rows occur twice, as when a log is flushed again."""
    doubled = rng.choice(len(table), 2, replace=False)
    order = np.sort(np.concatenate([np.arange(len(table)), doubled]))
    return table.iloc[order].reset_index(drop=True)


SENSOR_DECIMALS = 5
LAG_MEDIAN_SECONDS, LAG_LOG_SPREAD = 0.85, 0.85
LAG_BOUNDS_SECONDS = (0.2, 3.5)
"""Lag of the sensors, a constant of each recording: as in the real recordings the median is three
reports, a tenth have more than ten, and none more than fourteen."""


@cache
def planned(program: str) -> Trajectory:
    """The trajectory of a program; the same in each of its recordings."""
    return plan(trace_program(build_program(program)))


def simulate_recordings(
    folder: Path, recordings_per_program: int, seed: int, programs: Sequence[str]
) -> list[Path]:
    """Writes `PROGRAM_NNN.csv.gz` for each program and returns the paths.

    Args:
        folder: made if it is missing.
        recordings_per_program: 1 or more.
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
    columns = {
        **controller_rows(trajectory, build_program(program), report),
        **_sensor_rows(program, trajectory, report, rng),
    }
    label = ["gcode_line", "gcode_string"]
    order = [column for column in columns if column not in label] + label
    return add_faults(pd.DataFrame(columns)[order], rng)


def _sensor_rows(
    program: str, trajectory: Trajectory, report: Report, rng: np.random.Generator
) -> dict[str, Vector]:
    """Samples on each node's own clock, interpolated onto the controller's reports."""
    seconds = report.seconds
    engagement = np.array([line.engagement for line in build_program(program)])
    lag_seconds = draw_lag_seconds(rng)
    columns: dict[str, Vector] = {}
    for node in (None, *choose_nodes(rng)):
        delay = lag_seconds + rng.normal(0, 0.03)
        # Nodes start a little late and end a little early; samples beyond are constant, as in the
        # real recordings.
        clock = sample_clock(seconds[0] + 0.3, seconds[-1] - 0.3, rng)
        load = machine_load(trajectory, engagement, clock - delay)
        measured = motor_currents(load, rng) if node is None else measure_node(node, load, rng)
        prefix = "" if node is None else f"{node.name}."
        for quantity, values in measured.items():
            samples = np.interp(seconds, clock, values)
            columns[prefix + quantity] = np.round(samples, SENSOR_DECIMALS)
    return columns


def draw_lag_seconds(rng: np.random.Generator) -> float:
    """How far the sensors' clock is behind the controller's in one recording."""
    lag = LAG_MEDIAN_SECONDS * np.exp(rng.normal(0.0, LAG_LOG_SPREAD))
    return float(np.clip(lag, *LAG_BOUNDS_SECONDS))


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Writes a gzipped CSV, whole or not at all, whose bytes depend on the table alone."""
    text = table.to_csv(index=False, lineterminator="\n").encode()
    with replacing(path) as temporary:
        temporary.write_bytes(gzip.compress(text, compresslevel=6, mtime=0))
