"""Did the machine do what it should? Compares recordings with the program that should have run.

For each recording: the verdict with its p-value, NAME.json with the segments that deviate, and
pictures. It reads signals, and the clock to space their rows evenly, never the controller's lines
or positions. --follow reads a growing file and warns while the program runs.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcodefp.command_line import (
    DATASET,
    RESULTS,
    add_files,
    for_each,
    not_negative_number,
    run_step,
    share,
    step_parser,
)
from gcodefp.dataset.store import Description, read_description
from gcodefp.detection.detector import Detector, Judged, read_detector
from gcodefp.detection.deviations import Segment
from gcodefp.detection.live import FALSE_ALARMS_PER_HOUR, LIVE
from gcodefp.detection.reading import EvenRecording, copy_of, read_even
from gcodefp.detection.verdict import AS_EXPECTED, FALSE_ALARM_RATE, MIN_LEVEL
from gcodefp.errors import UserError, did_you_mean
from gcodefp.files import write_json
from gcodefp.provenance import provenance
from gcodefp.recordings.laboratory.lab_files import Recordable, name_of, paths_of, recordings_of
from gcodefp.recordings.laboratory.layout import read_optional_layout, stored_layout

logger = logging.getLogger("gcodefp.judge")

JUDGEMENT_FORMAT = "gcodefp-judgement-1"
MAX_LINES = 6
"""Lines of a segment that are named; all are in the JSON file."""
MIN_GOOD_RECORDINGS = 19
"""With fewer, over one good recording in 20 is said to deviate."""
POLL_SECONDS = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("judge", __doc__)
    add = parser.add_argument
    text = "files, or folders of a layout"
    add("recordings", nargs="+", type=Path, metavar="RECORDING", help=text)
    add("--program", required=True, help="that should have run, as in dataset.json")
    add("--false-alarm-rate", type=share, default=FALSE_ALARM_RATE,
        help="of good recordings (default: %(default)s)")  # fmt: skip
    add("--layout", help="how other files are read; default: as the recordings of the train split")
    add_files(parser, "dataset", folder=DATASET)
    add("--detector", type=Path, default=RESULTS / "detection/detector.npz",
        help="default: %(default)s")  # fmt: skip
    add("--output", type=Path, default=RESULTS / "judgements", help="default: %(default)s")
    add("--allow-missing", action="store_true", help="nodes may lack some of their channels")
    add("--follow", action="store_true", help="read a growing file until it stops growing")
    add("--false-alarms-per-hour", type=not_negative_number, default=FALSE_ALARMS_PER_HOUR,
        help="warnings of --follow on good recordings (default: %(default)s)")  # fmt: skip
    add("--idle-seconds", type=not_negative_number, default=30.0,
        help="after which a followed file is complete (default: %(default)s)")  # fmt: skip
    return run_step(parser, _judge, argv)


def _judge(arguments: argparse.Namespace) -> None:
    description = read_description(arguments.dataset)
    detector = read_detector(arguments.detector, description)
    task = _Task(detector, program_index(detector, arguments.program), description, arguments)
    layout = read_optional_layout(arguments.layout) or stored_layout(description.document)
    sources = recordings_of(arguments.recordings, layout)
    names = [name_of(source) for source in sources]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two recordings are called {duplicates[0]!r}; judge them one by one")
    if arguments.follow and len(sources) != 1:
        raise UserError(f"--follow: reads one growing file, not {len(sources)}")

    def judge(source: Recordable) -> None:
        if arguments.follow:
            _follow(source, task)
        _judge_recording(source, task)

    end = f"segments and pictures: NAME.json and NAME.png in {arguments.output}"
    for_each(sources, judge, lambda source: paths_of([source])[0], end)


class _Task(NamedTuple):
    """What every recording is compared with."""

    detector: Detector
    program: int
    description: Description
    arguments: argparse.Namespace

    def read(self, source: Recordable) -> EvenRecording:
        return read_even(source, self.description, self.arguments.allow_missing)


def program_index(detector: Detector, name: str) -> int:
    """Raises UserError: no program has this name, or it has too few good recordings."""
    if name not in detector.names:
        raise UserError(f"--program: no program {name!r}; {did_you_mean(name, detector.names)}")
    program = detector.names.index(name)
    detector.template(program)
    return program


def _judge_recording(source: Recordable, task: _Task) -> None:
    from gcodefp.reporting.figures.judged import draw_judged
    from gcodefp.reporting.figures.paper import paper_style, save

    detector, arguments, even = task.detector, task.arguments, task.read(source)
    recording, channels = even.recording, task.description.scaler.channels
    judged = detector.judge(recording, task.program, arguments.false_alarm_rate)
    name = name_of(source)
    files = [*paths_of([source]), arguments.detector, arguments.dataset]
    content = _document(judged, task, even)
    try:
        with paper_style():
            # First: a figure that cannot be drawn leaves no other file behind.
            figure = draw_judged(detector, judged, recording, channels)
            save(figure, arguments.output, name, [])
        write_json(arguments.output / f"{name}.json", JUDGEMENT_FORMAT,
                   {"provenance": provenance(files), "recording": name, **content})  # fmt: skip
    except OSError as error:
        raise UserError(
            f"--output {arguments.output}: {name} cannot be written ({error}); name another folder"
        ) from None
    _log(name, judged, content)


def _notes(judged: Judged, task: _Task, even: EvenRecording) -> list[str]:
    """Reasons to doubt the verdict."""
    detector, description = task.detector, task.description
    notes, level = list(even.notes), -judged.statistics.level
    if not judged.judgement.deviates and level < MIN_LEVEL:
        notes.append(
            f"DOUBTFUL: its fit is {level:.2f} of a good recording's, so its signals say little; "
            "was it made with the sensors, and in the session, of the good ones?"
        )
    good = int(detector.calibration.comparable(judged.program).sum())
    if judged.judgement.deviates and good < MIN_GOOD_RECORDINGS:
        notes.append(
            f"DOUBTFUL: compared with {good} good recordings alone, one in {good + 1} that is good "
            f"is said to deviate; record at least {MIN_GOOD_RECORDINGS}"
        )
    if original := copy_of(even, description):
        notes.append(
            f"DOUBTFUL: it is {original} of the train or val split, by its samples: the detector "
            "was fitted to it, and its p-value says nothing"
        )
    return notes


def _document(judged: Judged, task: _Task, even: EvenRecording) -> dict[str, Any]:
    """The content of NAME.json."""
    detector, description = task.detector, task.description
    judgement, calibration = judged.judgement, detector.calibration
    levels = zip(detector.names, judged.levels.tolist(), strict=True)
    return {
        "program": detector.names[judged.program],
        "verdict": judged.verdict,
        "p_value": judgement.p_value,
        "false_alarm_rate": judgement.rate,
        "good_recordings": int(calibration.comparable(judged.program).sum()),
        "calibration_pooled": calibration.is_pooled,
        "reasons": list(judgement.alarms) if judgement.deviates else [],
        "scores": judgement.scores,
        "statistics": judged.statistics._asdict(),
        "fit_to_programs": {name: level for name, level in levels if np.isfinite(level)},
        "seconds": len(judged.aligned.fit) * judged.aligned.step_seconds,
        "notes": _notes(judged, task, even),
        "segments": [_segment(s, judged, description, even) for s in judged.segments],
    }


def _segment(
    segment: Segment, judged: Judged, description: Description, even: EvenRecording
) -> dict[str, Any]:
    programs, step = description.programs, judged.aligned.step_seconds
    first = int(programs.first[judged.program])
    states = np.arange(segment.first_state, max(segment.end_state, segment.first_state + 1)) + first
    states = states[states < programs.first[judged.program + 1]]
    pairs = dict.fromkeys(zip(programs.line[states].tolist(), programs.block[states].tolist(),
                              strict=True))  # fmt: skip
    content = {
        "kind": segment.kind,
        "start_seconds": round(segment.first * step, 3),
        "end_seconds": round(segment.end * step, 3),
        "deviation_seconds": round(segment.seconds, 3),
        "program_start_seconds": round(segment.first_state * step, 3),
        "program_end_seconds": round(segment.end_state * step, 3),
        "lines": [{"line": line, "block": block} for line, block in pairs],
    }
    if even.clock is not None:
        row = min(int(np.searchsorted(even.position, segment.first)), len(even.clock) - 1)
        content["clock"] = str(even.clock[row])
    return content


def _log(name: str, judged: Judged, content: dict[str, Any]) -> None:
    judgement = judged.judgement
    log = logger.info if judged.verdict == AS_EXPECTED else logger.warning
    log(
        "%s: %s (p = %.3f; false alarms: %.1f %% of good recordings, of which there are %d)",
        *(name, judged.verdict.upper(), judgement.p_value, 100 * judgement.rate),
        content["good_recordings"],
    )
    for note in content["notes"]:
        logger.warning("%s: %s", name, note)
    if not judgement.deviates:
        return
    logger.warning("%s: deviates in %s", name, ", ".join(judgement.alarms) or "no single measure")
    for segment in content["segments"]:
        lines = [f"{entry['line']} {entry['block']}" for entry in segment["lines"]]
        more = f" and {len(lines) - MAX_LINES} more" if len(lines) > MAX_LINES else ""
        start, end = segment["start_seconds"], segment["end_seconds"]
        where = f"{start:7.1f} s to {end:7.1f} s" if end > start else f"at {start:7.1f} s"
        logger.warning(
            "%s: %s: %s, %.1f s; lines %s%s",
            *(name, where, segment["kind"], segment["deviation_seconds"]),
            *("; ".join(lines[:MAX_LINES]), more),
        )


def _follow(source: Recordable, task: _Task) -> None:
    """Warns once while a file grows; ends when it has not grown for --idle-seconds."""
    detector, idle = task.detector, task.arguments.idle_seconds
    limits, per_hour = detector.live_limits(task.arguments.false_alarms_per_hour)
    logger.info("following %s: %.2f false alarms per hour", paths_of([source])[0], per_hour)
    size, grown, has_warned, has_failed = -1, time.monotonic(), False, False
    while time.monotonic() - grown < idle:
        now = sum(path.stat().st_size for path in paths_of([source]) if path.exists())
        if now == size:
            time.sleep(min(POLL_SECONDS, idle))
            continue
        size, grown = now, time.monotonic()
        try:
            recording = task.read(source).recording
        except UserError as error:
            # Too short yet, or its last line is half written; or else it never can be read.
            if not has_failed:
                logger.info("not read yet: %s", error)
            has_failed = True
            continue
        over = detector.live_statistics(recording, task.program) > limits
        if not has_warned and over.any():
            has_warned, row = True, int(over.any(1).argmax())
            logger.warning(
                "%s: WARNING at %.1f s: it deviates from program %s (%s)",
                *(recording.name, row * float(task.description.programs.step_seconds)),
                *(detector.names[task.program], [*LIVE.values()][int(over[row].argmax())]),
            )


if __name__ == "__main__":
    sys.exit(main())
