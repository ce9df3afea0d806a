"""The cleaning rules that turn a table into a recording; they count the rows and samples changed.

Dropped, in this order: rows equal to the previous one; rows without a clock or a valid block; the
planner's look-ahead rows before the program's first block (they end where the line number
decreases); rows from the end of the program (M2, M30) on. `clean_samples` cleans the samples. A
recording that raises RecordingRejected is excluded as a whole.
"""

import logging
import re
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings import columns
from gcodefp.recordings.gcode import PROGRAM_END, format_block, parse_block
from gcodefp.recordings.reader import read_table, recording_name

HOUR_SECONDS = 3600.0
DAY_SECONDS = 86400.0

_TIME = re.compile(r"^\s*(?:([01]?\d|2[0-3]):)?([0-5]?\d):([0-5]?\d(?:\.\d*)?)\s*$", re.ASCII)


def elapsed_seconds(clock: pd.Series) -> NDArray[np.float64]:
    """Seconds since the first row, from `HH:MM:SS.mmm`, or `MM:SS.s` as spreadsheets save it.

    A decrease by more than half the format's range is the wrap at midnight or at the full hour;
    smaller decreases stay. If some rows have hours, rows without hours are NaN.

    Returns:
        (N,); NaN where the text is not a time of day.
    """
    fields = (
        clock.astype("string").str.extract(_TIME).astype("Float64").to_numpy(float, na_value=np.nan)
    )
    hours, minutes, second_field = fields.T
    has_hours = bool(np.isfinite(hours).any())
    seconds = (hours * HOUR_SECONDS if has_hours else 0.0) + minutes * 60.0 + second_field
    wrap = DAY_SECONDS if has_hours else HOUR_SECONDS
    valid = np.flatnonzero(np.isfinite(seconds))
    wraps = np.concatenate([[0.0], np.cumsum(np.diff(seconds[valid]) < -wrap / 2)])
    seconds[valid] += wraps * wrap
    return seconds - (seconds[valid[0]] if valid.size else 0.0)


MAX_INTERPOLATED_ROWS = 4
FROZEN_ROWS = 20


def clean_samples(signals: pd.DataFrame, counts: Counter[str]) -> pd.DataFrame:
    """Interpolates gaps of at most MAX_INTERPOLATED_ROWS and invalidates samples of frozen nodes.

    Real sensors are noisy: when all channels of a node repeat their values for FROZEN_ROWS rows,
    the node has dropped out and the logger repeats its last sample. Machine channels have no noise
    and may stay constant.

    Args:
        signals: N rows, one column per channel.
        counts: `interpolated_samples`, `frozen_samples` and `missing_samples` are added to it.

    Returns:
        the same shape; NaN where there is no valid sample.
    """
    missing = ~np.isfinite(signals.to_numpy(np.float64))
    if missing.any():
        filled = signals.mask(missing).interpolate(limit_area="inside")
        signals = filled.mask(_in_long_gap(missing))
    values = signals.to_numpy(np.float32)
    nodes = np.array([columns.node_or_channel(channel) for channel in signals.columns])
    # An idle motor or an unchanged report may stay constant.
    is_machine_channel = [
        columns.channel_group(channel) in columns.MACHINE_COLUMNS for channel in signals.columns
    ]
    frozen = np.zeros(values.shape, bool)
    for node in set(nodes[~np.array(is_machine_channel, bool)].tolist()):
        # A channel that is missing in both rows carries no information on the node.
        is_repeated = equals_previous(values[:, nodes == node])
        frozen[:, nodes == node] = (segment_lengths(~is_repeated) >= FROZEN_ROWS)[:, None]
    frozen &= ~np.isnan(values)
    counts["interpolated_samples"] += int((missing & ~np.isnan(values) & ~frozen).sum())
    counts["frozen_samples"] += int(frozen.sum())
    counts["missing_samples"] += int(np.isnan(values).sum())
    cleaned = np.where(frozen, np.float32(np.nan), values)
    return pd.DataFrame(cleaned, index=signals.index, columns=signals.columns)


def _in_long_gap(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Missing samples, (N, channels), of gaps too long to be interpolated."""
    in_long_gap = np.zeros_like(missing)
    for column in np.flatnonzero(missing.any(axis=0)):
        gap = missing[:, column]
        in_long_gap[:, column] = gap & (
            segment_lengths(gap[1:] != gap[:-1]) > MAX_INTERPOLATED_ROWS
        )
    return in_long_gap


def equals_previous(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Whether each row but the first equals the previous one, (N - 1,); NaN equals NaN.

    Args:
        values: (N, channels).
    """
    equal = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    return equal.all(axis=1)


def segment_lengths(changed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Length of the segment that each of N rows lies in, (N,); `changed` is (N - 1,)."""
    segment = np.concatenate([[0], np.cumsum(changed)])
    return np.bincount(segment)[segment]


MAX_WORDS = 7
"""Longer blocks count as invalid; the longest in real programs have five words."""
MAX_UNLABELLED_SHARE = 0.5
PREAMBLE_ROWS = 40
"""A line number that decreases later than this means that several logs are in one file."""


class RecordingRejected(Exception):
    """A rule excludes the recording; the message names the rule."""


@dataclass
class Recording:
    """A cleaned recording of N rows.

    Attributes:
        row: (N,) data row in the file, from 0.
        seconds: (N,) since the first row.
        blocks: (N,) canonical text of the executed block.
        lines: (N,) its line number in the program.
        mm_per_unit: (N,) millimetres per length unit of the block.
        position_mm: (N, 3) tool position that the controller reports; NaN where it does not.
        signals: N rows, one column per channel; NaN where there is no valid sample.
        environment: (N, 2) pressure in kPa and temperature in degC, means over the nodes; NaN where
            no node has them. Only a baseline uses them, unless they are configured as channels.
        counts: rule -> rows or samples that it changed.
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
    """Reads and cleans one file; its channels are those of the groups.

    Raises:
        UserError: the file cannot be read.
        RecordingRejected: a rule excludes it.
    """
    table = read_table(path, groups)
    counts = Counter(rows_in_file=len(table))
    table = _drop_rows(table, _duplicate_rows(table), "duplicate_rows", counts)
    seconds = pd.Series(elapsed_seconds(table[columns.CLOCK]), index=table.index)
    blocks = _canonical_blocks(table[columns.BLOCK])
    unlabelled = seconds.isna() | blocks.isna() | ~np.isfinite(table[columns.LINE])
    if unlabelled.mean() > MAX_UNLABELLED_SHARE:
        raise RecordingRejected(
            f"{unlabelled.mean():.0%} of the rows have no clock or G-code block"
        )
    table = _drop_rows(table, unlabelled, "unlabelled_rows", counts)
    table = _drop_rows(table, _look_ahead_rows(table[columns.LINE]), "preamble_rows", counts)
    after_end = blocks[table.index].str.split().str[-1].isin(PROGRAM_END).cummax()
    table = _drop_rows(table, after_end, "tail_rows", counts)
    if len(table) < minimum_rows:
        raise RecordingRejected(f"{len(table)} rows are left, one window needs {minimum_rows}")
    seconds, blocks = seconds[table.index], blocks[table.index]
    if (backward_steps := int((seconds.diff() < 0).sum())) > 0:
        raise RecordingRejected(f"the clock runs backwards {backward_steps} times")
    channels = [c for c in table.columns if columns.channel_group(c) in groups]
    mm_per_unit = _mm_per_unit(table)
    return Recording(
        name=recording_name(path),
        operation=columns.parse_operation(recording_name(path)),
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


def _drop_rows(
    table: pd.DataFrame, rows: pd.Series, rule: str, counts: Counter[str]
) -> pd.DataFrame:
    counts[rule] += int(rows.sum())
    return table[~rows]


def _duplicate_rows(table: pd.DataFrame) -> pd.Series:
    """Rows equal to the previous one in every column; only rows of equal clock are compared."""
    clock = table[columns.CLOCK]
    is_duplicate = clock == clock.shift()
    for index in np.flatnonzero(is_duplicate).tolist():
        is_duplicate.iloc[index] = table.iloc[index].equals(table.iloc[index - 1])
    return is_duplicate


def _canonical_blocks(texts: pd.Series) -> pd.Series:
    """Each block in canonical form; missing where it is not G-code, is empty or too long."""

    def canonical(text: str) -> str | None:
        try:
            block = parse_block(text)
        except ValueError:
            return None
        return format_block(block) if 1 <= len(block) <= MAX_WORDS else None

    return texts.map({text: canonical(text) for text in texts.dropna().unique()})


def _look_ahead_rows(lines: pd.Series) -> pd.Series:
    """Rows before the last decrease of the line number."""
    decreases = np.flatnonzero(np.diff(lines.to_numpy()) < 0)
    if decreases.size and decreases[-1] >= PREAMBLE_ROWS:
        raise RecordingRejected(
            f"the program starts again at row {decreases[-1] + 1}: several logs in one file"
        )
    first = decreases[-1] + 1 if decreases.size else 0
    return pd.Series(np.arange(len(lines)) < first, index=lines.index)


def _mm_per_unit(table: pd.DataFrame) -> NDArray[np.float32]:
    if columns.UNIT not in table:
        return np.ones(len(table), np.float32)
    return table[columns.UNIT].map(columns.MM_PER_UNIT).fillna(1.0).to_numpy(np.float32)


def _environment(table: pd.DataFrame) -> NDArray[np.float32]:
    nodes = [table.filter(regex=rf"\.{quantity}$") for quantity in columns.ENVIRONMENT]
    return np.stack([samples.mean(axis=1).to_numpy(np.float32) for samples in nodes], axis=1)


def _position_mm(table: pd.DataFrame, mm_per_unit: NDArray[np.float32]) -> NDArray[np.float32]:
    position = table.reindex(columns=list(columns.POSITION)).to_numpy(np.float32)
    return position * mm_per_unit[:, None]


logger = logging.getLogger("gcodefp.recordings")

Excluded = list[dict[str, str]]
"""`recording` and `reason` of each excluded recording."""


def load_recordings(
    paths: Sequence[Path], groups: Sequence[str], minimum_rows: int, workers: int = 1
) -> tuple[dict[str, Recording], Excluded]:
    """Recordings by name, and those that a rule excludes.

    Args:
        paths: at least one, all in the same folder.
        workers: processes that read files.

    Raises:
        UserError: a file cannot be read, or no recording is left.
    """
    load = partial(_load_or_exclude, groups=tuple(groups), minimum_rows=minimum_rows)
    if workers == 1:
        results = [load(path) for path in paths]
    else:
        with ProcessPoolExecutor(workers) as pool:
            results = list(pool.map(load, paths, chunksize=4))
    recordings: dict[str, Recording] = {}
    excluded: Excluded = []
    for path, result in zip(paths, results, strict=True):
        if isinstance(result, Recording):
            recordings[result.name] = result
        else:
            excluded.append({"recording": recording_name(path), "reason": result})
            logger.warning("excluded %s: %s", recording_name(path), result)
    if not recordings:
        raise UserError(f"{paths[0].parent}: no recording is left; the reasons are above")
    return recordings, excluded


def _load_or_exclude(path: Path, groups: Sequence[str], minimum_rows: int) -> Recording | str:
    try:
        return load_recording(path, groups, minimum_rows)
    except RecordingRejected as rejection:
        return str(rejection)
