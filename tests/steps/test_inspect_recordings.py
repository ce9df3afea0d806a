"""The command `inspect_recordings`: the layout that fits, what is wrong, and fixes that fix it."""

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import yaml
from laboratory_samples import LOGGERS, START_UNIX, WITH_LABELS, laboratory_run, write_laboratory

from gcodefp.inspect_recordings import main
from gcodefp.recordings.inspection.folder import inspect_folder
from gcodefp.recordings.inspection.guessing import guess_targets
from gcodefp.recordings.inspection.text_log import guess_fields_regex
from gcodefp.recordings.laboratory.layout import SHIPPED
from gcodefp.reporting.figures.inspected import draw_inspected

SPEED = 3.0


def inspect(folder: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    output = folder.parent / "inspection"
    assert main([str(folder), "--output", str(output), *flags]) == 0
    assert (output / "square_001.png").stat().st_size > 10_000
    return capsys.readouterr().out


def edited(logger: str, path: Path, old: str, new: str) -> str:
    """A shipped layout with one text replaced, as a file."""
    text = (SHIPPED / f"{logger}.yaml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return str(path)


@pytest.mark.parametrize("logger", sorted(LOGGERS))
def test_the_shipped_layout_that_fits_is_recognised(
    logger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_laboratory(logger, tmp_path / "files", speed=SPEED)
    report = inspect(tmp_path / "files", capsys)
    shown = "none is needed" if logger == "mill" else f"recordings.layout: {logger}\n"
    assert shown in report
    assert "would be read as square: " in report
    assert ("lines found by square." in report) == (logger not in WITH_LABELS)
    assert not (tmp_path / "inspection/layout.yaml").exists()
    assert "lengths are taken as mm" not in report
    problems = [line for line in report.splitlines() if line.startswith("  ! ")]
    assert [p for p in problems if logger != "plc_mill" or "dead" not in p] == []


def test_files_of_other_names_get_the_shipped_layout_with_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_laboratory("grbl", tmp_path / "files", speed=SPEED)
    for path in (tmp_path / "files").iterdir():
        name = path.name.replace("-grbl", "").replace("-accelerometer", "")
        path.rename(path.with_name(name))
    report = inspect(tmp_path / "files", capsys)
    written = tmp_path / "inspection/layout.yaml"
    assert f"the shipped layout grbl with the names of these files: {written}" in report
    assert "would be read as square: " in report
    assert inspect(tmp_path / "files", capsys, "--layout", str(written)).count(" ! ") == 0


@pytest.mark.parametrize(
    ("line", "clock"),
    [
        ("[2024-03-05 10:11:{:06.3f}] {}", {"format": "iso8601", "timezone": "UTC"}),
        ("10:11:{:06.3f} >>> {}", {"format": "time_of_day"}),
        ("{:.3f}: {}", {"format": "seconds"}),
    ],
)
def test_grbl_reports_behind_any_time_are_read(
    line: str, clock: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_laboratory("grbl", tmp_path / "files", speed=SPEED)
    log = tmp_path / "files/square_001-grbl.log"
    texts = [text.partition(" ") for text in log.read_text().splitlines()]
    written = [line.format(float(time) - START_UNIX, text) for time, _, text in texts]
    log.write_text("\n".join(written))
    (tmp_path / "files/square_001-accelerometer.csv").unlink()
    report = inspect(tmp_path / "files", capsys)
    draft = yaml.safe_load((tmp_path / "inspection/layout.yaml").read_text())
    assert draft["sources"]["status"]["clock"] == clock | {"column": "time"}
    assert "would be read as square: 99 rows, one every 0.200 s, 17 lines from 30 to 190" in report


def test_an_unknown_logger_gets_a_layout_that_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t = run.times(100)
    text = {block.line: block.text for block in run.blocks} | {0: ""}
    acceleration, position = 9.81 * run.acceleration_g(t), run.position_mm(t)
    table = {
        "Zeit [ms]": (1000 * t).round(),
        **{f"Beschl. {axis} [m/s²]": acceleration[:, i] for i, axis in enumerate("XYZ")},
        **{f"{axis}pos": position[:, i] for i, axis in enumerate("XYZ")},
        "Charge": 7, "line_no": run.lines(t), "Satz": [text[line] for line in run.lines(t)],
    }  # fmt: skip
    (tmp_path / "files").mkdir()
    path = tmp_path / "files/square_001_log.txt"
    pd.DataFrame(table).to_csv(path, sep=";", decimal=",", index=False, encoding="cp1252")
    report = inspect(tmp_path / "files", capsys)
    draft = (tmp_path / "inspection/layout.yaml").read_text()
    for line in (
        "files: '{name}_log.txt'", "encoding: cp1252", "separator: ;", "decimal: ','", "unit: ms",
        "Beschl. X [m/s²]: Beschl.Ax [m/s²]", "Xpos: x [mm]", "line_no: line", "Satz: block",
        "ignore:\n    - Charge", "rows:\n  rate_hz: 10",
    ):  # fmt: skip
        assert line in draft, draft
    assert "would be read as square: 197 rows, one every 0.100 s, 17 lines from 3 to 19" in report
    edited_layout = draft.replace("rate_hz: 10", "rate_hz: 20")
    (tmp_path / "inspection/layout.yaml").write_text(edited_layout)
    assert "CHECK: " + str(tmp_path / "inspection/layout.2.yaml") in inspect(
        tmp_path / "files", capsys
    )
    assert (tmp_path / "inspection/layout.yaml").read_text() == edited_layout
    assert (tmp_path / "inspection/layout.2.yaml").read_text() == draft


@pytest.mark.parametrize("word", ["", " idle"])
def test_an_unknown_log_is_shown_with_a_layout_to_complete(
    word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, output = tmp_path / "files", tmp_path / "inspection"
    folder.mkdir()
    log = [f"2024-03-05 10:11:{s:02d}.5 job{word * (s % 3)} line:{s} at {s}\n" for s in range(60)]
    (folder / "cube_001.log").write_text("".join(log))
    assert main([str(folder), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert log[0] in error
    (tmp_path / "stub.yaml").write_text(error[error.index("sources:") :].replace("line=", "line:"))
    flags = ["--layout", str(tmp_path / "stub.yaml"), "--output", str(output)]
    assert main([str(folder), *flags]) == 0
    report = capsys.readouterr().out
    assert "{name}.log (1 file): read by the layout, as its source log" in report
    assert "60 rows, 1.0 Hz, 59.0 s; lines 0 to 59" in report


def test_a_text_log_of_keys_gets_a_layout_that_reads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("grbl", "square", seed=1, speed=SPEED)
    t, fast = run.times(5), run.times(400)
    start = pd.Timestamp("2025-03-11 09:12:03.750")
    log = [
        f"[{start + pd.Timedelta(s, 's'):%d.%m.%Y %H:%M:%S.%f}] RUN blk=N{line} "
        f"pos=({x:.3f};{y:.3f};{z:.3f}) ovr=100\n"
        for s, line, (x, y, z) in zip(t, run.lines(t), run.position_mm(t), strict=True)
    ]
    log.insert(9, log[9].partition("RUN")[0] + "WARN coolant low\n")
    clock = {"time": start.tz_localize("UTC").timestamp() + fast}
    sensor = clock | {f"a{a}": run.acceleration_g(fast)[:, i] for i, a in enumerate("xyz")}
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "square_001.txt").write_text("".join(log))
    (folder / "square_001_notes.log").write_text(f"[{start}] the door is open\n" * 20)
    pd.DataFrame(sensor).to_csv(folder / "square_001.csv", index=False)
    report = inspect(folder, capsys)
    assert f"text log; {len(t)} of {len(t) + 1} lines match the guessed regex; clock" in report
    assert "one every 0.100 s, 18 lines from 0 to 19, positions, channels: 21 imu" in report
    draft = (tmp_path / "inspection/layout.yaml").read_text()
    columns = {"blk": "line", **{f"pos_{a}": f"{a} [mm]" for a in "xyz"}}
    assert yaml.safe_load(draft)["sources"]["log"]["columns"] == columns
    assert "# CHECK {name}_notes.log: if it is a text log" in draft
    assert "! {name}_notes.log (1 file): no source of the layout reads it" in report
    (magnitude,) = re.findall(
        r"\n +(a.): .*# the mean of toolhead's x, y and z has .* 1 g\n", draft
    )
    assert magnitude == "ax"


@pytest.mark.parametrize("more", ["", " rapid"])
@pytest.mark.parametrize("words", ["INFO exec N", "[EXEC] line ", "RUN ln "])
@pytest.mark.parametrize("stamp", ["{}.{}", "{},{}", "[{}.{}]"])
def test_a_log_of_sentences_is_named_and_its_source_is_a_comment(
    stamp: str, words: str, more: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, fast = run.times(5), run.times(400)
    start, log = pd.Timestamp("2026-03-05 09:00:00"), ["Log of the controller\n"]
    for i, (s, line, (x, y, z)) in enumerate(zip(t, run.lines(t), run.position_mm(t), strict=True)):
        written = f"{start + pd.Timedelta(s, 's'):%Y-%m-%d %H:%M:%S.%f}"[:-3]
        time = stamp.format(*written.split("."))
        log.append(f"{time} {words}{line}{more * (i % 2)} @ ({x:.3f}, {y:.3f}, {z:.3f})\n")
        log += [f"{time} DEBUG heartbeat\n"] * (i % 10 == 9)
    sensor = {"t_ms": 1e3 * (start.tz_localize("UTC").timestamp() + fast)}
    sensor |= {f"a{a}": run.acceleration_g(fast)[:, i] for i, a in enumerate("xyz")}
    folder, layout = tmp_path / "files", tmp_path / "inspection/layout.yaml"
    folder.mkdir()
    (folder / "ctl_square_001.txt").write_text("".join(log))
    pd.DataFrame(sensor).to_csv(folder / "acc_square_001.csv", index=False)
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\0\0")
    report = inspect(folder, capsys)
    for line in (
        "  ctl_{name}.txt (1 file): text log without a known layout",
        "! ctl_{name}.txt (1 file): no source of the layout reads it; if it is a log, check",
        "! {name}.jpg (1 file): no source of the layout reads it\n",
    ):
        assert line in report
    draft = layout.read_text()
    assert f"{len(t)} of {len(log)} lines match" in draft
    layout.write_text(re.sub(r"(?m)^# (?= )", "", draft))
    report = inspect(folder, capsys, "--layout", str(layout))
    assert f"text_log1: {len(t)} rows, 5.0 Hz" in report
    assert re.search(r"one every 0.100 s, 1\d lines from \d to 19, positions, channels: 21", report)
    (folder / "acc_square_001.csv").unlink()
    assert main([str(folder), "--output", str(tmp_path / "none")]) == 1
    error = capsys.readouterr().err
    assert "timezone: UTC  # CHECK the time zone\n" in error
    assert all(f"{axis}: {axis} [mm]  # CHECK the unit\n" in error for axis in "xyz")


@pytest.mark.parametrize("mark", ["", " |"])
def test_a_log_of_local_dates_and_plain_numbers_is_explained(
    mark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With words before line and position, it is read; without, the line is marked."""
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, folder = run.times(10), tmp_path / "files"
    write_laboratory("linuxcnc", folder, speed=SPEED)
    (folder / "square_001.hal.txt").unlink()
    sensor = pd.DataFrame(run.acceleration_g(t), columns=["ax", "ay", "az"])
    start = pd.Timestamp("2026-03-05 09:20", tz="UTC")
    sensor.insert(0, "t", start.timestamp() + t)
    sensor.to_csv(folder / "acc_square_001.csv", index=False)
    log = ["# RouterOS 4.2 trace"]
    line_word, pos_word = (" CNC | RUN ln", " pos") if mark else (" RUN", "")
    for s, line, position in zip(t, run.lines(t), run.position_mm(t), strict=True):
        time = f"{start + pd.Timedelta(s, 's'):%d.%m.%Y %H:%M:%S,%f}"
        numbers = " ".join(f"{x:.3f}" for x in position)
        log.append(f"{time[:-3]}{mark}{line_word} {line}{mark}{pos_word} {numbers}")
    (folder / "square_001.log").write_text("\n".join(log))
    inspect(folder, capsys)
    layout = tmp_path / "inspection/layout.yaml"
    draft = layout.read_text()
    if not mark:
        marked = re.findall(r"(.*)  # CHECK what it is: perhaps `line`\n", draft)
        assert [text.strip() for text in marked] == ["'3': column3.raw"]
        return
    layout.write_text(re.sub(r"(?m)^# (?= )", "", draft))
    report = inspect(folder, capsys, "--layout", str(layout))
    assert f"text_log1: {len(t)} rows, 10.0 Hz" in report
    assert "lines from 3 to 19, positions" in report


@pytest.mark.parametrize(
    "row", ["{} INFO,exec,N{},{:.3f}", '"{} RUN", "N{}", "{:.3f}"', "[{}] [DEBUG];N{};{:.3f}"]
)
def test_a_table_whose_time_and_level_are_one_field_is_read(
    row: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, start = run.times(5), pd.Timestamp("2026-03-05 09:00:00")
    samples = zip(t, run.lines(t), run.position_mm(t)[:, 0], strict=True)
    log = [row.format(start + pd.Timedelta(s, "s"), line, x) for s, line, x in samples]
    log.insert(9, "the door is open")
    for other in (
        "09:00:0{} AM,1,2",
        "09:00:0{} CET,1,2",
        "09:00:0{},RUN,1,2",
        '"09:00:0{} RUN","0,25"',
    ):
        assert not guess_fields_regex([other.format(second) for second in range(9)]), other
    (tmp_path / "files").mkdir()
    (tmp_path / "files/square_001.csv").write_text("\n".join(log))
    report = inspect(tmp_path / "files", capsys)
    assert f"{len(t)} of {len(t) + 1} lines match the guessed regex; clock 'time' (iso8" in report
    assert f"log: {len(t)} rows, 5.0 Hz" in report
    assert "would be read as square: 235 rows, one every 0.100 s, 18 lines from 0 to 19" in report


def test_a_log_of_positions_and_of_lines_has_a_source_for_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, log, before = run.times(5), list[str](), -1
    for s, line, (x, y, z) in zip(t, run.lines(t), run.position_mm(t), strict=True):
        time = f"{pd.Timestamp('2026-03-05 09:00') + pd.Timedelta(s, 's'):%Y-%m-%d %H:%M:%S,%f}"
        if line != before:
            log.append(f"{time[:-3]} [EXEC] line {line} : G1\n")
        log.append(f"{time[:-3]} [POS] X={x:.3f} Y={y:.3f} Z={z:.3f}\n")
        before = line
    (tmp_path / "files").mkdir()
    (tmp_path / "files/square_001.log").write_text("".join(log))
    report, layout = inspect(tmp_path / "files", capsys), tmp_path / "inspection/layout.yaml"
    assert "! {name}.log (1 file): reports lines that the layout does not read yet" in report
    layout.write_text(re.sub(r"(?m)^# (?= )", "", layout.read_text()))
    sources = yaml.safe_load(layout.read_text())["sources"]
    assert [{*source["columns"].values()} for source in sources.values()] == [
        {"x [mm]", "y [mm]", "z [mm]"},
        {"line"},
    ]
    assert "lines found by" not in inspect(tmp_path / "files", capsys, "--layout", str(layout))


def test_units_of_the_header_are_kept_or_marked() -> None:
    header = ["temp [C]", "bed temp [F]", "current [%]", "power [kW]", "feed [mm/s]", "line"]
    guesses = guess_targets(pd.DataFrame(np.ones((4, 6)), columns=header), True, None, "node")
    assert [guess.target for guess in guesses.values()] == [
        *("temp.Temperature [degC]", "bed_temp.Temperature [degF]", "current.raw"),
        *("power.Power [kW]", "feed [mm/s]", "line"),
    ]
    assert guesses["current [%]"].reason == "CHECK what it is: its unit is %"
    for unit, height, target, reason in (
        ("in", 9.8, "x [in]", "by its name"),
        ("mm", 9.8, "x [mm]", "by its name"),
        ("steps", 5.0, "x [mm]", "CHECK what it is: its unit is steps"),
    ):
        positions = pd.DataFrame([[0.0, 0.0, height]] * 4, columns=[f"{a} [{unit}]" for a in "XYZ"])
        guess = guess_targets(positions, True, None, "node")[f"X [{unit}]"]
        assert guess == (target, reason), unit


def test_a_sensor_of_twice_the_rate_of_the_rows_is_guessed_to_have_features(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, twice = run.times(5), run.times(10)
    folder = tmp_path / "files"
    folder.mkdir()
    table = pd.DataFrame({"time": t, "line": run.lines(t)})
    table.to_csv(folder / "square_001.csv", index=False)
    load = {"time": twice, "current [A]": np.random.default_rng(0).normal(size=len(twice))}
    pd.DataFrame(load).to_csv(folder / "drive_square_001.csv", index=False)
    report = inspect(folder, capsys)
    draft = yaml.safe_load((tmp_path / "inspection/layout.yaml").read_text())
    assert draft["rows"] == "sensors2"
    assert draft["sources"]["sensors"]["features"] == ["mean", "rms", "peak"]
    assert "resample" not in draft["sources"]["sensors"]
    assert "one every 0.200 s" in report
    assert "channels: 3 electrical" in report


def test_json_lines_without_a_number_in_their_names_are_read_beside_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, reports = run.times(100), run.times(4)
    (tmp_path / "files").mkdir()
    gyro = pd.DataFrame(run.acceleration_g(t), columns=["gyro_x", "gyro_y", "gyro_z"])
    for name in ("square_001", "beta"):
        log = [
            json.dumps({"t": x, "line": int(n)})
            for x, n in zip(reports, run.lines(reports), strict=True)
        ]
        (tmp_path / f"files/{name}.log").write_text("\n".join(log))
        gyro.assign(t=t).to_csv(tmp_path / f"files/{name}.csv", index=False)
    report = inspect(tmp_path / "files", capsys)
    assert "json_lines, 2 columns; clock 't' (seconds s), 4.0 Hz" in report
    assert (
        "gyro_x: toolhead.Gx [deg/s]  # CHECK the unit"
        in (tmp_path / "inspection/layout.yaml").read_text()
    )
    assert re.search(r"would be read as \w+: 94 rows, one every 0.250 s", report), report


@pytest.mark.parametrize(
    ("logger", "old", "new", "problem"),
    [
        ("grbl", "[m/s^2]", "[g]", "at rest it should be 1 g"),
        ("plc_mill", "{as: line, repair: isolated}", "line", "differ from equal neighbours"),
        ("plc_mill", "numbering: n_word", "numbering: file_line", "of its lines are in square.nc"),
        ("duet", "rate_hz: 1344", "rate_hz: 1000.0", "its last line says"),
        ("linuxcnc", "z_current:", "z_curent:", "has no column 'z_curent'; did you mean"),
        ("linuxcnc", "      z_current: z_motor [A]\n", "", "columns that are not read: z_current"),
        (
            "octoprint",
            'csv"\n    clock: {format: iso8601, column: time, timezone: UTC}',
            'csv"\n    clock: {format: iso8601, column: time, timezone: Etc/GMT-3}',
            "no time in common",
        ),
        ("klipper", '"#time"}', '"#time", offset_seconds: 900}', "no time in common"),
        ("octoprint", 'meter.csv"', 'meter.csv"\n    separator: ;', "does not divide"),
    ],
)
def test_a_wrong_layout_is_found_and_the_fix_is_named(
    logger: str, old: str, new: str, problem: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    write_laboratory(logger, tmp_path / "files", speed=SPEED)
    layout = edited(logger, tmp_path / "layout.yaml", old, new)
    report = inspect(tmp_path / "files", capsys, "--layout", layout)
    match = re.search(rf"! \w+: [^\n]*{re.escape(problem)}[^\n]*\n      fix: ([^\n]*)", report)
    assert match, report
    assert {
        "grbl": "columns: a{axis}: spindle.A{axis} [m/s^2]",
        "plc_mill": "columns: M_sequence_number: {as: line, repair: isolated}"
        if "repair" in old
        else "program: {files: '{operation}.nc', numbering: n_word}",
        "duet": "clock: {format: sample, rate_hz: 1344.0}",
        "linuxcnc": "columns: z_current: 'z_motor [A]'" if new else "ignore: [z_current]",
        "octoprint": 'separator: ","'
        if "separator" in new
        else "column: time, timezone: Area/City}, such as Europe/Berlin",
        "klipper": "clock: {format: seconds, column: '#time', offset_seconds: 2.1}",
    }[logger] in match[1]


def test_a_time_of_day_beside_unix_time_is_drawn_on_one_clock(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, reports = run.times(400), run.times(10)
    folder, layout = tmp_path / "files", tmp_path / "layout.yaml"
    folder.mkdir()
    local = pd.Timestamp("2026-03-05 09:20:00", tz="Europe/Berlin")
    clock = [f"{local + pd.Timedelta(s, 's'):%H:%M:%S.%f}" for s in reports]
    pd.DataFrame({"at": clock, "line": run.lines(reports)}).to_csv(folder / "square_001.csv")
    table = pd.DataFrame(run.acceleration_g(t), columns=["ax", "ay", "az"])
    table.assign(t=local.timestamp() + t).to_csv(folder / "square_001_imu.csv", index=False)
    imu = {
        "files": "{name}_imu.csv",
        "clock": {"format": "unix", "column": "t"},
        "columns": {"a{axis}": "spindle.A{axis} [g]"},
    }
    log = {"files": "{name}.csv", "columns": {"line": "line"}, "ignore": ["*"]}

    def report(**clock: str) -> str:
        log["clock"] = {"format": "time_of_day", "column": "at", **clock}
        layout.write_text(yaml.safe_dump({"sources": {"log": log, "imu": imu}}))
        return inspect(folder, capsys, "--layout", str(layout))

    wrong = report()
    assert "begins 3,600.0 s earlier, as by another time zone" in wrong
    fix = "clock: {format: time_of_day, column: at, timezone: Area/City}, such as Europe/Berlin"
    assert f"fix: {fix}" in wrong
    assert " ! " not in report(timezone="Europe/Berlin")
    (recording,) = inspect_folder(folder, str(layout), 1).recordings
    figure = draw_inspected(recording.name, recording.facts, [])
    assert [axes.get_ylabel() for axes in figure.axes] == ["spindle\n(g)", "line"]
    assert figure.axes[0].get_xlim()[1] == pytest.approx(t[-1], rel=0.1)


def test_gaps_frozen_nodes_and_dead_channels_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_laboratory("grbl", tmp_path / "files", speed=SPEED)
    path = tmp_path / "files/square_001-accelerometer.csv"
    table = pd.read_csv(path)
    table.loc[2000:4399, ["ax", "ay", "az"]] = [0.5, 0.5, 9.8]  # 6 s from 5 s on
    table["ay"] = 0.25
    table.drop(index=range(4800, 5600)).to_csv(path, index=False)  # 2 s from 12 s on
    report = inspect(tmp_path / "files", capsys)
    assert "! spindle: 1 gaps, the longest 2.00 s, 12.0 s after its start" in report
    assert "! spindle: dead, always the same value: spindle.Ay" in report
    assert "! spindle: spindle is frozen for 6.0 s, 5.0 s after the start" in report


def test_missing_samples_are_explained_with_what_fills_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An accelerometer too slow for the bands, a force in every 25th row of its file."""
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t, reports = run.times(100), run.times(10)
    folder, layout = tmp_path / "files", tmp_path / "layout.yaml"
    folder.mkdir()
    pd.DataFrame({"t": reports, "line": run.lines(reports)}).to_csv(folder / "square_001.csv")
    table = pd.DataFrame(run.acceleration_g(t), columns=["ax", "ay", "az"]).assign(t=t)
    table.loc[::25, "fz"] = np.random.default_rng(0).normal(size=len(table[::25]))
    table.to_csv(folder / "square_001_imu.csv", index=False)
    clock = {"format": "seconds", "column": "t"}
    imu = {
        "files": "{name}_imu.csv",
        "clock": clock,
        "columns": {**{f"a{a}": f"spindle.A{a} [g]" for a in "xyz"}, "fz": "bed.Fz [N]"},
    }
    log = {"files": "{name}.csv", "clock": clock, "columns": {"line": "line"}, "ignore": ["*"]}

    def report(**sources: object) -> tuple[str, list[str]]:
        layout.write_text(yaml.safe_dump({"sources": {"log": log, **sources}}))
        text = inspect(folder, capsys, "--layout", str(layout))
        return text, re.findall(r"fix: (.*)", text)

    def missing(text: str) -> int:
        return int(text.partition(" missing_samples")[0].split()[-1])

    text, (own, bands) = report(imu=imu)
    assert "! imu: bed.Fz: a sample in one row of 25 only" in text
    assert "band1 of spindle.Ax, spindle.Ay, spindle.Az: missing, since a row has 10 sam" in text
    before = missing(text)
    del imu["columns"]["fz"]
    imu |= {"ignore": ["fz"], **yaml.safe_load(bands)}
    source = own[own.index("imu_bed:") :]
    text, fixes = report(imu=imu, **yaml.safe_load(source))
    assert fixes == []
    assert missing(text) < 0.02 * before, "behind the last force"
    imu |= {"bands_hz": [0, 5.1, 20, 50]}
    text, fixes = report(imu={**imu, "clock": clock | {"offset_seconds": 0.0}})
    assert fixes == ["bands_hz: [0.0, 20.0, 50.0]  # in the layout's source imu"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "no such folder"),
        ({}, "no file in this folder"),
        ({"photo.jpg": b"\xff\xd8\0\0"}, "no file has a table or a log that is understood"),
    ],
)
def test_a_folder_without_recordings_ends_with_one_line(
    files: dict[str, bytes] | None, message: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "files"
    if files is not None:
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
    assert main([str(folder), "--output", str(tmp_path / "inspection")]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "inspection").exists()


def test_german_columns_and_parquet_become_a_layout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    seconds = np.arange(0, 20, 0.1)
    acceleration = np.random.default_rng(0).normal([0, 0, 1000], 20, (20_000, 3))
    for number in range(1, 4):
        lines = ["Prüfstand: Süd", "Zeit;Satznummer;Temperatur [°C];Strom [mA]"]
        for t in seconds:
            text = f"10:{number:02d}:{t:06.3f};{int(t) + 1};{20 + t / 100:.3f};{900 + t:.1f}"
            lines.append("05.03.2024 " + text.replace(".", ","))
        (folder / f"square_{number:03d}.csv").write_bytes("\r\n".join(lines).encode("cp1252"))
        start = pd.Timestamp(f"2024-03-05 10:{number:02d}", tz="UTC").timestamp()
        table = pd.DataFrame(acceleration, columns=["ax", "ay", "az"])
        table.insert(0, "t_ms", start * 1e3 + np.arange(20_000.0))
        table.to_parquet(folder / f"square_{number:03d}.parquet")
    report = inspect(folder, capsys)
    written = (tmp_path / "inspection/layout.yaml").read_text()
    assert "timezone: UTC  # CHECK the time zone" in written
    assert "format: parquet" in written
    for line in ("ax: toolhead.Ax [mg]", "Satznummer: line", "Strom [mA]: Strom.Current [mA]"):
        assert line in written
    assert "20 lines from 1 to 20" in report
    assert " ! " not in report


@pytest.mark.parametrize("is_matrix", [False, True])
def test_hdf5_becomes_a_layout(
    is_matrix: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = laboratory_run("linuxcnc", "square", seed=1, speed=SPEED)
    t = run.times(100)
    sensed = {"t": t, **dict(zip(("ax", "ay", "az"), run.acceleration_g(t).T, strict=True))}
    (tmp_path / "files").mkdir()
    with h5py.File(tmp_path / "files/square_001.h5", "w") as file:
        file["comment"] = b"no table"
        if is_matrix:
            file["logger/samples"] = np.stack(list(sensed.values()), axis=1)
        else:
            for name, samples in sensed.items():
                file[f"logger/{name}"] = samples
            file["logger/limits"] = np.zeros(2)
    rows = pd.DataFrame({"t": t[::10], "line": run.lines(t[::10])})
    rows.to_csv(tmp_path / "files/square_001.csv", index=False)
    report = inspect(tmp_path / "files", capsys)
    written = (tmp_path / "inspection/layout.yaml").read_text()
    assert "dataset: /logger" + "/samples" * is_matrix in written
    assert "s, 18 lines from 0 to 19, no positions, channels: 21 imu" in report


def test_a_clock_that_stands_still_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in (("acc", "time,ax\n0.1,1\n0.2,2\n0.3,1\n"), ("ctl", "time,line\n5,1\n")):
        (tmp_path / f"files/{name}-a_001.csv").parent.mkdir(exist_ok=True)
        (tmp_path / f"files/{name}-a_001.csv").write_text(text)
    assert main([str(tmp_path / "files"), "--output", str(tmp_path / "inspection")]) == 0
    assert "the clock does not advance" in capsys.readouterr().out
