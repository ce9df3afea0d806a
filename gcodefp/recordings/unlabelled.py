"""A new recording, read by its sensor columns alone: nobody has to know what the machine ran.

What a controller says of the program (line, block, position) is not even loaded. Its clock, where
there is one, is only kept to be printed. All rows are read, the planner's look-ahead before the
program and the rows after its end too, since only a controller could tell them apart.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings import columns
from gcodefp.recordings.cleaning import FROZEN_ROWS, Recording, clean_samples
from gcodefp.recordings.reader import read_columns, recording_name

MIN_CHANNELS_SHARE = 0.5
SHOWN_NAMES = 8


class Unlabelled(NamedTuple):
    """A recording of N rows without labels.

    Attributes:
        recording: blocks are empty, lines -1 and positions NaN; its rows are evenly spaced.
        clock: (N,) what the controller's clock showed, for print only; None if the file has none.
        missing: channels that the file lacks, or has no valid sample of.
    """

    recording: Recording
    clock: NDArray[np.str_] | None
    missing: tuple[str, ...]


def read_unlabelled(
    path: Path, channels: Sequence[str], minimum_rows: int, step_seconds: float
) -> Unlabelled:
    """Reads and cleans one file.

    Args:
        channels: the columns that are inputs; those that are missing become invalid samples.
        minimum_rows: of one window.
        step_seconds: from one row to the next.

    Raises:
        UserError: the file cannot be read, is too short, or has too few of the channels.
    """
    table = _read(path, channels)
    counts = Counter(rows_in_file=len(table))
    sensors = table.drop(columns=columns.CLOCK, errors="ignore")
    repeats = _repeats(sensors)
    counts["duplicate_rows"] = int(repeats.sum())
    table, sensors = table[~repeats], sensors[~repeats]
    signals = clean_samples(sensors, counts)
    missing = tuple(c for c in channels if c not in signals or signals[c].isna().all())
    _check_channels(path, missing, channels)
    if len(table) < minimum_rows:
        raise UserError(
            f"{path}: {len(table)} rows are too short a recording, one window of the checkpoint "
            f"needs {minimum_rows}"
        )
    recording = _without_labels(recording_name(path), signals, step_seconds, counts)
    clock = table[columns.CLOCK].fillna("").to_numpy(np.str_) if columns.CLOCK in table else None
    return Unlabelled(recording, clock, missing)


def _read(path: Path, channels: Sequence[str]) -> pd.DataFrame:
    """The clock as text, and the channels that the file has as numbers, in the given order."""
    wanted = {*channels, columns.CLOCK}
    if not path.exists():
        raise UserError(f"{path}: no such recording")
    table = read_columns(path, wanted.__contains__, (columns.CLOCK,), "repair the file")
    numbers = table.columns.difference([columns.CLOCK])
    table = table.astype(dict.fromkeys(numbers, np.float64))
    # The order of a file's columns must not reach the result, not even by rounding.
    order = [column for column in (columns.CLOCK, *channels) if column in table]
    return table[order]


def _check_channels(path: Path, missing: Sequence[str], channels: Sequence[str]) -> None:
    if len(missing) <= (1 - MIN_CHANNELS_SHARE) * len(channels):
        return
    shown = ", ".join(missing[:SHOWN_NAMES])
    others = len(missing) - SHOWN_NAMES
    raise UserError(
        f"{path}: {len(missing)} of the {len(channels)} channels of the checkpoint are missing or "
        f"have no valid sample, at least half are needed: {shown}"
        + (f" and {others} others" if others > 0 else "")
    )


def _repeats(sensors: pd.DataFrame) -> pd.Series:
    """Rows equal to the one before in every sensor column.

    A long stretch of them is none of repeated rows but of sensors that have dropped out, and time
    passes; it stays, and `clean_samples` finds it.
    """
    values = sensors.to_numpy(np.float64)
    if not values.shape[1]:
        return pd.Series(False, index=sensors.index)
    equal = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    repeats = np.concatenate([[False], equal.all(axis=1)])
    segment = np.cumsum(~repeats)
    return pd.Series(
        repeats & (np.bincount(segment)[segment] < FROZEN_ROWS), index=sensors.index, dtype=bool
    )


def _without_labels(
    name: str, signals: pd.DataFrame, step_seconds: float, counts: Counter[str]
) -> Recording:
    count = len(signals)
    return Recording(
        name=name,
        operation="",
        row=signals.index.to_numpy(np.int32),
        seconds=np.arange(count, dtype=np.float64) * step_seconds,
        blocks=np.full(count, ""),
        lines=np.full(count, -1, np.int64),
        mm_per_unit=np.ones(count, np.float32),
        position_mm=np.full((count, 3), np.nan, np.float32),
        signals=signals,
        environment=np.full((count, len(columns.ENVIRONMENT)), np.nan, np.float32),
        counts=counts,
    )
