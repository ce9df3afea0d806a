"""Finds the files of a folder, and reads a CSV file into a checked table of canonical columns."""

import io
import logging
import re
import warnings
from collections.abc import Callable, Collection
from pathlib import Path

import pandas as pd

from gcodefp.errors import UserError, did_you_mean
from gcodefp.files import digest
from gcodefp.recordings import columns
from gcodefp.recordings.canonical import read_canonical, select_groups
from gcodefp.recordings.csv_text import CsvText, read_csv_text

logger = logging.getLogger("gcodefp.recordings")

FIX = "repair the file, or name it under recordings.exclude in the configuration"
_CSV = re.compile(r"\.csv(\.(gz|bz2|xz))?$", re.IGNORECASE)


class RecordingRejected(Exception):
    """A rule excludes the recording; the message names the rule."""


def recording_name(path: Path) -> str:
    """The file's name without `.csv`, `.gz` (or `.bz2`, `.xz`), `.parquet` and `_aligned`."""
    name = _CSV.sub("", path.name).removesuffix(".parquet")
    return name.removesuffix("_aligned") or path.name


def find_recordings(folder: Path, exclude: Collection[str] = ()) -> list[Path]:
    """All recordings of a folder, sorted, without those whose name is excluded.

    They are CSV files, compressed or not; in a folder without any, Parquet files that `canonical`
    wrote.

    Hidden files, such as macOS's `._x.csv`, are not recordings.

    Raises:
        UserError: the folder is missing or without recordings, two files have one name, a name
            cannot be printed, or an exclusion matches no file.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; set recordings.folder to where the CSV files are"
        )
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    paths = [path for path in visible if _CSV.search(path.name)]
    paths = paths or [path for path in visible if path.suffix == ".parquet"]
    for path in visible:
        if path not in paths and ".csv" in path.name.lower():
            logger.warning("excluded %s: its name ends in none of .csv .gz .bz2 .xz", path.name)
    names = [recording_name(path) for path in paths]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"{folder}: two files for the recording {duplicates[0]!r}; keep one of them"
        )
    if unprintable := [name for name in names if not name.isprintable()]:
        raise UserError(f"{folder}: {unprintable[0]!r} cannot be printed; rename this file")
    if unknown := sorted(set(exclude) - set(names)):
        raise UserError(
            f"recordings.exclude: {unknown[0]!r} is not a recording in {folder}; "
            f"{did_you_mean(unknown[0], names)}"
        )
    included = [path for path, name in zip(paths, names, strict=True) if name not in exclude]
    if not paths:
        raise UserError(
            f"{folder}: no .csv or .csv.gz file in this folder; docs/files.md has the schema"
        )
    if not included:
        raise UserError(f"recordings.exclude: leaves none of the {len(paths)} files of {folder}")
    if broken := [path for path in included if not path.is_file()]:
        raise UserError(f"{broken[0]}: is not a regular file; remove it, or {FIX}")
    return included


def read_table(path: Path, groups: Collection[str]) -> pd.DataFrame:
    """Reads controller columns, environment and channel groups, and skips all other columns.

    Args:
        groups: channel groups, of `columns.GROUPS`.

    Returns:
        one row per line of the file; channels are float, in the file's order.

    Raises:
        UserError: the file is truncated, empty or not CSV, or lacks a required column.
    """
    if path.suffix == ".parquet":
        return select_groups(read_canonical(path), groups)
    label_columns = {*columns.REQUIRED, columns.UNIT, *columns.POSITION}

    def is_needed(column: str) -> bool:
        return column in label_columns or columns.channel_group(column) in groups

    def is_optional(column: str) -> bool:
        # Only a baseline uses it: it may be missing or invalid.
        return not is_needed(column) and columns.channel_group(column) == "environment"

    def is_read(column: str) -> bool:
        return is_needed(column) or is_optional(column)

    table = read_columns(path, is_read, FIX, is_optional)
    for column in columns.REQUIRED:
        if column not in table:
            raise UserError(f"{path}: column {column!r} is missing; {FIX}")
    if table.empty:
        raise UserError(f"{path}: has no row below its header; {FIX}")
    return table


def read_columns(
    path: Path,
    is_read: Callable[[str], bool],
    fix: str,
    is_optional: Callable[[str], bool] = lambda column: False,
) -> pd.DataFrame:
    """Reads some columns of a CSV file: the one way from any file to a table.

    Args:
        is_read: whether a column, by its canonical name, is read.
        is_optional: columns in which a text that is not a number counts as missing.

    Returns:
        one row per row of the file; the columns `columns.TEXTS` as text, all others as numbers.

    Raises:
        UserError: the file is truncated or not CSV, two columns have one name, a column is in
            another unit, or a sample is not a number; the message ends with `fix`.
    """
    try:
        content = read_csv_text(path, _is_known)
        if content.has_trailing_separators or not content.names[0].strip():
            _check_clock(content)
        names = _positions(content, is_read)
        table = _parse(content, names, ".")
        invalid = _first_invalid(table, is_optional)
        if invalid is not None:
            with_commas = _parse(content, names, ",")
            doubt = _first_invalid(with_commas, is_optional, ",")
            if doubt is not None or _may_be_thousands(table):
                raise ValueError(invalid)
            table = with_commas
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as CSV: {error}; {fix}") from None
    for column in _not_numbers(table):
        table[column] = pd.to_numeric(table[column], errors="coerce")
    return table


def _not_numbers(table: pd.DataFrame) -> list[str]:
    kinds = {str(column): dtype.kind for column, dtype in table.dtypes.items()}
    return [c for c, kind in kinds.items() if kind not in "fiu" and c not in columns.TEXTS]


def _is_known(header: str) -> bool:
    return columns.is_recording_column(columns.canonical_column(header)[0])


def _positions(content: CsvText, is_read: Callable[[str], bool]) -> dict[int, str]:
    """Index of each field that is read -> its canonical name."""
    names: dict[int, str] = {}
    seen: set[str] = set()
    present = {columns.canonical_column(header)[0].casefold() for header in content.names}
    for index, header in enumerate(content.names):
        column, unit = columns.canonical_column(header)
        # pandas calls the second of two columns NAME.1.
        original = columns.canonical_column(re.sub(r"\.\d+$", "", column))[0]
        is_renamed = original != column and is_read(original) and original.casefold() in present
        if column.casefold() in seen or is_renamed:
            raise ValueError(f"two columns are {original!r}; remove or rename one of them")
        if is_read(column):
            columns.check_unit(column, unit)
            names[index] = column
            seen.add(column.casefold())
    return names


def _parse(content: CsvText, names: dict[int, str], decimal: str) -> pd.DataFrame:
    with warnings.catch_warnings():
        # A column of numbers and texts; _first_invalid finds the texts.
        warnings.simplefilter("ignore", pd.errors.DtypeWarning)
        try:
            table = pd.read_csv(
                io.StringIO(content.body),
                sep=content.separator,
                header=None,
                names=None,
                usecols=list(names),
                dtype={index: str for index, name in names.items() if name in columns.TEXTS},
                decimal=decimal,
                skipinitialspace=True,
            )
        except pd.errors.EmptyDataError:
            table = pd.DataFrame(columns=list(names), dtype=float)
    return table.rename(columns=names)


def _check_clock(content: CsvText) -> None:
    """Raises ValueError if fields are one column off: only the header or the rows have an index.

    With an empty last column that looks as separators at the ends of rows do.
    """
    names = [columns.canonical_column(header)[0] for header in content.names]
    if columns.CLOCK in names:
        place = names.index(columns.CLOCK)
        both = _parse(content, dict.fromkeys((place, place + 1), columns.CLOCK), ".")
        is_time = both.astype(str).apply(lambda texts: texts.str.contains(r"\d:\d\d")).mean()
        if is_time.iloc[0] < 0.5 or is_time.iloc[1] > 0.5:
            raise ValueError("the clock is not in its column; are all fields one column off?")


def _may_be_thousands(table: pd.DataFrame) -> bool:
    """Whether all numbers with a comma are such as `1,185`, which may be 1185 or 1.185."""
    texts = pd.concat([table[c] for c in _not_numbers(table)]).dropna().astype(str)
    with_comma = texts[texts.str.contains(",")]
    return bool(with_comma.str.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}").all())


def _first_invalid(
    table: pd.DataFrame, is_optional: Callable[[str], bool], decimal: str = "."
) -> str | None:
    """Where the first text is that is not a number, if there is one."""
    for column in _not_numbers(table):
        if not is_optional(column):
            samples = table[column].astype(object)
            is_bool = samples.map(lambda sample: isinstance(sample, bool))
            numbers = pd.to_numeric(samples.mask(is_bool), errors="coerce")
            invalid = (numbers.isna() & samples.notna()).to_numpy()
            if decimal == ",":
                has_point = samples.map(lambda sample: isinstance(sample, str) and "." in sample)
                invalid = invalid | has_point.to_numpy(bool)
            if invalid.any():
                row = int(invalid.argmax())
                text = str(samples.iloc[row])
                return f"column {column!r}, data row {row + 1}: {text!r} is not a number"
    return None


def folder_digest(folder: Path) -> str:
    """A digest that changes when a recording of the folder is added, removed or rewritten."""
    listing = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in find_recordings(folder)]
    return digest(listing)[:12]
