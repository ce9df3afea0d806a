"""Loads recordings: those of a folder, cleaned and compared with each other, or a new one.

Of a new recording, whose program may be unknown, the sensor columns alone are read, not the
controller's line, block and position; its time stamps, if any, are displayed and tell the row rate:
a recording of a higher rate than the train recordings is resampled to theirs. Without them the rate
is taken to be theirs. All rows are read, also look-ahead rows before the program and rows after its
end, since only the controller's columns distinguish them.
"""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError
from gcodefp.recordings import columns
from gcodefp.recordings.cleaning import MAX_RATE_RATIO, Recording, load_recording
from gcodefp.recordings.clock import elapsed_seconds, median_period, spread_coarse_clock
from gcodefp.recordings.laboratory.assembly import read_sensors
from gcodefp.recordings.laboratory.lab_files import RawRecording, name_of, paths_of
from gcodefp.recordings.laboratory.reader import RecordingExcluded, read_canonical, read_columns
from gcodefp.recordings.samples import clean_samples, equals_previous, frozen_rows, interval_lengths

logger = logging.getLogger("gcodefp.recordings")

Excluded = list[dict[str, str]]
"""`recording` and `reason` of each excluded recording."""


def load_recordings(
    sources: Sequence[RawRecording],
    groups: Sequence[str],
    minimum_rows: int,
    workers: int = 1,
    channels: Sequence[str] = (),
    period_seconds: float | None = None,
    canonical: Path | None = None,
) -> tuple[dict[str, Recording], Excluded]:
    """Recordings by name, and those that a rule excludes; their notes are logged.

    Args:
        sources: at least one, all in the same folder.
        workers: processes that read files.
        channels: names whose spelling holds; else the most common one does.
        period_seconds: what the median row period has to be near; else that of all recordings.
        canonical: folder for the tables that a layout makes, as Parquet.

    Raises:
        UserError: a file cannot be read, or no recording is left.
    """
    load = partial(
        _load_or_exclude, groups=tuple(groups), minimum_rows=minimum_rows, canonical=canonical
    )
    if workers == 1:
        results = [load(source) for source in sources]
    else:
        with ProcessPoolExecutor(workers) as pool:
            results = list(pool.map(load, sources, chunksize=4))
    recordings: dict[str, Recording] = {}
    excluded: Excluded = []
    for source, result in zip(sources, results, strict=True):
        if isinstance(result, Recording):
            recordings[result.name] = result
        else:
            excluded.append({"recording": name_of(source), "reason": result})
            logger.warning("excluded %s: %s", name_of(source), result)
    _log_unread(list(recordings.values()))
    if not recordings:
        folder = paths_of(sources)[0].parent
        raise UserError(f"{folder}: no recording is left; the reasons are above")
    _unify_spelling(list(recordings.values()), channels)
    _compare_rates(list(recordings.values()), period_seconds)
    for recording in recordings.values():
        for note in recording.notes:
            logger.warning("%s: %s", recording.name, note)
    return recordings, excluded


def _log_unread(recordings: Sequence[Recording]) -> None:
    """Lists the columns that a layout does not map, and mapped ones that some files lack."""
    for kind, text in (
        ("unmapped", "%s: not read, since the layout neither maps nor ignores them: %s"),
        ("missing", "%s: mapped by the layout, but not in all recordings: %s"),
    ):
        names: dict[str, dict[str, None]] = {}
        for recording in recordings:
            for source, columns_ in recording.unread.get(kind, {}).items():
                names.setdefault(source, {}).update(dict.fromkeys(columns_))
        for source, unread in names.items():
            logger.warning(text, source, ", ".join(unread))


def _unify_spelling(recordings: Collection[Recording], channels: Sequence[str]) -> None:
    """Gives channels whose names differ in case alone the most common of these names."""
    counts = Counter(channel for r in recordings for channel in r.signals.columns)
    common = [name for name, _ in counts.most_common()]
    spelling = {name.casefold(): name for name in (*reversed(common), *channels)}
    for recording in recordings:
        names = recording.signals.columns
        if changed := {c: spelling[c.casefold()] for c in names if c != spelling[c.casefold()]}:
            recording.signals = recording.signals.rename(columns=changed)
            recording.notes.append(f"taken as the same channels: {changed}")


def _compare_rates(recordings: Collection[Recording], period_seconds: float | None) -> None:
    periods = [median_period(recording.seconds) for recording in recordings]
    expected = period_seconds or float(np.median(periods))
    for recording, period in zip(recordings, periods, strict=True):
        if not expected / MAX_RATE_RATIO <= period <= expected * MAX_RATE_RATIO:
            recording.notes.append(
                f"a row every {period:.3f} s, in the other recordings every {expected:.3f} s: rows "
                "of different rates are not comparable; resample or exclude this recording"
            )


def _load_or_exclude(
    source: RawRecording, groups: Sequence[str], minimum_rows: int, canonical: Path | None
) -> Recording | str:
    try:
        return load_recording(source, groups, minimum_rows, canonical)
    except RecordingExcluded as exclusion:
        return str(exclusion)


MIN_CHANNELS_SHARE = 0.5
TABLE = "table"
"""The name of a recording that is a table in memory."""


class UnlabelledRecording(NamedTuple):
    """A recording of N rows without labels.

    Attributes:
        recording: blocks are empty, lines -1 and positions NaN; its rows are evenly spaced. Where
            rows were resampled, `row` is the first one of each mean.
        clock: (N,) text of the time stamps; None if the file has none.
        missing: channels that the file lacks, or has no valid sample of.
    """

    recording: Recording
    clock: NDArray[np.str_] | None
    missing: tuple[str, ...]


def read_unlabelled(
    source: RawRecording | pd.DataFrame,
    channels: Sequence[str],
    minimum_rows: int,
    step_seconds: float,
    allow_missing: bool = False,
) -> UnlabelledRecording:
    """Reads and cleans one file, the files of a layout, or a table with the channels as columns.

    Args:
        channels: the columns that are inputs; missing ones become invalid samples.
        minimum_rows: rows of one window.
        step_seconds: from one row to the next.
        allow_missing: whether nodes may lack some of their channels.

    Raises:
        UserError: the file cannot be read, is too short, has too few of the channels, or a lower
            row rate than the train recordings.
    """
    path, name, is_native = _identify(source)
    table = _read(source, channels, step_seconds)
    clock = table.pop(columns.CLOCK) if columns.CLOCK in table else None
    row_range = table.pop(columns.ROW_RANGE) if columns.ROW_RANGE in table else None
    _check_channels(path, [c for c in channels if c not in table], channels)
    problem = columns.missing_channels_problem(channels, table.columns)
    if problem and not allow_missing:
        raise UserError(f"{path}: {problem}")
    counts = Counter(rows_in_file=len(table))
    # The rows of a layout are made at times: equal ones are coarse or slow samples.
    is_duplicate = _duplicate_rows(table.to_numpy(np.float64), frozen_rows(step_seconds))
    is_duplicate &= is_native
    counts["duplicate_rows"] = int(is_duplicate.sum())
    table, notes = table[~is_duplicate], list[str]()
    clock = None if clock is None else clock[~is_duplicate]
    period = step_seconds if clock is None else _find_period(path, clock, step_seconds, notes)
    signals = clean_samples(table, counts, period, table.attrs.get("periods"))
    if period != step_seconds:
        signals = _resample(signals, period, step_seconds)
    if len(signals) < minimum_rows:
        raise UserError(
            f"{path}: {len(signals)} rows, one window of the checkpoint needs {minimum_rows}"
        )
    missing = tuple(c for c in channels if c not in signals or signals[c].isna().all())
    _check_channels(path, missing, channels)
    recording = _without_labels(name, signals, step_seconds, counts)
    recording.notes += notes
    if row_range is not None:
        recording.row_range = row_range[signals.index].to_numpy(np.int64)
    texts = None if clock is None else _clock_texts(clock[signals.index])
    return UnlabelledRecording(recording, texts, missing)


def _identify(source: RawRecording | pd.DataFrame) -> tuple[Path | str, str, bool]:
    """Path and name of a recording, and whether its rows are as they were logged."""
    if isinstance(source, pd.DataFrame):
        return TABLE, TABLE, True
    is_native = isinstance(source, Path) and source.suffix != ".parquet"
    return paths_of([source])[0], name_of(source), is_native


def _clock_texts(clock: pd.Series) -> NDArray[np.str_]:
    texts = clock.map("{:.3f}".format) if clock.dtype.kind == "f" else clock.fillna("")
    return texts.to_numpy(np.str_)


def _find_period(
    path: Path | str, clock: pd.Series, step_seconds: float, notes: list[str]
) -> float:
    """Seconds from one row to the next; `step_seconds` if they are near it, or unknown.

    Raises:
        UserError: the rows are too far apart.
    """
    seconds = elapsed_seconds(clock)
    seconds = seconds[np.isfinite(seconds)]
    if not seconds.size and len(frame := clock.dropna()):
        notes.append(
            f"CAVEAT: no row's clock is a time, such as {str(frame.iloc[0])!r} of "
            f"{columns.CLOCK}: rows are taken to be {step_seconds:.3f} s apart"
        )
    if backward_steps := int((np.diff(seconds) < 0).sum()):
        notes.append(
            f"CAVEAT: the clock runs backwards {backward_steps} times; are the rows in order?"
        )
    seconds, _ = spread_coarse_clock(seconds)
    period = median_period(seconds)
    # Reports are rarer while a machine stands still, which may be most of the time.
    shortest = np.quantile([p for p in np.diff(seconds) if p > 0] or [step_seconds], 0.1)
    compared = (
        f"by its clock the recording has a row every {period:.3f} s, the train recordings every "
        f"{step_seconds:.3f} s"
    )
    if shortest > MAX_RATE_RATIO * step_seconds:
        raise UserError(
            f"{path}: {compared}: too few to be compared; record it at a higher rate, or train "
            "with recordings of this rate; a clock of numbers has to be in seconds"
        )
    if not period * MAX_RATE_RATIO < step_seconds:
        return step_seconds
    notes.append(f"{compared}: resampled to means of {step_seconds / period:.1f} rows")
    return period


def _resample(signals: pd.DataFrame, period: float, step_seconds: float) -> pd.DataFrame:
    """Means over the rows of each step; the index is that of their first row."""
    step = (np.arange(len(signals)) * period / step_seconds + 1e-6).astype(int)
    first = signals.index[np.unique(step, return_index=True)[1]]
    return signals.groupby(step).mean().set_axis(first)


def _read(
    source: RawRecording | pd.DataFrame, channels: Sequence[str], step_seconds: float
) -> pd.DataFrame:
    """The clock and the channels of the recording as numbers, in the order of `channels`.

    The clock is text, or seconds where all its entries are numbers.
    """
    names = {name.casefold(): name for name in (columns.CLOCK, columns.ROW_RANGE, *channels)}
    if isinstance(source, pd.DataFrame):
        table = _numbers(source, names)
    elif not isinstance(source, Path):
        try:
            table = read_sensors(source, step_seconds)
        except RecordingExcluded as exclusion:
            raise UserError(f"{source.name}: {exclusion}") from None
    elif not source.exists():
        raise UserError(f"{source}: no such recording")
    elif source.suffix == ".parquet":
        table = read_canonical(source)
    else:
        table = read_columns(source, lambda name: name.casefold() in names, "repair the file")
    table = table[[name for name in table.columns if name.casefold() in names]]
    table = table.rename(columns=lambda column: names[column.casefold()])
    # The order of the columns in the file must not change the result by rounding.
    table = table[[column for column in names.values() if column in table]]
    if columns.CLOCK in table:
        table = table.assign(**{columns.CLOCK: _seconds_or_texts(table[columns.CLOCK])})
    return table.astype(dict.fromkeys(table.columns.difference([columns.CLOCK]), np.float64))


def _numbers(frame: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """The columns of a table in memory that are read; a clock of numbers is in seconds."""
    if frame.columns.nlevels > 1:
        raise UserError(
            f"{TABLE}: its columns have {frame.columns.nlevels} levels; join them to one name "
            "each, as in `channels`"
        )
    table: dict[str, pd.Series] = {}
    for header, samples in frame.reset_index(drop=True).items():
        column, unit = columns.canonical_column(str(header))
        key = column.casefold()
        if key not in names:
            continue
        if key in table:
            raise UserError(f"{TABLE}: two columns are {column!r}; remove one of them")
        try:
            columns.check_unit(column, unit)
        except ValueError as error:
            raise UserError(f"{TABLE}: {error}") from None
        if key != columns.CLOCK:
            is_complex = samples.dtype == object and samples.map(np.iscomplexobj).any()
            if is_complex or samples.dtype.kind in "cmMV":
                raise UserError(f"{TABLE}: column {column!r} is {samples.dtype}, not real numbers")
            table[key] = pd.to_numeric(samples, errors="coerce").astype(np.float64)
            if (invalid := (table[key].isna() & samples.notna()).to_numpy()).any():
                row = int(invalid.argmax())
                text = samples.iloc[row]
                raise UserError(f"{TABLE}: column {column!r}, row {row}: {text!r} is not a number")
        elif samples.dtype.kind in "mM":
            table[key] = (samples - samples.min()).dt.total_seconds()
        else:
            table[key] = samples
    return pd.DataFrame(table, index=range(len(frame)))


def _seconds_or_texts(clock: pd.Series) -> pd.Series:
    """A clock whose entries are all numbers, perhaps as texts, is in seconds."""
    seconds = pd.to_numeric(clock, errors="coerce")
    is_number = seconds.notna().any() and seconds.notna().eq(clock.notna()).all()
    return seconds.astype(np.float64) if is_number and clock.dtype.kind not in "bc" else clock


def _check_channels(path: Path | str, missing: Sequence[str], channels: Sequence[str]) -> None:
    if len(missing) <= (1 - MIN_CHANNELS_SHARE) * len(channels):
        return
    raise UserError(
        f"{path}: {len(missing)} of the {len(channels)} channels of the checkpoint are missing or "
        f"have no valid sample, at least half are needed: "
        f"{columns.describe_channels(missing, channels)}"
    )


def _duplicate_rows(samples: NDArray[np.float64], frozen: int) -> NDArray[np.bool_]:
    """Rows equal to the previous one, (N,); samples (N, channels).

    Runs of `frozen` equal rows are not duplicates but frozen sensors: they stay, and
    `clean_samples` marks their samples as frozen.
    """
    if not samples.size:
        return np.zeros(len(samples), bool)
    equal = equals_previous(samples)
    return np.concatenate([[False], equal]) & (interval_lengths(~equal) < frozen)


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
