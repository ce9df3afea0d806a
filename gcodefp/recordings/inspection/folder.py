"""What is in a folder of recordings, which layout fits it, and how it would be read by that."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
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
    first_line,
    fitting_layout,
    is_default_format,
    lines_stub,
    may_be_text_log,
)
from gcodefp.recordings.inspection.findings import (
    Finding,
    SourceFacts,
    find_empty_bands,
    find_problems,
    inspect_source,
)
from gcodefp.recordings.inspection.sniffing import TABLES, SniffedFile, sniff_file
from gcodefp.recordings.inspection.text_log import has_log_words, is_text_log
from gcodefp.recordings.interpreter import interpret_program
from gcodefp.recordings.laboratory.assembly import make_comparable
from gcodefp.recordings.laboratory.lab_files import LabRecording, RawRecording, list_recordings
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
    facts: dict[str, SourceFacts] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

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
    is_default = layout is None
    layout = layout or _default_layout(folder)
    try:
        recordings = list_recordings(folder, (), layout)
    except UserError as error:
        if layout.program is None:
            raise
        notes.append(f"{error}. Without it a line is its own label: remove program")
        layout = layout.model_copy(update={"program": None})
        recordings = list_recordings(folder, (), layout)
    if len(recordings) > limit:
        notes.append(f"the first {limit} of {len(recordings)} recordings follow")
    inspected = [_inspect(r, sniffed_files, is_default) for r in recordings[:limit]]
    files = [r.files for r in recordings if isinstance(r, LabRecording)]
    sources = {path: name for each in files for name, path in each.items()}
    described = [_describe_kind(kind, sources.get(kind.files[0].path)) for kind in kinds]
    notes += _unread(kinds, sources, draft)
    return InspectedFolder(folder, len(sniffed_files), described, choice, draft, inspected, notes)


def _unread(kinds: Sequence[FileKind], read: Collection[Path], draft: str) -> Iterator[str]:
    """A note on each kind of files that no source reads; the first programs are not samples."""
    programs = [kind for kind in kinds if kind.format == "program"][:1]
    for kind in kinds:
        has_draft = f"# CHECK {kind.pattern}:" in draft
        is_read = any(file.path in read for file in kind.files)
        if is_read and has_draft:
            yield (
                f"{_counted(kind)}: reports lines that the layout does not read yet; check the "
                "source that is a comment in it"
            )
        if kind.format == "layout" or is_read or kind in programs:
            continue
        text = f"{_counted(kind)}: no source of the layout reads it"
        if has_draft:
            text += "; if it is a log, check its source, which is a comment in the layout"
        yield text


def _default_layout(folder: Path) -> Layout:
    """The layout of the default format for files with or without `_aligned` in their names."""
    layout, paths = read_layout(DEFAULT_LAYOUT), list_recordings(folder)
    if not all("_aligned." in path.name for path in paths if isinstance(path, Path)):
        source = layout.sources[DEFAULT_LAYOUT].model_copy(update={"files": "{name}.csv"})
        return layout.model_copy(update={"sources": {DEFAULT_LAYOUT: source}})
    return layout


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
    choice = "none fits; a guess is written, correct what it marks with CHECK: {}"
    if fit is not None:
        text, choice = (
            fit.text,
            f"the shipped layout {fit.name} with the names of these files: {{}}",
        )
    else:
        try:
            text = draft_layout(kinds)
        except ValueError as error:
            raise UserError(f"{folder}: {error}; {_hint(kinds)}") from None
    return parse_layout(yaml.safe_load(text), "the guessed layout"), choice, text


def _hint(kinds: Sequence[FileKind]) -> str:
    """What to do about a folder without a file that is understood."""
    for kind in kinds:
        sniffed, line = kind.files[0], first_line(kind)
        if may_be_text_log(kind):
            return (
                f"write a layout (docs/files.md#layouts). {sniffed.path.name} begins with\n"
                f"{shown(line, str)}\nComplete the regex and the columns:\n{lines_stub(kind)}"
            ).rstrip()
    return "write a layout yourself (docs/recordings.md)"


def _inspect(
    recording: RawRecording, sniffed_files: dict[Path, SniffedFile], is_default: bool
) -> InspectedRecording:
    assert isinstance(recording, LabRecording)
    reading, read = _read(next(iter(recording.files.values())) if is_default else recording)
    rows = len(read.seconds) if read else 0
    inspected = InspectedRecording(recording.name, recording.operation, reading, rows)
    for name, source in recording.layout.sources.items():
        try:
            if name in recording.files:
                inspected.facts[name] = inspect_source(recording, name)
            elif not source.optional:
                inspected.findings.append(
                    Finding(name, f"no file {source.files}", "optional: true")
                )
        except (UserError, RecordingExcluded) as error:
            inspected.findings.append(Finding(name, str(error), getattr(error, "fix", "")))
    files = {name: sniffed_files[recording.files[name]] for name in inspected.facts}
    is_aligned = False
    if is_default:  # There is no layout to be corrected.
        for facts in inspected.facts.values():
            facts.absent, facts.unmapped = [], []
    with suppress(UserError):  # The reading says so.
        inspected.facts, is_aligned = _aligned(recording, inspected.facts), True
    findings = [*find_problems(recording, inspected.facts, files, is_aligned)]
    findings += find_empty_bands(recording, inspected.facts, read) if read else ()
    inspected.findings += [f._replace(fix="") if is_default else f for f in findings]
    return inspected


def _aligned(recording: LabRecording, facts: dict[str, SourceFacts]) -> dict[str, SourceFacts]:
    """The facts with one clock, as pre-processing aligns them.

    Raises UserError: the clocks cannot be compared.
    """
    offsets = {name: recording.offsets.get(name, 0.0) for name in facts}
    files = {
        name: SourceFile(recording.files[name], name, recording.layout.sources[name], offset)
        for name, offset in offsets.items()
    }
    make_comparable(files, recording)
    shifts = {name: file.offset_seconds - offsets[name] for name, file in files.items()}
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
    elif text == "unknown" and (line := first_line(kind)):
        is_log = is_text_log(sniffed.lines) or has_log_words(sniffed.lines)
        text = "text log without a known layout" if is_log else "unknown"
        text += f", a line of it is {shown(line)}: docs/recordings.md#another-logger"
    return f"{_counted(kind)}: {text}"


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
