"""Makes the canonical table of a recording from the files of a layout.

The rows are those of the source that reports the executed line, or evenly spaced. Labels of other
sources are held, positions interpolated; sensors of other sources get onto the rows as `resampling`
says. The table has the columns of a CSV file that `reader.read_native` reads, but its clock is in
seconds, and positions are in mm.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gcodefp.errors import UserError
from gcodefp.recordings import columns
from gcodefp.recordings.clock import DAY_SECONDS, median_period, spread_coarse_clock
from gcodefp.recordings.laboratory.lab_files import LabRecording
from gcodefp.recordings.laboratory.layout import RowRate
from gcodefp.recordings.laboratory.program_file import number_lines
from gcodefp.recordings.laboratory.quantities import RUNNING, STATE
from gcodefp.recordings.laboratory.reader import RecordingExcluded
from gcodefp.recordings.laboratory.resampling import Samples, resampler
from gcodefp.recordings.laboratory.source_file import ABSOLUTE, SourceFile, local_midnight
from gcodefp.recordings.laboratory.sources import CHUNK_ROWS
from gcodefp.recordings.samples import is_sample

HELD = (columns.LINE, columns.BLOCK, columns.UNIT, "feed", STATE, RUNNING)
LINE_LETTER = "L"
"""Of the block of a line whose text nobody knows: line 17 has the block L17."""


def read_recording(recording: LabRecording) -> pd.DataFrame:
    """The canonical table of a recording, with its labels.

    Returns:
        a row per row of the recording; `attrs` has operation, session, machine, `notes` for the
        user, `periods`, channel of another source -> seconds between its samples, and `unmapped`,
        source -> columns that the layout neither maps nor ignores.

    Raises:
        UserError: a file cannot be read, or the layout does not fit it.
        RecordingExcluded: a file is missing, or its clock runs backwards.
    """
    files = _files(recording, with_labels=True)
    label_sources = [name for name in recording.layout.label_sources() if name in files]
    if not label_sources and recording.program is None:
        raise UserError(
            f"{recording.name}: no source of the layout maps line or block, and it has no program: "
            "there are no labels to learn from"
        )
    row_source = recording.layout.row_source()
    rows = recording.layout.rows
    if isinstance(rows, RowRate):
        timed = [files[name] for name in label_sources] or list(files.values())
        table = _even_rows(timed, 1 / rows.rate_hz)
    elif row_source not in files:
        raise RecordingExcluded(f"it has no file of the source {row_source!r}")
    else:
        table = _rows_of(files[row_source])
    table = _join(table, files, row_source)
    return _with_blocks(recording, table, files)


def read_sensors(recording: LabRecording, step_seconds: float) -> pd.DataFrame:
    """The canonical table of a recording without labels, for prediction.

    Args:
        step_seconds: from row to row where neither the layout nor a source with all sensors sets
            the rows.
    """
    sensors = _files(recording, with_labels=False)
    row_source = recording.layout.row_source()
    if not sensors:
        raise UserError(f"{recording.name}: no file of it has sensors that the layout maps")
    if row_source in sensors:
        table = _rows_of(sensors[row_source])
    else:
        rows = recording.layout.rows
        step = 1 / rows.rate_hz if isinstance(rows, RowRate) else step_seconds
        table, row_source = _even_rows(list(sensors.values()), step), None
    return _join(table, sensors, row_source)


def _files(recording: LabRecording, with_labels: bool) -> dict[str, SourceFile]:
    layout = recording.layout
    files = {}
    for name, source in layout.sources.items():
        if not (with_labels or source.has_sensors):
            continue
        if name in recording.files:
            offset = recording.offsets.get(name, 0.0)
            files[name] = SourceFile(recording.files[name], name, source, offset, with_labels)
        elif with_labels and not source.optional:
            raise RecordingExcluded(f"it has no file of the source {name!r}: {source.files}")
    make_comparable(files, recording)
    return files


def make_comparable(files: Mapping[str, SourceFile], recording: LabRecording) -> None:
    """Shifts the clocks of sources whose formats differ, and of files that begin on two days.

    Where one tells the time of day, those with a date become times of day in its time zone.

    Raises UserError: one counts from a start that no table gives, another tells the date; times of
    day are in two time zones; or a date is in no calendar.
    """
    kinds = {
        name: "absolute" if file.source.clock.format in ABSOLUTE else file.source.clock.format
        for name, file in files.items()
    }
    present = {"relative" if kind in ("seconds", "sample") else kind for kind in kinds.values()}
    if "relative" in present and len(present) > 1:
        relative = next(n for n, kind in kinds.items() if kind in ("seconds", "sample"))
        other = next(n for n, kind in kinds.items() if kind not in ("seconds", "sample"))
        if not files[relative].offset_seconds and not files[relative].source.clock.offset_seconds:
            column = f"name the column of {relative} that is its clock, or "
            raise UserError(
                f"{recording.name}: the clock of {relative} counts from a start, that of {other} "
                f"is {kinds[other]}; {column * (kinds[relative] == 'sample')}say when it started: "
                f"offset_seconds.{relative} in the layout's table"
            )
    if "time_of_day" not in present or len(files) == 1:
        return
    zones = {f.source.clock.timezone: n for n, f in files.items() if kinds[n] == "time_of_day"}
    zone, *others = zones
    if others:
        raise UserError(
            f"{recording.name}: the times of day of {zones[zone]} are in {zone}, those of "
            f"{zones[others[0]]} in {others[0]}; give them one timezone, and one of them "
            "offset_seconds"
        )
    for name, file in files.items():
        if kinds[name] == "absolute":
            first = file.span(1000)[0]
            try:
                file.offset_seconds -= local_midnight(first, zone)
            except (ValueError, OverflowError, OSError):
                raise UserError(
                    f"{file.path}: its first time is {first:g} s since 1970; is clock.unit right?"
                ) from None
    starts = {name: file.span(1000)[0] for name, file in files.items()}
    start = next(iter(starts.values()))
    for name, file in files.items():
        # One file may begin before midnight, and another after it.
        file.offset_seconds += DAY_SECONDS * round((start - starts[name]) / DAY_SECONDS)


def _rows_of(file: SourceFile) -> pd.DataFrame:
    """The rows of a source as those of the recording; `attrs` has notes on its clock."""
    table = file.whole()
    table[columns.CLOCK], notes = spread_coarse_clock(table[columns.CLOCK].to_numpy())
    table.attrs["notes"] = [f"{file.name}: {note}" for note in notes]
    return table


def _even_rows(files: list[SourceFile], step_seconds: float) -> pd.DataFrame:
    """Evenly spaced times where all of some files have samples."""
    spans = [file.span() for file in files]
    start, end = max(first for first, _ in spans), min(last for _, last in spans)
    if end <= start:
        raise UserError(
            f"{files[0].path}: no time at which all sources have samples; are their clocks in one "
            "time zone, and their offsets right?"
        )
    count = int((end - start) / step_seconds + 1e-9) + 1
    return pd.DataFrame({columns.CLOCK: start + np.arange(count) * step_seconds})


def _join(
    table: pd.DataFrame, files: Mapping[str, SourceFile], row_source: str | None
) -> pd.DataFrame:
    """The rows with the columns of all other sources."""
    rows = table[columns.CLOCK].to_numpy()
    if len(rows) < 2 or not np.isfinite(median_period(rows)):
        raise RecordingExcluded("the clock does not advance")
    parts = [table]
    for name, file in files.items():
        if name == row_source:
            continue
        try:
            parts += [_labels_at(file, rows), _sensors_at(file, rows)]
        except ValueError as error:
            raise UserError(f"{file.path}: {error}") from None
        file.check_labels()
    parts = [part.set_axis(table.index) for part in parts]
    joined = pd.concat(parts, axis=1)
    if twice := joined.columns[joined.columns.duplicated()].tolist():
        raise UserError(f"layout: two sources have the column {twice[0]!r}; rename one of them")
    periods = [part.attrs.get("periods", {}) for part in parts]
    joined.attrs["periods"] = {channel: p for each in periods for channel, p in each.items()}
    joined.attrs["notes"] = table.attrs.get("notes", [])
    joined.attrs["unmapped"] = {n: f.unmapped for n, f in files.items() if f.unmapped}
    joined.attrs["missing"] = {n: missing for n, f in files.items() if (missing := f.missing())}
    return joined


def _labels_at(file: SourceFile, rows: Samples) -> pd.DataFrame:
    """The reports of a source at other rows: the last ones, but interpolated positions."""
    if not (file.with_labels and file.source.has_labels):
        return pd.DataFrame(index=range(len(rows)))
    reports = file.labels()
    times = reports[columns.CLOCK].to_numpy()
    index = np.searchsorted(times, rows, side="right") - 1
    result: dict[str, Any] = {}
    for name in reports.columns.drop(columns.CLOCK):
        if name in HELD:
            held = reports[name].to_numpy()[np.maximum(index, 0)]
            result[name] = pd.Series(held).where(index >= 0)
        else:
            valid = reports[name].notna().to_numpy()
            if valid.any():
                result[name] = np.interp(
                    rows, times[valid], reports[name].to_numpy()[valid], left=np.nan, right=np.nan
                )
    return pd.DataFrame(result, index=range(len(rows)))


def _sensors_at(file: SourceFile, rows: Samples) -> pd.DataFrame:
    """The sensors of a source at other rows, read in chunks."""
    method, names = resampler(file.source, rows), None
    if not file.source.has_sensors:
        return pd.DataFrame(index=range(len(rows)))
    times = [np.inf, -np.inf]
    for chunk in file.chunks(lambda target: not target.is_label):
        present = list(chunk.columns.drop(columns.CLOCK))
        names = present if names is None else names
        if only_later := sorted(set(present) - set(names)):
            raise ValueError(f"column {only_later[0]!r} begins only after {CHUNK_ROWS} rows")
        seconds = chunk[columns.CLOCK].to_numpy()
        times = [min([times[0], *seconds[:1]]), max([times[1], *seconds[-1:]])]
        values = chunk.reindex(columns=names).to_numpy(np.float64)
        method.add(seconds, np.where(is_sample(values), values, np.nan))
    if not names:
        return pd.DataFrame(index=range(len(rows)))
    if times[1] < rows[0] or times[0] > rows[-1]:
        raise RecordingExcluded(
            f"{file.path.name} has samples from {times[0]:.3f} to {times[1]:.3f} s, the rows are "
            f"from {rows[0]:.3f} to {rows[-1]:.3f} s: are unit, time zone and offset of the clocks "
            "right?"
        )
    sensors = pd.DataFrame(
        {
            f"{name}{suffix}": samples[:, index]
            for suffix, samples in method.finish().items()
            for index, name in enumerate(names)
        }
    )
    sensors.attrs["periods"] = dict.fromkeys(sensors.columns, method.period_seconds)
    return sensors


def _with_blocks(
    recording: LabRecording, table: pd.DataFrame, files: Mapping[str, SourceFile]
) -> pd.DataFrame:
    """The table with line and block: from the program's file where the controller has no text.

    Without both, `programs.labelling` labels the rows.
    """
    attrs = table.attrs
    program, has_block = recording.layout.program, columns.BLOCK in table
    if columns.LINE not in table and not has_block:
        attrs = attrs | {"program": str(recording.program)}
    elif columns.LINE not in table:
        raise UserError(
            f"{recording.name}: the layout maps block but not line; map the line number, or the "
            "position in the program's file"
        )
    elif program is not None and recording.program is not None and not has_block:
        lines = number_lines(recording.program, program.numbering)
        table[columns.LINE], table[columns.BLOCK], units = lines.at(table[columns.LINE])
        if columns.UNIT not in table and units.notna().any():
            table[columns.UNIT] = units
    elif not has_block:
        # A line without text is its own label; N words do not count as words of a block.
        table[columns.BLOCK] = table[columns.LINE].map(
            lambda line: f"{LINE_LETTER}{line:.0f}", na_action="ignore"
        )
    if recording.layout.unit is not None and columns.UNIT not in table:
        table[columns.UNIT] = recording.layout.unit
    table.attrs = attrs | {
        "operation": recording.operation,
        "session": recording.session,
        "machine": recording.machine,
        "preamble": recording.layout.preamble,
    }
    return table
