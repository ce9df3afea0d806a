"""Rows out of time order are found, and packets of them are put into the program's order."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gcodefp.errors import UserError
from gcodefp.recordings import columns
from gcodefp.recordings.laboratory.layout import Source, parse_layout
from gcodefp.recordings.laboratory.row_order import order_note
from gcodefp.recordings.laboratory.source_file import SourceFile

ROWS, PACKET, MARK = 240, 10, 2
IDLE = 20
"""Rows before the program, in packets of their own."""


def source(**changes: Any) -> dict[str, Any]:
    clock = {"format": "sample", "rate_hz": 10.0, "packets": {"column": "n", "starts": MARK}}
    names = {"n": "line", "x": "x [mm]", "y": "y [mm]", "amps": "S.Current [A]"}
    return {"files": "{name}.csv", "clock": clock, "columns": names} | changes


def program() -> pd.DataFrame:
    """A square that is milled four times; `amps` numbers the rows, every tenth line is wrong."""
    row = np.arange(ROWS)
    move = np.maximum(row - IDLE, 0)
    angle = 2 * np.pi * move / 55
    line = np.where(row < IDLE, 0, 10 + move // 7)
    line[::PACKET] = MARK
    x, y = 20 * np.cos(angle) + 0.01 * move, 20 * np.sin(angle)
    return pd.DataFrame({"n": line, "x": x, "y": y, "amps": row.astype(float)})


def shuffled(table: pd.DataFrame, missing: tuple[int, ...] = ()) -> pd.DataFrame:
    packets = [p for p in range(ROWS // PACKET) if p not in missing]
    order = np.random.default_rng(3).permutation(packets)
    return pd.concat([table.iloc[p * PACKET : (p + 1) * PACKET] for p in order], ignore_index=True)


def read(table: pd.DataFrame, folder: Path, **options: Any) -> pd.DataFrame:
    table.to_csv(folder / "a.csv", index=False)
    file = SourceFile(folder / "a.csv", "plc", Source.model_validate(source()), **options)
    return file.whole()


def test_shuffled_packets_come_back_in_order(tmp_path: Path) -> None:
    right = program()
    table = read(shuffled(right), tmp_path)
    assert table["S.Current"].tolist() == list(range(IDLE, ROWS))
    assert not table[columns.ROW_RANGE].any()
    assert np.diff(table[columns.CLOCK]) == pytest.approx(0.1)
    lines = np.where(right["n"] == MARK, right["n"].shift(), right["n"])[IDLE + 1 :]
    assert table[columns.LINE].tolist()[1:] == lines.tolist()


def test_what_follows_a_lost_packet_is_a_segment_of_its_own(tmp_path: Path) -> None:
    table = read(shuffled(program(), missing=(9, 16)), tmp_path)
    rows = [r for r in range(IDLE, ROWS) if r // PACKET not in (9, 16)]
    assert table["S.Current"].tolist() == rows
    breaks = np.flatnonzero(np.diff(table[columns.ROW_RANGE])) + 1
    assert breaks.tolist() == [rows.index(100), rows.index(170)]


def test_without_labels_packets_stay_where_they_are(tmp_path: Path) -> None:
    given = shuffled(program())
    table = read(given, tmp_path, with_labels=False)
    assert table["S.Current"].tolist() == given["amps"].tolist()
    assert (np.diff(table[columns.ROW_RANGE]) != 0).sum() == ROWS // PACKET - 1
    with pytest.raises(UserError, match=r"has no column 'n', of clock\.packets"):
        read(given.drop(columns="n"), tmp_path, with_labels=False)


def test_rows_out_of_order_are_doubtful() -> None:
    def doubt(table: pd.DataFrame, has_lines: bool = True) -> str | None:
        lines = table["n"].mask(table["n"] == MARK).ffill().fillna(0) * has_lines
        position = table[["x", "y", "x"]].to_numpy() * [1, 1, np.nan]
        return order_note(lines.to_numpy(float), position, np.arange(len(table)) / 10)

    right = program()
    assert doubt(right) is None
    text = doubt(shuffled(right))
    assert text is not None
    assert "out of time order" in text
    assert "most often 10 rows after the last time" in text
    assert doubt(shuffled(right), has_lines=False) is not None
    # Fast moves between two rows, in order: the line never decreases at them.
    right["x"] += 500 * (np.arange(ROWS) // 12 % 2)
    assert doubt(right) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": {"n": "line", "amps": "S.Current [A]"}}, "packets needs line, x and y"),
        (
            {"clock": {"format": "unix", "column": "t", "packets": {"column": "n", "starts": 2}}},
            "packets belongs to format sample",
        ),
    ],
)
def test_packets_that_cannot_be_put_into_order_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        parse_layout({"sources": {"plc": source(**changes)}}, "lab.yaml")
