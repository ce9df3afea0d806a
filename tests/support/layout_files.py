"""A small laboratory: a controller that reports line numbers, a fast accelerometer, G-code."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gcodefp.recordings.laboratory.layout import Layout, parse_layout

ROW_HZ, SENSOR_HZ = 5, 100
LINES = 8
ROWS_PER_LINE = 5
ROWS = LINES * ROWS_PER_LINE
START = 1_717_286_395.0
"""2024-06-01 23:59:55 UTC: five seconds before midnight."""


def content(**changes: Any) -> dict[str, Any]:
    """A layout of both sources and the program."""
    layout = {
        "sources": {
            "controller": {
                "files": "{name}.csv",
                "clock": {"format": "time_of_day", "column": "time"},
                "columns": {"n": "line", "{axis}_in": "{axis} [in]"},
            },
            "toolhead": {
                "files": "{name}_accel.csv",
                "clock": {"format": "unix", "column": "t"},
                "columns": {"a_{axis}": "toolhead.A{axis} [m/s^2]"},
            },
        },
        "program": {"files": "{operation}.nc"},
    }
    return layout | changes


def layout(**changes: Any) -> Layout:
    return parse_layout(content(**changes), "lab.yaml")


def blocks(operation: str) -> list[str]:
    """The program's blocks; the operation's first letter decides its coordinates."""
    return [f"G1 X{n} Y{ord(operation[0])}" for n in range(LINES)]


def controller_table(clock: np.ndarray) -> pd.DataFrame:
    """Reports at times (N,) since the start."""
    texts = pd.to_datetime(START + clock, unit="s").strftime("%H:%M:%S.%f")
    lines = np.arange(ROWS) // ROWS_PER_LINE + 1
    return pd.DataFrame({"time": texts, "n": lines, "x_in": lines / 2, "y_in": 1.0})


def accelerometer_table(operation: str, seed: int, seconds: float) -> pd.DataFrame:
    """A vibration whose frequency the line decides, 8 to 43 Hz, in another order per program."""
    # No sample lies at the border of two rows.
    times = np.arange(-0.497, seconds + 0.5, 1 / SENSOR_HZ)
    line = np.clip(times * ROW_HZ // ROWS_PER_LINE, 0, LINES - 1)
    order = np.random.default_rng(ord(operation[0])).permutation(LINES)
    frequency = 8 + 5 * order[line.astype(int)]
    wave = 9.80665 * np.sin(2 * np.pi * frequency * times)
    noise = np.random.default_rng(seed).normal(0, 0.1, (2, len(times)))
    return pd.DataFrame({"t": START + times, "a_x": wave + noise[0], "a_y": noise[1]})


def write_laboratory(folder: Path, recordings: dict[str, int]) -> Path:
    """Operation -> number of its recordings, in the files of the layout."""
    folder.mkdir(parents=True, exist_ok=True)
    clock = np.arange(ROWS) / ROW_HZ + 0.1
    for operation, count in recordings.items():
        (folder / f"{operation}.nc").write_text("\n".join(blocks(operation)) + "\n")
        for seed in range(1, count + 1):
            name = f"{operation}_{seed:03d}"
            controller_table(clock).to_csv(folder / f"{name}.csv", index=False)
            accel = accelerometer_table(operation, seed, ROWS / ROW_HZ)
            accel.to_csv(folder / f"{name}_accel.csv", index=False, float_format="%.6f")
    return folder
