"""All ways of splitting side by side, if they were trained; and whether they are of this winner."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gcodefp.errors import UserError
from gcodefp.findings.protocol_file import PROTOCOLS_REBUILD, ProtocolTable, read_protocols
from gcodefp.findings.protocols import Line
from gcodefp.findings.results import Results
from gcodefp.reporting.answer_tables import Cell
from gcodefp.reporting.protocol_table import NOTE, cells, head, warnings

NONE, UNREADABLE, SHOWN = "none", "unreadable", "shown"


class ProtocolRow(NamedTuple):
    """One protocol; `warnings` say why it is no evidence of sensing."""

    name: str
    warnings: list[str]
    cells: list[Cell]


class ProtocolSection(NamedTuple):
    """What the page shows.

    Attributes:
        state: NONE, UNREADABLE or SHOWN; only the last one has rows.
        others: in what the table's winner is another one, sweeps or hyperparameters, as phrases.
        rebuild: the command that makes the table.
    """

    state: str
    rebuild: str
    head: list[str]
    rows: list[ProtocolRow]
    left_out: list[str]
    others: list[str]
    note: str
    provenance: Mapping[str, Any] | None


def protocol_section(results: Results, path: Path | None) -> ProtocolSection:
    """Reads protocols.json for the page, which is made whether or not it can be read."""
    if path is None or not path.is_file():
        return _without_table(NONE)
    try:
        table = read_protocols(path)
    except UserError:
        return _without_table(UNREADABLE)
    return ProtocolSection(
        SHOWN,
        PROTOCOLS_REBUILD,
        head(),
        [_row(line) for line in table.lines],
        table.left_out,
        _others(table, results.winner),
        NOTE,
        table.provenance,
    )


def _row(line: Line) -> ProtocolRow:
    name, *others = cells(line)
    parts = (text.partition(" [") for text in others)
    return ProtocolRow(
        name,
        warnings(line),
        [Cell(value, f"[{rest}" if rest else "") for value, _, rest in parts],
    )


def _without_table(state: str) -> ProtocolSection:
    return ProtocolSection(state, PROTOCOLS_REBUILD, [], [], [], [], NOTE, None)


def _others(table: ProtocolTable, winner: Mapping[str, Any]) -> list[str]:
    theirs, own = table.hyperparameters, winner["hyperparameters"]
    sweeps = [f"sweep {', '.join(of)}" for of in (table.sweeps, winner["sweeps"])]
    # A sweep's id is of data and training code too, with which the same values mean another run.
    found = [] if sweeps[0] == sweeps[1] else [f"{sweeps[0]} (the winner's: {sweeps[1]})"]
    return found + [
        f"{name} {theirs.get(name, 'not set')} (the winner's: {own.get(name, 'not set')})"
        for name in sorted({*theirs, *own})
        if theirs.get(name) != own.get(name)
    ]
