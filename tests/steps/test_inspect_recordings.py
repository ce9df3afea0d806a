"""The command `inspect_recordings`: the layout that fits, what is wrong, and fixes that fix it."""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from laboratory_machine import Run
from laboratory_samples import LOGGERS, START_UNIX, WITH_LABELS, laboratory_run, write_laboratory

from gcodefp.inspect_recordings import main
from gcodefp.recordings.inspection.folder import inspect_folder
from gcodefp.recordings.inspection.guessing import guess_targets
from gcodefp.recordings.inspection.text_log import guess_fields_regex
from gcodefp.recordings.laboratory.layout import SHIPPED
from gcodefp.reporting.figures.inspected import draw_inspected

SPEED = 3.0
RUN = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
SECONDS_CLOCK = {"format": "seconds", "column": "t"}


def acceleration(t: np.ndarray, run: Run = RUN) -> pd.DataFrame:
    return pd.DataFrame(run.acceleration_g(t), columns=["ax", "ay", "az"])


class Folder:
    """The files of a laboratory, and what the command says of them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.files, self.output, self._capsys = folder / "files", folder / "inspection", capsys
        self.layout = self.output / "layout.yaml"
        self.files.mkdir()

    def write(self, name: str, content: str | bytes | pd.DataFrame) -> Path:
        path = self.files / name
        if isinstance(content, pd.DataFrame):
            content.to_csv(path, index=False)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def run(self, *flags: object) -> int:
        return main([str(self.files), "--output", str(self.output), *map(str, flags)])

    def report(self, layout: Path | dict[str, Any] | None = None) -> str:
        """What is printed; `layout` is a file, or sections of the sources."""
        if isinstance(layout, dict):
            sources, layout = layout, self.files.parent / "layout.yaml"
            layout.write_text(yaml.safe_dump({"sources": sources}))
        assert self.run(*(("--layout", layout) if layout else ())) == 0
        assert (self.output / "square_001.png").stat().st_size > 10_000
        return self._capsys.readouterr().out

    def error(self) -> str:
        assert self.run() == 1
        return self._capsys.readouterr().err

    @property
    def draft(self) -> str:
        return self.layout.read_text()

    @property
    def sources(self) -> dict[str, Any]:
        sources: dict[str, Any] = yaml.safe_load(self.draft)["sources"]
        return sources


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Folder:
    return Folder(tmp_path, capsys)


@pytest.mark.parametrize("logger", sorted(LOGGERS))
def test_the_shipped_layout_that_fits_is_recognised(logger: str, folder: Folder) -> None:
    write_laboratory(logger, folder.files, speed=SPEED)
    report = folder.report()
    shown = "none is needed" if logger == "mill" else f"recordings.layout: {logger}\n"
    assert shown in report
    assert "would be read as square: " in report
    assert ("lines found by square." in report) == (logger not in WITH_LABELS)
    assert not folder.layout.exists()
    assert "lengths are taken as mm" not in report
    problems = [line for line in report.splitlines() if line.startswith("  ! ")]
    assert [p for p in problems if logger != "plc_mill" or "dead" not in p] == []


def test_files_of_other_names_get_the_shipped_layout_with_their_names(folder: Folder) -> None:
    write_laboratory("grbl", folder.files, speed=SPEED)
    for path in folder.files.iterdir():
        name = path.name.replace("-grbl", "").replace("-accelerometer", "")
        path.rename(path.with_name(name))
    report = folder.report()
    assert f"the shipped layout grbl with the names of these files: {folder.layout}" in report
    assert "would be read as square: " in report
    assert " ! " not in folder.report(folder.layout)


@pytest.mark.parametrize(
    ("line", "clock"),
    [
        ("[2024-03-05 10:11:{:06.3f}] {}", {"format": "iso8601", "timezone": "UTC"}),
        ("10:11:{:06.3f} >>> {}", {"format": "time_of_day"}),
        ("{:.3f}: {}", {"format": "seconds", "unit": "s"}),
    ],
)
def test_grbl_reports_behind_any_time_are_read(
    line: str, clock: dict[str, str], folder: Folder
) -> None:
    write_laboratory("grbl", folder.files, speed=SPEED)
    log = folder.files / "square_001-grbl.log"
    texts = [text.partition(" ") for text in log.read_text().splitlines()]
    log.write_text("\n".join(line.format(float(t) - START_UNIX, text) for t, _, text in texts))
    (folder.files / "square_001-accelerometer.csv").unlink()
    report = folder.report()
    assert folder.sources["status"]["clock"] == clock | {"column": "time"}
    assert "would be read as square: 99 rows, one every 0.200 s, 17 lines from 30 to 190" in report


def test_an_unknown_logger_gets_a_layout_that_reads_it(folder: Folder) -> None:
    t = RUN.times(100)
    text = {block.line: block.text for block in RUN.blocks} | {0: ""}
    position = RUN.position_mm(t)
    table = {
        "Zeit [ms]": (1000 * t).round(),
        **{f"Beschl. {a} [m/s²]": 9.81 * acceleration(t)[f"a{a.lower()}"] for a in "XYZ"},
        **{f"{axis}pos": position[:, i] for i, axis in enumerate("XYZ")},
        "Charge": 7, "line_no": RUN.lines(t), "Satz": [text[line] for line in RUN.lines(t)],
    }  # fmt: skip
    written = pd.DataFrame(table).to_csv(sep=";", decimal=",", index=False)
    folder.write("square_001_log.txt", written.encode("cp1252"))
    report, draft = folder.report(), folder.draft
    for line in (
        "files: '{name}_log.txt'", "encoding: cp1252", "separator: ;", "decimal: ','", "unit: ms",
        "Beschl. X [m/s²]: Beschl.Ax [m/s²]", "Xpos: x [mm]", "line_no: line", "Satz: block",
        "ignore:\n    - Charge", "rows:\n  rate_hz: 10",
    ):  # fmt: skip
        assert line in draft, draft
    assert "would be read as square: 197 rows, one every 0.100 s, 17 lines from 3 to 19" in report
    edited_layout = draft.replace("rate_hz: 10", "rate_hz: 20")
    folder.layout.write_text(edited_layout)
    second = folder.output / "layout.2.yaml"
    assert f"CHECK: {second}" in folder.report()
    assert (folder.draft, second.read_text()) == (edited_layout, draft)


def test_a_text_log_of_keys_gets_a_layout_that_reads_it(folder: Folder) -> None:
    run = laboratory_run("grbl", "square", seed=1, speed=SPEED)
    t, fast = run.times(5), run.times(400)
    start = pd.Timestamp("2025-03-11 09:12:03.750")
    log = [
        f"[{start + pd.Timedelta(s, 's'):%d.%m.%Y %H:%M:%S.%f}] RUN blk=N{line} "
        f"pos=({x:.3f};{y:.3f};{z:.3f}) ovr=100\n"
        for s, line, (x, y, z) in zip(t, run.lines(t), run.position_mm(t), strict=True)
    ]
    log.insert(9, log[9].partition("RUN")[0] + "WARN coolant low\n")
    folder.write("square_001.txt", "".join(log))
    folder.write("square_001_notes.log", f"[{start}] the door is open\n" * 20)
    sensor = acceleration(fast, run).assign(time=start.tz_localize("UTC").timestamp() + fast)
    folder.write("square_001.csv", sensor)
    report = folder.report()
    assert f"text log; {len(t)} of {len(t) + 1} lines match the guessed regex; clock" in report
    assert "one every 0.100 s, 18 lines from 0 to 19, positions, channels: 21 imu" in report
    columns = {"blk": "line", **{f"pos_{a}": f"{a} [mm]" for a in "xyz"}}
    assert folder.sources["log"]["columns"] == columns
    assert "a line of it is '[2025-03-11 09:12:03.750000] the door is open'" in report
    assert "! {name}_notes.log (1 file): no source of the layout reads it" in report
    (magnitude,) = re.findall(
        r"\n +(a.): .*# the mean of toolhead's x, y and z has .* 1 g\n", folder.draft
    )
    assert magnitude == "ax"


@pytest.mark.parametrize(
    ("time", "words", "position"),
    [
        ("%Y-%m-%d %H:%M:%S.%f", "INFO exec N{}", "@ ({}, {}, {})"),
        ("%Y-%m-%d %H:%M:%S,%f", "[EXEC] line {} rapid", "@ ({}, {}, {})"),
        ("[%Y-%m-%d %H:%M:%S.%f]", "RUN ln {}", "@ ({}, {}, {})"),
        ("%d.%m.%Y %H:%M:%S,%f |", "CNC | RUN ln {} |", "pos {} {} {}"),
        ("%Y-%m-%d %H:%M:%S.%f", "job line:{} at", "X{} Y{} Z{}"),
    ],
)
def test_a_log_of_sentences_gets_a_layout_that_reads_it(
    time: str, words: str, position: str, folder: Folder
) -> None:
    t, fast = RUN.times(5), RUN.times(400)
    start, log = pd.Timestamp("2026-03-05 09:00:00"), ["Log of the controller\n"]
    for i, (s, line, xyz) in enumerate(zip(t, RUN.lines(t), RUN.position_mm(t), strict=True)):
        now = f"{start + pd.Timedelta(s, 's'):{time}}"
        place = position.format(*(f"{x:.3f}" for x in xyz))
        log.append(f"{now} {words.format(line)} {place}\n")
        log += [f"{now} DEBUG heartbeat\n"] * (i % 10 == 9)
    sensor = acceleration(fast)
    sensor.insert(0, "t_ms", 1e3 * (start.tz_localize("UTC").timestamp() + fast))
    folder.write("ctl_square_001.txt", "".join(log))
    folder.write("acc_square_001.csv", sensor)
    folder.write("photo.jpg", b"\xff\xd8\0\0")
    report = folder.report()
    assert f"text log; {len(t)} of {len(log)} lines match the guessed regex; clock" in report
    assert "! {name}.jpg (1 file): no source of the layout reads it\n" in report
    assert f"log: {len(t)} rows, 5.0 Hz" in report
    assert re.search(r"one every 0.100 s, 1\d lines from \d to 19, positions, channels: 21", report)
    assert "timezone: UTC  # CHECK the time zone\n" in folder.draft
    assert all(f"pos_{a}: {a} [mm]  # CHECK the unit\n" in folder.draft for a in "xyz")


def test_plain_numbers_that_may_be_lines_are_marked(folder: Folder) -> None:
    t = RUN.times(10)
    write_laboratory("linuxcnc", folder.files, speed=SPEED)
    (folder.files / "square_001.hal.txt").unlink()
    start = pd.Timestamp("2026-03-05 09:20", tz="UTC")
    folder.write("acc_square_001.csv", acceleration(t).assign(t=start.timestamp() + t))
    log = ["# RouterOS 4.2 trace"]
    for s, line, position in zip(t, RUN.lines(t), RUN.position_mm(t), strict=True):
        time = f"{start + pd.Timedelta(s, 's'):%d.%m.%Y %H:%M:%S,%f}"
        numbers = " ".join(f"{x:.3f}" for x in position)
        log.append(f"{time[:-3]} RUN {line} {numbers}")
    folder.write("square_001.log", "\n".join(log))
    folder.report()
    marked = re.findall(r"(.*)  # CHECK what it is: perhaps `line`\n", folder.draft)
    assert [text.strip() for text in marked] == ["'3': column3.raw"]


def test_positions_at_a_metre_are_no_accelerometer() -> None:
    table = pd.DataFrame(np.full((9, 3), 1000 / np.sqrt(3)), columns=["pos_x", "pos_y", "pos_z"])
    targets = [guess.target for guess in guess_targets(table, True, None, "toolhead").values()]
    assert targets == ["x [mm]", "y [mm]", "z [mm]"]


@pytest.mark.parametrize(
    "row", ["{} INFO,exec,N{},{:.3f}", '"{} RUN", "N{}", "{:.3f}"', "[{}] [DEBUG];N{};{:.3f}"]
)
def test_a_table_whose_time_and_level_are_one_field_is_read(row: str, folder: Folder) -> None:
    t, start = RUN.times(5), pd.Timestamp("2026-03-05 09:00:00")
    samples = zip(t, RUN.lines(t), RUN.position_mm(t)[:, 0], strict=True)
    log = [row.format(start + pd.Timedelta(s, "s"), line, x) for s, line, x in samples]
    log.insert(9, "the door is open")
    folder.write("square_001.csv", "\n".join(log))
    report = folder.report()
    assert f"{len(t)} of {len(t) + 1} lines match the guessed regex; clock 'time' (iso8" in report
    assert f"log: {len(t)} rows, 5.0 Hz" in report
    assert "would be read as square: 235 rows, one every 0.100 s, 18 lines from 0 to 19" in report


@pytest.mark.parametrize("row", ["{} AM,1,2", "{} CET,1,2", "{},RUN,1,2", '"{} RUN","0,25"'])
def test_other_fields_behind_a_time_are_no_level(row: str) -> None:
    assert not guess_fields_regex([row.format(f"09:00:0{second}") for second in range(9)])


def test_a_log_of_positions_and_of_lines_has_a_source_for_each(folder: Folder) -> None:
    t, log, before = RUN.times(5), list[str](), -1
    for s, line, (x, y, z) in zip(t, RUN.lines(t), RUN.position_mm(t), strict=True):
        time = f"{pd.Timestamp('2026-03-05 09:00') + pd.Timedelta(s, 's'):%Y-%m-%d %H:%M:%S,%f}"
        if line != before:
            log.append(f"{time[:-3]} [EXEC] line {line} : G1\n")
        log.append(f"{time[:-3]} [POS] X={x:.3f} Y={y:.3f} Z={z:.3f}\n")
        before = line
    folder.write("square_001.log", "".join(log))
    assert "18 lines from 0 to 19, positions" in folder.report()
    assert [{*source["columns"].values()} for source in folder.sources.values()] == [
        {"x [mm]", "y [mm]", "z [mm]"},
        {"line"},
    ]


def test_a_sensor_of_twice_the_rate_of_the_rows_is_guessed_to_have_features(
    folder: Folder,
) -> None:
    t, twice = RUN.times(5), RUN.times(10)
    folder.write("square_001.csv", pd.DataFrame({"time": t, "line": RUN.lines(t)}))
    load = {"time": twice, "current [A]": np.random.default_rng(0).normal(size=len(twice))}
    folder.write("drive_square_001.csv", pd.DataFrame(load))
    report = folder.report()
    assert yaml.safe_load(folder.draft)["rows"] == "sensors2"
    assert folder.sources["sensors"]["features"] == ["mean", "rms", "peak"]
    assert "resample" not in folder.sources["sensors"]
    assert "one every 0.200 s" in report
    assert "channels: 3 electrical" in report


def test_json_lines_without_a_number_in_their_names_are_read_beside_a_table(
    folder: Folder,
) -> None:
    t, reports = RUN.times(100), RUN.times(4)
    gyro = acceleration(t).set_axis(["gyro_x", "gyro_y", "gyro_z"], axis=1).assign(t=t)
    rows = zip(reports, RUN.lines(reports), strict=True)
    log = "\n".join(json.dumps({"t": x, "line": int(n)}) for x, n in rows)
    for name in ("square_001", "beta"):
        folder.write(f"{name}.log", log)
        folder.write(f"{name}.csv", gyro)
    report = folder.report()
    assert "json_lines, 2 columns; clock 't' (seconds s), 4.0 Hz" in report
    assert "gyro_x: toolhead.Gx [deg/s]  # CHECK the unit" in folder.draft
    assert re.search(r"would be read as \w+: 94 rows, one every 0.250 s", report), report


WRONG = [
    ("grbl", "[m/s^2]", "[g]", "at rest it should be 1 g",
     "columns: a{axis}: spindle.A{axis} [m/s^2]"),
    ("plc_mill", "{as: line, repair: isolated}", "line", "differ from equal neighbours",
     "columns: M_sequence_number: {as: line, repair: isolated}"),
    ("plc_mill", "numbering: n_word", "numbering: file_line", "of its lines are in square.nc",
     "program: {files: '{operation}.nc', numbering: n_word}"),
    ("duet", "rate_hz: 1344", "rate_hz: 1000.0", "its last line says",
     "clock: {format: sample, rate_hz: 1344.0}"),
    ("linuxcnc", "z_current:", "z_curent:", "has no column 'z_curent'; did you mean",
     "columns: z_current: 'z_motor [A]'"),
    ("linuxcnc", "      z_current: z_motor [A]\n", "", "columns that are not read: z_current",
     "ignore: [z_current]"),
    ("octoprint", 'csv"\n    clock: {format: iso8601, column: time, timezone: UTC}',
     'csv"\n    clock: {format: iso8601, column: time, timezone: Etc/GMT-3}', "no time in common",
     "column: time, timezone: Area/City}, such as Europe/Berlin"),
    ("klipper", '"#time"}', '"#time", offset_seconds: 900}', "no time in common",
     "clock: {format: seconds, column: '#time', offset_seconds: 2.1}"),
    ("octoprint", 'meter.csv"', 'meter.csv"\n    separator: ;', "does not divide",
     'separator: ","'),
]  # fmt: skip


@pytest.mark.parametrize(("logger", "old", "new", "problem", "fix"), WRONG)
def test_a_wrong_layout_is_found_and_the_fix_is_named(
    logger: str, old: str, new: str, problem: str, fix: str, folder: Folder
) -> None:
    write_laboratory(logger, folder.files, speed=SPEED)
    text, layout = (SHIPPED / f"{logger}.yaml").read_text(), folder.files.parent / "wrong.yaml"
    assert old in text
    layout.write_text(text.replace(old, new))
    report = folder.report(layout)
    match = re.search(rf"! \w+: [^\n]*{re.escape(problem)}[^\n]*\n      fix: ([^\n]*)", report)
    assert match, report
    assert fix in match[1]


def test_a_time_of_day_beside_unix_time_is_drawn_on_one_clock(folder: Folder) -> None:
    t, reports = RUN.times(400), RUN.times(10)
    local = pd.Timestamp("2026-03-05 09:20:00", tz="Europe/Berlin")
    clock = [f"{local + pd.Timedelta(s, 's'):%H:%M:%S.%f}" for s in reports]
    folder.write("square_001.csv", pd.DataFrame({"at": clock, "line": RUN.lines(reports)}))
    folder.write("square_001_imu.csv", acceleration(t).assign(t=local.timestamp() + t))
    imu = {
        "files": "{name}_imu.csv",
        "clock": {"format": "unix", "column": "t"},
        "columns": {"a{axis}": "spindle.A{axis} [g]"},
    }

    def report(**clock: str) -> str:
        clock = {"format": "time_of_day", "column": "at", **clock}
        log = {"files": "{name}.csv", "columns": {"line": "line"}, "clock": clock}
        return folder.report({"log": log, "imu": imu})

    wrong = report()
    assert "begins 3,600.0 s earlier, as by another time zone" in wrong
    fix = "clock: {format: time_of_day, column: at, timezone: Area/City}, such as Europe/Berlin"
    assert f"fix: {fix}" in wrong
    assert " ! " not in report(timezone="Europe/Berlin")
    layout = str(folder.files.parent / "layout.yaml")
    (recording,) = inspect_folder(folder.files, layout, 1).recordings
    figure = draw_inspected(recording.name, recording.facts, [])
    assert [axes.get_ylabel() for axes in figure.axes] == ["spindle\n(g)", "line"]
    assert figure.axes[0].get_xlim()[1] == pytest.approx(t[-1], rel=0.1)


def test_gaps_frozen_nodes_and_dead_channels_are_found(folder: Folder) -> None:
    write_laboratory("grbl", folder.files, speed=SPEED)
    table = pd.read_csv(folder.files / "square_001-accelerometer.csv")
    table.loc[2000:4399, ["ax", "ay", "az"]] = [0.5, 0.5, 9.8]  # 6 s from 5 s on
    table["ay"] = 0.25
    # 2 s from 12 s on
    folder.write("square_001-accelerometer.csv", table.drop(index=range(4800, 5600)))
    report = folder.report()
    assert "! spindle: 1 gaps, the longest 2.00 s, 12.0 s after its start" in report
    assert "! spindle: dead, always the same value: spindle.Ay" in report
    assert "! spindle: spindle is frozen for 6.0 s, 5.0 s after the start" in report


def test_missing_samples_are_explained_with_what_fills_them(folder: Folder) -> None:
    """An accelerometer too slow for the bands, a force in every 25th row of its file."""
    t, reports = RUN.times(100), RUN.times(10)
    folder.write("square_001.csv", pd.DataFrame({"t": reports, "line": RUN.lines(reports)}))
    table = acceleration(t).assign(t=t)
    table.loc[::25, "fz"] = np.random.default_rng(0).normal(size=len(table[::25]))
    folder.write("square_001_imu.csv", table)
    axes = {f"a{a}": f"spindle.A{a} [g]" for a in "xyz"}
    imu = {"files": "{name}_imu.csv", "clock": SECONDS_CLOCK}
    log = {"files": "{name}.csv", "clock": SECONDS_CLOCK, "columns": {"line": "line"}}

    def report(**sources: object) -> tuple[str, list[str], int]:
        text = folder.report({"log": log, **sources})
        missing = int(text.partition(" missing_samples")[0].split()[-1])
        return text, re.findall(r"fix: (.*)", text), missing

    text, (own, bands), before = report(imu={**imu, "columns": axes | {"fz": "bed.Fz [N]"}})
    assert "! imu: bed.Fz: a sample in one row of 25 only" in text
    assert "band1 of spindle.Ax, spindle.Ay, spindle.Az: missing, since a row has 10 sam" in text
    imu |= {"columns": axes, "ignore": ["fz"], **yaml.safe_load(bands)}
    source = own[own.index("imu_bed:") :]
    _, fixes, after = report(imu=imu, **yaml.safe_load(source))
    assert fixes == []
    assert after < 0.02 * before, "behind the last force"
    imu |= {"bands_hz": [0, 5.1, 20, 50]}
    _, fixes, _ = report(imu={**imu, "clock": SECONDS_CLOCK | {"offset_seconds": 0.0}})
    assert fixes == ["bands_hz: [0.0, 20.0, 50.0]  # in the layout's source imu"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "no such folder"),
        ({}, "no file in this folder"),
        ({"photo.jpg": b"\xff\xd8\0\0"}, "no file has a table or a log that is understood"),
        ({"a.log": b"2024-03-05 10:11:12 the door is open\n" * 9}, "begins with '2024-03-05 10"),
    ],
)
def test_a_folder_without_recordings_ends_with_one_line(
    files: dict[str, bytes] | None, message: str, folder: Folder
) -> None:
    for name, content in (files or {}).items():
        folder.write(name, content)
    if files is None:
        folder.files.rmdir()
    error = folder.error()
    assert message in error
    assert error.count("\n") == 1
    assert not folder.output.exists()


def test_german_columns_and_parquet_become_a_layout(folder: Folder) -> None:
    seconds = np.arange(0, 20, 0.1)
    samples = np.random.default_rng(0).normal([0, 0, 1000], 20, (20_000, 3))
    for number in range(1, 4):
        lines = ["Prüfstand: Süd", "Zeit;Satznummer;Temperatur [°C];Strom [mA]"]
        for t in seconds:
            text = f"10:{number:02d}:{t:06.3f};{int(t) + 1};{20 + t / 100:.3f};{900 + t:.1f}"
            lines.append("05.03.2024 " + text.replace(".", ","))
        folder.write(f"square_{number:03d}.csv", "\r\n".join(lines).encode("cp1252"))
        start = pd.Timestamp(f"2024-03-05 10:{number:02d}", tz="UTC").timestamp()
        table = pd.DataFrame(samples, columns=["ax", "ay", "az"])
        table.insert(0, "t_ms", start * 1e3 + np.arange(20_000.0))
        table.to_parquet(folder.files / f"square_{number:03d}.parquet")
    report = folder.report()
    assert "format: parquet" in folder.draft
    for line in ("ax: toolhead.Ax [mg]", "Satznummer: line", "Strom [mA]: Strom.Current [mA]"):
        assert line in folder.draft
    assert "20 lines from 1 to 20" in report
    assert " ! " not in report


@pytest.mark.parametrize("is_matrix", [False, True])
def test_hdf5_becomes_a_layout(is_matrix: bool, folder: Folder) -> None:
    t = RUN.times(100)
    sensed = acceleration(t)
    sensed.insert(0, "t", t)
    with h5py.File(folder.files / "square_001.h5", "w") as file:
        file["comment"] = b"no table"
        if is_matrix:
            file["logger/samples"] = sensed.to_numpy()
        else:
            for name in sensed:
                file[f"logger/{name}"] = sensed[name].to_numpy()
            file["logger/limits"] = np.zeros(2)
    rows = pd.DataFrame({"t": t[::10], "line": RUN.lines(t[::10])})
    folder.write("square_001.csv", rows)
    report = folder.report()
    assert "dataset: /logger" + "/samples" * is_matrix in folder.draft
    assert "s, 18 lines from 0 to 19, no positions, channels: 21 imu" in report


def test_a_clock_that_stands_still_is_reported(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write("acc-a_001.csv", "time,ax\n0.1,1\n0.2,2\n0.3,1\n")
    folder.write("ctl-a_001.csv", "time,line\n5,1\n")
    assert folder.run() == 0
    assert "the clock does not advance" in capsys.readouterr().out
