"""Finds the CSV files of a folder, and reads the columns that are needed."""

import gzip
import zlib
from collections.abc import Callable, Collection
from pathlib import Path

import pandas as pd

from gcodefp.errors import UserError, did_you_mean
from gcodefp.files import digest
from gcodefp.recordings import columns

REMEDY = "repair the file, or name it under recordings.exclude in the configuration"


def recording_name(path: Path) -> str:
    """The file's name without `.csv`, `.csv.gz` and `_aligned`."""
    return path.name.removesuffix(".gz").removesuffix(".csv").removesuffix("_aligned")


def find_recordings(folder: Path, exclude: Collection[str] = ()) -> list[Path]:
    """All `.csv` and `.csv.gz` files of a folder, sorted, without those whose name is excluded.

    Raises:
        UserError: the folder is missing or without recordings, two files have one name, or an
            exclusion matches no file.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder}: no such folder; set recordings.folder to where the CSV files are"
        )
    paths = sorted(p for p in folder.iterdir() if p.name.endswith((".csv", ".csv.gz")))
    names = [recording_name(path) for path in paths]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(
            f"{folder}: two files for the recording {duplicates[0]!r}; keep one of them"
        )
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
    label_columns = {*columns.REQUIRED, columns.UNIT, *columns.POSITION}

    def is_needed(column: str) -> bool:
        return column in label_columns or columns.channel_group(column) in groups

    def is_optional(column: str) -> bool:
        # Only a baseline uses it: it may be missing or invalid.
        return not is_needed(column) and columns.channel_group(column) == "environment"

    def is_read(column: str) -> bool:
        return is_needed(column) or is_optional(column)

    table = read_columns(path, is_read, (columns.CLOCK, columns.BLOCK), REMEDY, is_optional)
    for column in columns.REQUIRED:
        if column not in table:
            raise UserError(f"{path}: column {column!r} is missing; {REMEDY}")
    if table.empty:
        raise UserError(f"{path}: has no row below its header; {REMEDY}")
    return table


def read_columns(
    path: Path,
    is_read: Callable[[str], bool],
    text_columns: Collection[str],
    remedy: str,
    is_optional: Callable[[str], bool] = lambda column: False,
) -> pd.DataFrame:
    """Reads some columns of a CSV file, all but `texts` as numbers.

    Args:
        is_optional: columns in which a text that is not a number counts as missing.

    Raises:
        UserError: the file is truncated or not CSV, or a sample is not a number; the message
            ends with `remedy`.
    """
    try:
        table = pd.read_csv(path, usecols=is_read, dtype=dict.fromkeys(text_columns, str))
    except (OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: cannot be read as CSV ({error}); {remedy}") from None
    for column in table.columns.difference(list(text_columns)):
        if not pd.api.types.is_numeric_dtype(table[column]):
            numbers = pd.to_numeric(table[column], errors="coerce")
            invalid = (numbers.isna() & table[column].notna()).to_numpy()
            if invalid.any() and not is_optional(column):
                row = int(invalid.argmax())
                raise UserError(
                    f"{path}: column {column!r}, data row {row + 1}: "
                    f"{table[column].iloc[row]!r} is not a number; {remedy}"
                )
            table[column] = numbers
    return table


def folder_digest(folder: Path) -> str:
    """A digest that changes when a recording of the folder is added, removed or rewritten."""
    listing = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in find_recordings(folder)]
    return digest(listing)[:12]
