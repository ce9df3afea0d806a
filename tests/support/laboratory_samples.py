"""Small recordings as the loggers of nine laboratories write them, of a machine that is known.

SYNTHETIC: laboratory_machine says by which rule; only the formats are real. One function a logger,
`write_LOGGER(folder, name, run)`, returns the files of one recording. Where the formats come from:

- mill: this project's own recordings. plc_mill: the published CSV of the University of Michigan's
  SMART mill, 49 columns at 10 Hz, no clock, every tenth sample of M_sequence_number wrongly 2.
- klipper: `ACCELEROMETER_MEASURE` (extras/adxl345.py: print time in s, mm/s²), the `Stats` lines
  of klippy.log (toolhead and virtual_sdcard), status updates of Moonraker's websocket.
- grbl: status reports of GRBL 1.1 behind the host's time; `Ln:` only if GRBL is built with line
  numbers. Accelerometer: CSV at 400 Hz with the host's time in s.
- octoprint: serial.log (comm.py: `DATE TIME,mmm - Send: N12 G1 X1*34`). Accelerometer: CSV with
  local times. Sent here at the block's start; a real planner is sent blocks earlier than that.
- duet: M956's CSV (Accelerometers.cpp: sample number, g, rate in the last line).
- linuxcnc: `halsampler -t` (sampler_usr.c: blanks between values, one at the end), pins of
  `cfg=sffffffff`: motion.program-line, three positions, three motor currents, feed, spindle.
- mtconnect: SHDR of an adapter: a timestamp, then pairs of name and value, changes only.
- two_accelerometers: a CSV without a header: sample, two accelerometers, a level, unix ms.

With labels, by a line report: mill, plc_mill, klipper, grbl with Ln, octoprint, linuxcnc,
mtconnect. Only through a program file, since nothing in them says which line runs: grbl without
Ln, duet, two_accelerometers.
"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from laboratory_machine import FIRST_LINE, PROGRAMS, Run
from numpy.typing import NDArray
from recording_files import clock_text

START_UNIX = 1709633472.0
"""5 March 2024, 10:11:12 UTC."""
G_M_S2, G_MM_S2 = 9.80665, 9806.65
PRINT_TIME = 100.0
"""Klipper's clock at the start."""
KLIPPER_HZ, GRBL_HZ, DUET_HZ, HAL_HZ, TWO_HZ, PLC_HZ, MILL_HZ = 3200, 400, 1344, 1000, 100, 10, 4
OCTOPRINT_HZ = 400
AHEAD_SECONDS = 2.0
"""How far klippy queues moves ahead of the toolhead."""


def _csv(path: Path, columns: dict[str, NDArray], header: bool = True, **options: str) -> Path:
    pd.DataFrame(columns).to_csv(path, index=False, header=header, **options)
    return path


def _program(folder: Path, run: Run, suffix: str) -> Path:
    path = folder / f"{run.program}.{suffix}"
    path.write_text(run.text, encoding="utf-8")
    return path


def _text(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _local(seconds: float) -> datetime:
    """The host's time of day, in a laboratory that keeps UTC."""
    return datetime.fromtimestamp(START_UNIX + seconds, UTC)


def write_mill(folder: Path, name: str, run: Run) -> list[Path]:
    """One CSV: a row per report, sensors interpolated onto the rows; inches."""
    t = run.times(MILL_HZ)
    t = t[run.lines(t) > 0]
    inches, text = run.position_mm(t) / 25.4, {block.line: block.text for block in run.blocks}
    table: dict[str, NDArray] = {
        "t_console": np.array([clock_text(12 * 3600 + x) for x in t]),
        "stat": np.full(len(t), 5), "unit": np.zeros(len(t), int),
        **dict(zip(("posx", "posy", "posz"), inches.T.round(4), strict=True)),
        "feed": run.feed_mm_min(t).round(2), "gcode_line": run.lines(t),
        "gcode_string": np.array([text[line] for line in run.lines(t)]),
    }  # fmt: skip
    for node, name_of_node in enumerate(("frame_r2", "spindle2")):
        samples = run.acceleration_g(t, node).T.round(5)
        table |= {f"{name_of_node}.A{a}": x for a, x in zip("xyz", samples, strict=True)}
    return [_csv(folder / f"{name}_aligned.csv.gz", table)]


def write_plc_mill(folder: Path, name: str, run: Run) -> list[Path]:
    """One CSV of 49 columns, and the program; the N words are M_sequence_number."""
    t = run.times(PLC_HZ)
    position, velocity, current = run.position_mm(t), run.velocity_mm_s(t), run.current_a(t)
    table: dict[str, NDArray] = {}
    for axis, letter in enumerate("XYZ"):
        moves = {"Position": position, "Velocity": velocity, "Acceleration": 0 * velocity}
        for kind in ("Actual", "Set"):
            table |= {f"{letter}_{kind}{q}": x[:, axis].round(3) for q, x in moves.items()}
        amperes = current[:, axis].round(4)
        table |= {f"{letter}_CurrentFeedback": amperes, f"{letter}_DCBusVoltage": amperes / 10}
        table |= {f"{letter}_OutputCurrent": 327 + 0 * t, f"{letter}_OutputVoltage": 9 * amperes}
        if letter != "Z":
            table[f"{letter}_OutputPower"] = (amperes * amperes / 1000).round(7)
    rotation = np.where(run.lines(t) > 0, 53.3, 0.0)
    for kind in ("Actual", "Set"):
        table |= {f"S_{kind}Position": (rotation * t).round(1), f"S_{kind}Velocity": rotation}
        table[f"S_{kind}Acceleration"] = 0 * t
    table |= {"S_CurrentFeedback": 10 + current[:, 0].round(3), "S_DCBusVoltage": 1.1 + 0 * t}
    table |= {"S_OutputCurrent": 320 + 0 * t, "S_OutputVoltage": 100 + current[:, 1].round(2)}
    table |= {"S_OutputPower": 0.15 + 0 * t, "S_SystemInertia": 12 + 0 * t}
    sequence = 10 * run.lines(t)
    sequence[6::10] = 2
    table |= {"M_CURRENT_PROGRAM_NUMBER": 1 + 0 * sequence, "M_sequence_number": sequence}
    table["M_CURRENT_FEEDRATE"] = run.feed_mm_min(t).round(3)
    process = np.where(sequence > 0, "Layer 1 Up", "Prep")
    table |= {"Machining_Process": process, "INSPECT": np.full(len(t), "PASS")}
    return [_csv(folder / f"{name}.csv", table), _program(folder, run, "nc")]


def write_klipper(folder: Path, name: str, run: Run) -> list[Path]:
    """Accelerometer in print time and mm/s², klippy.log, Moonraker's updates, the program."""
    t = run.times(KLIPPER_HZ)
    samples = run.acceleration_g(t) * G_MM_S2
    table = {"#time": t + PRINT_TIME}
    table |= {f"accel_{a}": x for a, x in zip("xyz", samples.T, strict=True)}
    sensors = _csv(folder / f"adxl345-{name}.csv", table, float_format="%.6f")
    klippy, moonraker = ["Starting Klippy...", "Git version: 'v0.12.0-100-g1234567'"], []
    bytes_to_line = np.cumsum([0, *(len(x) + 1 for x in run.text.splitlines())])
    for now in np.arange(0.0, run.seconds, 0.25):
        queued = [b for b in run.blocks if b.start <= now + AHEAD_SECONDS]
        queue_end = queued[-1].end if queued else now
        position = int(bytes_to_line[queued[-1].line if queued else 0])
        eventtime = 5000.0 + now
        if now % 1 == 0:
            klippy.append(
                f"Stats {eventtime:.1f}: gcodein=0  mcu: mcu_awake=0.004 freq=72000000 "
                f"sd_pos={position} heater_bed: target=60 temp=60.0 pwm=0.2 "
                f"print_time={queue_end + PRINT_TIME:.3f} "
                f"buffer_time={max(queue_end - now, 0):.3f} print_stall=0 "
                "extruder: target=200 temp=200.1 pwm=0.3 sysload=0.40 cputime=91.0 memavail=500000"
            )
        reported = run.position_mm(np.array([now]))[0].round(6)
        status = {
            "toolhead": {"estimated_print_time": now + PRINT_TIME},
            "virtual_sdcard": {"file_position": position},
            "motion_report": {"live_position": [*reported.tolist(), 0.0]},
        }
        params = [status, eventtime]
        update = {"jsonrpc": "2.0", "method": "notify_status_update", "params": params}
        moonraker.append(json.dumps(update))
    klippy_log = _text(folder / f"klippy-{name}.log", klippy)
    updates = _text(folder / f"moonraker-{name}.jsonl", moonraker)
    return [sensors, klippy_log, updates, _program(folder, run, "gcode")]


def write_grbl(folder: Path, name: str, run: Run, lines: bool = True) -> list[Path]:
    """Status reports at 5 Hz, accelerometer at 400 Hz, the program; Ln is the N word."""
    t = run.times(5)
    reports = []
    for x, line, p, feed in zip(
        t, run.lines(t), run.position_mm(t), run.feed_mm_min(t), strict=True
    ):
        number = f"|Ln:{10 * line}" if lines and line else ""
        reports.append(
            f"{START_UNIX + x:.3f} <{'Run' if line else 'Idle'}|MPos:{p[0]:.3f},{p[1]:.3f},"
            f"{p[2]:.3f}|Bf:15,128{number}|FS:{feed:.0f},{3000 if line else 0}>"
        )
        if round(5 * x) % 30 == 0:
            reports.append(f"{START_UNIX + x + 0.01:.3f} ok")
    t = run.times(GRBL_HZ)
    samples = (run.acceleration_g(t) * G_M_S2).T.round(4)
    table = {"time": (START_UNIX + t).round(4)}
    table |= {f"a{a}": x for a, x in zip("xyz", samples, strict=True)}
    sensors = _csv(folder / f"{name}-accelerometer.csv", table)
    return [_text(folder / f"{name}-grbl.log", reports), sensors, _program(folder, run, "nc")]


def write_grbl_without_lines(folder: Path, name: str, run: Run) -> list[Path]:
    """The same of a GRBL that is built without line numbers, as it is by default."""
    return write_grbl(folder, name, run, lines=False)


def write_octoprint(folder: Path, name: str, run: Run) -> list[Path]:
    """serial.log with each block as it is sent, and an accelerometer with local times."""
    log = [(0.0, "Connecting to: /dev/ttyUSB0"), (0.05, "Recv: start")]
    for block in run.blocks:
        sent = f"N{block.line - FIRST_LINE + 1} {block.text}"
        checksum = 0
        for character in sent.encode():
            checksum ^= character
        log += [(block.start, f"Send: {sent}*{checksum}"), (block.start + 0.004, "Recv: ok")]
    for seconds in range(0, int(run.seconds), 2):
        log.append((seconds + 0.5, "Recv:  T:200.1 /200.0 B:60.0 /60.0 @:35 B@:15"))
    log.append((run.blocks[-1].end, 'Changing monitoring state from "Printing" to "Operational"'))
    stamped = [
        f"{_local(x):%Y-%m-%d %H:%M:%S},{_local(x).microsecond // 1000:03} - {text}"
        for x, text in sorted(log, key=lambda entry: entry[0])
    ]
    t = run.times(OCTOPRINT_HZ)
    clock = np.array([f"{_local(x):%Y-%m-%d %H:%M:%S.%f}" for x in t])
    samples = dict(zip(("x", "y", "z"), run.acceleration_g(t).T.round(5), strict=True))
    sensors = _csv(folder / f"{name}-accelerometer.csv", {"time": clock, **samples})
    return [_text(folder / f"{name}-serial.log", stamped), sensors, _program(folder, run, "gcode")]


def write_duet(folder: Path, name: str, run: Run) -> list[Path]:
    """M956's CSV and the program."""
    samples = run.acceleration_g(run.times(DUET_HZ)).round(3)
    rows = [f"{i},{x:.3f},{y:.3f},{z:.3f}" for i, (x, y, z) in enumerate(samples)]
    lines = ["Sample,X,Y,Z", *rows, f"Rate {DUET_HZ}, overflows 0"]
    return [_text(folder / f"{name}.csv", lines), _program(folder, run, "gcode")]


def write_linuxcnc(folder: Path, name: str, run: Run) -> list[Path]:
    """halsampler's lines at 1 kHz, and the program; the line is that of the file."""
    t = run.times(HAL_HZ)
    table = np.column_stack(
        [run.position_mm(t), run.current_a(t), run.feed_mm_min(t) / 60, 3000.0 + 0 * t]
    )
    rows = [
        f"{sample} {line} " + "".join(f"{x:f} " for x in values)
        for sample, (line, values) in enumerate(zip(run.lines(t), table, strict=True))
    ]
    return [_text(folder / f"{name}.hal.txt", rows), _program(folder, run, "ngc")]


def write_mtconnect(folder: Path, name: str, run: Run) -> list[Path]:
    """An adapter's SHDR: line and block as they change, positions and loads at 10 Hz."""
    lines = ["* shdrVersion: 2.0", f"{_shdr_time(0.0)}|avail|AVAILABLE|execution|READY"]
    t = run.times(10)
    text = {block.line: block.text for block in run.blocks}
    previous = 0
    for x, line, p, a in zip(t, run.lines(t), run.position_mm(t), run.current_a(t), strict=True):
        if line != previous:
            lines.append(f"{_shdr_time(x)}|line|{line}|block|{text.get(int(line), '')}")
            lines.append(f"{_shdr_time(x)}|system|NORMAL||||")
            if 0 in (line, previous):
                lines.append(f"{_shdr_time(x)}|execution|{'ACTIVE' if line else 'READY'}")
            previous = line
        loads = "".join(f"|{n}load|{v:.3f}" for n, v in zip("XYZ", a, strict=True))
        lines.append(f"{_shdr_time(x)}|Xact|{p[0]:.4f}|Yact|{p[1]:.4f}|Zact|{p[2]:.4f}{loads}")
        if round(10 * x) % 100 == 0:
            lines.append("* PONG 10000")
    return [_text(folder / f"{name}.shdr", lines)]


def _shdr_time(seconds: float) -> str:
    return f"{_local(seconds):%Y-%m-%dT%H:%M:%S.%f}Z"


def write_two_accelerometers(folder: Path, name: str, run: Run) -> list[Path]:
    """A CSV without a header, two accelerometers in m/s², unix ms last; and the program."""
    t = run.times(TWO_HZ)
    nodes = [run.acceleration_g(t, node) * G_M_S2 for node in (0, 1)]
    samples = np.hstack(nodes).round(4)
    table = {"sample": np.arange(len(t))} | {str(i): x for i, x in enumerate(samples.T)}
    table |= {"level": np.full(len(t), 512)}
    table["ms"] = (1000 * (START_UNIX + t)).round().astype(np.int64)
    path = _csv(folder / f"{name}.csv", table, header=False)
    return [path, _program(folder, run, "gcode")]


Writer = Callable[[Path, str, Run], list[Path]]
LOGGERS: dict[str, Writer] = {
    "mill": write_mill,
    "plc_mill": write_plc_mill,
    "klipper": write_klipper,
    "grbl": write_grbl,
    "grbl_without_lines": write_grbl_without_lines,
    "octoprint": write_octoprint,
    "duet": write_duet,
    "linuxcnc": write_linuxcnc,
    "mtconnect": write_mtconnect,
    "two_accelerometers": write_two_accelerometers,
}
PRINTERS = {"klipper", "octoprint", "duet", "two_accelerometers"}
NUMBERED = {"plc_mill", "grbl", "grbl_without_lines"}
WITH_LABELS = {"mill", "plc_mill", "klipper", "grbl", "octoprint", "linuxcnc", "mtconnect"}
LAG_SECONDS = 0.25


def laboratory_run(logger: str, program: str, seed: int, speed: float = 1.0) -> Run:
    """A run in the dialect of a logger's machine; one clock has no lag."""
    one_clock = {"plc_mill", "linuxcnc", "mtconnect"}
    lag = 0.0 if logger in one_clock else LAG_SECONDS
    return Run(program, seed, lag, speed, logger in PRINTERS, logger in NUMBERED)


def write_laboratory(
    logger: str,
    folder: Path,
    count: int = 1,
    speed: float = 1.0,
    programs: int = 1,
    first: int = 1,
) -> dict[str, Run]:
    """`count` recordings of each of the first programs, `square_001` and so on; name -> its run.

    Args:
        first: number of the first one; another number is another recording of the same program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs = {}
    for index, program in enumerate(PROGRAMS[:programs]):
        for number in range(first, first + count):
            name = f"{program}_{number:03}"
            runs[name] = laboratory_run(logger, program, 100 * index + number, speed)
            LOGGERS[logger](folder, name, runs[name])
    return runs


def main() -> None:
    """laboratory_samples.py LOGGER FOLDER [COUNT [PROGRAMS [FIRST]]]"""
    logger, folder, *numbers = sys.argv[1:]
    count, programs, first = map(int, [*numbers, *"111"[len(numbers) :]])
    runs = write_laboratory(logger, Path(folder), count, programs=programs, first=first)
    for name, run in runs.items():
        print(f"{name}: {run.seconds:.1f} s, {len(run.blocks)} blocks")


if __name__ == "__main__":
    main()
