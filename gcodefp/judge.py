"""Did the machine do what it should? Compares recordings with the program that should have run.

For each recording: the verdict with its p-value, NAME.json with its deviations, and
pictures. It reads signals, and the time stamps to space their rows evenly, never the controller's
lines or positions. --follow reads a growing file and warns while the program runs.
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
    command_parser,
    for_each,
    not_negative_number,
    run_command,
    share,
)
from gcodefp.dataset.store import DatasetDescription, read_description
from gcodefp.detection.detector import Detector, Judgement, read_detector
from gcodefp.detection.deviations import STORED_NAMES, Deviation, Statistics
from gcodefp.detection.live import FALSE_ALARMS_PER_HOUR, LIVE
from gcodefp.detection.reading import UniformRecording, copy_of, read_uniform
from gcodefp.detection.verdict import AS_EXPECTED, FALSE_ALARM_RATE, MIN_MATCH_SHARE
from gcodefp.errors import UserError, did_you_mean
from gcodefp.files import write_json
from gcodefp.provenance import provenance
from gcodefp.recordings.laboratory.lab_files import RawRecording, name_of, paths_of, recordings_of
from gcodefp.recordings.laboratory.layout import read_optional_layout, stored_layout

logger = logging.getLogger("gcodefp.judge")

JUDGEMENT_FORMAT = "gcodefp-judgement-1"
MAX_LINES = 6
"""Lines of a deviation that are named; all are in the JSON file."""
MIN_GOOD_RECORDINGS = 19
"""With fewer, over one good recording in 20 is said to deviate."""
POLL_SECONDS = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("judge", __doc__)
    add = parser.add_argument
    text = "files, or folders of a layout"
    add("recordings", nargs="+", type=Path, metavar="RECORDING", help=text)
    add("--program", required=True, help="name of the program that should have run")
    add("--false-alarm-rate", type=share, default=FALSE_ALARM_RATE,
        help="share of good recordings that raise an alarm (default: %(default)s)")  # fmt: skip
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
        help="without growth, a followed file is complete (default: %(default)s)")  # fmt: skip
    return run_command(parser, _judge, argv)


def _judge(arguments: argparse.Namespace) -> None:
    description = read_description(arguments.dataset)
    detector = read_detector(arguments.detector, description)
    reference = _Reference(
        detector, program_index(detector, arguments.program), description, arguments
    )
    layout = read_optional_layout(arguments.layout) or stored_layout(description.document)
    sources = recordings_of(arguments.recordings, layout)
    names = [name_of(source) for source in sources]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two recordings are called {duplicates[0]!r}; judge them one by one")
    if arguments.follow and len(sources) != 1:
        raise UserError(f"--follow: reads one growing file, not {len(sources)}")

    def judge(source: RawRecording) -> None:
        if arguments.follow:
            _follow(source, reference)
        _judge_recording(source, reference)

    end = f"deviations and pictures: NAME.json and NAME.png in {arguments.output}"
    for_each(sources, judge, lambda source: paths_of([source])[0], end)


class _Reference(NamedTuple):
    """What every recording is compared with."""

    detector: Detector
    program: int
    description: DatasetDescription
    arguments: argparse.Namespace

    def read(self, source: RawRecording) -> UniformRecording:
        return read_uniform(source, self.description, self.arguments.allow_missing)


def program_index(detector: Detector, name: str) -> int:
    """Raises UserError: no program has this name, or it has too few good recordings."""
    if name not in detector.names:
        raise UserError(f"--program: no program {name!r}; {did_you_mean(name, detector.names)}")
    program = detector.names.index(name)
    detector.profile(program)
    return program


def _judge_recording(source: RawRecording, reference: _Reference) -> None:
    from gcodefp.reporting.figures.judgement import draw_judgement
    from gcodefp.reporting.figures.paper import paper_style, save

    detector, arguments, uniform = reference.detector, reference.arguments, reference.read(source)
    recording, channels = uniform.recording, reference.description.scaler.channels
    judgement = detector.judge(recording, reference.program, arguments.false_alarm_rate)
    name = name_of(source)
    files = [*paths_of([source]), arguments.detector, arguments.dataset]
    content = _document(judgement, reference, uniform)
    try:
        with paper_style():
            # First: a figure that cannot be drawn leaves no other file behind.
            figure = draw_judgement(detector, judgement, recording, channels)
            save(figure, arguments.output, name, [])
        write_json(arguments.output / f"{name}.json", JUDGEMENT_FORMAT,
                   {"provenance": provenance(files), "recording": name, **content})  # fmt: skip
    except OSError as error:
        raise UserError(
            f"--output {arguments.output}: {name} cannot be written ({error}); name another folder"
        ) from None
    _log(name, judgement, content)


def _caveats(judgement: Judgement, reference: _Reference, uniform: UniformRecording) -> list[str]:
    """Caveats of the verdict."""
    detector, description = reference.detector, reference.description
    notes, match_share = list(uniform.notes), judgement.statistics.match_share
    if not judgement.test.deviates and match_share < MIN_MATCH_SHARE:
        notes.append(
            f"CAVEAT: its match is {match_share:.2f} of the expected one, so its signals say "
            "little; was it made with the sensors, and in the session, of the good ones?"
        )
    good = int(detector.calibration.comparable(judgement.program).sum())
    if judgement.test.deviates and good < MIN_GOOD_RECORDINGS:
        notes.append(
            f"CAVEAT: compared with {good} good recordings alone, one in {good + 1} that is good "
            f"is said to deviate; record at least {MIN_GOOD_RECORDINGS}"
        )
    if original := copy_of(uniform, description):
        notes.append(
            f"CAVEAT: it is {original} of the train or val split, by its samples: the detector "
            "was fitted to it, and its p-value says nothing"
        )
    return notes


def _document(
    judgement: Judgement, reference: _Reference, uniform: UniformRecording
) -> dict[str, Any]:
    """The content of NAME.json."""
    detector, description = reference.detector, reference.description
    test, calibration = judgement.test, detector.calibration
    match_shares = zip(detector.names, judgement.match_shares.tolist(), strict=True)
    stored = dict(zip(Statistics._fields, STORED_NAMES, strict=True))
    return {
        "program": detector.names[judgement.program],
        "verdict": judgement.verdict,
        "p_value": test.p_value,
        "false_alarm_rate": test.rate,
        "good_recordings": int(calibration.comparable(judgement.program).sum()),
        "calibration_pooled": calibration.is_pooled,
        "reasons": [stored[name] for name in test.alarms] if test.deviates else [],
        "scores": {stored[name]: score for name, score in test.scores.items()},
        "statistics": dict(zip(STORED_NAMES, judgement.statistics, strict=True)),
        "fit_to_programs": {name: share for name, share in match_shares if np.isfinite(share)},
        "seconds": len(judgement.alignment.match) * judgement.alignment.step_seconds,
        "notes": _caveats(judgement, reference, uniform),
        "segments": [_describe(d, judgement, description, uniform) for d in judgement.deviations],
    }


def _describe(
    deviation: Deviation,
    judgement: Judgement,
    description: DatasetDescription,
    uniform: UniformRecording,
) -> dict[str, Any]:
    programs, step = description.programs, judgement.alignment.step_seconds
    first = int(programs.first[judgement.program])
    states = (
        np.arange(deviation.first_state, max(deviation.end_state, deviation.first_state + 1))
        + first
    )
    states = states[states < programs.first[judgement.program + 1]]
    pairs = dict.fromkeys(zip(programs.line[states].tolist(), programs.block[states].tolist(),
                              strict=True))  # fmt: skip
    content = {
        "kind": deviation.kind,
        "start_seconds": round(deviation.first * step, 3),
        "end_seconds": round(deviation.end * step, 3),
        "deviation_seconds": round(deviation.seconds, 3),
        "program_start_seconds": round(deviation.first_state * step, 3),
        "program_end_seconds": round(deviation.end_state * step, 3),
        "lines": [{"line": line, "block": block} for line, block in pairs],
    }
    if uniform.clock is not None:
        row = min(
            int(np.searchsorted(uniform.uniform_row, deviation.first)), len(uniform.clock) - 1
        )
        content["clock"] = str(uniform.clock[row])
    return content


def _log(name: str, judgement: Judgement, content: dict[str, Any]) -> None:
    test = judgement.test
    log = logger.info if judgement.verdict == AS_EXPECTED else logger.warning
    log(
        "%s: %s (p = %.3f; false alarms: %.1f %% of good recordings, of which there are %d)",
        *(name, judgement.verdict.upper(), test.p_value, 100 * test.rate),
        content["good_recordings"],
    )
    for note in content["notes"]:
        logger.warning("%s: %s", name, note)
    if not test.deviates:
        return
    logger.warning("%s: deviates in %s", name, ", ".join(content["reasons"]) or "no single measure")
    for deviation in content["segments"]:
        lines = [f"{entry['line']} {entry['block']}" for entry in deviation["lines"]]
        more = f" and {len(lines) - MAX_LINES} more" if len(lines) > MAX_LINES else ""
        start, end = deviation["start_seconds"], deviation["end_seconds"]
        where = f"{start:7.1f} s to {end:7.1f} s" if end > start else f"at {start:7.1f} s"
        logger.warning(
            "%s: %s: %s, %.1f s; line%s %s%s",
            *(name, where, deviation["kind"], deviation["deviation_seconds"]),
            *("s" * (len(lines) > 1), "; ".join(lines[:MAX_LINES]), more),
        )


def _follow(source: RawRecording, reference: _Reference) -> None:
    """Warns once while a file grows; ends when it has not grown for --idle-seconds."""
    detector, idle = reference.detector, reference.arguments.idle_seconds
    thresholds, per_hour = detector.live_thresholds(reference.arguments.false_alarms_per_hour)
    logger.info("following %s: %.2f false warnings per hour", paths_of([source])[0], per_hour)
    size, grown, has_warned, has_failed = -1, time.monotonic(), False, False
    while time.monotonic() - grown < idle:
        now = sum(path.stat().st_size for path in paths_of([source]) if path.exists())
        if now == size:
            time.sleep(min(POLL_SECONDS, idle))
            continue
        size, grown = now, time.monotonic()
        try:
            recording = reference.read(source).recording
        except UserError as error:
            # Too short yet, or its last line is half written; or else it never can be read.
            if not has_failed:
                logger.info("not read yet: %s", error)
            has_failed = True
            continue
        is_above = detector.live_statistics(recording, reference.program) > thresholds
        if not has_warned and is_above.any():
            has_warned, row = True, int(is_above.any(1).argmax())
            logger.warning(
                "%s: WARNING at %.1f s: it deviates from program %s (%s)",
                *(recording.name, row * float(reference.description.programs.step_seconds)),
                *(detector.names[reference.program], [*LIVE.values()][int(is_above[row].argmax())]),
            )


if __name__ == "__main__":
    sys.exit(main())
