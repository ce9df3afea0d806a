"""Durations, counts, sizes and tables as commands print them."""

from collections.abc import Sequence

import humanize
from rich.table import Table


def duration(seconds: float) -> str:
    """A duration, `45 s`, `12 min` or `3 h 05 min`; humanize has no form this short."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def plural(count: int, noun: str) -> str:
    """`1 recording`, `1,212 rows`."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def data_size(count: float) -> str:
    """A number of bytes, such as `1.2 GiB`."""
    return humanize.naturalsize(count, binary=True)


def plain_table(
    columns: Sequence[tuple[str, Sequence[str]]],
    left: Sequence[str] = (),
    styles: Sequence[str] | None = None,
    space: int = 2,
) -> Table:
    """A table without lines, whose cells are folded rather than cut.

    Args:
        columns: heading and cells of each.
        left: headings of the columns that are aligned left; the others are numbers.
        styles: rich's style of each row.
    """
    table = Table(box=None, padding=(0, space, 0, 0))
    for name, _ in columns:
        table.add_column(name, justify="left" if name in left else "right", overflow="fold")
    rows = zip(*(cells for _, cells in columns), strict=True)
    for number, cells in enumerate(rows):
        table.add_row(*cells, style=styles[number] if styles else "")
    return table
