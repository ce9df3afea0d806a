"""What is in a recording's files, what is wrong, and the line of the layout that fixes it.

Files are read as pre-processing reads them, but nothing is resampled, repaired or dropped.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError, did_you_mean
from gcodefp.recordings import columns
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.clock import median_period
from gcodefp.recordings.inspection.draft import flow, line_of
from gcodefp.recordings.inspection.sniffing import (
    GRAVITY,
    typical_period,
    unit_by_gravity,
)
from gcodefp.recordings.laboratory.lab_files import LabRecording
from gcodefp.recordings.laboratory.layout import Source, placeholders
from gcodefp.recordings.laboratory.program_file import number_lines
from gcodefp.recordings.laboratory.resampling import MIN_BAND_SAMPLES
from gcodefp.recordings.laboratory.source_file import ABSOLUTE, SourceFile
from gcodefp.recordings.samples import (
    equals_previous,
    frozen_rows,
    interval_lengths,
)

MAX_ROWS = 5_000_000
"""Of a file that are looked at: 26 minutes at 3.2 kHz."""
GAP_PERIODS = 5.0
"""A period of the clock longer than this many typical ones is a gap."""
MAX_ISOLATED_SHARE, MIN_REPORTS = 0.01, 20
"""Of the reported lines, if there are so many: above it, some of them are wrong."""
HOUR_SECONDS, MAX_SKEW_SECONDS = 3600.0, 300.0
"""Of clocks in two time zones, and between the first rows of two files of a recording."""
MAX_ZONES_HOURS = 26
MAX_SHOWN = 6
MIN_LINES_SHARE = 0.5
"""Of reported lines that a program has: below it, they are counted in another way."""
MAX_MISSING_SHARE = 0.2
"""Of rows without a line in a log that has one: above it, its last line still runs."""
MAX_EMPTY_SHARE = 0.2
"""Of rows without a sample of a channel: above it, the report says why."""
_BAND = re.compile(r"_band(\d+)$")
MIN_COMMON_SHARE = 0.8
"""Of the time of the source that reports lines: below it, a clock may be wrong."""


class Finding(NamedTuple):
    """Something that a person has to know.

    Attributes:
        source: the layout's source, or what else it concerns.
        fix: what to write in the layout's section of the source; empty if nothing helps.
    """

    source: str
    text: str
    fix: str = ""


@dataclass
class SourceFacts:
    """One file of a recording, of N rows.

    Attributes:
        file: as it was read, its clock too.
        seconds: (N,) of its clock, ascending.
        channels: N rows, one column per sensor channel or position, in canonical units.
        lines: (N,) line or block that is reported, as text; None if it reports neither.
        is_cut: whether there are more rows than were read.
    """

    file: SourceFile
    seconds: NDArray[np.float64]
    channels: pd.DataFrame
    lines: pd.Series | None
    is_cut: bool

    def __post_init__(self) -> None:
        periods = np.diff(self.seconds)
        self.start, self.end = float(self.seconds[0]), float(self.seconds[-1])
        self.period_seconds = typical_period(periods)
        is_typical = np.abs(periods[periods > 0] - self.period_seconds) <= 0.5 * self.period_seconds
        self.keys = {m.target.column: m.key for m in self.file.mapped.values()}
        self.is_regular = bool(is_typical.size and is_typical.mean() > 0.9)

    def gaps(self) -> list[tuple[float, float]]:
        """Start and length in seconds of each gap, the longest first."""
        periods = np.diff(self.seconds) if self.is_regular else np.empty(0)
        rows = np.flatnonzero(periods > GAP_PERIODS * self.period_seconds)
        gaps = [(float(self.seconds[row]), float(periods[row])) for row in rows]
        return sorted(gaps, key=lambda gap: -gap[1])


def inspect_source(file: SourceFile) -> SourceFacts:
    """Reads up to MAX_ROWS rows of one file of a recording.

    Raises:
        UserError: it cannot be read as its layout says.
        RecordingExcluded: its clock runs backwards.
    """
    tables: list[pd.DataFrame] = []
    for chunk in file.chunks():
        samples = [c for c in map(str, chunk) if c != columns.CLOCK and chunk[c].dtype.kind == "f"]
        tables.append(chunk.astype(dict.fromkeys(samples, np.float32)))
        if sum(map(len, tables)) >= MAX_ROWS:
            break
    table = pd.concat(tables) if tables else pd.DataFrame()
    if table.empty:
        raise UserError(f"{file.path}: no row has a time, or matches sources.{file.name}")
    labels = [c for c in (columns.LINE, columns.BLOCK) if c in table]
    return SourceFacts(
        file,
        seconds=table[columns.CLOCK].to_numpy(np.float64),
        channels=table[[c for c in table if columns.channel_group(str(c)) is not None]],
        lines=table[labels[0]] if labels else None,
        is_cut=len(table) >= MAX_ROWS,
    )


def find_problems(
    recording: LabRecording, facts: Mapping[str, SourceFacts], is_aligned: bool, has_layout: bool
) -> Iterator[Finding]:
    """All findings of a recording.

    Args:
        facts: of each of its sources.
        is_aligned: whether all clocks are comparable.
        has_layout: whether columns are compared with it.
    """
    for name, source in facts.items():
        if gaps := source.gaps():
            where = f"the longest {gaps[0][1]:.2f} s, {gaps[0][0] - source.start:.1f} s after its"
            yield Finding(name, f"{len(gaps)} gaps, {where} start: rows in there have no samples")
        yield from _columns(name, source.file) if has_layout else ()
        yield from _samples(name, source)
    yield from _labels(recording, facts)
    yield from _overlap(facts) if facts and is_aligned else ()


def _columns(name: str, file: SourceFile) -> Iterator[Finding]:
    unmapped, clock = file.unmapped, file.source.clock
    tail = _rate_line(file.path) if clock.format == "sample" else None
    if tail and float(tail[1]) != clock.rate_hz:
        fix = _clock_fix(file.source, rate_hz=float(tail[1]))
        yield Finding(name, f"its last line says {tail[0].decode()!r}", fix)
    mapped = file.source.model_dump(mode="json", by_alias=True)["columns"]
    for key in file.missing():
        hint = did_you_mean(key, file.unmapped) if file.unmapped else "remove it"
        meant = get_close_matches(key, file.unmapped, 1)
        unmapped = [column for column in unmapped if column not in meant]
        fix = "".join(f"columns: {line_of(m, mapped[key])}" for m in meant)
        yield Finding(name, f"the file has no column {key!r}; {hint}", fix)
    if unmapped:
        first = unmapped[:MAX_SHOWN]
        more = f" and {len(unmapped) - MAX_SHOWN} more" * (len(unmapped) > MAX_SHOWN)
        fix = f"{line_of('ignore', first)}, or map them under columns"
        yield Finding(name, f"columns that are not read: {', '.join(first)}{more}", fix)


def _rate_line(path: Path) -> re.Match[bytes] | None:
    """What RepRapFirmware writes below an accelerometer's samples."""
    with path.open("rb") as handle:
        handle.seek(max(path.stat().st_size - 300, 0))
        return re.search(rb"Rate (\d+), overflows \d+", handle.read())


def _clock_fix(source: Source, **changes: object) -> str:
    """The source's clock in the layout with some keys changed."""
    return f"clock: {flow(source.clock.model_dump(exclude_defaults=True) | changes)}"


def _samples(name: str, facts: SourceFacts) -> Iterator[Finding]:
    names = [c for c in map(str, facts.channels) if columns.channel_group(c) != "controller"]
    sensors = facts.channels[names]
    if dead := [c for c in names if sensors[c].nunique() < 2]:
        shown = columns.describe_channels(dead, list(map(str, facts.channels)))
        keys = [key for channel in dead if not placeholders(key := facts.keys[channel])]
        fix = f"{line_of('ignore', keys)} instead of columns" if keys else ""
        yield Finding(name, f"dead, always the same value: {shown}; they are no inputs", fix)
    empty = sensors.isna().mean()
    sparse = [c for c in names if c not in dead and empty[c] > MAX_EMPTY_SHARE]
    if facts.file.source.resample == "features":
        yield from _sparse(name, facts, sparse)
    nodes: dict[str, list[str]] = {}
    for channel in names:
        nodes.setdefault(columns.node_or_channel(channel), []).append(channel)
    for node, own in nodes.items():
        noisy = [c for c in own if columns.channel_group(c) not in columns.WITHOUT_NOISE]
        noisy = [c for c in noisy if c not in [*dead, *sparse]]
        lengths = interval_lengths(~equals_previous(sensors[noisy].to_numpy()))
        first, seconds = int(lengths.argmax()), int(lengths.max()) * facts.period_seconds
        if noisy and lengths.max() >= frozen_rows(facts.period_seconds):
            where = f"{facts.seconds[first] - facts.start:.1f} s after the start"
            text = f"{node} is frozen for {seconds:.1f} s, {where}"
            yield Finding(name, f"{text}: its samples there are taken as missing")
        axes = [f"{node}.A{axis}" for axis in "xyz"]
        if set(axes) <= set(own):
            g = float(np.linalg.norm(sensors[axes].mean()))
            if unit_by_gravity(g) != "g":
                text = f"{node} measures {g:.3g} g in magnitude; at rest it should be 1 g"
                yield Finding(name, text, _unit_fix(facts.file.source, g))


def _sparse(name: str, facts: SourceFacts, channels: Sequence[str]) -> Iterator[Finding]:
    """Channels that a logger writes in some rows only, such as every tenth one."""
    by_share: dict[str, list[str]] = {}
    for channel in channels:
        rows = np.flatnonzero(facts.channels[channel].notna())
        distances = np.diff(rows)
        every = int(np.median(distances))
        is_even = every > 1 and (distances == every).mean() > 0.9
        text = f"one row of {every}" if is_even else f"{len(rows) / len(facts.seconds):.0%} of rows"
        by_share.setdefault(text, []).append(channel)
    for text, names in by_share.items():
        shown = columns.describe_channels(names, list(map(str, facts.channels)))
        keys, fix = [facts.keys[channel] for channel in names], ""
        if text.startswith("one row") and not any(map(placeholders, keys)):
            own = facts.file.source.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            own |= {"columns": {key: own["columns"][key] for key in keys}}
            own |= {"ignore": ["*"], "resample": "interpolate"}
            node = columns.node_or_channel(names[0])
            fix = f"{line_of('ignore', keys)} instead of columns, and a source of their own: "
            fix += line_of(f"{name}_{node}", own)
        text = (
            f"{shown}: a sample in {text} only; the others are interpolated (up to 1 s) or missing"
        )
        yield Finding(name, text, fix)


def find_empty_bands(facts: Mapping[str, SourceFacts], read: Recording) -> Iterator[Finding]:
    """Frequency bands without a sample, since the interval of a row is too short for them.

    Args:
        facts: of each source of the recording.
        read: the recording as pre-processing reads it.
    """
    empty = read.signals.isna().mean() > MAX_EMPTY_SHARE
    for name, source_facts in facts.items():
        source = source_facts.file.source
        sampled = source_facts.channels.notna().mean() > 1 - MAX_EMPTY_SHARE
        bands = [
            (int(match[1]), str(channel)[: match.start()])
            for channel in read.signals.columns[empty]
            if (match := _BAND.search(channel)) and sampled.get(channel[: match.start()], False)
        ]
        if not bands:
            continue
        numbers, channels = (list(dict.fromkeys(each)) for each in zip(*bands, strict=True))
        key = "bands" if source.bands_hz is None else "bands_hz"
        edges = list(getattr(source, key))
        count = median_period(read.seconds) / source_facts.period_seconds
        text = f"bands need {MIN_BAND_SAMPLES}"
        fix = line_of("features", [f for f in source.features if f != "bands"])
        if len(numbers) < len(edges) - 1:
            # Each is joined with a neighbour.
            inner = {edges[min(number, len(edges) - 2)] for number in numbers}
            text, fix = "too few for so narrow a band", line_of(key, sorted({*edges} - inner))
        shown = ", ".join(f"band{number}" for number in sorted(numbers))
        shown = f"{shown} of {', '.join(channels)}: missing, since a row has {count:.3g} samples"
        yield Finding(name, f"{shown}: {text}", f"{fix}  # in the layout's source {name}")


def _unit_fix(source: Source, g: float) -> str:
    """The line with the unit in which the same samples measure 1 g."""
    for key in source.columns:
        target = source.column(key).target
        written = re.search(r"\.A.*\[(.*)\]", target)
        unit = unit_by_gravity(g * GRAVITY.get(written[1], np.nan)) if written else None
        if written and unit:
            return f"columns: {key}: {target.replace(written[1], unit)}"
    return ""


def _labels(recording: LabRecording, facts: Mapping[str, SourceFacts]) -> Iterator[Finding]:
    reporting = {name: f.lines for name, f in facts.items() if f.lines is not None}
    if not reporting and recording.program is None:
        yield Finding(
            "labels",
            "no file says which line of the program runs, and there is no program: no labels to "
            "learn from. If a file does, map its column to line; else name the program's file",
            fix='program: {files: "{operation}.gcode"}',
        )
    for name, lines in reporting.items():
        reports = lines.dropna()
        if reports.empty:
            yield Finding(name, "its column for the line is always empty")
            continue
        missing = 1 - len(reports) / len(lines)
        key = facts[name].keys.get(columns.LINE, "")
        if missing > MAX_MISSING_SHARE and key:
            fix = f"columns: {line_of(key, {'as': 'line', 'fill': 'hold'})}"
            yield Finding(name, f"{missing:.0%} of its rows have no line, and no label", fix)
        texts = reports.to_numpy(str)
        is_isolated = (texts[:-2] == texts[2:]) & (texts[1:-1] != texts[:-2])
        share = float(is_isolated.sum() / len(texts))
        is_raw = key and facts[name].file.source.column(key).repair is None
        if is_raw and len(texts) >= MIN_REPORTS and share > MAX_ISOLATED_SHARE:
            fix = f"columns: {line_of(key, {'as': 'line', 'repair': 'isolated'})}"
            yield Finding(
                name, f"{share:.0%} of the reported lines differ from equal neighbours", fix
            )
        if recording.program is not None and reports.dtype.kind == "f":
            yield from _numbering(recording, name, np.unique(reports.to_numpy()))


def _numbering(recording: LabRecording, name: str, lines: np.ndarray) -> Iterator[Finding]:
    program = recording.layout.program
    assert program is not None
    assert recording.program is not None
    shares = {}
    for numbering in ("file_line", "n_word"):
        try:
            numbers = number_lines(recording.program, numbering).number
        except UserError:
            continue
        shares[numbering] = float(np.isin(lines[lines > 0], numbers).mean())
    share = shares.get(program.numbering, 1.0)
    best = max(shares, key=lambda n: shares[n], default=program.numbering)
    if share < MIN_LINES_SHARE and shares[best] > share:
        fix = f"program: {flow({'files': program.files, 'numbering': best})}"
        yield Finding(name, f"{share:.0%} of its lines are in {recording.program.name}", fix)


def _overlap(facts: Mapping[str, SourceFacts]) -> Iterator[Finding]:
    """Sources whose clocks have little time in common with that of the one that reports lines."""
    first = next((name for name, f in facts.items() if f.lines is not None), min(facts))
    early = facts[first]
    seconds = early.end - early.start
    for name, late in facts.items() if seconds else ():  # A clock that stands: the reader says so.
        shift = early.start - late.start
        share = max(min(late.end, early.end) - max(late.start, early.start), 0.0) / seconds
        if share > MIN_COMMON_SHARE:
            continue
        common = f"{share:.0%} of the" if share else "no"
        text = f"time in common with that of {first}: it begins {abs(shift):,.1f} s "
        text = f"has {common} {text}{'earlier' if shift > 0 else 'later'}"
        by_format = {facts[n].file.source.clock.format: n for n in (first, name)}
        local = by_format.get("iso8601")
        if by_format.keys() & {*ABSOLUTE}:
            local = by_format.get("time_of_day", local)
        # A few zones are at quarters of an hour.
        units = (HOUR_SECONDS, HOUR_SECONDS / 4) if local else (HOUR_SECONDS,)
        zones = next((z for unit in units if (z := _time_zones(shift, unit))), 0.0)
        if share:
            yield Finding(name, f"its clock {text}: are its offset and unit right?")
        elif zones and local:
            # An offset in seconds is wrong when clocks change.
            fix = _clock_fix(facts[local].file.source, timezone="Area/City")
            text = f"the clock of {name} {text}, as by another time zone"
            text += f"; say where the times of {local} are local"
            yield Finding(local, text, f"{fix}, such as Europe/Berlin")
        else:
            # The times that are compared have the present offset already.
            source, by_zones = late.file.source, ", as by another time zone" * bool(zones)
            offset = round((zones or shift) + source.clock.offset_seconds, 1)
            yield Finding(
                name, f"its clock {text}{by_zones}", _clock_fix(source, offset_seconds=offset)
            )


def _time_zones(shift: float, unit: float) -> float:
    """The multiple of time zones that a shift in seconds seems to be; 0 if it seems to be none."""
    nearest = round(shift / unit) * unit
    is_near = abs(shift - nearest) < MAX_SKEW_SECONDS * (unit / HOUR_SECONDS)
    return nearest if is_near and abs(nearest) <= MAX_ZONES_HOURS * HOUR_SECONDS else 0.0
