"""The cleaning rules that turn a table into a recording; they count the rows and samples changed.

Dropped, in this order: rows equal to the previous one; rows without a time stamp or a valid block;
the planner's look-ahead rows before the program's first block (they end where the line number
decreases); rows from the end of the program (M2, M30) on. `clean_samples` cleans the samples. A
recording that raises RecordingExcluded is excluded as a whole.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.files import digest
from gcodefp.recordings import columns
from gcodefp.recordings.clock import elapsed_seconds, row_period, rows_in, spread_coarse_clock
from gcodefp.recordings.copies import Signature, sensor_signature
from gcodefp.recordings.gcode import PROGRAM_END, Word, format_block, parse_block
from gcodefp.recordings.laboratory.assembly import read_recording
from gcodefp.recordings.laboratory.lab_files import RawRecording, name_of, paths_of
from gcodefp.recordings.laboratory.program_file import read_program
from gcodefp.recordings.laboratory.quantities import RUNNING
from gcodefp.recordings.laboratory.reader import (
    RecordingExcluded,
    read_native,
    select_groups,
    write_canonical,
)
from gcodefp.recordings.laboratory.row_order import order_note
from gcodefp.recordings.laboratory.sources import LayoutError
from gcodefp.recordings.samples import MAX_SAMPLE, clean_samples, is_sample

RELATIVE, SHIFT = Word("G", 91.0), Word("G", 92.0)
FACTOR = "mm_per_unit"
MAX_WORDS = 20
"""Longer blocks count as invalid: a move of a printer has six words, a drilling cycle a dozen."""
MAX_UNLABELLED_SHARE = 0.5
NOTED_UNLABELLED_SHARE = 0.1
MAX_LINE_NUMBER = 1e9
MAX_ONE_LINE_SHARE = 0.9
"""Of moving rows; in the real recordings it is 0.15 at most. Above it, the log does not follow."""
MIN_MOVING_SECONDS = 5.1
MAX_RATE_RATIO = 1.5
"""Of the row periods of recordings that are used in one dataset."""
PREAMBLE_SECONDS, LEAST_PREAMBLE_ROWS = 10.25, 10
"""A line number that decreases later than this means that several logs are in one file."""


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
        signature: of the sensors' samples, by which copies are found.
        notes: what a user has to know of it.
        session, machine: empty where no layout says them.
        unread: `unmapped` and `missing` columns, of a layout's sources.
        program: the file that it runs, where no line is reported and `programs.labelling` finds it.
        label_uncertainty_seconds: median over its rows; None where the controller reports lines.
        row_range: (N,) where it changes, a row does not follow the one before; None: all do.
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
    signature: Signature = field(default_factory=lambda: np.empty(0, np.uint32))
    notes: list[str] = field(default_factory=list)
    session: str = ""
    machine: str = ""
    unread: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    program: Path | None = None
    label_uncertainty_seconds: float | None = None
    row_range: NDArray[np.int64] | None = None


def load_recording(
    source: RawRecording,
    groups: Collection[str],
    minimum_rows: int,
    canonical: Path | None = None,
) -> Recording:
    """Reads and cleans one file, or the files of a layout; its channels are those of the groups.

    Args:
        canonical: folder for the table as Parquet, with all channels, if a layout made it.

    Raises UserError: the file cannot be read; RecordingExcluded: a rule excludes it.
    """
    name, table = name_of(source), _read(source, groups, canonical)
    attrs, has_reports = table.attrs, columns.BLOCK in table
    counts, notes = Counter(rows_in_file=len(table)), list[str](attrs.get("notes", ()))
    table, seconds, period = _labelled_rows(paths_of([source])[0], table, counts, notes)
    if len(table) < minimum_rows:
        raise RecordingExcluded(f"{len(table)} rows are left, one window needs {minimum_rows}")
    clock, position_mm = _running_clock(seconds, notes), _position_mm(table)
    if has_reports:
        _check_lines(table[columns.LINE], position_mm, rows_in(MIN_MOVING_SECONDS, period, 10))
    row_range = _row_range(table, counts, notes)
    if note := order_note(table[columns.LINE].to_numpy(np.float64), position_mm, clock):
        notes.append(note)
    if has_reports and not np.isfinite(position_mm).any():
        _check_blocks(table[columns.BLOCK], is_of_layout="operation" in attrs)
    channels = table[[c for c in table.columns if columns.channel_group(c) in groups]]
    _note_large_samples(channels, notes)
    signals = clean_samples(channels, counts, period, attrs.get("periods"))
    return Recording(
        name=name,
        operation=attrs.get("operation") or columns.parse_operation(name),
        row=table.index.to_numpy(np.int32),
        seconds=clock - clock[0],
        blocks=table[columns.BLOCK].to_numpy(np.str_),
        lines=table[columns.LINE].to_numpy(np.int64),
        mm_per_unit=table[FACTOR].to_numpy(np.float32),
        position_mm=position_mm,
        signals=signals,
        environment=_environment(table),
        counts=counts,
        signature=sensor_signature(signals),
        notes=notes,
        session=attrs.get("session", ""),
        machine=attrs.get("machine", ""),
        unread={key: attrs.get(key, {}) for key in ("unmapped", "missing")},
        program=None if has_reports else Path(attrs["program"]),
        row_range=row_range,
    )


def _note_large_samples(channels: pd.DataFrame, notes: list[str]) -> None:
    if too_large := int((np.abs(channels.to_numpy(np.float64)) > MAX_SAMPLE).sum()):
        notes.append(f"{too_large} samples are above {MAX_SAMPLE:g}: taken as missing")


def _labelled_rows(
    path: Path, table: pd.DataFrame, counts: Counter[str], notes: list[str]
) -> tuple[pd.DataFrame, NDArray[np.float64], float]:
    """The rows that execute the program, their seconds, and those from one row to the next."""
    has_reports, has_preamble = columns.BLOCK in table, table.attrs.get("preamble", True)
    if RUNNING in table:
        table = _drop_rows(table, table.pop(RUNNING) == 0, "not_running_rows", counts)
        if table.empty:
            raise RecordingExcluded("no row is `running`: name the values that mean it in `equals`")
    table = _drop_rows(table, _duplicate_rows(table), "duplicate_rows", counts)
    seconds = pd.Series(elapsed_seconds(table[columns.CLOCK]), index=table.index)
    table, unlabelled = _with_labels(path, table, seconds, notes)
    table = _drop_rows(table, unlabelled, "unlabelled_rows", counts)
    period_seconds = row_period(np.asarray(seconds[table.index], np.float64))
    if has_reports:
        table = _program_rows(table, has_preamble, period_seconds, counts)
    return table, np.asarray(seconds[table.index], np.float64), period_seconds


def _with_labels(
    path: Path, table: pd.DataFrame, seconds: pd.Series, notes: list[str]
) -> tuple[pd.DataFrame, pd.Series]:
    """Rows with canonical blocks, lines and FACTOR, and which of them have no label."""
    if columns.BLOCK in table:
        texts = table[columns.BLOCK]
        table = table.assign(**{columns.BLOCK: _canonical_blocks(texts)})
        labels = _mm_per_unit(path, table, notes).to_frame(FACTOR)
        unlabelled = _unlabelled_rows(table, texts, seconds, notes)
    else:
        # Until `programs.labelling` labels them: by the program's text programs are identified.
        block = digest(read_program(Path(table.attrs["program"])))
        unit = table[columns.UNIT].iloc[0] if columns.UNIT in table else "mm"
        row = {columns.BLOCK: block, columns.LINE: 0, FACTOR: columns.MM_PER_UNIT[unit]}
        labels, unlabelled = pd.DataFrame(row, index=table.index), seconds.isna()
    return pd.concat([table, labels], axis=1), unlabelled


def _program_rows(
    table: pd.DataFrame, has_preamble: bool, period_seconds: float, counts: Counter[str]
) -> pd.DataFrame:
    """The rows from the program's first block to its end."""
    if has_preamble:
        look_ahead = _look_ahead_rows(table[columns.LINE], period_seconds)
        table = _drop_rows(table, look_ahead, "preamble_rows", counts)
    is_end = table[columns.BLOCK].map(lambda text: not {*text.split()}.isdisjoint(PROGRAM_END))
    return _drop_rows(table, is_end.cummax(), "tail_rows", counts)


def _read(source: RawRecording, groups: Collection[str], canonical: Path | None) -> pd.DataFrame:
    """The canonical table with the channels of some groups."""
    if isinstance(source, Path):
        return read_native(source, groups)
    try:
        table = read_recording(source)
    except LayoutError:
        raise
    except UserError as error:
        raise UserError(
            f"{error}; repair the file, or the layout (inspect_recordings shows how it reads), or "
            f"name {source.name} under recordings.exclude in the configuration"
        ) from None
    if canonical is not None:
        write_canonical(canonical / f"{source.name}.parquet", table)
    return select_groups(table, groups)


def _drop_rows(
    table: pd.DataFrame, rows: pd.Series, rule: str, counts: Counter[str]
) -> pd.DataFrame:
    counts[rule] += (count := int(rows.sum()))
    return table[~rows] if count else table


def _duplicate_rows(table: pd.DataFrame) -> pd.Series:
    """Rows equal to the previous one in every column; only rows of equal clock are compared."""
    is_duplicate = (table[columns.CLOCK] == table[columns.CLOCK].shift()).to_numpy(bool, copy=True)
    rows = np.flatnonzero(is_duplicate)
    if rows.size:
        # A layout's clock is a number.
        texts = [c for c in columns.TEXTS if c in table and table[c].dtype.kind not in "fi"]
        numbers = table.drop(columns=texts)
        row, previous = (numbers.iloc[r].to_numpy(np.float64) for r in (rows, rows - 1))
        is_equal = ((row == previous) | (np.isnan(row) & np.isnan(previous))).all(axis=1)
        for column in texts:
            text = table[column].fillna("").to_numpy(object)
            is_equal &= text[rows] == text[rows - 1]
        is_duplicate[rows] = is_equal
    return pd.Series(is_duplicate, table.index)


def _canonical_blocks(texts: pd.Series) -> pd.Series:
    """Each block in canonical form; missing where it is not G-code, is empty or too long."""

    def canonical(text: str) -> str | None:
        try:
            block = parse_block(text)
        except ValueError:
            return None
        return format_block(block) if 1 <= len(block) <= MAX_WORDS else None

    return texts.map({t: canonical(t) for t in texts.dropna().unique()}).astype("str")


def _unlabelled_rows(
    table: pd.DataFrame, texts: pd.Series, seconds: pd.Series, notes: list[str]
) -> pd.Series:
    """Rows without a time stamp, a line number or a block; `texts` are the blocks as written."""
    lines = table[columns.LINE]
    invalid = {
        columns.CLOCK: seconds.isna(),
        columns.LINE: ~((lines.abs() <= MAX_LINE_NUMBER) & (lines % 1 == 0)),
        columns.BLOCK: table[columns.BLOCK].isna(),
    }
    unlabelled = pd.DataFrame(invalid).any(axis=1)
    if unlabelled.mean() <= NOTED_UNLABELLED_SHARE:
        return unlabelled
    reasons = [
        f"{column} in {int(rows.sum())} rows, such as "
        f"{_first_of(texts if column == columns.BLOCK else table[column], rows)}"
        for column, rows in invalid.items()
        if rows.any()
    ]
    note = (
        f"{unlabelled.mean():.0%} of the rows have no time stamp, line number or G-code block: not "
        f"readable are {'; '.join(reasons)}"
    )
    if unlabelled.mean() > MAX_UNLABELLED_SHARE:
        raise RecordingExcluded(note)
    notes.append(note)
    return unlabelled


def _first_of(samples: pd.Series, rows: pd.Series) -> str:
    """The first sample of some rows, shortened, and its data row, for a message."""
    index = int(rows.to_numpy().argmax())
    sample = samples.iloc[index]
    text = "nothing" if pd.isna(sample) else f"{str(sample)[:60]!r}"
    return f"{text} in data row {int(samples.index[index]) + 1}"


def _running_clock(seconds: NDArray[np.float64], notes: list[str]) -> NDArray[np.float64]:
    if backward_steps := int((np.diff(seconds) < 0).sum()):
        raise RecordingExcluded(f"the clock runs backwards {backward_steps} times")
    if len(seconds) > 1 and seconds[0] == seconds[-1]:
        raise RecordingExcluded("the clock does not advance")
    spread, note = spread_coarse_clock(seconds)
    notes += note
    return spread


def _check_lines(lines: pd.Series, position_mm: NDArray[np.float32], least: int) -> None:
    """Raises RecordingExcluded if nearly all moving rows, if `least` or more, have one line."""
    moving = np.r_[False, (np.diff(position_mm, axis=0) != 0).any(axis=1)]
    moving &= np.isfinite(position_mm).any(axis=1)
    if moving.sum() < least:
        moving[:] = len(lines) >= least
    counts = lines[moving].value_counts(normalize=True)
    if len(counts) and counts.iloc[0] > MAX_ONE_LINE_SHARE:
        raise RecordingExcluded(
            f"line {counts.index[0]:g} is reported in {counts.iloc[0]:.0%} of {int(moving.sum())} "
            "moving rows: the log does not follow the program"
        )


def _check_blocks(blocks: pd.Series, is_of_layout: bool) -> None:
    """Raises RecordingExcluded on blocks whose path is unknown unless positions are reported."""
    missing = "posx is missing"
    if is_of_layout:
        missing = "no position is reported (if a file has it, map x, y and z in the layout)"
    for text in blocks.unique():
        words = set(parse_block(text))
        # G92 E0 sets the filament's length alone, as all slicers do.
        is_shifted = SHIFT in words and {w.letter for w in words - {SHIFT}} != {"E"}
        is_arc = any(w.letter in "IJK" or (w.letter == "R" and w.number < 0) for w in words)
        if RELATIVE in words or is_shifted or is_arc:
            raise RecordingExcluded(
                f"{missing}, and {_first_of(blocks, blocks == text)} has relative or shifted "
                "coordinates, or an arc that is only understood with positions"
            )


def _look_ahead_rows(lines: pd.Series, period_seconds: float) -> pd.Series:
    """Rows before the last decrease of the line number."""
    decreases = np.flatnonzero(np.diff(lines.to_numpy()) < 0)
    most = rows_in(PREAMBLE_SECONDS, period_seconds, LEAST_PREAMBLE_ROWS)
    if decreases.size and decreases[-1] >= most:
        raise RecordingExcluded(
            f"the program starts again at row {decreases[-1] + 1}: several logs in one file"
        )
    first = decreases[-1] + 1 if decreases.size else 0
    return pd.Series(np.arange(len(lines)) < first, index=lines.index)


def _mm_per_unit(path: Path, table: pd.DataFrame, notes: list[str]) -> pd.Series:
    """Millimetres per length unit at each row: of the last unit seen.

    Raises:
        UserError: a text is not a unit.
    """
    factors, blocks = pd.Series(np.nan, table.index), table[columns.BLOCK]
    if columns.UNIT in table:
        texts = table[columns.UNIT].fillna("").map(lambda text: text.strip().casefold())
        factors = texts.map(lambda text: columns.MM_PER_UNIT.get(text.removesuffix(".0")))
        factors = factors.astype(np.float64)
        if (invalid := factors.isna() & (texts != "")).any():
            raise UserError(
                f"{path}: column {columns.UNIT!r}: {_first_of(texts, invalid)} is not a unit; "
                f"known are: {', '.join(columns.MM_PER_UNIT)}"
            )
    if factors.isna().all():
        factors = blocks.str.extract(r"\b(G2[01])\b")[0].str.casefold().map(columns.MM_PER_UNIT)
    if factors.isna().all() and blocks.str.contains("[XYZ]").any():
        notes.append("no unit, G20 or G21: its lengths are taken as mm")
    return factors.ffill().bfill().fillna(1.0)


def _row_range(
    table: pd.DataFrame, counts: Counter[str], notes: list[str]
) -> NDArray[np.int64] | None:
    """What of a layout with packets follows each other; None without packets."""
    if columns.ROW_RANGE not in table:
        return None
    row_range = table[columns.ROW_RANGE].to_numpy(np.int64)
    counts["reordered_rows"] += len(table) * bool((np.diff(table.index) < 0).any())
    if counts["reordered_rows"]:
        notes.append(
            "its packets of rows are put into the program's order by the reported lines and "
            f"positions; {len(np.unique(row_range)) - 1} times the next one is not known. What is "
            "decoded of more than a packet uses an order that sensors alone do not tell"
        )
    return row_range


def _environment(table: pd.DataFrame) -> NDArray[np.float32]:
    nodes = [table.filter(regex=rf"\.{quantity}$") for quantity in columns.ENVIRONMENT]
    means = np.stack([samples.mean(axis=1).to_numpy(np.float64) for samples in nodes], axis=1)
    return np.where(is_sample(means), means, np.nan).astype(np.float32)


def _position_mm(table: pd.DataFrame) -> NDArray[np.float32]:
    in_mm = table.columns.isin(columns.POSITION_MM).any()
    names = columns.POSITION_MM if in_mm else columns.POSITION
    position = table.reindex(columns=list(names)).to_numpy(np.float64)
    valid = np.where(is_sample(position), position, np.nan).astype(np.float32)
    return valid if in_mm else valid * table[FACTOR].to_numpy(np.float32)[:, None]
