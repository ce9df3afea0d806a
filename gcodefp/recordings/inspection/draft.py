"""Finds the shipped layout that fits the files of a folder, or writes a first one.

A file is recognised by what is in it, not by its name. A person corrects the lines that are marked
with CHECK.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import isnan, nan
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from gcodefp.recordings import columns
from gcodefp.recordings.inspection.guessing import CHECK, CHECK_UNIT, Guess, guess_targets
from gcodefp.recordings.inspection.sniffing import (
    COMPRESSED,
    LOGS,
    TABLES,
    SniffedFile,
    guess_clock,
)
from gcodefp.recordings.inspection.text_log import (
    guess_line_regex,
    has_log_words,
    host_time,
    matching_rows,
)
from gcodefp.recordings.laboratory.layout import SHIPPED, Source, read_layout
from gcodefp.recordings.laboratory.resampling import (
    MIN_BAND_SAMPLES,
    MIN_FEATURES_RATIO,
    MIN_RATE_RATIO,
)
from gcodefp.yaml_input import load_yaml

SHIPPED_SOURCES = {
    "status reports of GRBL": ("grbl", "status"),
    "serial log of OctoPrint": ("octoprint", "serial"),
    "log of Klipper": ("klipper", "log"),
    "updates of Moonraker": ("klipper", "positions"),
    "SHDR of an MTConnect adapter": ("mtconnect", "events"),
}
"""Log -> shipped layout and its source that reads it; only GRBL's rows come with the time."""
GRBL = "status reports of GRBL"
DEFAULT_ROW_HZ = 10
MIN_GUESSED_RATIO = (MIN_FEATURES_RATIO + MIN_RATE_RATIO) / 2
"""Of sensor and rows: from it on features are guessed; the first rows' rate is not exact."""
COMMENTS = {
    "rate_hz: 10": "CHECK the rate: no column is a clock",
    "timezone: UTC": "CHECK the time zone",
    "header:": f"{CHECK}: the columns have no names",
}
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*_\d+(?![A-Za-z0-9])")
_N_WORD = re.compile(r"\s*N\s*\d", re.IGNORECASE)


class FileKind(NamedTuple):
    """Files of one pattern, such as `{name}_accel.csv`; the first one is typical."""

    pattern: str
    files: list[SniffedFile]

    @property
    def format(self) -> str:
        """Of the first file."""
        return self.files[0].format


def file_kinds(files: Sequence[SniffedFile], folder: Path) -> list[FileKind]:
    """Files that seem to be the same source of different recordings, by their names."""
    names = [PurePosixPath(COMPRESSED.sub("", sniffed.path.name)) for sniffed in files]
    kinds: dict[tuple[str, ...], list[SniffedFile]] = {}
    for sniffed, name in zip(files, names, strict=True):
        stems = [other.stem for other in names if other.suffix == name.suffix]
        depth = len(sniffed.path.relative_to(folder).parts) - 1
        parents = "*/" * (depth - 1) + "{session}/" * (depth > 0)
        pattern = parents + _pattern(name.stem, stems) + name.suffix
        header = map(str, sniffed.table.columns if len(sniffed.table.columns) < 100 else ())
        kinds.setdefault((pattern, sniffed.format, *header), []).append(sniffed)
    return [FileKind(pattern, files) for (pattern, *_), files in kinds.items()]


def _pattern(stem: str, stems: Sequence[str]) -> str:
    """`adxl345-{name}` of `adxl345-cube_001`; without a number what differs between files."""
    if match := _NAME.search(stem):
        return f"{stem[: match.start()]}{{name}}{stem[match.end() :]}"
    words = [re.split(r"([-_. ]+)", text) for text in stems]
    head = tail = 0
    if len(words) > 1:
        shortest = min(map(len, words)) - 1
        while head < shortest and len({w[head] for w in words}) == 1:
            head += 1
        while tail < shortest - head and len({w[-1 - tail] for w in words}) == 1:
            tail += 1
    own_words = re.split(r"([-_. ]+)", stem)
    return "".join([*own_words[:head], "{name}", *own_words[len(own_words) - tail :]])


class FittingLayout(NamedTuple):
    """A shipped layout that fits.

    Attributes:
        text: its YAML, with the names of these files; empty if it fits as it is shipped.
        columns: how many columns it reads; the more, the better it fits.
    """

    name: str
    text: str
    columns: int


def is_default_format(kinds: Sequence[FileKind]) -> bool:
    """Whether the files are read without any layout."""
    names = [str(c) for kind in kinds for c in kind.files[0].table.columns]
    return set(columns.REQUIRED) <= {columns.canonical_column(name)[0] for name in names}


def fitting_layout(kinds: Sequence[FileKind]) -> FittingLayout | None:
    """The shipped layout that reads most of the files' columns, of those that fit."""
    fits = [fit for path in sorted(SHIPPED.glob("*.yaml")) if (fit := _fit(path.stem, kinds))]
    return max(fits, key=lambda fit: fit.columns, default=None)


def _fit(name: str, kinds: Sequence[FileKind]) -> FittingLayout | None:
    content, count = _shipped(name), 0
    for key, source in read_layout(name).sources.items():
        kind = next((kind for kind in kinds if _fits_source(kind.files[0], source)), None)
        if kind is not None:
            content["sources"][key]["files"] = kind.pattern
            skipped = kind.files[0].keys.get("skip_rows", 0)
            if skipped != source.skip_rows:
                content["sources"][key]["skip_rows"] = skipped
            count += len(source.columns)
        elif not source.optional:
            return None
    programs = [kind for kind in kinds if kind.format == "program"]
    if "program" in content and programs:
        content["program"]["files"] = _program_pattern(programs[0])
    else:
        content.pop("program", None)
    return FittingLayout(name, _dump(content) if content != _shipped(name) else "", count)


def _shipped(name: str) -> dict[str, Any]:
    content: dict[str, Any] = load_yaml((SHIPPED / f"{name}.yaml").read_text("utf-8"), name)
    return content


def _dump(content: Any, **style: Any) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, width=1000, allow_unicode=True, **style))


def _fits_source(sniffed: SniffedFile, source: Source) -> bool:
    """Whether a file has what a source reads."""
    if source.format == "lines":
        pattern = re.compile(source.regex or "")
        # A group that matches nothing anywhere is a report that this logger does not make.
        groups = [m.groupdict() for line in sniffed.lines if (m := pattern.search(line))]
        return bool(groups) and all(any(g[c] for g in groups) for c in source.columns)
    if source.format != "csv" or sniffed.format != "table":
        return False
    if source.separator != sniffed.keys.get("separator", ",") or "quoted_rows" in sniffed.keys:
        return False
    names = [str(c) for c in sniffed.table.columns]
    if source.header is not None:
        clock, sniffed_clock = source.clock.column, sniffed.clock.column if sniffed.clock else None
        has_columns = not sniffed.has_header and len(names) == len(source.header)
        return has_columns and sniffed_clock == (str(source.header.index(clock)) if clock else None)
    required = [*source.columns, *([source.clock.column] if source.clock.column else [])]
    return sniffed.has_header and all(
        any(fnmatchcase(name, _shell_pattern(key)) for name in names) for key in required
    )


def _shell_pattern(key: str) -> str:
    """A column of a layout with any text, or any axis, in place of its placeholders."""
    return re.sub(r"\{\w+\}", "?*", key.replace("{axis}", "[xyzsXYZS]"))


def _program_pattern(kind: FileKind) -> str:
    """Programs are called after the operation, or after each recording."""
    named = all(re.search(r"_\d+$", s.path.name.split(".")[0]) for s in kind.files)
    return kind.pattern if named else kind.pattern.replace("{name}", "{operation}")


def draft_layout(kinds: Sequence[FileKind]) -> str:
    """The YAML text of a layout that reads the first file of each kind.

    Raises ValueError: no file has samples.
    """
    sources: dict[str, dict[str, Any]] = {}
    reasons: dict[str, str] = {}
    rates_hz: dict[str, float] = {}
    unread: list[FileKind] = []
    programs = [kind for kind in kinds if kind.format == "program"]
    for kind in kinds:
        source = _log_source(kind)
        name = SHIPPED_SOURCES[kind.format][1] if source else "sensors"
        name = "log" if kind.format == "lines" else name
        if not source and kind.format in TABLES:
            source, guesses = _table_source(kind, [f.path for each in programs for f in each.files])
            for column, guess in guesses.items():
                line = _dump({column: guess.target}, default_flow_style=False).strip()
                reasons[line] = guess.reason
        if source:
            name = name if name not in sources else f"{name}{len(sources) + 1}"
            sources[name], rates_hz[name] = source, _rate_hz(kind, source)
        if may_be_text_log(kind) and not (source and _is_whole(source, kind)):
            unread.append(kind)
    if not sources:
        raise ValueError("no file has a table or a log that is understood")
    rows = _rows(sources, rates_hz)
    _resample(sources, rates_hz, rows)
    content = {"sources": sources, "rows": rows}
    if programs:
        content |= _program(programs[0], [kind.format for kind in kinds])
    lines = ["# Written by gcodefp inspect-recordings: a guess. Correct what is marked CHECK."]
    for line in _dump(content, default_flow_style=False).splitlines():
        comment = reasons.get(line.strip(), COMMENTS.get(line.strip()))
        in_rows = line.startswith("  rate_hz")
        lines.append(f"{line}  # {comment}" if comment and not in_rows else line)
    end = next(i for i, line in enumerate(lines) if line.startswith("rows:"))
    lines[end:end] = [line for number, kind in enumerate(unread, 1) for line in _stub(kind, number)]
    return "\n".join(lines) + "\n"


def _is_whole(source: Mapping[str, Any], kind: FileKind) -> bool:
    """Whether a drafted source reads the executed lines, if its file reports them."""
    reports = kind.format == "lines" and guess_line_regex(kind.files[0].lines)[0]
    return not reports or bool({"line", "block"} & {*source["columns"].values()})


def may_be_text_log(kind: FileKind) -> bool:
    """Whether a kind that no source reads is text; words of a log may look like a table."""
    sniffed = kind.files[0]
    is_log = kind.format in ("unknown", "lines") or (
        kind.format == "table"
        and (sniffed.keys.get("separator") == "whitespace" or has_log_words(sniffed.lines))
    )
    return is_log and bool(first_line(kind))


def _stub(kind: FileKind, number: int) -> list[str]:
    """The source of a text log as comments, valid without their `# `."""
    lines = [line for line in kind.files[0].lines if line.strip()]
    todo = "if it is a text log, complete this source:"
    if regex := guess_line_regex(lines)[0]:
        count = sum(bool(re.search(regex, line)) for line in lines)
        todo = f"{count} of {len(lines)} lines match; for this source remove '# ' in its lines:"
    _, *stub = lines_stub(kind, f"text_log{number}").splitlines()
    return [f"# CHECK {kind.pattern}: {todo}", *(f"# {line}" for line in stub)]


def flow(content: Mapping[str, Any]) -> str:
    """A mapping as a line of YAML, in braces."""
    return _dump(dict(content), default_flow_style=True).strip()


def line_of(key: str, value: Any) -> str:
    """A key and its value as a line of YAML."""
    return flow({key: value})[1:-1]


def _log_source(kind: FileKind) -> dict[str, Any]:
    """The shipped source of a log with its files' names; none of other files."""
    if kind.format not in LOGS:
        return {}
    layout, name = SHIPPED_SOURCES[kind.format]
    source: dict[str, Any] = _shipped(layout)["sources"][name] | {"files": kind.pattern}
    if kind.format == GRBL:
        # The time that the host writes in front of the reports.
        report = "".join(source["regex"].partition("<(")[1:])
        line = next(x for x in kind.files[0].lines if re.search(LOGS[GRBL], x))
        time, clock = host_time(line.partition("<")[0])
        source["clock"] = clock or {"format": "sample", "rate_hz": DEFAULT_ROW_HZ}
        source["regex"] = f"{time}[^<]*{report}" if time else report
    return source


def lines_stub(kind: FileKind, name: str = "log") -> str:
    """A layout for a text log that is not understood, which a person completes and checks."""
    regex, clock = guess_line_regex(kind.files[0].lines)
    if not regex:
        time, clock = host_time(first_line(kind))
        regex = rf"{time}.*?line=(?P<line>\d+)"
    positions = {axis: f"{axis} [mm]" for axis in "xyz" if f"(?P<{axis}>" in regex}
    source = {
        "files": kind.pattern,
        "format": "lines",
        "regex": regex,
        "clock": clock or {"format": "sample", "rate_hz": DEFAULT_ROW_HZ},
        "columns": {"line": "line"} | positions,
    }
    comments = COMMENTS | {f"{axis}: {axis} [mm]": CHECK_UNIT for axis in "xyz"}
    lines = _dump({"sources": {name: source}}, default_flow_style=False).splitlines()
    lines = [f"{x}  # {comments[x.strip()]}" if x.strip() in comments else x for x in lines]
    return "\n".join(lines) + "\n"


def first_line(kind: FileKind) -> str:
    """The first line that tells a line, else the first one with text; empty for no text."""
    lines = [line.strip() for line in kind.files[0].lines if line.strip()]
    regex, _ = guess_line_regex(lines)
    return next((x for x in lines if re.search(regex, x)), "")


def _table_source(
    kind: FileKind, programs: Sequence[Path]
) -> tuple[dict[str, Any], dict[str, Guess]]:
    """The source of a table, empty if no column is understood, and its guesses."""
    sniffed = kind.files[0]
    clock, table = sniffed.clock, sniffed.table
    column = clock.column if clock else None
    guesses = guess_targets(table, sniffed.has_header, column, "toolhead", programs)
    if sniffed.format == "lines":
        # Other numbers of a controller's log are its own, and no sensor's.
        guesses = {c: g for c, g in guesses.items() if not g.reason.startswith(CHECK)} or guesses
    if not guesses:
        return {}, {}
    source = {"files": kind.pattern, **sniffed.keys}
    names = [str(name) for name in table.columns]
    if not sniffed.has_header:
        source["header"] = names
    keys = clock.keys if clock else {"format": "sample"}
    source["clock"] = keys | {"rate_hz": DEFAULT_ROW_HZ} if keys["format"] == "sample" else keys
    source["columns"] = {name: guess.target for name, guess in guesses.items()}
    clock_column = source["clock"].get("column")
    if left := [name for name in names if name not in guesses and name != clock_column]:
        source["ignore"] = left
    return source, guesses


def _rate_hz(kind: FileKind, source: Mapping[str, Any]) -> float:
    """Rows a second of a source; NaN if its first file does not tell."""
    clock = kind.files[0].clock
    if kind.format in LOGS and "regex" in source:
        clock = guess_clock(matching_rows(source["regex"], kind.files[0].lines))
    return 1 / clock.period_seconds if clock else nan


def _has_sensors(source: Mapping[str, Any]) -> bool:
    return any("." in str(target).partition(" ")[0] for target in source["columns"].values())


def _resample(
    sources: dict[str, dict[str, Any]], rates_hz: Mapping[str, float], rows: str | dict[str, int]
) -> None:
    """How the sensors of other sources than that of the rows get onto these."""
    row_hz = rates_hz[rows] if isinstance(rows, str) else rows["rate_hz"]
    for name, source in sources.items():
        ratio = rates_hz[name] / (DEFAULT_ROW_HZ if isnan(row_hz) else row_hz)
        if name == rows or not _has_sensors(source):
            continue
        if ratio < MIN_GUESSED_RATIO:
            source["resample"] = "interpolate"
        elif ratio < MIN_BAND_SAMPLES:
            source["features"] = ["mean", "rms", "peak"]


def _rows(
    sources: dict[str, dict[str, Any]], rates_hz: Mapping[str, float]
) -> str | dict[str, int]:
    """Those of the only source that reports lines, or of the only one, if it is slow.

    Else evenly spaced ones: sensors are faster, and most logs have rows with the blocks alone.
    """
    reporting = [
        name
        for name, source in sources.items()
        if any(target in ("line", "block") for target in source["columns"].values())
    ]
    (key, source), *others = sources.items()
    if len(reporting) == 1:
        key, source = reporting[0], sources[reporting[0]]
    elif others:
        return {"rate_hz": DEFAULT_ROW_HZ}
    has_sensors, is_counted = _has_sensors(source), source["clock"]["format"] == "sample"
    is_slow = is_counted or (has_sensors and rates_hz[key] < MIN_GUESSED_RATIO * DEFAULT_ROW_HZ)
    is_log = source.get("format") == "lines" and "state" not in source["columns"]
    if is_log or (has_sensors and not is_slow) or (not reporting and not is_slow):
        return {"rate_hz": DEFAULT_ROW_HZ}
    return key


def _program(kind: FileKind, formats: Sequence[str]) -> dict[str, Any]:
    if "serial log of OctoPrint" in formats:
        return {}  # It has the blocks.
    lines = kind.files[0].lines
    numbering = "file_line"
    if "log of Klipper" in formats:
        numbering = "byte"
    elif sum(bool(_N_WORD.match(line)) for line in lines) > len(lines) / 2:
        numbering = "n_word"
    return {"program": {"files": _program_pattern(kind), "numbering": numbering}}
