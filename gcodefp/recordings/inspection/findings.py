"""What is in a recording's files, what is wrong, and the line of the layout that fixes it.

Files are read as pre-processing reads them, but nothing is resampled, repaired or dropped.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gcodefp.errors import UserError, did_you_mean
from gcodefp.recordings import columns
from gcodefp.recordings.cleaning import Recording
from gcodefp.recordings.clock import median_period
from gcodefp.recordings.inspection.draft import flow, line_of
from gcodefp.recordings.inspection.guessing import guess_targets
from gcodefp.recordings.inspection.sniffing import (
    GRAVITY,
    SniffedFile,
    typical_period,
    unit_by_gravity,
)
from gcodefp.recordings.laboratory.lab_files import LabRecording
from gcodefp.recordings.laboratory.layout import placeholders
from gcodefp.recordings.laboratory.program_file import number_lines
from gcodefp.recordings.laboratory.quantities import parse_target
from gcodefp.recordings.laboratory.resampling import MIN_BAND_SAMPLES
from gcodefp.recordings.laboratory.source_file import ABSOLUTE, SourceFile
from gcodefp.recordings.samples import equals_previous, interval_lengths

MAX_ROWS = 5_000_000
"""Of a file that are looked at: 26 minutes at 3.2 kHz."""
GAP_PERIODS = 5.0
"""A period of the clock longer than this many typical ones is a gap."""
EQUAL_ROWS, FROZEN_SECONDS = 20, 1.0
"""A node that repeats its samples for so many rows, and so long, is frozen."""
MAX_ISOLATED_SHARE = 0.01
"""Of the reported lines: above it, some of them are wrong."""
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
        seconds: (N,) of its clock, ascending.
        channels: N rows, one column per sensor channel or position, in canonical units.
        lines: (N,) line or block that is reported, as text; None if it reports neither.
        is_cut: whether there are more rows than were read.
        unmapped: columns that the layout neither maps nor ignores.
        absent: columns of the layout that the file does not have.
        keys: canonical column -> the layout's column that it comes from.
    """

    seconds: NDArray[np.float64]
    channels: pd.DataFrame
    lines: pd.Series | None
    is_cut: bool
    unmapped: list[str]
    absent: list[str]
    keys: dict[str, str]

    def __post_init__(self) -> None:
        periods = np.diff(self.seconds)
        self.start, self.end = float(self.seconds[0]), float(self.seconds[-1])
        self.period_seconds = typical_period(periods)
        is_typical = np.abs(periods[periods > 0] - self.period_seconds) <= 0.5 * self.period_seconds
        self.is_regular = bool(is_typical.size and is_typical.mean() > 0.9)

    def gaps(self) -> list[tuple[float, float]]:
        """Start and length in seconds of each gap, the longest first."""
        periods = np.diff(self.seconds) if self.is_regular else np.empty(0)
        rows = np.flatnonzero(periods > GAP_PERIODS * self.period_seconds)
        gaps = [(float(self.seconds[row]), float(periods[row])) for row in rows]
        return sorted(gaps, key=lambda gap: -gap[1])


def inspect_source(recording: LabRecording, name: str) -> SourceFacts:
    """Reads up to MAX_ROWS rows of one file of a recording.

    Raises:
        UserError: it cannot be read as its layout says.
        RecordingExcluded: its clock runs backwards.
    """
    source = recording.layout.sources[name]
    file = SourceFile(recording.files[name], name, source, recording.offsets.get(name, 0.0))
    tables: list[pd.DataFrame] = []
    for chunk in file.chunks():
        samples = [c for c in map(str, chunk) if c != columns.CLOCK and chunk[c].dtype.kind == "f"]
        tables.append(chunk.astype(dict.fromkeys(samples, np.float32)))
        if sum(map(len, tables)) >= MAX_ROWS:
            break
    table = pd.concat(tables) if tables else pd.DataFrame()
    if table.empty:
        raise UserError(f"{file.path}: no row has a time, or matches sources.{name}")
    labels = [c for c in (columns.LINE, columns.BLOCK) if c in table]
    return SourceFacts(
        seconds=table[columns.CLOCK].to_numpy(np.float64),
        channels=table[[c for c in table if columns.channel_group(str(c)) is not None]],
        lines=table[labels[0]] if labels else None,
        is_cut=len(table) >= MAX_ROWS,
        unmapped=list(file.unmapped),
        absent=file.missing(),
        keys={m.target.column: m.key for m in file.mapped.values()},
    )


def find_problems(
    recording: LabRecording,
    facts: Mapping[str, SourceFacts],
    sniffed_files: Mapping[str, SniffedFile],
    is_aligned: bool,
) -> Iterator[Finding]:
    """All findings of a recording.

    Args:
        facts: of each of its sources.
        sniffed_files: of each source's file.
        is_aligned: whether all clocks are comparable.
    """
    for name, source in facts.items():
        if gaps := source.gaps():
            where = f"the longest {gaps[0][1]:.2f} s, {gaps[0][0] - source.start:.1f} s after its"
            yield Finding(name, f"{len(gaps)} gaps, {where} start: rows in there have no samples")
        yield from _columns(recording, name, source, sniffed_files[name])
        yield from _samples(recording, name, source)
    yield from _labels(recording, facts)
    yield from _overlap(recording, facts) if facts and is_aligned else ()


def _columns(
    recording: LabRecording, name: str, facts: SourceFacts, sniffed: SniffedFile
) -> Iterator[Finding]:
    clock = recording.layout.sources[name].clock
    tail = re.search(r"Rate (\d+), overflows (\d+)", sniffed.last_line)
    if clock.format == "sample" and tail and float(tail[1]) != clock.rate_hz:
        fix = _clock_fix(recording, name, rate_hz=float(tail[1]))
        yield Finding(name, f"its last line says {tail[0]!r}", fix)
    unmapped, source = facts.unmapped, recording.layout.sources[name]
    mapped = source.model_dump(mode="json", by_alias=True)["columns"]
    for key in facts.absent:
        hint = did_you_mean(key, facts.unmapped) if facts.unmapped else "remove it"
        meant = get_close_matches(key, facts.unmapped, 1)
        unmapped = [column for column in unmapped if column not in meant]
        fix = "".join(f"columns: {line_of(m, mapped[key])}" for m in meant if key in mapped)
        yield Finding(name, f"the file has no column {key!r}; {hint}", fix)
    if unmapped:
        first = unmapped[:MAX_SHOWN]
        more = f" and {len(unmapped) - MAX_SHOWN} more" * (len(unmapped) > MAX_SHOWN)
        guesses = guess_targets(sniffed.table, sniffed.has_header, clock.column, name)
        new = {c: guesses[c].target for c in sorted(unmapped) if c in guesses}
        new = {c: t for c, t in new.items() if parse_target(t).column not in facts.keys}
        fix = "".join(f"columns: {line_of(*item)}, or " for item in [*new.items()][:1])
        fix += line_of("ignore", first)
        own = sniffed.clock
        if own and clock.format == "sample" != own.keys["format"] and own.column in facts.unmapped:
            fix = f"clock: {flow(own.keys)}, or {fix}"
        yield Finding(name, f"columns that are not read: {', '.join(first)}{more}", fix)


def _clock_fix(recording: LabRecording, name: str, **changes: object) -> str:
    """The source's clock in the layout with some keys changed."""
    clock = recording.layout.sources[name].clock.model_dump(exclude_defaults=True)
    return f"clock: {flow(clock | changes)}"


def _samples(recording: LabRecording, name: str, facts: SourceFacts) -> Iterator[Finding]:
    names = [c for c in map(str, facts.channels) if columns.channel_group(c) != "controller"]
    sensors = facts.channels[names]
    if dead := [c for c in names if sensors[c].nunique() < 2]:
        shown = columns.describe_channels(dead, list(map(str, facts.channels)))
        keys = [key for channel in dead if not placeholders(key := facts.keys[channel])]
        fix = f"{line_of('ignore', keys)} instead of columns" if keys else ""
        yield Finding(name, f"dead, always the same value: {shown}; they are no inputs", fix)
    empty = sensors.isna().mean()
    sparse = [c for c in names if c not in dead and empty[c] > MAX_EMPTY_SHARE]
    yield from _sparse(recording, name, facts, sparse)
    varying = [
        c
        for c in names
        if c not in [*dead, *sparse] and columns.channel_group(c) not in columns.WITHOUT_NOISE
    ]
    for node in dict.fromkeys(map(columns.node_or_channel, varying)):
        own = [c for c in varying if columns.node_or_channel(c) == node]
        lengths = interval_lengths(~equals_previous(sensors[own].to_numpy()))
        first, length = int(lengths.argmax()), int(lengths.max())
        if length >= EQUAL_ROWS and length * facts.period_seconds >= FROZEN_SECONDS:
            where = f"{facts.seconds[first] - facts.start:.1f} s after the start"
            text = f"{node} is frozen for {length * facts.period_seconds:.1f} s, {where}"
            yield Finding(name, f"{text}: its samples there are taken as missing")
    for node in dict.fromkeys(map(columns.node_or_channel, names)):
        axes = [f"{node}.A{axis}" for axis in "xyz"]
        if set(axes) <= set(names):
            g = float(np.linalg.norm(sensors[axes].mean()))
            if unit_by_gravity(g) != "g":
                text = f"{node} measures {g:.3g} g in magnitude; at rest it should be 1 g"
                yield Finding(name, text, _unit_fix(recording, name, g))


def _sparse(
    recording: LabRecording, name: str, facts: SourceFacts, channels: Sequence[str]
) -> Iterator[Finding]:
    """Channels that a logger writes in some rows only, such as every tenth one."""
    by_share: dict[str, list[str]] = {}
    source = recording.layout.sources[name]
    for channel in channels if source.resample == "features" else ():
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
            own = source.model_dump(mode="json", by_alias=True, exclude_defaults=True)
            own |= {"columns": {key: own["columns"][key] for key in keys}}
            own |= {"ignore": ["*"], "resample": "interpolate"}
            node = columns.node_or_channel(names[0])
            fix = f"{line_of('ignore', keys)} instead of columns, and a source of their own: "
            fix += line_of(f"{name}_{node}", own)
        text = (
            f"{shown}: a sample in {text} only; the others are interpolated (up to 1 s) or missing"
        )
        yield Finding(name, text, fix)


def find_empty_bands(
    recording: LabRecording, facts: Mapping[str, SourceFacts], read: Recording
) -> Iterator[Finding]:
    """Frequency bands without a sample, since the interval of a row is too short for them.

    Args:
        facts: of each of its sources.
        read: the recording as pre-processing reads it.
    """
    empty = read.signals.isna().mean() > MAX_EMPTY_SHARE
    for name, source_facts in facts.items():
        source = recording.layout.sources[name]
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
        fix = f"{fix}  # in the layout's source {name}"
        shown = ", ".join(f"band{number}" for number in sorted(numbers))
        shown = f"{shown} of {', '.join(channels)}"
        yield Finding(name, f"{shown}: missing, since a row has {count:.3g} samples: {text}", fix)


def _unit_fix(recording: LabRecording, name: str, g: float) -> str:
    """The line with the unit in which the same samples measure 1 g."""
    source = recording.layout.sources[name]
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
        is_raw = key and recording.layout.sources[name].column(key).repair is None
        if is_raw and len(texts) >= EQUAL_ROWS and share > MAX_ISOLATED_SHARE:
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


def _overlap(recording: LabRecording, facts: Mapping[str, SourceFacts]) -> Iterator[Finding]:
    """Sources whose clocks have little time in common with that of the one that reports lines."""
    first = next((name for name in recording.layout.label_sources() if name in facts), min(facts))
    early = facts[first]
    if early.end == early.start:
        return  # Its clock stands still: the reader says so.
    for name, other_facts in facts.items():
        shift = early.start - other_facts.start
        common = min(other_facts.end, early.end) - max(other_facts.start, early.start)
        if common > MIN_COMMON_SHARE * (early.end - early.start):
            continue
        share = max(common, 0.0) / (early.end - early.start)
        text = f"its clock has {f'{share:.0%} of the' if share else 'no'} time in common with that "
        text += f"of {first}: it begins {abs(shift):,.1f} s {'earlier' if shift > 0 else 'later'}"
        if share:
            yield Finding(name, f"{text}: are its offset and unit right?")
            continue
        by_format = {recording.layout.sources[n].clock.format: n for n in (first, name)}
        local = by_format.get("iso8601")
        if by_format.keys() & {*ABSOLUTE}:
            local = by_format.get("time_of_day", local)
        zones = _time_zones(shift, HOUR_SECONDS)
        if local:  # A few zones are at quarters of an hour.
            zones = zones or _time_zones(shift, HOUR_SECONDS / 4)
        if zones:
            shift, text = zones, f"{text}, as by another time zone"
            if local:
                # An offset in seconds is wrong when clocks change.
                fix = f"{_clock_fix(recording, local, timezone='Area/City')}, such as Europe/Berlin"
                text = text.replace("its clock", f"the clock of {name}", 1)
                yield Finding(local, f"{text}; say where the times of {local} are local", fix)
                continue
        # The times that are compared have the present offset already.
        shift += recording.layout.sources[name].clock.offset_seconds
        yield Finding(name, text, _clock_fix(recording, name, offset_seconds=round(shift, 1)))


def _time_zones(shift: float, unit: float) -> float:
    """The multiple of time zones that a shift in seconds seems to be; 0 if it seems to be none."""
    nearest = round(shift / unit) * unit
    is_near = abs(shift - nearest) < MAX_SKEW_SECONDS * (unit / HOUR_SECONDS)
    return nearest if is_near and abs(nearest) <= MAX_ZONES_HOURS * HOUR_SECONDS else 0.0
