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
from typing import Any

import numpy as np

from gcodefp.command_line import RESULTS, not_negative_number, run_step, share, step_parser
from gcodefp.dataset.store import Description, read_description
from gcodefp.detection.detector import Detector, Judged, read_detector
from gcodefp.detection.deviations import Segment
from gcodefp.detection.reading import EvenRecording, read_even
from gcodefp.detection.verdict import AS_EXPECTED, FALSE_ALARM_RATE, MIN_LEVEL, live_limit
from gcodefp.errors import UserError, did_you_mean
from gcodefp.files import write_json
from gcodefp.provenance import provenance
from gcodefp.recordings.laboratory.lab_files import Recordable, name_of, paths_of, recordings_of
from gcodefp.recordings.laboratory.layout import read_optional_layout, stored_layout

logger = logging.getLogger("gcodefp.judge")

JUDGEMENT_FORMAT = "gcodefp-judgement-1"
MAX_LINES = 6
"""Lines of a segment that are named; all are in the JSON file."""
POLL_SECONDS = 2.0
LIVE_RATE = 0.05


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("judge", __doc__)
    add = parser.add_argument
    add(
        "recordings",
        nargs="+",
        type=Path,
        metavar="RECORDING",
        help="files, or folders of a layout",
    )
    add("--program", required=True, help="that should have run, as in dataset.json")
    add("--false-alarm-rate", type=share, default=FALSE_ALARM_RATE,
        help="of good recordings (default: %(default)s)")  # fmt: skip
    add("--layout", help="how other files are read; default: as the recordings of the train split")
    add("--dataset", type=Path, default=RESULTS / "dataset/dataset.json",
        help="default: %(default)s")  # fmt: skip
    add("--detector", type=Path, default=RESULTS / "detection/detector.npz",
        help="default: %(default)s")  # fmt: skip
    add("--output", type=Path, default=RESULTS / "judgements", help="default: %(default)s")
    add("--allow-missing", action="store_true", help="nodes may lack some of their channels")
    add("--follow", action="store_true", help="read a growing file until it stops growing")
    add("--idle-seconds", type=not_negative_number, default=30.0,
        help="after which a followed file is complete (default: %(default)s)")  # fmt: skip
    return run_step(parser, _judge, argv)


def _judge(arguments: argparse.Namespace) -> None:
    description = read_description(arguments.dataset)
    detector = read_detector(arguments.detector, description)
    program = program_index(detector, arguments.program)
    detector.template(program)
    layout = read_optional_layout(arguments.layout) or stored_layout(description.document)
    sources = recordings_of(arguments.recordings, layout)
    names = [name_of(source) for source in sources]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two recordings are called {duplicates[0]!r}; judge them one by one")
    if arguments.follow and len(sources) != 1:
        raise UserError(f"--follow: reads one growing file, not {len(sources)}")
    failed = []
    for source in sources:
        try:
            if arguments.follow:
                follow(source, detector, program, description, arguments)
            _judge_recording(source, detector, program, description, arguments)
        except (UserError, OSError) as error:
            logger.error("%s", error)
            failed.append(str(paths_of([source])[0]))
    if failed:
        raise UserError(f"not judged: {', '.join(failed)}; the reasons are above")


def program_index(detector: Detector, name: str) -> int:
    """Raises UserError: no program has this name."""
    if name not in detector.names:
        raise UserError(f"--program: no program {name!r}; {did_you_mean(name, detector.names)}")
    return detector.names.index(name)


def _judge_recording(
    source: Recordable,
    detector: Detector,
    program: int,
    description: Description,
    arguments: argparse.Namespace,
) -> None:
    from gcodefp.reporting.figures.judged import draw_judged
    from gcodefp.reporting.figures.paper import paper_style, save

    even = read_even(source, description, arguments.allow_missing)
    recording = even.recording
    judged = detector.judge(recording, program, arguments.false_alarm_rate)
    name = name_of(source)
    files = [*paths_of([source]), arguments.detector, arguments.dataset]
    content = document(judged, detector, description, even)
    try:
        with paper_style():
            # First: a figure that cannot be drawn leaves no other file behind.
            figure = draw_judged(detector, judged, recording, description.scaler.channels)
            save(figure, arguments.output, name, [])
        write_json(arguments.output / f"{name}.json", JUDGEMENT_FORMAT,
                   {"provenance": provenance(files), "recording": name, **content})  # fmt: skip
    except OSError as error:
        raise UserError(
            f"--output {arguments.output}: {name} cannot be written ({error}); name another folder"
        ) from None
    _log(name, judged, content)


def _notes(judged: Judged, description: Description, even: EvenRecording) -> list[str]:
    """Reasons to doubt the verdict."""
    notes, level = list(even.notes), -judged.statistics.level
    if not judged.judgement.deviates and level < MIN_LEVEL:
        notes.append(
            f"DOUBTFUL: its fit is {level:.2f} of a good recording's, so its signals say little; "
            "was it made with the sensors, and in the session, of the good ones?"
        )
    splits = description.document["splits"]
    if any(even.recording.name in splits[split]["recordings"] for split in ("train", "val")):
        notes.append(
            "DOUBTFUL: a recording of this name is in the train or val split: the detector was "
            "fitted to it if it is the same, and its p-value says nothing"
        )
    return notes


def document(
    judged: Judged,
    detector: Detector,
    description: Description,
    even: EvenRecording,
) -> dict[str, Any]:
    """The content of NAME.json."""
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
        "seconds": judged.statistics.length,
        "notes": _notes(judged, description, even),
        "segments": [_segment(s, judged, description, even) for s in judged.segments],
    }


def _segment(
    segment: Segment,
    judged: Judged,
    description: Description,
    even: EvenRecording,
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
        logger.warning(
            "%s: %7.1f s to %7.1f s: %s, %.1f s; lines %s%s",
            *(name, segment["start_seconds"], segment["end_seconds"], segment["kind"]),
            *(segment["deviation_seconds"], "; ".join(lines[:MAX_LINES]), more),
        )


def follow(
    source: Recordable,
    detector: Detector,
    program: int,
    description: Description,
    arguments: argparse.Namespace,
) -> None:
    """Warns once while a file grows; ends when it has not grown for --idle-seconds."""
    limit, per_hour = live_limit(detector.calibration, LIVE_RATE)
    logger.info(
        "following %s: warnings at a gain above %.1f, %.2f false alarms per hour",
        *(paths_of([source])[0], limit, per_hour),
    )
    size, grown, has_warned, has_failed = -1, time.monotonic(), False, False
    while time.monotonic() - grown < arguments.idle_seconds:
        now = sum(path.stat().st_size for path in paths_of([source]) if path.exists())
        if now == size:
            time.sleep(min(POLL_SECONDS, arguments.idle_seconds))
            continue
        size, grown = now, time.monotonic()
        try:
            recording = read_even(source, description, arguments.allow_missing).recording
        except UserError as error:
            # Too short yet, or its last line is half written; or else it never can be read.
            if not has_failed:
                logger.info("not read yet: %s", error)
            has_failed = True
            continue
        gains = detector.live_gains(recording, program)
        if not has_warned and (over := np.flatnonzero(gains > limit)).size:
            has_warned = True
            logger.warning(
                "%s: WARNING at %.1f s: it deviates from program %s (gain %.1f)",
                *(recording.name, over[0] * float(description.programs.step_seconds)),
                *(detector.names[program], float(gains[over[0]])),
            )


if __name__ == "__main__":
    sys.exit(main())
