"""Canonical recordings as Parquet: what a layout makes of a laboratory's files, read again fast.

A file has a row per row of the recording and a column per canonical column, whose unit is in the
field's metadata; operation, session and machine are in the attributes that pandas stores.
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.recordings import columns
from gcodefp.recordings.quantities import RUNNING

FORMAT = b"gcodefp-recording-1"
ATTRIBUTES = ("operation", "session", "machine", "preamble", "program", "notes", "periods")
"""Of a canonical table, in its `attrs`."""


def write_canonical(path: Path, table: pd.DataFrame) -> None:
    """Writes a table whole or not at all."""
    import pyarrow
    from pyarrow import parquet

    stored = table.copy(deep=False)
    stored.attrs = {key: table.attrs[key] for key in ATTRIBUTES if key in table.attrs}
    arrow = pyarrow.Table.from_pandas(stored)
    fields = [field.with_metadata({"unit": _unit(field.name)}) for field in arrow.schema]
    schema = pyarrow.schema(fields, {**(arrow.schema.metadata or {}), b"format": FORMAT})
    with replacing(path) as temporary:
        parquet.write_table(arrow.cast(schema), temporary, compression="zstd")


def read_canonical(path: Path) -> pd.DataFrame:
    """Reads what `write_canonical` wrote.

    Raises UserError: it is no such file.
    """
    import pyarrow
    from pyarrow import parquet

    try:
        arrow = parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise UserError(f"{path}: cannot be read as Parquet: {error}") from None
    if (arrow.schema.metadata or {}).get(b"format") != FORMAT:
        raise UserError(
            f"{path}: is no recording that gcodefp wrote; a layout says what its columns mean: set "
            "recordings.layout"
        )
    return arrow.to_pandas()


def select_groups(table: pd.DataFrame, groups: Collection[str]) -> pd.DataFrame:
    """The columns of a canonical table that cleaning reads, with the channels of some groups."""
    always = {*columns.REQUIRED, columns.UNIT, columns.SEGMENT, *columns.POSITION_MM, RUNNING}
    read = (*groups, "environment")  # A baseline uses it.
    names = [c for c in table.columns if c in always or columns.channel_group(c) in read]
    return table[names]


def _unit(column: str) -> str:
    if column == columns.CLOCK:
        return "s"
    return columns.channel_unit(column) if columns.channel_group(column) else ""
