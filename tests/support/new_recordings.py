"""New recordings of the tiny dataset's programs, and a network that knows them by heart."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evaluation_commands import learn
from learning_data import BLOCKS, ORDER, ROWS, ROWS_PER_BLOCK, SENSORS, tiny_split, write_dataset
from recording_files import clock_text

from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE
from gcodefp.predict import main

CONTROLLER = ("t_console", "unit", "posx", "posy", "posz", "feed", "gcode_line", "gcode_string")
FACE, POCKET = ([BLOCKS[block] for block in order] for order in ORDER)
"""The blocks that the recordings of each program execute, in order."""


def new_recording(name: str, rows: int = ROWS, noise: float = 0.3) -> pd.DataFrame:
    """A recording of the tiny dataset's programs with all that a controller says.

    What it says of line, block and position is wrong, so that whoever reads it is found out.
    """
    signals = tiny_split([name], rows, noise).signals
    controller = {
        "t_console": [clock_text(12 * 3600 + row / 4) for row in range(rows)],
        "unit": 0, "posx": 7.0, "posy": 7.0, "posz": 7.0, "feed": 100.0,
        "gcode_line": 1000 - np.arange(rows), "gcode_string": "G0 X9 Y9 Z9",
    }  # fmt: skip
    return pd.DataFrame(controller | dict(zip(SENSORS, signals.T, strict=True)))


def learnt(folder: Path, **changed: Any) -> Path:
    """The checkpoint of a network that knows both programs by heart."""
    settings = {"max_epochs": 30, **changed}
    return learn(write_dataset(folder / "dataset"), folder / "run", DEFAULT_OBJECTIVE, **settings)


def predict(checkpoint: Path, output: Path, *recordings: Path, flags: Any = ()) -> int:
    files = ["--checkpoint", str(checkpoint), "--output", str(output), "--device", "cpu"]
    return main([*map(str, recordings), *files, *flags])


def executed(order: list[str]) -> list[str]:
    """The block of each row of a recording whose program has these blocks."""
    return [block for block in order for _ in range(ROWS_PER_BLOCK)]
