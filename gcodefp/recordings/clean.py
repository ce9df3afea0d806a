"""The rules that turn a table into a recording; every row and sample that they touch is counted.

In order: a row that repeats the one before is dropped; so is one without a clock or a readable
block; so are the planner's look-ahead rows before the program's first block (they end where the
line number steps back), and the rows from the end of the program (M2, M30) on. Samples are cleaned
by `samples`. A recording that breaks a rule of RecordingRejected is left out as a whole.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.recordings import columns
from gcodefp.recordings.clock import elapsed_seconds
from gcodefp.recordings.gcode import PROGRAM_END, format_block, parse_block
from gcodefp.recordings.read import read_table, recording_name
from gcodefp.recordings.samples import clean_samples

MAX_WORDS = 7
"""Longer blocks are taken for garbage; the longest in real programs have five words."""
MAX_UNLABELLED_SHARE = 0.5
PREAMBLE_ROWS = 40
"""A line number that steps back later than this means that several logs are in one file."""


class RecordingRejected(Exception):
    """The recording can be read but not be trusted; the message is the rule that it breaks."""


@dataclass
class Recording:
    """A cleaned recording of N rows.

    Attributes:
        row: (N,) data row in the file, from 0.
        seconds: (N,) since the first row kept.
        blocks: (N,) canonical text of the block executed.
        lines: (N,) its line number in the program.
        mm_per_unit: (N,) millimetres per length unit of the block.
        position_mm: (N, 3) tool position that the controller reports; NaN where it does not.
        signals: N rows, one column per channel; NaN where no valid sample is.
        environment: (N, 2) pressure in kPa and temperature in degC, means over the nodes; NaN where
            no node has them. Only a baseline sees them, unless the user makes them channels.
        counts: rule -> rows or samples that it touched.
    """

    name: str
    operation: str
    row: NDArray[np.int32]
    seconds: NDArray[np.float64]
    blocks: NDArray[np.str_]
    lines: NDArray[np.int64]
    mm_per_unit: NDArray[np.float32]
    position_mm: NDArray[np.float32]
    signals: pd.DataFrame
    environment: NDArray[np.float32]
    counts: Counter[str]


def load_recording(path: Path, groups: Collection[str], minimum_rows: int) -> Recording:
    """Reads and cleans one file; channels are those of the given groups.

    Raises:
        UserError: the file cannot be read.
        RecordingRejected: it can, but a rule leaves it out.
    """
    table = read_table(path, groups)
    counts = Counter(rows_in_file=len(table))
    table = _drop(table, _repeats(table), "duplicate_rows", counts)
    seconds = pd.Series(elapsed_seconds(table[columns.CLOCK]), index=table.index)
    blocks = _canonical_blocks(table[columns.BLOCK])
    unlabelled = seconds.isna() | blocks.isna() | ~np.isfinite(table[columns.LINE])
    if unlabelled.mean() > MAX_UNLABELLED_SHARE:
        raise RecordingRejected(
            f"{unlabelled.mean():.0%} of the rows have no clock or G-code block"
        )
    table = _drop(table, unlabelled, "unlabelled_rows", counts)
    table = _drop(table, _preamble(table[columns.LINE]), "preamble_rows", counts)
    ended = blocks[table.index].str.split().str[-1].isin(PROGRAM_END).cummax()
    table = _drop(table, ended, "tail_rows", counts)
    if len(table) < minimum_rows:
        raise RecordingRejected(f"{len(table)} rows are left, one window needs {minimum_rows}")
    seconds, blocks = seconds[table.index], blocks[table.index]
    if (backwards := int((seconds.diff() < 0).sum())) > 0:
        raise RecordingRejected(f"the clock runs backwards {backwards} times")
    channels = [c for c in table.columns if columns.channel_group(c) in groups]
    mm_per_unit = _mm_per_unit(table)
    return Recording(
        name=recording_name(path),
        operation=columns.operation_of(recording_name(path)),
        row=table.index.to_numpy(np.int32),
        seconds=np.asarray(seconds - seconds.iloc[0], np.float64),
        blocks=blocks.to_numpy(np.str_),
        lines=table[columns.LINE].to_numpy(np.int64),
        mm_per_unit=mm_per_unit,
        position_mm=_position_mm(table, mm_per_unit),
        signals=clean_samples(table[channels], counts),
        environment=_environment(table),
        counts=counts,
    )


def _drop(table: pd.DataFrame, rows: pd.Series, rule: str, counts: Counter[str]) -> pd.DataFrame:
    counts[rule] += int(rows.sum())
    return table[~rows]


def _repeats(table: pd.DataFrame) -> pd.Series:
    """Rows equal to the one before in every column; only rows of the same clock are compared."""
    clock = table[columns.CLOCK]
    repeats = clock == clock.shift()
    for position in np.flatnonzero(repeats).tolist():
        repeats.iloc[position] = table.iloc[position].equals(table.iloc[position - 1])
    return repeats


def _canonical_blocks(texts: pd.Series) -> pd.Series:
    """Each block in canonical form; missing where it is no G-code, is empty or is too long."""

    def canonical(text: str) -> str | None:
        try:
            block = parse_block(text)
        except ValueError:
            return None
        return format_block(block) if 1 <= len(block) <= MAX_WORDS else None

    known = {text: canonical(text) for text in texts.dropna().unique()}
    return texts.map(known)


def _preamble(lines: pd.Series) -> pd.Series:
    """Rows before the last step back of the line number."""
    steps_back = np.flatnonzero(np.diff(lines.to_numpy()) < 0)
    if steps_back.size and steps_back[-1] >= PREAMBLE_ROWS:
        raise RecordingRejected(
            f"the program starts again at row {steps_back[-1] + 1}: several logs in one file"
        )
    first = steps_back[-1] + 1 if steps_back.size else 0
    return pd.Series(np.arange(len(lines)) < first, index=lines.index)


def _mm_per_unit(table: pd.DataFrame) -> NDArray[np.float32]:
    if columns.UNIT not in table:
        return np.ones(len(table), np.float32)
    return table[columns.UNIT].map(columns.MM_PER_UNIT).fillna(1.0).to_numpy(np.float32)


def _environment(table: pd.DataFrame) -> NDArray[np.float32]:
    nodes = [table.filter(regex=rf"\.{quantity}$") for quantity in columns.ENVIRONMENT]
    means = [of.mean(axis=1).to_numpy(np.float32) for of in nodes]
    return np.stack(means, axis=1)


def _position_mm(table: pd.DataFrame, mm_per_unit: NDArray[np.float32]) -> NDArray[np.float32]:
    position = table.reindex(columns=list(columns.POSITION)).to_numpy(np.float32)
    return position * mm_per_unit[:, None]
