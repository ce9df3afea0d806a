"""What is in a folder of recordings, which layout fits it, and how it would be read by that."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from gcodefp.errors import UserError, shown
from gcodefp.recordings import columns
from gcodefp.recordings.cleaning import Recording, load_recording
from gcodefp.recordings.inspection.draft import (
    FileKind,
    draft_layout,
    file_kinds,
    fitting_layout,
    is_default_format,
)
from gcodefp.recordings.inspection.findings import (
    Finding,
    SourceFacts,
    find_empty_bands,
    find_problems,
    inspect_source,
)
from gcodefp.recordings.inspection.sniffing import TABLES, SniffedFile, sniff_file
from gcodefp.recordings.interpreter import interpret_program
from gcodefp.recordings.laboratory.assembly import make_comparable
from gcodefp.recordings.laboratory.lab_files import (
    LabRecording,
    RawRecording,
    list_recordings,
    name_of,
    paths_of,
)
from gcodefp.recordings.laboratory.layout import Layout, parse_layout, read_layout
from gcodefp.recordings.laboratory.program_file import read_program
from gcodefp.recordings.laboratory.reader import RecordingExcluded
from gcodefp.recordings.laboratory.source_file import SourceFile

MAX_FILES = 1000
DEFAULT_LAYOUT = "mill"
"""The shipped layout with the columns that are read without a layout."""
SENSOR_GROUPS = tuple(g for g in columns.GROUPS if g not in ("controller", "environment"))


@dataclass
class InspectedRecording:
    """A recording, source by source.

    Attributes:
        reading: how pre-processing reads it, or why it does not.
        rows: that it is read to.
        facts: of each source that can be read.
    """

    name: str
    operation: str
    reading: str
    rows: int
    facts: dict[str, SourceFacts]
    findings: list[Finding]

    def summary_lines(self) -> list[str]:
        """Lines on its sources, on what is wrong with them, and on how it is read."""
        lines = [f"{name}: {describe_source(facts)}" for name, facts in self.facts.items()]
        for finding in self.findings:
            lines.append(f"! {finding.source}: {finding.text}")
            lines += [f"    fix: {finding.fix}"] if finding.fix else []
        return [*lines, self.reading]


@dataclass
class InspectedFolder:
    """A folder and its recordings.

    Attributes:
        choice: sentence that says which layout is used, and why.
        draft: text of a layout that was made for the folder; empty if one exists.
        files: their number.
        kinds: a line on each kind of them.
    """

    folder: Path
    files: int
    kinds: list[str]
    choice: str
    draft: str
    recordings: list[InspectedRecording]
    notes: list[str]

    def summary_lines(self, layout_file: Path) -> list[str]:
        """Lines for the terminal; `layout_file` is where `draft` is written."""
        lines = [f"{self.folder}: {self.files} files", *(f"  {kind}" for kind in self.kinds)]
        lines += [f"layout: {self.choice.format(layout_file)}"]
        lines += [f"! {note}" for note in self.notes]
        by_text: dict[str, list[InspectedRecording]] = {}
        for recording in self.recordings:
            # Recordings that differ in numbers alone are described once.
            text = "\n".join(recording.summary_lines()).replace(f" {recording.operation}:", "")
            by_text.setdefault(re.sub(r"\d[\d.,]*", "#", text), []).append(recording)
        for first, *others in by_text.values():
            lines += [f"recording {first.name}", *(f"  {line}" for line in first.summary_lines())]
            names = [f"{other.name} ({other.rows} rows)" for other in others]
            lines += [f"  alike: {', '.join(names)}"] if names else []
        return lines


def inspect_folder(folder: Path, layout_name: str | None, limit: int) -> InspectedFolder:
    """Looks at the files of a folder and reads its first recordings.

    Args:
        layout_name: a file or a shipped layout; without one, the layout that fits.
        limit: recordings that are read.

    Raises:
        UserError: the folder is missing or has no file that is understood, or the layout is wrong.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name the one with the recordings' files")
    paths = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    if not paths:
        raise UserError(f"{folder}: no file in this folder")
    sniffed_files = {path: sniff_file(path) for path in paths[:MAX_FILES]}
    kinds = file_kinds(list(sniffed_files.values()), folder)
    layout, choice, draft = _choose(folder, kinds, layout_name)
    notes = [f"only the first {MAX_FILES} of {len(paths)} files were looked at"]
    notes = notes if len(paths) > MAX_FILES else []
    for kind in kinds:
        if any(kind.pattern == other.pattern for other in kinds[: kinds.index(kind)]):
            names = ", ".join(sniffed.path.name for sniffed in kind.files[:3])
            notes.append(f"{names}: other columns than the files before it; keep it elsewhere")
    recordings = _recordings(folder, layout, notes)
    if len(recordings) > limit:
        notes.append(f"the first {limit} of {len(recordings)} recordings follow")
    inspected = [_inspect(r, layout is None) for r in recordings[:limit]]
    sources = {path: name for r in recordings for name, path in r.files.items()}
    described = [_describe_kind(kind, sources.get(kind.files[0].path)) for kind in kinds]
    programs = [kind for kind in kinds if kind.format == "program"][:1]  # Are no samples.
    unread = [k for k in kinds if not any(file.path in sources for file in k.files)]
    notes += [
        f"{_counted(kind)}: no source of the layout reads it"
        for kind in unread
        if kind.format != "layout" and kind not in programs
    ]
    return InspectedFolder(folder, len(sniffed_files), described, choice, draft, inspected, notes)


def _recordings(folder: Path, layout: Layout | None, notes: list[str]) -> list[LabRecording]:
    """The recordings; those of the default format as by the layout that reads its columns."""
    if layout is None:
        layout, paths = read_layout(DEFAULT_LAYOUT), paths_of(list_recordings(folder))
        return [
            LabRecording(name, layout, {DEFAULT_LAYOUT: path}, columns.parse_operation(name))
            for name, path in ((name_of(path), path) for path in paths)
        ]
    try:
        recordings = list_recordings(folder, (), layout)
    except UserError as error:
        if layout.program is None:
            raise
        notes.append(f"{error}. Without it a line is its own label: remove program")
        recordings = list_recordings(folder, (), layout.model_copy(update={"program": None}))
    return [recording for recording in recordings if isinstance(recording, LabRecording)]


def _choose(
    folder: Path, kinds: Sequence[FileKind], name: str | None
) -> tuple[Layout | None, str, str]:
    """Layout (None: the default format), a sentence on it, and its text if it is new."""
    if name is not None:
        return read_layout(name), name, ""
    if is_default_format(kinds):
        return None, "none is needed: the files have the columns of docs/files.md", ""
    fit = fitting_layout(kinds)
    if fit is not None and not fit.text:
        return read_layout(fit.name), f"the shipped one fits: recordings.layout: {fit.name}", ""
    if fit is not None:
        choice = f"the shipped layout {fit.name} with the names of these files: {{}}"
    else:
        choice = "none fits; a guess is written, correct what it marks with CHECK: {}"
    try:
        text = fit.text if fit else draft_layout(kinds)
    except ValueError as error:
        raise UserError(f"{folder}: {error}; {_hint(kinds)}") from None
    return parse_layout(yaml.safe_load(text), "the guessed layout"), choice, text


def _hint(kinds: Sequence[FileKind]) -> str:
    """What to do about a folder without a file that is understood."""
    hint = "write a layout yourself (docs/files.md#layouts)"
    logs = [(kind, line) for kind in kinds if (line := _first_line(kind))]
    return f"{hint}: {logs[0][0].pattern} begins with {shown(logs[0][1])}" if logs else hint


def _inspect(recording: LabRecording, is_default: bool) -> InspectedRecording:
    reading, read = _read(next(iter(recording.files.values())) if is_default else recording)
    rows = len(read.seconds) if read else 0
    facts, findings, is_aligned = dict[str, SourceFacts](), list[Finding](), False
    for name, source in recording.layout.sources.items():
        try:
            if name in recording.files:
                offset = recording.offsets.get(name, 0.0)
                file = SourceFile(recording.files[name], name, source, offset)
                facts[name] = inspect_source(file)
            elif not source.optional:
                findings.append(Finding(name, f"no file {source.files}", "optional: true"))
        except (UserError, RecordingExcluded) as error:
            findings.append(Finding(name, str(error), getattr(error, "fix", "")))
    with suppress(UserError):  # The reading says so.
        facts, is_aligned = _aligned(recording, facts), True
    more = [*find_problems(recording, facts, is_aligned, not is_default)]
    more += find_empty_bands(facts, read) if read else ()
    # Without a layout there is none to be corrected.
    findings += [f._replace(fix="") if is_default else f for f in more]
    return InspectedRecording(recording.name, recording.operation, reading, rows, facts, findings)


def _aligned(recording: LabRecording, facts: Mapping[str, SourceFacts]) -> dict[str, SourceFacts]:
    """The facts with one clock, as pre-processing aligns them.

    Raises UserError: the clocks cannot be compared.
    """
    files = {name: replace(f.file) for name, f in facts.items()}
    make_comparable(files, recording)
    shifts = {n: file.offset_seconds - facts[n].file.offset_seconds for n, file in files.items()}
    return {name: replace(f, seconds=f.seconds + shifts[name]) for name, f in facts.items()}


def _read(source: RawRecording) -> tuple[str, Recording | None]:
    """How pre-processing reads a recording, or why it does not."""
    try:
        recording = load_recording(source, SENSOR_GROUPS, 1)
        return describe_reading(recording), recording
    except RecordingExcluded as exclusion:
        return f"would be excluded: {exclusion}", None
    except UserError as error:
        return f"cannot be read with labels: {error}", None


def describe_reading(recording: Recording) -> str:
    """One line on a recording as it is read."""
    rows = len(recording.seconds)
    period = recording.seconds[-1] / max(rows - 1, 1)
    groups = Counter(str(columns.channel_group(str(column))) for column in recording.signals)
    channels = ", ".join(f"{count} {group}" for group, count in groups.items()) or "none"
    changed = {n: c for n, c in recording.counts.items() if c and n != "rows_in_file"}
    dropped = ", ".join(f"{count} {rule}" for rule, count in changed.items())
    where = "positions" if np.isfinite(recording.position_mm).any() else "no positions"
    line = recording.lines
    lines = f"{len(np.unique(line))} lines from {line.min()} to {line.max()}"
    lines = f"lines found by {recording.program.name}" if recording.program else lines
    return "; ".join(
        [
            f"would be read as {recording.operation}: {rows} rows, one every {period:.3f} s, "
            f"{lines}, {where}, channels: {channels}",
            *([f"dropped or changed: {dropped}"] if dropped else []),
            *recording.notes,
        ]
    )


def describe_source(facts: SourceFacts) -> str:
    """One line on a file of a recording."""
    rate = f"{1 / facts.period_seconds:,.1f} Hz" if facts.is_regular else "irregular"
    text = f"{len(facts.seconds):,} rows, {rate}, {facts.end - facts.start:.1f} s"
    text += " (the first ones of a longer file)" * facts.is_cut
    if facts.lines is not None and facts.lines.dtype.kind == "f" and facts.lines.notna().any():
        text += f"; lines {facts.lines.min():.0f} to {facts.lines.max():.0f}"
    nodes = list(dict.fromkeys(columns.node_or_channel(str(c)) for c in facts.channels))
    if nodes:
        text += f"; {facts.channels.shape[1]} channels of {', '.join(nodes[:6])}"
    return text + " …" * (len(nodes) > 6)


def _describe_kind(kind: FileKind, source: str | None) -> str:
    """One line on files of one kind, which the layout reads as a source, if it does."""
    sniffed = kind.files[0]
    text = sniffed.format
    if text == "program":
        try:
            run = interpret_program(read_program(sniffed.path))
            text = "; ".join(["program: " + run.summary(1), *run.notes])
        except UserError as error:
            text = f"program: {error}"
    elif text in TABLES:
        text = _describe_table(sniffed)
    elif text == "unknown" and source is not None:
        text = f"read by the layout, as its source {source}"
    elif text == "unknown" and (line := _first_line(kind)):
        text += f"; a line of it is {shown(line)}: docs/recordings.md#another-logger"
    return f"{_counted(kind)}: {text}"


def _first_line(kind: FileKind) -> str:
    """The first line with text of the first file; empty if it is no text."""
    return next((line.strip() for line in kind.files[0].lines if line.strip()), "")


def _counted(kind: FileKind) -> str:
    return f"{kind.pattern} ({len(kind.files)} file{'s' * (len(kind.files) > 1)})"


def _describe_table(sniffed: SniffedFile) -> str:
    parts = [f"{sniffed.table.shape[1]} columns"]
    if sniffed.format == "table":
        separator = sniffed.keys.get("separator", ",")
        header = "a header" if sniffed.has_header else "no header"
        parts = [f"{parts[0]}, separated by {separator!r}, {header}"]
    elif sniffed.format == "lines":
        texts = sum(bool(line.strip()) for line in sniffed.lines)
        parts = [f"text log; {len(sniffed.table)} of {texts} lines match the guessed regex"]
    else:
        parts = [f"{sniffed.format}, {parts[0]}"]
    clock = sniffed.clock
    if clock is None:
        parts.append("no clock")
    elif clock.keys["format"] == "sample":
        parts.append(f"no clock, {clock.column!r} counts the rows")
    else:
        kind = " ".join(str(clock.keys[key]) for key in ("format", "unit") if key in clock.keys)
        parts.append(f"clock {clock.column!r} ({kind}), {1 / clock.period_seconds:,.1f} Hz")
    return "; ".join(parts)
