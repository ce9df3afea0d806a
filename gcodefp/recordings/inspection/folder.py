"""What is in a folder of recordings, which layout fits it, and how it would be read by that."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

from gcodefp.errors import UserError
from gcodefp.recordings import columns
from gcodefp.recordings.cleaning import Recording, load_recording
from gcodefp.recordings.inspection.draft import (
    Kind,
    draft_layout,
    file_kinds,
    fitting_layout,
    is_default_format,
)
from gcodefp.recordings.inspection.findings import Finding, find_problems
from gcodefp.recordings.inspection.sniffing import Sketch, sketch_file
from gcodefp.recordings.inspection.source_facts import SourceFacts, inspect_source
from gcodefp.recordings.interpreter import interpret_program
from gcodefp.recordings.lab_files import LabRecording, Recordable, list_recordings
from gcodefp.recordings.layout import Layout, parse_layout, read_layout
from gcodefp.recordings.program_file import read_program
from gcodefp.recordings.reader import RecordingRejected

MAX_FILES = 1000
DEFAULT_LAYOUT = "mill"
"""The shipped layout with the columns that are read without a layout."""
SENSOR_GROUPS = tuple(g for g in columns.GROUPS if g not in ("controller", "environment"))
FORMATS = {
    "grbl": "status reports of GRBL",
    "octoprint": "serial log of OctoPrint",
    "klippy": "log of Klipper",
    "moonraker": "updates of Moonraker",
    "shdr": "SHDR of an MTConnect adapter",
    "layout": "YAML",
    "unknown": "not understood",
}

MODES = {
    "G20": "inches", "G21": "mm", "G90": "absolute", "G91": "relative", "M82": "absolute E",
    "M83": "relative E", "G2": "arcs", "G3": "arcs",
}  # fmt: skip
"""Command -> what a program that has it uses."""


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

    def report(self) -> list[str]:
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
    """

    folder: Path
    kinds: list[Kind]
    choice: str
    draft: str
    recordings: list[InspectedRecording]
    notes: list[str]

    def report(self, layout_file: Path) -> list[str]:
        """Lines for the terminal; `layout_file` is where `draft` is written."""
        lines = [f"{self.folder}: {sum(len(kind.sketches) for kind in self.kinds)} files"]
        lines += [f"  {line}" for kind in self.kinds for line in _describe_kind(kind)]
        lines += [f"layout: {self.choice.format(layout_file)}"]
        lines += [f"! {note}" for note in self.notes]
        alike: dict[str, list[InspectedRecording]] = {}
        for recording in self.recordings:
            # Recordings that differ in numbers alone are described once.
            text = "\n".join(recording.report()).replace(f" {recording.operation}:", "")
            alike.setdefault(re.sub(r"\d[\d.,]*", "#", text), []).append(recording)
        for first, *others in alike.values():
            lines += [f"recording {first.name}", *(f"  {line}" for line in first.report())]
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
    sketches = {path: sketch_file(path) for path in paths[:MAX_FILES]}
    kinds = file_kinds(list(sketches.values()), folder)
    layout, choice, draft = _choose(folder, kinds, layout_name)
    notes = [f"only the first {MAX_FILES} of {len(paths)} files were looked at"]
    notes = notes if len(paths) > MAX_FILES else []
    for kind in kinds:
        if any(kind.pattern == other.pattern for other in kinds[: kinds.index(kind)]):
            names = ", ".join(sketch.path.name for sketch in kind.sketches[:3])
            notes.append(f"{names}: other columns than the files before it; keep it elsewhere")
    is_default = layout is None
    layout = read_layout(DEFAULT_LAYOUT) if layout is None else layout
    if is_default:
        layout = _without_names(layout, list_recordings(folder))
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
    inspected = [_inspect(r, sketches, is_default) for r in recordings[:limit]]
    return InspectedFolder(folder, kinds, choice, draft, inspected, notes)


def _without_names(layout: Layout, paths: Sequence[Recordable]) -> Layout:
    """The layout of the default format for files with or without `_aligned` in their names."""
    source = layout.sources[DEFAULT_LAYOUT]
    is_aligned = all("_aligned." in path.name for path in paths if isinstance(path, Path))
    files = source.files if is_aligned else "{name}.csv"
    sources = {DEFAULT_LAYOUT: source.model_copy(update={"files": files})}
    return layout.model_copy(update={"sources": sources})


def _choose(
    folder: Path, kinds: Sequence[Kind], name: str | None
) -> tuple[Layout | None, str, str]:
    """Layout (None: the default format), a sentence on it, and its text if it is new."""
    if name is not None:
        return read_layout(name), name, ""
    if is_default_format(kinds):
        return None, "none is needed: the files have the columns of docs/files.md", ""
    fit = fitting_layout(kinds)
    if fit is not None and fit.is_as_shipped:
        return read_layout(fit.name), f"the shipped one fits: recordings.layout: {fit.name}", ""
    if fit is not None:
        text = f"the shipped layout {fit.name} with the names of these files: {{}}"
        return parse_layout(yaml.safe_load(fit.text), fit.name), text, fit.text
    try:
        draft = draft_layout(kinds)
    except ValueError as error:
        raise UserError(
            f"{folder}: {error}; write a layout yourself (docs/recordings.md)"
        ) from None
    layout = parse_layout(yaml.safe_load(draft), "the guessed layout")
    return layout, "none fits; a guess is written, correct what it marks with CHECK: {}", draft


def _inspect(
    recording: Recordable, sketches: dict[Path, Sketch], is_default: bool
) -> InspectedRecording:
    assert isinstance(recording, LabRecording)
    reading, rows = _read(recording, is_default)
    inspected = InspectedRecording(recording.name, recording.operation, reading, rows)
    for name in recording.files:
        try:
            inspected.facts[name] = inspect_source(recording, name)
        except (UserError, RecordingRejected) as error:
            inspected.findings.append(Finding(name, str(error)))
    for name, source in recording.layout.sources.items():
        if name not in recording.files and not source.optional:
            inspected.findings.append(Finding(name, f"no file {source.files}", "optional: true"))
    files = {name: sketches[recording.files[name]] for name in inspected.facts}
    inspected.findings += find_problems(recording, inspected.facts, files)
    if is_default:  # There is no layout to be corrected.
        findings = [f for f in inspected.findings if not f.is_of_layout]
        inspected.findings = [finding._replace(fix="") for finding in findings]
    return inspected


def _read(recording: LabRecording, is_default: bool) -> tuple[str, int]:
    """How pre-processing reads a recording, or why it does not; and its rows."""
    source: Recordable = next(iter(recording.files.values())) if is_default else recording
    try:
        read = load_recording(source, SENSOR_GROUPS, 1)
        return describe_reading(read), len(read.seconds)
    except RecordingRejected as rejection:
        return f"would be excluded: {rejection}", 0
    except UserError as error:
        return f"cannot be read with labels: {error}", 0


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
    return (
        f"would be read as {recording.operation}: {rows} rows, one every {period:.3f} s, "
        f"{lines}, {where}, channels: {channels}"
        + (f"; dropped or changed: {dropped}" if dropped else "")
        + "".join(f"; {note}" for note in recording.notes)
    )


def describe_source(facts: SourceFacts) -> str:
    """One line on a file of a recording."""
    seconds = facts.end - facts.start
    rate = f"{facts.rate_hz:,.1f} Hz" if facts.is_regular else "irregular"
    text = f"{len(facts.seconds):,} rows, {rate}, {seconds:.1f} s"
    if facts.is_cut:
        text += " (the first ones of a longer file)"
    if facts.lines is not None and facts.lines.dtype.kind == "f" and facts.lines.notna().any():
        text += f"; lines {facts.lines.min():.0f} to {facts.lines.max():.0f}"
    channels = [str(c) for c in facts.channels]
    nodes = list(dict.fromkeys(columns.node_or_channel(c) for c in channels))
    if nodes:
        text += f"; {len(channels)} channels of {', '.join(nodes[:6])}" + " …" * (len(nodes) > 6)
    return text


def _describe_kind(kind: Kind) -> Iterator[str]:
    sketch = kind.sketches[0]
    count = f"{len(kind.sketches)} file{'s' * (len(kind.sketches) > 1)}"
    if sketch.format == "program":
        text = f"program: {_describe_program(sketch.path)}"
    elif sketch.format in ("table", "json_lines", "parquet"):
        text = _describe_table(sketch)
    else:
        text = FORMATS[sketch.format]
    yield f"{kind.pattern} ({count}): {text}"


def _describe_program(path: Path) -> str:
    """`1,204 blocks, mm, absolute, arcs; line 3: 'G18.5': not a known command`."""
    try:
        text = read_program(path)
        run = interpret_program(text)
    except UserError as error:
        return str(error)
    blocks = [block.words for block in run.blocks if block.words]
    words = {str(w) if w.is_command else w.letter for block in blocks for w in block}
    modes = [mode for word, mode in MODES.items() if word in words]
    if not words & {"G20", "G21"}:
        modes.append("no G20 or G21: mm")
    if len(re.findall(r"^\s*N\s*\d", text, re.IGNORECASE | re.MULTILINE)) > len(blocks) / 2:
        modes.append("N words")
    if "E" in words:
        modes.append("E words: a printer's")
    unclear = f"; not understood: {run.summary(1)}" if run.not_understood else ""
    return f"{len(blocks):,} blocks, {', '.join(dict.fromkeys(modes))}{unclear}"


def _describe_table(sketch: Sketch) -> str:
    separator = {" ": "blanks", "\t": "tabs"}.get(sketch.separator, repr(sketch.separator[-1:]))
    header = "a header" if sketch.has_header else "no header"
    parts = [f"{sketch.table.shape[1]} columns, separated by {separator}, {header}"]
    if sketch.format == "json_lines":
        parts = [f"JSON lines of {sketch.table.shape[1]} fields"]
    elif sketch.format == "parquet":
        parts = [f"Parquet of {sketch.table.shape[1]} columns"]
    if sketch.clock is None:
        parts.append("no clock")
    elif sketch.clock.kind == "sample":
        parts.append(f"no clock, {sketch.clock.column!r} counts the rows")
    else:
        rate = 1 / sketch.clock.period_seconds
        parts.append(f"clock {sketch.clock.column!r} ({sketch.clock.kind}), {rate:,.1f} Hz")
    return "; ".join([*parts, *sketch.notes])
