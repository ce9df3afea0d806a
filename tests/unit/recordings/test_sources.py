"""Files of a layout's sources: every format gives the same rows, every clock the same seconds."""

import gzip
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from gcodefp.errors import UserError
from gcodefp.recordings.laboratory.layout import Clock, Source, parse_layout
from gcodefp.recordings.laboratory.reader import RecordingExcluded
from gcodefp.recordings.laboratory.source_file import SourceClock, SourceFile
from gcodefp.recordings.laboratory.sources import LayoutError

SECONDS = np.arange(50) / 10
CURRENT = np.round(np.sin(SECONDS), 6)
BLOCKS = [f"G1 X{n // 5}" for n in range(50)]
FRAME = pd.DataFrame({"t": SECONDS, "amps": CURRENT, "code": BLOCKS, "other": 1})
COLUMNS = {"amps": "S.Current [A]", "code": "block"}


def source(**changes: Any) -> Source:
    content = {"files": "*", "clock": {"format": "seconds", "column": "t"}, "columns": COLUMNS}
    return Source.model_validate(content | changes)


def read(path: Path, rows: int = 100_000, **changes: Any) -> pd.DataFrame:
    file = SourceFile(path, "plc", source(**changes))
    return pd.concat(file.chunks(rows=rows))


def write_csv(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        group = file.create_group("run")
        for name in ("t", "amps", "other"):
            group[name] = FRAME[name].to_numpy()
        group["code"] = BLOCKS
    return path


def matrix(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["samples"] = FRAME[["t", "amps"]].to_numpy()
    return path


def csv_text(separator: str = ",", header: bool = True, **changes: Any) -> str:
    return FRAME.to_csv(sep=separator, index=False, header=header, **changes)


def quoted(text: str) -> str:
    return "".join(f'"{line}"\n' for line in text.splitlines())


def log(frame: pd.DataFrame) -> str:
    rows = frame.itertuples()
    lines = [f"[{row.t}] <{row.code}> I={row.amps}\nnoise {row.t}" for row in rows]
    return "\n".join(lines)


FORMATS: dict[str, tuple[Any, dict[str, Any]]] = {
    "csv": (csv_text(), {}),
    "semicolons": (csv_text(";", decimal=","), {"separator": ";", "decimal": ","}),
    "tabs": (csv_text("\t"), {"separator": "\t"}),
    "blanks": (
        FRAME.drop(columns="code").to_string(index=False),
        {"separator": "whitespace", "columns": {"amps": "S.Current [A]"}},
    ),
    "no header": (csv_text(header=False), {"header": list(FRAME.columns)}),
    "preamble": ("Logger 3\nv1\n" + csv_text(), {"skip_rows": 2}),
    "comments": ("; x\n" + csv_text() + "; the end\n", {"comment": ";"}),
    "quoted rows": (quoted(csv_text()), {"quoted_rows": True}),
    "latin": (csv_text().replace("other", "\xb5"), {"encoding": "latin-1"}),
    "byte order mark": ("\ufeff" + csv_text(), {}),
    "lines": (
        log(FRAME),
        {"format": "lines", "regex": r"\[(?P<t>[\d.]+)\] <(?P<code>.*)> I=(?P<amps>[-\d.]+)"},
    ),
    "json lines": (
        "\n".join(json.dumps({"t": r.t, "m": {"amps": r.amps}, "code": r.code})
                  for r in FRAME.itertuples()),
        {"format": "json_lines", "columns": {"m.amps": "S.Current [A]", "code": "block"}},
    ),
    "parquet": (
        lambda path: parquet.write_table(pa.Table.from_pandas(FRAME), path),
        {"format": "parquet"},
    ),
    "hdf5": (hdf5, {"format": "hdf5", "dataset": "run"}),
    "hdf5 matrix": (
        matrix,
        {"format": "hdf5", "dataset": "samples", "header": ["t", "amps"],
         "columns": {"amps": "S.Current [A]"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rows", [100_000, 7])
def test_every_format_gives_the_same_rows(
    tmp_path: Path, name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")  # Large files are copied nowhere.
    content, changes = FORMATS[name]
    path = tmp_path / "file"
    if callable(content):
        content(path)
    else:
        path.write_bytes(content.encode(changes.get("encoding", "utf-8")))
    table = read(path, rows, **changes)
    np.testing.assert_allclose(table["t_console"], SECONDS)
    np.testing.assert_allclose(table["S.Current"], CURRENT)
    assert table.index.tolist() == list(range(50))
    if "gcode_string" in table:
        assert table["gcode_string"].tolist() == BLOCKS
    else:
        assert "code" not in changes["columns"]


def test_compressed_files_and_unmapped_columns(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes(gzip.compress(csv_text().encode()))
    file = SourceFile(path, "plc", source(columns=COLUMNS | {"volts": "S.Voltage [V]"}))
    assert len(pd.concat(file.chunks())) == 50
    assert (file.unmapped, file.missing()) == (["other"], ["volts"])
    ignoring = SourceFile(path, "plc", source(ignore=["oth*"]))
    list(ignoring.chunks())
    assert ignoring.unmapped == []


def test_ignored_columns_and_placeholders(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "run.csv", "t,raw,code,S\n1,2,G1,3\n")
    columns = {"code": "block", "{q}": "{q}.raw"}
    table = read(path, columns=columns, ignore=["S", "*"])
    assert list(table) == ["t_console", "raw.raw", "gcode_string"], "not the clock"
    assert "S.raw" in read(path, columns=columns, ignore=["*"])
    assert "S.raw" in read(path, columns=columns | {"S": "S.raw"}, ignore=["S"])


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("t,amps,code\n1,2\n", {}, "Expected 3 columns, got 2"),
        ("t,amps,code\n1,2,G1,4\n", {}, "Expected 3 columns, got 4"),
        ("t,amps,code\n1,two,G1\n", {}, "invalid value 'two'"),
        ("", {}, "empty"),
        ("a,b\n1,2\n", {}, "none of the columns"),
        ("amps,code\n2,G1\n", {}, "has no column 't', the clock"),
        ("t,amps,amps\n1,2,3\n", {}, "two columns are 'amps'"),
        ("t,amps,code\n1,2,G1\n", {"clock": {"format": "iso8601", "column": "t"}}, "'1' is not a"),
        ("t=1 i=x", {"format": "lines", "regex": "t=(?P<t>.*) i=(?P<amps>.*)",
                     "columns": {"amps": "S.Current [A]"}}, "'amps', data row 1: 'x' is not a num"),
        ("{", {"format": "json_lines"}, "cannot be read as json_lines"),
        ("[1]", {"format": "json_lines"}, "no object"),
        ("text", {"format": "parquet"}, "cannot be read as parquet"),
        ("text", {"format": "hdf5"}, "cannot be read as hdf5"),
        ("t,amps,code\n1,2,G1\n", {"encoding": "klingon"}, "klingon"),
        ("t,amps,b_amps\n1,2,3\n", {"columns": {"amps": "b.Current [A]",
                                                "{n}_amps": "{n}.Current [A]"}}, "both 'amps' and"),
        ("t,aw\n1,2\n", {"columns": {"a{q}": "n.A{q} [g]"}}, "column 'aw' as 'a{q}': .*'Aw' is no"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit(
    tmp_path: Path, content: str, changes: dict[str, Any], message: str
) -> None:
    path = write_csv(tmp_path / "run.csv", content)
    with pytest.raises(UserError, match=message) as error:
        read(path, **changes)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize("separator", [",", "whitespace"])
def test_a_wrong_row_is_counted_from_the_start_of_the_file(tmp_path: Path, separator: str) -> None:
    rows = [f"{n},2,G1" for n in range(1000)]
    text = "\n".join(["t,amps,code", *rows, "7,8", *rows])
    text = text.replace(",", " ") if separator == "whitespace" else text
    path = write_csv(tmp_path / "run.csv", text)
    with pytest.raises(UserError, match="Row #1001: Expected 3 columns, got 2"):
        read(path, 100, separator=separator)


@pytest.mark.parametrize("names", [["t", "amps"], ["t", "amps", "code", "other", "more"]])
@pytest.mark.parametrize("is_matrix", [False, True])
def test_a_header_of_another_length_is_the_layouts_error(
    tmp_path: Path, names: list[str], is_matrix: bool
) -> None:
    path = tmp_path / "run"
    section = {"files": "*", "clock": {"format": "seconds", "column": "t"}, "header": names,
               "columns": {"amps": "S.Current [A]"}}  # fmt: skip
    if is_matrix:
        with h5py.File(path, "w") as file:
            file["samples"] = np.zeros((5, 4))
        section |= {"format": "hdf5", "dataset": "samples"}
    else:
        path.write_text(csv_text(header=False))
    layout = parse_layout({"sources": {"plc": section}}, "lab.yaml")
    message = (
        rf"^lab\.yaml: sources\.plc\.header: {len(names)} names for the 4 columns of {path}: name"
    )
    with pytest.raises(LayoutError, match=message):
        list(SourceFile(path, "plc", layout.sources["plc"]).chunks())


@pytest.mark.parametrize("has_header", [True, False])
@pytest.mark.parametrize("written", [";", "|"])
@pytest.mark.parametrize(
    ("key", "wrong"), [("separator", "\t"), ("separator", "whitespace"), ("decimal", ".")]
)
def test_a_wrong_separator_or_decimal_mark_is_named_with_the_likely_one(
    tmp_path: Path, key: str, wrong: str, written: str, has_header: bool
) -> None:
    path = write_csv(tmp_path / "run", csv_text(written, has_header, decimal=","))
    right = {"separator": written, "decimal": ","}
    names = {} if has_header else {"header": list(FRAME.columns)}
    section = source(**names, **right | {key: wrong}).model_dump(exclude_defaults=True)
    layout = parse_layout({"sources": {"log": section, "plc": section}, "rows": "log"}, "lab.yaml")
    with pytest.raises(LayoutError) as error:
        list(SourceFile(path, "plc", layout.sources["plc"]).chunks())
    assert str(error.value).startswith(f"lab.yaml: sources.plc.{key}: {wrong!r} does not ")
    assert str(path) in str(error.value)
    assert error.value.fix == f"{key}: {json.dumps(right[key])}"


def test_a_clock_that_runs_backwards(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "run.csv", "t,amps,code\n1,2,G1\n0.5,2,G1\n")
    with pytest.raises(RecordingExcluded, match=r"clock of run\.csv runs backwards 1 times"):
        read(path)


def test_columns_are_repaired_and_scaled(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "run.csv", "t,n,v,on\n0,7,1,Idle\n1,2,2,Run\n2,7,-9,Hold\n3,9,4,Run\n"
    )
    columns = {
        "n": {"as": "line", "repair": "isolated"},
        "v": {"as": "S.Current [mA]", "scale": 10, "missing": [-9], "fill": "hold"},
        "on": {"as": "running", "equals": ["Run", "Hold"]},
    }
    table = SourceFile(path, "plc", source(columns=columns)).whole()
    assert table["gcode_line"].tolist() == [7, 7, 7, 9]
    assert table["S.Current"].tolist() == pytest.approx([0.01, 0.02, 0.02, 0.04])
    assert table["running"].tolist() == [0, 1, 1, 1]


def seconds(texts: Any, rows: int = 100, **clock: Any) -> list[float]:
    converter = SourceClock(Clock.model_validate({"column": "t"} | clock))
    frame = pd.DataFrame({"t": texts})
    parts = [converter.seconds(frame[n : n + rows]) for n in range(0, len(frame), rows)]
    return np.concatenate(parts).tolist()


@pytest.mark.parametrize("rows", [1, 100])
def test_clocks(rows: int) -> None:
    assert seconds([5.0, 6.5], rows, format="unix") == [5, 6.5]
    assert seconds([5000, 6500], rows, format="seconds", unit="ms") == [5, 6.5]
    assert seconds([5e6, 6.5e6], rows, format="seconds", unit="us") == pytest.approx([5, 6.5])
    assert seconds([5e9], rows, format="unix", unit="ns", offset_seconds=1.5) == [6.5]
    assert seconds([0, 0, 0], rows, format="sample", column=None, rate_hz=4) == [0, 0.25, 0.5]
    stamps = ["2024-06-01T12:00:00Z", "2024-06-01 14:00:00.5+02:00", "2024-06-01T12:00:01,25"]
    assert seconds(stamps, rows, format="iso8601") == [1717243200, 1717243200.5, 1717243201.25]
    local = seconds(stamps[2:], rows, format="iso8601", timezone="Europe/Paris")
    assert local == [1717243201.25 - 7200]
    days = ["23:59:59.5", "00:00:00.5", None, "12:00:00", "23:00:00", "01:00:00"]
    unwrapped = seconds(days, rows, format="time_of_day")
    assert unwrapped[:2] == [86399.5, 86400.5]
    assert np.isnan(unwrapped[2])
    assert unwrapped[3:] == [1.5 * 86400, 86400 + 82800, 2 * 86400 + 3600]


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 86399), st.lists(st.floats(0.001, 40_000), min_size=1, max_size=20), st.data())
def test_midnight_in_any_chunk(start: float, steps: list[float], data: st.DataObject) -> None:
    times = np.round(start + np.cumsum([0, *steps]), 3)
    texts = [
        f"{int(t % 86400 // 3600):02}:{int(t % 3600 // 60):02}:{t % 60:06.3f}".replace(
            "60.000", "59.999"
        )
        for t in times
    ]
    rows = data.draw(st.integers(1, len(texts)))
    converted = seconds(texts, rows, format="time_of_day")
    np.testing.assert_allclose(converted, times, atol=0.0011)


@pytest.mark.parametrize(
    ("texts", "clock", "message"),
    [
        (["12:00"], "time_of_day", "'12:00' is not a time in the format time_of_day"),
        (["2024-01-01T00:00:00", "soon"], "iso8601", "data row 2: 'soon' is not a time"),
        (["5", "x"], "unix", "'x' is not a number"),
    ],
)
def test_texts_that_are_no_times(texts: list[str], clock: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        seconds(texts, format=clock)


def test_n_words_are_lines_and_units_in_brackets_are_no_pattern(tmp_path: Path) -> None:
    text = "t;Satz;Strom [mA];Druck [bar]\n0,5;N10;1500,0;2\n0,6;N20;;2\n0,7;;250,5;2\n"
    path = write_csv(tmp_path / "a.csv", text)
    file = SourceFile(
        path,
        "plc",
        source(
            separator=";",
            decimal=",",
            columns={"Satz": "line", "Strom [mA]": "S.Current [mA]"},
            ignore=["Druck [bar]"],
        ),
    )
    table = pd.concat(file.chunks())
    np.testing.assert_array_equal(table["gcode_line"], [10, 20, np.nan])
    np.testing.assert_allclose(table["S.Current"], [1.5, np.nan, 0.2505])
    assert file.unmapped == []


def test_dates_with_points_have_the_day_first() -> None:
    clock = SourceClock(Clock(format="iso8601", column="t", timezone="Europe/Berlin"))
    seconds = clock.seconds(pd.DataFrame({"t": ["05.03.2024 10:11:12,250", "05.03.2024 10:11:13"]}))
    expected = pd.Timestamp("2024-03-05 09:11:12.25", tz="UTC").timestamp()
    np.testing.assert_allclose(seconds - expected, [0, 0.75], atol=1e-6)


def test_the_hour_that_comes_twice_is_refused_with_the_fix() -> None:
    clock = SourceClock(Clock(format="iso8601", column="t", timezone="Europe/Berlin"))
    with pytest.raises(ValueError, match=r"not one time of Europe/Berlin.*with their offset"):
        clock.seconds(pd.DataFrame({"t": ["2024-10-27 02:30:00"]}))
