"""Finds the shipped layout that fits the files of a folder, or writes a first one.

A file is recognised by what is in it, not by its name. A person corrects the lines that are marked
with CHECK.
"""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import yaml

from gcodefp.recordings import columns
from gcodefp.recordings.inspection.guessing import CHECK, guess_targets
from gcodefp.recordings.inspection.sniffing import (
    DECIMAL_COMMA,
    LINE_FORMATS,
    UNIX_SCALES,
    Clock,
    Sketch,
)
from gcodefp.recordings.layout import SHIPPED, Source, read_layout
from gcodefp.yaml_input import load_yaml

SHIPPED_SOURCES = {
    "grbl": ("grbl", "status"),
    "octoprint": ("octoprint", "serial"),
    "klippy": ("klipper", "log"),
    "moonraker": ("klipper", "positions"),
    "shdr": ("mtconnect", "events"),
}
"""Format of a log -> shipped layout and its source that reads it."""
IRREGULAR = ("octoprint", "klippy", "shdr", "moonraker")
"""Logs whose rows come with the blocks, not with the time."""
HOST_TIMES: tuple[tuple[str, dict[str, Any]], ...] = (
    (r"\b\d{13}\b", {"format": "unix", "unit": "ms"}),
    (r"\b\d{9,10}(?:\.\d+)?\b", {"format": "unix"}),
    (
        r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?",
        {"format": "iso8601", "timezone": "UTC"},
    ),
    (r"\b\d\d:\d\d:\d\d(?:[.,]\d+)?", {"format": "time_of_day"}),
    (r"\b\d+\.\d+\b", {"format": "seconds"}),
)
"""How a host may write the time in front of a report, and the clock that reads it."""
DEFAULT_ROW_HZ = 10
IS_SLOW = "  # as slow as the rows"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*_\d+(?![A-Za-z0-9])")
_N_WORD = re.compile(r"\s*N\s*\d", re.IGNORECASE)
_COMPRESSED = re.compile(r"\.(gz|bz2|xz)$", re.IGNORECASE)


class Kind(NamedTuple):
    """Files of one pattern, such as `{name}_accel.csv`; the first one is typical."""

    pattern: str
    sketches: list[Sketch]


def file_kinds(sketches: Sequence[Sketch], folder: Path) -> list[Kind]:
    """Files that seem to be the same source of different recordings, by their names."""
    stems = [(s, *_stem_and_suffix(s.path.name)) for s in sketches]
    kinds: dict[tuple[str, ...], list[Sketch]] = {}
    for sketch, stem, suffix in stems:
        alike = [other for _, other, ending in stems if ending == suffix]
        depth = len(sketch.path.relative_to(folder).parts) - 1
        parents = "*/" * (depth - 1) + "{session}/" * (depth > 0)
        pattern = parents + _pattern(stem, alike) + suffix
        names = map(str, sketch.table.columns if len(sketch.table.columns) < 100 else ())
        kinds.setdefault((pattern, sketch.format, *names), []).append(sketch)
    return [Kind(pattern, files) for (pattern, *_), files in kinds.items()]


def _stem_and_suffix(name: str) -> tuple[str, str]:
    bare = _COMPRESSED.sub("", name)
    suffix = PurePosixPath(bare).suffix
    return bare.removesuffix(suffix), suffix


def _pattern(stem: str, alike: Sequence[str]) -> str:
    """`adxl345-{name}` of `adxl345-cube_001`; without a number what differs between files."""
    if match := _NAME.search(stem):
        return f"{stem[: match.start()]}{{name}}{stem[match.end() :]}"
    words = [re.split(r"([-_. ]+)", text) for text in alike]
    head = tail = 0
    if len(words) > 1:
        shortest = min(map(len, words)) - 1
        while head < shortest and len({w[head] for w in words}) == 1:
            head += 1
        while tail < shortest - head and len({w[-1 - tail] for w in words}) == 1:
            tail += 1
    own = re.split(r"([-_. ]+)", stem)
    return "".join([*own[:head], "{name}", *own[len(own) - tail :]])


class Fit(NamedTuple):
    """A shipped layout that fits.

    Attributes:
        text: its YAML, with the names of these files.
        is_as_shipped: whether the files have the names that the shipped layout expects.
        columns: how many columns it reads; the more, the better it fits.
    """

    name: str
    text: str
    is_as_shipped: bool
    columns: int


def is_default_format(kinds: Sequence[Kind]) -> bool:
    """Whether the files are read without any layout."""
    names = [str(c) for kind in kinds for c in kind.sketches[0].table.columns]
    return set(columns.REQUIRED) <= {columns.canonical_column(name)[0] for name in names}


def fitting_layout(kinds: Sequence[Kind]) -> Fit | None:
    """The shipped layout that reads most of the files' columns, of those that fit."""
    fits = [fit for path in sorted(SHIPPED.glob("*.yaml")) if (fit := _fit(path.stem, kinds))]
    return max(fits, key=lambda fit: fit.columns, default=None)


def _fit(name: str, kinds: Sequence[Kind]) -> Fit | None:
    shipped, count = _shipped(name), 0
    content = _shipped(name)
    for key, source in read_layout(name).sources.items():
        kind = next((kind for kind in kinds if _fits_source(kind.sketches[0], source)), None)
        if kind is not None:
            content["sources"][key]["files"] = kind.pattern
            if (skipped := kind.sketches[0].lines_before_header) != source.skip_rows:
                content["sources"][key]["skip_rows"] = skipped
            count += len(source.columns)
        elif not source.optional:
            return None
    programs = [kind for kind in kinds if kind.sketches[0].format == "program"]
    if "program" in content and programs:
        content["program"]["files"] = _program_pattern(programs[0])
    elif "program" in content:
        del content["program"]
    return Fit(name, _dump(content), content == shipped, count)


def _shipped(name: str) -> dict[str, Any]:
    content: dict[str, Any] = load_yaml((SHIPPED / f"{name}.yaml").read_text("utf-8"), name)
    return content


def _dump(content: Any) -> str:
    return str(yaml.safe_dump(content, sort_keys=False, width=1000, default_flow_style=None))


def _fits_source(sketch: Sketch, source: Source) -> bool:
    """Whether a file has what a source reads."""
    if source.format == "lines":
        pattern = re.compile(source.regex or "")
        # A group that matches nothing anywhere is a report that this logger does not make.
        groups = [m.groupdict() for line in sketch.lines if (m := pattern.search(line))]
        return bool(groups) and all(any(g[c] for g in groups) for c in source.columns)
    if source.format != "csv" or sketch.format != "table":
        return False
    separator = " " if source.separator == "whitespace" else source.separator
    if sketch.separator != ('"' if source.quoted_rows else "") + separator:
        return False
    names = [str(c) for c in sketch.table.columns]
    if source.header is not None:
        return (
            not sketch.has_header
            and len(names) == len(source.header)
            and (sketch.clock.column if sketch.clock else None)
            == (str(source.header.index(source.clock.column)) if source.clock.column else None)
        )
    wanted = [*source.columns, *([source.clock.column] if source.clock.column else [])]
    return sketch.has_header and all(
        any(fnmatchcase(name, _shell_pattern(key)) for name in names) for key in wanted
    )


def _shell_pattern(key: str) -> str:
    """A column of a layout with any text, or any axis, in place of its placeholders."""
    return re.sub(r"\{\w+\}", "?*", key.replace("{axis}", "[xyzsXYZS]"))


def _program_pattern(kind: Kind) -> str:
    """Programs are called after the operation, or after each recording."""
    named = all(re.search(r"_\d+$", s.path.name.split(".")[0]) for s in kind.sketches)
    return kind.pattern if named else kind.pattern.replace("{name}", "{operation}")


def draft_layout(kinds: Sequence[Kind]) -> str:
    """The YAML text of a layout that reads the first file of each kind.

    Raises ValueError: no file has samples.
    """
    sources: dict[str, list[str]] = {}
    formats: dict[str, str] = {}
    for kind in kinds:
        sketch = kind.sketches[0]
        lines = list(_source(kind))
        if lines:
            key = SHIPPED_SOURCES.get(sketch.format, ("", "sensors"))[1]
            key = key if key not in sources else f"{key}{len(sources) + 1}"
            sources[key], formats[key] = lines, sketch.format
    if not sources:
        raise ValueError("no file has a table or a log that is understood")
    text = [
        "# Written by gcodefp inspect-recordings: a guess. Correct what is marked CHECK.",
        "sources:",
    ]
    for key, lines in sources.items():
        text += [f"  {key}:", *(f"    {line}" for line in lines)]
    text += _rows(formats, sources)
    programs = [kind for kind in kinds if kind.sketches[0].format == "program"]
    text += _program(programs[0], formats) if programs else []
    return "".join(f"{line}\n" for line in text)


def _source(kind: Kind) -> Iterator[str]:
    sketch = kind.sketches[0]
    if sketch.format in SHIPPED_SOURCES:
        layout, source = SHIPPED_SOURCES[sketch.format]
        section = _shipped(layout)["sources"][source] | {"files": kind.pattern}
        if sketch.format == "grbl":
            section |= _grbl_time(sketch, section["regex"])
        yield from _dump(section).splitlines()
    elif sketch.format in ("table", "json_lines", "parquet"):
        yield from _table_source(kind.pattern, sketch)


def _grbl_time(sketch: Sketch, regex: str) -> dict[str, Any]:
    """`regex` and `clock` for the time that the host writes in front of GRBL's reports."""
    line = next(line for line in sketch.lines if LINE_FORMATS["grbl"].search(line))
    report = regex.partition("<(")
    for pattern, clock in HOST_TIMES:
        if re.search(pattern, line.partition("<")[0]):
            whole = f"(?P<time>{pattern})[^<]*{''.join(report[1:])}"
            return {"regex": whole, "clock": clock | {"column": "time"}}
    return {"regex": "".join(report[1:]), "clock": {"format": "sample", "rate_hz": DEFAULT_ROW_HZ}}


def _table_source(pattern: str, sketch: Sketch) -> Iterator[str]:
    clock, table = sketch.clock, sketch.table
    column = clock.column if clock else None
    guesses = guess_targets(table, sketch.has_header, column, "toolhead")
    if not guesses:
        return
    yield f"files: {quoted(pattern)}"
    if sketch.format != "table":
        yield f"format: {sketch.format}"
    if sketch.encoding != "utf-8":
        yield f"encoding: {sketch.encoding}"
    separator = sketch.separator.removeprefix('"') or ","
    if sketch.separator.startswith('"'):
        yield "quoted_rows: true"
    if separator != ",":
        yield f"separator: {'whitespace' if separator == ' ' else quoted(separator)}"
    if DECIMAL_COMMA in sketch.notes:
        yield 'decimal: ","'
    if sketch.lines_before_header:
        yield f"skip_rows: {sketch.lines_before_header}"
    if not sketch.has_header:
        names = ", ".join(quoted(str(name)) for name in table.columns)
        yield f"header: [{names}]  # {CHECK}: the columns have no names"
    yield f"clock: {clock_yaml(clock)}"
    has_sensors = any("." in guess.target for guess in guesses.values())
    if clock is not None and has_sensors and clock.period_seconds > 0.5 / DEFAULT_ROW_HZ:
        yield f"resample: interpolate{IS_SLOW}"
    yield "columns:"
    for name, guess in guesses.items():
        yield f"  {quoted(name)}: {guess.target}  # {guess.reason}"
    if left := [str(c) for c in table.columns if str(c) not in guesses and str(c) != column]:
        yield f"ignore: [{', '.join(map(quoted, left))}]"


def clock_yaml(clock: Clock | None) -> str:
    """The section `clock` of a source."""
    if clock is None or clock.kind == "sample":
        return (
            f"{{format: sample, rate_hz: {DEFAULT_ROW_HZ}}}  # CHECK the rate: no column is a clock"
        )
    column = f"column: {quoted(clock.column)}"
    if clock.kind in UNIX_SCALES:
        return f"{{format: unix, {column}, unit: {clock.kind.removeprefix('unix ')}}}"
    if clock.kind == "date":
        return f"{{format: iso8601, {column}, timezone: UTC}}  # CHECK the time zone"
    if clock.kind == "time of day":
        return f"{{format: time_of_day, {column}}}"
    return f"{{format: seconds, {column}, unit: {clock.kind}}}"


def _rows(formats: dict[str, str], sources: dict[str, list[str]]) -> list[str]:
    """Rows of the one source that reports lines regularly, or of the only one, if it is slow.

    Else evenly spaced ones.
    """
    reporting = [
        key
        for key, lines in sources.items()
        if any(re.search(r": (\{as: )?['\"]?(line|block)\b", line) for line in lines)
    ]
    is_one = len(reporting) == 1 and formats[reporting[0]] not in IRREGULAR
    if is_one and not _is_fast(sources[reporting[0]]):
        return [f"rows: {reporting[0]}"]
    (key, lines), *others = sources.items()
    if not others and any(line.endswith(IS_SLOW) for line in lines):
        return [f"rows: {key}"]
    return [f"rows: {{rate_hz: {DEFAULT_ROW_HZ}}}"]


def _is_fast(lines: list[str]) -> bool:
    """Whether a source has sensors, and a clock that is faster than DEFAULT_ROW_HZ."""
    has_sensors = any(re.search(r": \w+\.\w+( \[.*\])?  #", line) for line in lines)
    return has_sensors and not any(line.endswith(IS_SLOW) or "sample" in line for line in lines)


def _program(kind: Kind, formats: dict[str, str]) -> list[str]:
    numbering = "file_line"
    lines = kind.sketches[0].lines
    if "klippy" in formats.values():
        numbering = "byte"
    elif sum(bool(_N_WORD.match(line)) for line in lines) > len(lines) / 2:
        numbering = "n_word"
    if "octoprint" in formats.values():
        return []  # Its log has the blocks.
    return [f"program: {{files: {quoted(_program_pattern(kind))}, numbering: {numbering}}}"]


def quoted(text: str) -> str:
    """A YAML scalar, in quotes unless it is a plain word."""
    style = None if re.fullmatch(r"[A-Za-z_]\w*", text) else '"'
    return str(
        yaml.safe_dump(text, width=1000, default_style=style, allow_unicode=True)
    ).splitlines()[0]
