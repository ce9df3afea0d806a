"""Small recordings as CSV files, and the preprocess step with small values."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gcodefp.dataset.store import DatasetDescription, Split, read_description, read_split
from gcodefp.preprocess import main

NODES = ("frame_r2", "spindle2")
QUANTITIES = ("Ax", "Mx", "RMS", "Pressure")
SPLITS = ("train", "val", "test")
FIRST_LINE = 16
ROWS = 40
ROWS_PER_BLOCK = 4


def clock_text(seconds: float) -> str:
    """A time of day as the controller prints it."""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}.{rest % 1000:03}"


def recording_table(program: str = "pocket", seed: int = 0, rows: int = ROWS) -> pd.DataFrame:
    """A recording that no cleaning rule touches: 4 rows a second, 4 rows a block, noisy nodes.

    Args:
        program: recordings of one program share their blocks, others share none.
    """
    random = np.random.default_rng(seed)
    index = np.arange(rows) // ROWS_PER_BLOCK
    offset = zlib.crc32(program.encode()) % 10_000
    controller = {
        "t_console": [clock_text(12 * 3600 + row / 4) for row in range(rows)],
        **{"stat": 5, "unit": 0, "posx": index / 8, "posy": 0.5, "posz": -0.125, "feed": 185.42},
        "gcode_line": FIRST_LINE + index,
        "gcode_string": [f"{('G1 ', '')[i % 2]}X{i}. Y{offset / 1000:.3f}" for i in index],
    }
    sensors = {
        f"{node}.{quantity}": random.normal(size=rows) for node in NODES for quantity in QUANTITIES
    }
    return pd.DataFrame({**controller, "spindle": random.normal(size=rows), **sensors})


def write_recording(path: Path, table: pd.DataFrame | None = None) -> Path:
    """Writes a table, or a valid recording, as CSV; gzip if the name says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    (recording_table() if table is None else table).to_csv(path, index=False)
    return path


def write_recordings(folder: Path, counts: Mapping[str, int], rows: int = ROWS) -> Path:
    """Writes recordings of each program, `pocket_001_aligned.csv.gz` and so on, by their counts."""
    for program, count in counts.items():
        for number in range(1, count + 1):
            table = recording_table(program, seed=number + zlib.crc32(program.encode()), rows=rows)
            write_recording(folder / f"{program}_{number:03}_aligned.csv.gz", table)
    return folder


def preprocess(recordings: Path, output: Path, **changes: Any) -> int:
    """Runs `preprocess` with small values; `changes` are options with underscores for hyphens."""
    options: dict[str, Any] = {
        "groups": ["imu", "mag", "mic", "motor"], "min_coverage": 0.5, "window": 8, "stride": 3,
        "max_gap_seconds": 2.0, "split": "recording", "val_fraction": 0.25, "test_fraction": 0.25,
        "seed": 0, **changes,
    }  # fmt: skip
    argv = ["--recordings", str(recordings), "--output", str(output)]
    for name, value in options.items():
        values = value if isinstance(value, list) else [value]
        argv += [f"--{name.replace('_', '-')}", *map(str, values)]
    return main(argv)


def read_dataset(folder: Path) -> tuple[DatasetDescription, dict[str, Split]]:
    """The description and all splits that a run of it wrote."""
    description = read_description(folder / "dataset.json")
    return description, {
        name: read_split(folder / f"{name}.npz", description, name) for name in SPLITS
    }
