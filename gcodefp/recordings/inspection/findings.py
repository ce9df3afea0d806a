"""What is wrong or missing in a recording's files, and the line of the layout that fixes it."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import yaml

from gcodefp.errors import UserError, did_you_mean
from gcodefp.recordings import columns
from gcodefp.recordings.inspection.draft import clock_yaml, quoted
from gcodefp.recordings.inspection.guessing import guess_targets
from gcodefp.recordings.inspection.sniffing import GRAVITY, Sketch, unit_by_gravity
from gcodefp.recordings.inspection.source_facts import MAX_ISOLATED_SHARE, SourceFacts
from gcodefp.recordings.lab_files import LabRecording
from gcodefp.recordings.layout import placeholders
from gcodefp.recordings.program_file import number_lines
from gcodefp.recordings.quantities import parse_target

HOUR_SECONDS = 3600.0
MAX_SKEW = 300.0
"""Seconds between the first rows of two files of a recording."""
CLOCK_KINDS = {
    "iso8601": "absolute", "unix": "absolute", "time_of_day": "day", "seconds": "relative",
    "sample": "relative",
}  # fmt: skip
MAX_SHOWN = 6
NUMBERINGS = ("file_line", "n_word", "byte")
MIN_LINES_SHARE = 0.5
"""Of reported lines that a program has: below it, they are counted in another way."""
MAX_MISSING_SHARE = 0.2
"""Of rows without a line in a log that has one: above it, its last line still runs."""
MIN_COMMON_SHARE = 0.8
"""Of the time of the source that reports lines: below it, a clock may be wrong."""


class Finding(NamedTuple):
    """Something that a person has to know.

    Attributes:
        source: the layout's source, or what else it concerns.
        is_of_layout: whether the layout is to blame, not the file.
        fix: what to write in the layout's section of the source; empty if nothing helps.
    """

    source: str
    text: str
    fix: str = ""
    is_of_layout: bool = False


def find_problems(
    recording: LabRecording, facts: Mapping[str, SourceFacts], sketches: Mapping[str, Sketch]
) -> list[Finding]:
    """All findings of a recording.

    Args:
        facts: of each of its sources.
        sketches: of each source's file.
    """
    findings: list[Finding] = []
    for name, source in facts.items():
        findings += _clock(recording, name, source, sketches[name])
        findings += _columns(recording, name, source, sketches[name])
        findings += _samples(recording, name, source)
    findings += _labels(recording, facts)
    return [*findings, *(_overlap(recording, facts) if facts else ())]


def _clock(
    recording: LabRecording, name: str, facts: SourceFacts, sketch: Sketch
) -> Iterator[Finding]:
    if gaps := facts.gaps():
        start, length = gaps[0]
        where = f"the longest {length:.2f} s, {start - facts.start:.1f} s after its start"
        yield Finding(name, f"{len(gaps)} gaps, {where}: rows in there have no samples")
    clock = recording.layout.sources[name].clock
    if clock.format == "sample":
        tail = re.search(r"Rate (\d+), overflows (\d+)", sketch.last_line)
        if tail and float(tail[1]) != clock.rate_hz:
            fix = _clock_line(recording, name, rate_hz=float(tail[1]))
            yield Finding(name, f"its last line says {tail[0]!r}", fix)
        is_unread = sketch.clock is not None and sketch.clock.column in facts.unmapped
        if sketch.clock is not None and sketch.clock.kind != "sample" and is_unread:
            text = f"column {sketch.clock.column!r} seems to be a clock, {sketch.clock.kind}"
            yield Finding(name, text, f"clock: {clock_yaml(sketch.clock)}")


def _clock_line(recording: LabRecording, name: str, **changes: object) -> str:
    """The source's clock in the layout with some keys changed."""
    clock = recording.layout.sources[name].clock.model_dump(exclude_defaults=True) | changes
    return f"clock: {yaml.safe_dump(clock, default_flow_style=True, sort_keys=False).strip()}"


def _columns(
    recording: LabRecording, name: str, facts: SourceFacts, sketch: Sketch
) -> Iterator[Finding]:
    for key in facts.absent:
        hint = did_you_mean(key, facts.unmapped) if facts.unmapped else "remove it"
        yield Finding(name, f"the file has no column {key!r}; {hint}", is_of_layout=True)
    if facts.unmapped:
        clock = recording.layout.sources[name].clock.column
        guesses = guess_targets(sketch.table, sketch.has_header, clock, name)
        shown = ", ".join(facts.unmapped[:MAX_SHOWN])
        more = f" and {len(facts.unmapped) - MAX_SHOWN} more" * (len(facts.unmapped) > MAX_SHOWN)
        new = {c: g.target for c, g in guesses.items() if c in facts.unmapped}
        new = {c: t for c, t in new.items() if parse_target(t).column not in facts.keys}
        fix = f"columns: {quoted(min(new))}: {new[min(new)]}, or " if new else ""
        fix += f"ignore: [{', '.join(map(quoted, facts.unmapped[:MAX_SHOWN]))}]"
        yield Finding(name, f"columns that are not read: {shown}{more}", fix, is_of_layout=True)


def _samples(recording: LabRecording, name: str, facts: SourceFacts) -> Iterator[Finding]:
    if dead := facts.dead():
        shown = columns.describe_channels(dead, list(map(str, facts.channels)))
        keys = [key for channel in dead if not placeholders(key := facts.keys[channel])]
        fix = f"ignore: [{', '.join(map(quoted, keys))}] instead of columns" if keys else ""
        yield Finding(name, f"dead, always the same value: {shown}; they are no inputs", fix)
    for node, (start, seconds) in facts.frozen().items():
        text = f"{node} is frozen for {seconds:.1f} s, {start - facts.start:.1f} s after the start"
        yield Finding(name, f"{text}: its samples there are taken as missing")
    for node, g in _gravity(facts).items():
        if unit_by_gravity(g) != "g":
            text = f"{node} measures {g:.3g} g on the whole; at rest it should be 1 g"
            yield Finding(name, text, _unit_fix(recording, name, g))
    line = facts.keys.get(columns.LINE, "")
    is_raw = line and recording.layout.sources[name].column(line).repair is None
    if is_raw and facts.isolated_share() > MAX_ISOLATED_SHARE:
        text = f"{facts.isolated_share():.0%} of the reported lines differ from equal neighbours"
        yield Finding(name, text, f"columns: {line}: {{as: line, repair: isolated}}")


def _gravity(facts: SourceFacts) -> dict[str, float]:
    """Node -> length of its mean acceleration in g."""
    nodes = {}
    for column in map(str, facts.channels):
        node, _, quantity = column.rpartition(".")
        names = [f"{node}.A{axis}" for axis in "xyz"]
        if quantity == "Ax" and all(n in facts.channels for n in names):
            nodes[node] = float(np.linalg.norm(facts.channels[names].mean()))
    return nodes


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
    reporting = [name for name, f in facts.items() if f.lines is not None]
    if not reporting and recording.program is None:
        yield Finding(
            "labels",
            "no file says which line of the program runs, and there is no program: no labels to "
            "learn from. If a file does, map its column to line; else name the program's file",
            fix='program: {files: "{operation}.gcode"}',
        )
    for name in reporting:
        lines = facts[name].lines
        assert lines is not None
        reports = lines.dropna()
        if reports.empty:
            yield Finding(name, "its column for the line is always empty")
            continue
        missing = 1 - len(reports) / len(lines)
        if missing > MAX_MISSING_SHARE and (key := facts[name].keys.get(columns.LINE)):
            fix = f"columns: {quoted(key)}: {{as: line, fill: hold}}"
            yield Finding(name, f"{missing:.0%} of its rows have no line, and no label", fix)
        if recording.program is not None and reports.dtype.kind == "f":
            yield from _numbering(recording, name, np.unique(reports.to_numpy()))


def _numbering(recording: LabRecording, name: str, lines: np.ndarray) -> Iterator[Finding]:
    program = recording.layout.program
    assert program is not None
    assert recording.program is not None
    shares = {}
    for numbering in NUMBERINGS[:2]:
        try:
            numbers = number_lines(recording.program, numbering).number
        except UserError:
            continue
        shares[numbering] = float(np.isin(lines[lines > 0], numbers).mean())
    share = shares.get(program.numbering, 1.0)
    best = max(shares, key=lambda n: shares[n], default=program.numbering)
    if share < MIN_LINES_SHARE and shares[best] > share:
        fix = f"program: {{files: {program.files!r}, numbering: {best}}}"
        yield Finding(name, f"{share:.0%} of its lines are in {recording.program.name}", fix)


def _overlap(recording: LabRecording, facts: Mapping[str, SourceFacts]) -> Iterator[Finding]:
    """Sources whose clocks have little time in common with that of the one that reports lines."""
    formats = {recording.layout.sources[name].clock.format for name in facts}
    if len({CLOCK_KINDS[each] for each in formats}) > 1:
        return  # The reader compares them, or refuses.
    first = next((name for name in recording.layout.label_sources() if name in facts), min(facts))
    for name in facts:
        early, late = facts[first], facts[name]
        shift = early.start - late.start
        common = min(late.end, early.end) - max(late.start, early.start)
        if common > MIN_COMMON_SHARE * (early.end - early.start):
            continue
        if common > 0:
            share = common / (early.end - early.start)
            text = f"its clock has {share:.0%} of the time of {first} alone, and begins "
            text += f"{abs(shift):.1f} s {'earlier' if shift > 0 else 'later'}"
            yield Finding(name, f"{text}: are its offset and unit right?")
            continue
        text = f"its clock has no time in common with that of {first}: it begins "
        text += f"{abs(shift):,.1f} s {'earlier' if shift > 0 else 'later'}"
        hours = round(shift / HOUR_SECONDS)
        if hours and abs(shift - hours * HOUR_SECONDS) < MAX_SKEW:
            shift, text = hours * HOUR_SECONDS, f"{text}, as by another time zone"
        # The times that are compared have the present offset already.
        shift += recording.layout.sources[name].clock.offset_seconds
        yield Finding(name, text, _clock_line(recording, name, offset_seconds=round(shift, 1)))
