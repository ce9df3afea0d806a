"""One recording as other loggers write it: the same table, or an error that names the fault."""

import codecs
import gzip
import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from recording_files import recording_table, write_recording

from gcodefp.errors import UserError
from gcodefp.recordings.laboratory import reader
from gcodefp.recordings.laboratory.lab_files import list_recordings, name_of, paths_of
from gcodefp.recordings.laboratory.reader import read_native

GROUPS = ("imu", "mag", "mic", "motor")
MICRO = "spindle2.Mx [\N{MICRO SIGN}T]"


def text(table: pd.DataFrame | None = None, **options: object) -> str:
    table = recording_table() if table is None else table
    return str(table.to_csv(index=False, **options))  # type: ignore[call-overload]


def with_header(**names: str) -> str:
    renamed = {name.replace("__", "."): new for name, new in names.items()}
    return text(recording_table().rename(columns=renamed))


def lines(change: Callable[[list[str]], list[str]], source: str = "") -> str:
    return "\n".join(change((source or text()).splitlines())) + "\n"


def row_7(change: Callable[[str], str]) -> str:
    return lines(lambda rows: [*rows[:7], change(rows[7]), *rows[8:]])


def numbered(form: str, source: str) -> str:
    """Data rows begin with their number, the header does not."""
    first, *rows = source.splitlines()
    return "\n".join([first, *(f"{form.format(n)},{row}" for n, row in enumerate(rows))]) + "\n"


def doubled(column: str, name: str | None = None) -> str:
    table = recording_table()
    table.insert(0, "new", table[column])
    return text(table).replace("new", name or column, 1)


SAME: dict[str, str | bytes] = {
    "as it is": text(),
    "semicolons": text(sep=";"),
    "decimal commas": text(sep=";", decimal=","),
    "decimal commas, quoted": text(decimal=",", quoting=1),
    "a blank behind each comma": re.sub(",", ", ", text()),
    "UTF-8 with its mark": codecs.BOM_UTF8 + text().encode(),
    "UTF-16": text().encode("utf-16"),
    "CRLF": text(lineterminator="\r\n"),
    "a trailing comma everywhere": lines(lambda rows: [row + "," for row in rows]),
    "an index column": str(recording_table().to_csv()),
    "an index column, the last one empty": str(recording_table().assign(note=None).to_csv()),
    "a title above": "The title, of a recording\n\n" + text(),
    "blank rows": text().replace("\n", "\n\n") + "\n  \n",
    "padded names": with_header(spindle2__Ax=" spindle2.Ax ", gcode_line="gcode_line\t"),
    "units": with_header(spindle2__Ax="spindle2.Ax [g]", spindle="spindle (A)", spindle2__Mx=MICRO),
    "units in a Windows code page": with_header(spindle2__Mx=MICRO).encode("cp1252"),
    "invisible characters": "\ufeff" * 2 + with_header(spindle2__Ax="\u200bspindle2.Ax\ufeff"),
    "other case": with_header(spindle2__Ax="spindle2.AX", spindle="Spindle", t_console="T_Console"),
    "gzip without its suffix": gzip.compress(text().encode()),
}  # fmt: skip


@pytest.mark.parametrize("variant", SAME)
def test_the_same_table_whatever_the_logger(tmp_path: Path, variant: str) -> None:
    content = SAME[variant]
    path = tmp_path / "pocket_001.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = read_native(path, GROUPS)
    expected = read_native(write_recording(tmp_path / "plain.csv"), GROUPS)
    pd.testing.assert_frame_equal(table[expected.columns], expected, check_dtype=False)
    assert set(table.columns) == set(expected.columns)


FAULTY: dict[str, tuple[str | bytes, str]] = {
    "a row that is longer": (
        row_7(lambda row: row + ",1"), "data row 7 has 19 fields, the header 18",
    ),
    "a row that is shorter": (
        row_7(lambda row: row.rpartition(",")[0]), "data row 7 has 17 fields",
    ),
    "a quote within a quoted text": (row_7(lambda row: f'"a"b{row}'), "in line 7 below the header"),
    "an index without a name": (numbered("{}", text()), "data row 1 has 19 fields"),
    "an index in the header alone": (
        lines(lambda rows: ["," + rows[0], *(row + "," for row in rows[1:])]),
        "are all fields one column off?",
    ),
    "decimal commas between commas": (text(decimal=",").replace('"', ""), "fields, the header 18"),
    "a quote that is not closed": (text().replace(",0.5,", ',"0.5,', 1), "is not closed"),
    "a second header": (text() + text(), "header appears twice"),
    "units below the header": (
        lines(lambda rows: [rows[0], ",".join(["g"] * 18), *rows[1:]]),
        "data row 1: 'g' is not a number",
    ),
    "a NUL": (text().replace("0.5", "0\x005", 1), "NUL character"),
    "truncated UTF-16": (text().encode("utf-16")[:-1], "not UTF-16"),
    "a zip archive": (b"PK\x03\x04" + text().encode(), "zip archive"),
    "blanks alone": (" \n\n", "it is empty"),
    "a block column twice": (doubled("gcode_string"), "two columns are 'gcode_string'"),
    "a channel twice, one in capitals": (doubled("spindle2.Ax", "SPINDLE2.ax"), "two columns are"),
    "a channel that pandas renamed": (doubled("spindle2.Ax", "spindle2.Ax.12 "), "two columns"),
    "another unit": (with_header(spindle2__Ax="spindle2.Ax [m/s2]"), "'spindle2.Ax' is in m/s2"),
    "thousands": (text(recording_table().assign(spindle="1,185.4")), "'1,185.4' is not a number"),
    "thousands alone": (
        text(recording_table().iloc[:, [0, 7, 8]].assign(spindle="1,185")),
        "'1,185' is not a number",
    ),
    "true and false": (text(recording_table().assign(spindle=True)), "'True' is not a number"),
    "both decimal signs": (text(sep=";", decimal=",").replace("0,", "0.", 1), "is not a number"),
    "no clock": (text(recording_table().drop(columns="t_console")), "'t_console' is missing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY)
def test_a_table_that_may_be_misread_is_an_error(tmp_path: Path, fault: str) -> None:
    content, complaint = FAULTY[fault]
    path = tmp_path / "pocket_001.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read_native(path, GROUPS)
    assert complaint in str(error.value)
    assert str(error.value).startswith(f"{path}: ")


def test_a_file_that_never_ends_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo = tmp_path / "fifo.csv"
    os.mkfifo(fifo)
    with pytest.raises(UserError, match="not a regular file"):
        read_native(fifo, GROUPS)
    with pytest.raises(UserError, match=r"fifo\.csv: is not a regular file"):
        list_recordings(tmp_path)
    monkeypatch.setattr(reader, "MAX_TEXT_BYTES", 10_000_000)
    bomb = tmp_path / "bomb.csv.gz"
    stream = io.BytesIO()
    with gzip.open(stream, "wb") as handle:
        for _ in range(20):
            handle.write(bytes(10**6))
    bomb.write_bytes(stream.getvalue())
    with pytest.raises(UserError, match="over 10 MB of text"):
        read_native(bomb, GROUPS)


def test_every_csv_file_of_a_folder_is_read_or_listed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["A_001.CSV", "b_001.csv.GZ", "c_001.csv.bz2", "d_001_aligned.csv.xz", "e $1_001.csv"]
    for name in (*names, "._a_001.csv", ".a.csv.swp", "f_001.csv.zip", "g.csv~", "notes.txt"):
        (tmp_path / name).write_text(text())
    paths = paths_of(list_recordings(tmp_path))
    assert [path.name for path in paths] == names
    expected = ["A_001", "b_001", "c_001", "d_001", "e $1_001"]
    assert [name_of(path) for path in paths] == expected
    for name in ("f_001.csv.zip", "g.csv~"):
        assert f"excluded {name}: its name ends in none of" in caplog.text
    assert "notes" not in caplog.text
    (tmp_path / "x\n_001.csv").write_text(text())
    with pytest.raises(UserError, match="cannot be printed"):
        list_recordings(tmp_path)
