"""Which shipped layout fits the files of a folder, by what is in them and not by their names."""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from gcodefp.recordings import columns
from gcodefp.recordings.inspection.draft import Kind
from gcodefp.recordings.inspection.sniffing import Sketch
from gcodefp.recordings.layout import SHIPPED, Source, read_layout


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
    layout = read_layout(name)
    text = shipped = (SHIPPED / f"{name}.yaml").read_text(encoding="utf-8")
    count, patterns = 0, {}
    for source in layout.sources.values():
        kind = next((kind for kind in kinds if fits_source(kind.sketches[0], source)), None)
        if kind is not None:
            patterns[source.files] = kind.pattern
            if (skipped := kind.sketches[0].lines_before_header) != source.skip_rows:
                old = rf"^(    files: [\"']?{re.escape(source.files)}[\"']?)$"
                text = re.sub(old, rf"\1\n    skip_rows: {skipped}", text, flags=re.MULTILINE)
            count += len(source.columns)
        elif not source.optional:
            return None
    programs = [kind for kind in kinds if kind.sketches[0].format == "program"]
    needs_none = layout.program is not None and not programs
    if needs_none:
        text = re.sub(r"^program: .*\n", "", text, flags=re.MULTILINE)
    elif layout.program is not None:
        patterns[layout.program.files] = program_pattern(programs[0])
    renamed = {old: new for old, new in patterns.items() if old != new}
    for old, new in renamed.items():
        text = re.sub(rf"(?<=files: )[\"']?{re.escape(old)}[\"']?(?=[,\s])", f'"{new}"', text)
    return Fit(name, text, text == shipped, count)


def fits_source(sketch: Sketch, source: Source) -> bool:
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


def program_pattern(kind: Kind) -> str:
    """Programs are called after the operation, or after each recording."""
    named = all(re.search(r"_\d+$", s.path.name.split(".")[0]) for s in kind.sketches)
    return kind.pattern if named else kind.pattern.replace("{name}", "{operation}")
