"""A layout: which files a laboratory writes for each recording, and what their columns mean.

A layout is a YAML file; `recordings.layout` names it, or one of those in the folder `layouts`.
"""

import os
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PrivateAttr, Tag, model_validator

from gcodefp.errors import UserError, did_you_mean
from gcodefp.recordings.columns import LINE, POSITION_MM
from gcodefp.recordings.laboratory.quantities import Target, parse_target
from gcodefp.schema import SECTION, TEXT, TEXT_OR_SECTION, Documented, validated
from gcodefp.yaml_input import load_yaml, read_text

SHIPPED = Path(__file__).parents[1] / "layouts"
NAME_FIELDS = ("name", "operation", "session", "machine")
"""Placeholders in patterns of file names."""


class LayoutError(UserError):
    """A key of a layout does not fit a file: the layout has to be fixed."""


def placeholders(text: str) -> list[str]:
    """The names in braces in a pattern.

    Raises ValueError: a brace is not closed, or has no name in it.
    """
    fields = [(name, spec) for _, name, spec, _ in Formatter().parse(text) if name is not None]
    if wrong := [name for name, spec in fields if not name.isidentifier() or spec]:
        raise ValueError(f"{text!r}: {{{wrong[0]}}} is no name in braces, such as {{name}}")
    return [name for name, _ in fields]


def _checked_pattern(pattern: str) -> str:
    for name in placeholders(pattern):
        if name not in NAME_FIELDS:
            raise ValueError(f"{pattern!r}: {{{name}}}: {did_you_mean(name, NAME_FIELDS)}")
    return pattern


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ValueError(f"{name!r} is no time zone") from None
    return name


def _ascending(edges: list[float]) -> list[float]:
    if sorted(set(edges)) != edges:
        raise ValueError(f"{edges} has to ascend")
    return edges


def _name_regex(text: str) -> str:
    if unknown := sorted(_groups(text) - set(NAME_FIELDS[1:])):
        hint = did_you_mean(unknown[0], NAME_FIELDS[1:])
        raise ValueError(f"has an unknown group {unknown[0]!r}; {hint}")
    return text


def _groups(regex: str) -> set[str]:
    """Names of the groups. Raises ValueError: it is no regular expression."""
    try:
        return set(re.compile(regex).groupindex)
    except re.error as error:
        raise ValueError(f"regex: {error}") from None


Text = Annotated[str, Field(min_length=1)]
TextEntry = Annotated[Text, Tag(TEXT)]
Pattern = Annotated[Text, AfterValidator(_checked_pattern)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
Edges = AfterValidator(_ascending)


class Packets(Documented):
    """Packets of rows that a logger writes in any order."""

    column: Text
    """A column of the file."""
    starts: float
    """What it has in the first row of each packet."""


class Clock(Documented):
    """When each row of a source was measured."""

    format: Literal["time_of_day", "iso8601", "unix", "seconds", "sample"]
    """time_of_day (HH:MM:SS.sss), iso8601, unix (since 1970), seconds (since a start that all
    sources share), or sample: no column, the rows are evenly spaced."""
    column: Text | None = None
    """The column; none for sample."""
    unit: Literal["s", "ms", "us", "ns"] = "s"
    """Of unix and seconds."""
    rate_hz: Positive | None = None
    """Rows per second: needed by sample; else measured where it is not given."""
    packets: Packets | None = None
    """Of sample: rows are in order within packets alone. With labels, these are put into the
    program's order by line and position; without, each is decoded by itself."""
    timezone: Annotated[Text, AfterValidator(_zone)] = "UTC"
    """The time zone of times without an offset, such as Europe/Paris."""
    offset_seconds: float = 0.0
    """Added to every time."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if self.format == "sample" and (self.rate_hz is None or self.column is not None):
            raise ValueError("format sample needs rate_hz, and no column")
        if self.format != "sample" and self.packets is not None:
            raise ValueError("packets belongs to format sample: another clock tells the order")
        if self.format != "sample" and self.column is None:
            raise ValueError(f"format {self.format} needs column, the clock's name in the file")
        return self


class Column(Documented):
    """What one column of a file is, where a text alone does not say it."""

    target: Text = Field(alias="as")
    """NODE.QUANTITY [unit], or a role such as line."""
    scale: float = 1.0
    """Multiplies each sample before its unit is converted."""
    missing: list[float] | None = None
    """Numbers that mean that there is none."""
    repair: Literal["isolated"] | None = None
    """isolated: a single row that falls below both neighbours, which do not fall, takes the number
    of the row before."""
    fill: Literal["hold"] | None = None
    """hold: a row without a number takes the last one."""
    equals: list[str] | None = None
    """Of running: the texts that mean that the program runs."""


ColumnEntry = Annotated[TextEntry | Annotated[Column, Tag(SECTION)], TEXT_OR_SECTION]


class Source(Documented):
    """One kind of file: how it is read, its clock and its columns."""

    files: Pattern
    """Pattern of the names below the folder, such as {name}_accel.csv or {session}/{name}.csv; *
    matches anything. .gz, .bz2 and .xz behind it do not matter. Of several patterns the one with
    the most text counts."""
    format: Literal["csv", "lines", "json_lines", "parquet", "hdf5"] = "csv"
    """lines: each line that matches regex is a row."""
    optional: bool = False
    """Whether a recording may lack this file."""
    clock: Clock
    columns: dict[Text, ColumnEntry] = Field(min_length=1)
    """Column of the file -> what it is: NODE.QUANTITY [unit], or line, block, x [mm], y [mm], z
    [mm], feed [mm/min], unit, state, running. {axis} in both stands for any text."""
    ignore: list[Text] = Field([])
    """Shell patterns of columns that are not read, unless columns has their very name; * is all
    that columns does not match."""
    separator: Text = ","
    """csv: one character, or whitespace."""
    decimal: Literal[".", ","] = "."
    """csv: the decimal mark."""
    header: list[Text] | None = None
    """csv: names of the columns, if the file has none; hdf5: of a matrix's."""
    comment: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """csv: lines that begin with this character are skipped."""
    skip_rows: int = Field(0, ge=0, le=10**6)
    """csv, lines: lines before the header."""
    encoding: Text = "utf-8"
    """Of text files."""
    quoted_rows: bool = False
    """csv: each row is one text in quotes."""
    regex: Text | None = None
    """lines: regular expression with named groups, which are the columns."""
    dataset: Text = "/"
    """hdf5: a matrix, or a group with a vector per column."""
    resample: Literal["features", "interpolate", "hold"] = "features"
    """How sensors get onto the rows of another source: features over each row's interval, if they
    are faster; else interpolated linearly, or their last sample."""
    features: list[Literal["mean", "rms", "peak", "bands"]] = Field(
        ["mean", "rms", "peak", "bands"], min_length=1
    )
    """mean, rms and peak of the deviation from it, and powers of frequency bands."""
    bands: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Edges] = Field(
        [0.0, 0.125, 0.25, 0.5, 1.0], min_length=2
    )
    """Edges of the bands, as shares of half the sample rate."""
    bands_hz: Annotated[list[Annotated[float, Field(ge=0)]], Edges] | None = Field(
        None, min_length=2
    )
    """Edges of the bands in Hz, instead of bands."""

    _where: str = PrivateAttr("layout: source")

    @property
    def where(self) -> str:
        """The layout's file and this section in it, for messages."""
        return self._where

    @model_validator(mode="after")
    def _fits_its_format(self) -> Self:
        if (self.format == "lines") != (self.regex is not None):
            raise ValueError("regex belongs to format lines, which needs it")
        if self.separator != "whitespace" and len(self.separator) != 1:
            raise ValueError(f"separator: {self.separator!r} is not one character or whitespace")
        if self.regex is not None:
            groups = _groups(self.regex)
            names = [self.clock.column, *self.columns]
            for name in (n for n in names if n is not None and not placeholders(n)):
                if name not in groups:
                    raise ValueError(f"regex has no group {name!r}; {did_you_mean(name, groups)}")
        for name, column in self.columns.items():
            _check_column(name, column)
        exact = Counter(self.target(n).column for n in self.columns if not placeholders(n))
        if twice := [column for column, count in exact.items() if count > 1]:
            raise ValueError(f"columns: two of them are {twice[0]!r}; remove one")
        return self

    def column(self, key: str) -> Column:
        """The column of a key of `columns`, whose target may have placeholders."""
        column = self.columns[key]
        return Column.model_validate({"as": column}) if isinstance(column, str) else column

    def target(self, key: str, fields: Mapping[str, str] | None = None) -> Target:
        """What a key's column becomes, with its placeholders replaced, or ValueError."""
        return parse_target(self.column(key).target.format_map(fields or {}))

    @property
    def has_labels(self) -> bool:
        """Whether the controller reports any of its columns."""
        return any(self._are_labels())

    @property
    def has_sensors(self) -> bool:
        """Whether any of its columns is a sensor's."""
        return not all(self._are_labels())

    def _are_labels(self) -> list[bool]:
        fields = {name: "x" for key in self.columns for name in placeholders(key)}
        return [self.target(key, fields).is_label for key in self.columns]


class RowRate(Documented):
    """Evenly spaced rows, instead of the rows of a source."""

    rate_hz: Positive
    """Rows per second."""


class ProgramFile(Documented):
    """The G-code file that was executed, where the controller reports only its lines."""

    files: Pattern
    """Pattern with {name}, {operation}, {session} or {machine}, such as {operation}.gcode."""
    numbering: Literal["file_line", "n_word", "byte"] = "file_line"
    """What the controller reports: the line in the file (from 1), the N word of the block, or the
    byte in the file."""
    acceleration_mm_s2: Positive | None = None
    """Of the machine, if no line is reported: rows are then labelled by planning the program.
    Fitted to the train recordings unless given with axis_rate_mm_min."""
    axis_rate_mm_min: tuple[Positive, Positive, Positive] | None = None
    """The fastest X, Y and Z; see acceleration_mm_s2."""

    @model_validator(mode="after")
    def _has_both_limits(self) -> Self:
        if (self.acceleration_mm_s2 is None) != (self.axis_rate_mm_min is None):
            raise ValueError("acceleration_mm_s2 and axis_rate_mm_min are given both or not at all")
        return self


RowsEntry = Annotated[TextEntry | Annotated[RowRate, Tag(SECTION)], TEXT_OR_SECTION]


class Layout(Documented):
    """The files of a laboratory's recordings."""

    sources: dict[Text, Source] = Field(min_length=1)
    """Kinds of files; a recording has one file of each."""
    rows: RowsEntry | None = None
    """The source whose rows are the recording's, or {rate_hz: 10}; by default the one that reports
    line or block."""
    recording: Annotated[Text, AfterValidator(_name_regex)] | None = None
    """Regular expression for the recording's name, with groups operation, session and machine; by
    default pocket_001 is a pocket."""
    table: Text | None = None
    """CSV file in the folder with columns recording, operation, session, machine, and
    offset_seconds of all sources or offset_seconds.SOURCE of one."""
    program: ProgramFile | None = None
    unit: Literal["mm", "in"] | None = None
    """Length unit of the program, where no column reports it."""
    preamble: bool = False
    """Whether rows before the last decrease of the line number are look-ahead and dropped."""

    @model_validator(mode="after")
    def _names_sources(self) -> Self:
        if isinstance(self.rows, str) and self.rows not in self.sources:
            hint = did_you_mean(self.rows, self.sources)
            raise ValueError(f"rows: {self.rows!r} is no source; {hint}")
        if any(source.clock.packets for source in self.sources.values()):
            if len(self.sources) > 1 or self.rows is not None:
                raise ValueError("packets: only of the single source, without rows")
            ((name, source),) = self.sources.items()
            columns = {source.target(n).column for n in source.columns if not placeholders(n)}
            if not {LINE, *POSITION_MM[:2]} <= columns:
                raise ValueError(
                    f"sources.{name}: packets needs line, x and y, by which they are put into order"
                )
        if self.rows is None and len(self.sources) > 1 and len(self.label_sources()) != 1:
            count = "no source reports" if not self.label_sources() else "several sources report"
            raise ValueError(
                f"rows: {count} line or block; name the source whose rows count, or a rate"
            )
        return self

    def label_sources(self) -> list[str]:
        """Names of the sources that report the executed line or block."""
        return [
            name
            for name, source in self.sources.items()
            if any(source.column(key).target.strip() in ("line", "block") for key in source.columns)
        ]

    def row_source(self) -> str | None:
        """The source whose rows are the recording's; None for evenly spaced rows."""
        if isinstance(self.rows, RowRate):
            return None
        return self.rows or (self.label_sources() or list(self.sources))[0]


def with_groups(pattern: str, text: str) -> str:
    """The regular expression of a pattern; its placeholders are groups that match `text`."""
    expression = re.escape(pattern)
    for name in dict.fromkeys(placeholders(pattern)):
        field = rf"\{{{name}\}}"
        expression = expression.replace(field, rf"(?P<{name}>{text})", 1)
        expression = expression.replace(field, rf"(?P={name})")
    return expression


def _check_column(name: str, column: str | Column) -> None:
    """Raises ValueError if a column's target means nothing."""
    target = column if isinstance(column, str) else column.target
    try:
        fields = dict.fromkeys(placeholders(name), "x")
        if unknown := [field for field in placeholders(target) if field not in fields]:
            raise ValueError(f"{target!r}: {{{unknown[0]}}} is not in the column's name")
        kind = parse_target(target.format_map(fields)).kind
        if isinstance(column, Column) and column.equals is not None and kind != "boolean":
            raise ValueError("equals belongs to running")
    except ValueError as error:
        raise ValueError(f"columns.{name}: {error}") from None


def read_layout(name: str) -> Layout:
    """The layout of a file, or a shipped one by its name.

    Raises UserError: there is none, or a key is wrong.
    """
    path = Path(name).expanduser()
    if not os.path.isfile(path):  # noqa: PTH113, Path.is_file raises for a long name
        shipped = [file.stem for file in SHIPPED.glob("*.yaml")]
        if name not in shipped:
            where = "" if path.is_absolute() else f" in {Path.cwd()}"
            raise UserError(
                f"{name!r} is neither a file{where} nor a shipped layout; "
                f"{did_you_mean(name, shipped)}"
            )
        path = SHIPPED / f"{name}.yaml"
    return parse_layout(load_yaml(read_text(path), str(path)), str(path))


def read_optional_layout(name: str | None) -> Layout | None:
    """The layout of a name; None, for the native CSV files, without one."""
    return None if name is None else read_layout(name)


def parse_layout(content: Any, where: str) -> Layout:
    """The layout that a mapping from the file `where` describes, or UserError."""
    layout = validated(Layout, content, where)
    for name, source in layout.sources.items():
        source._where = f"{where}: sources.{name}"
    return layout


def stored_layout(dataset: Mapping[str, Any]) -> Layout | None:
    """The layout of the recordings of a dataset.json; None for native CSV files."""
    content = dataset.get("layout")
    return None if content is None else parse_layout(content, "the layout in dataset.json")


def describe_layout(layout: Layout) -> dict[str, Any]:
    """The layout as JSON, without defaults; `parse_layout` is the inverse."""
    return layout.model_dump(mode="json", by_alias=True, exclude_defaults=True)
