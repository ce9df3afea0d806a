"""Reconstructs the G-code of new recordings from their sensors alone.

Labels and controller columns are not needed and not read. The files of each recording: NAME.nc,
the G-code with a confidence per block; NAME.csv, a table of its blocks; NAME.json, program and
operation with their candidates; NAME.svg and NAME.png, the toolpath. Never run a reconstructed
program on a machine.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import (
    RESULTS,
    add_device_flags,
    add_files,
    command_parser,
    for_each,
    run_command,
)
from gcodefp.errors import UserError
from gcodefp.evaluation.decoder import NETWORK_ALONE_NOTE
from gcodefp.evaluation.prediction import (
    PREDICTION_FORMAT,
    RecordingPrediction,
    document,
    gcode_text,
    greedy_text,
    table_text,
)
from gcodefp.evaluation.predictor import Predictor, load
from gcodefp.files import sha256, write_json, write_text
from gcodefp.provenance import provenance
from gcodefp.recordings.laboratory.lab_files import RawRecording, name_of, paths_of, recordings_of
from gcodefp.recordings.laboratory.layout import read_optional_layout, stored_layout
from gcodefp.recordings.loading import UnlabelledRecording
from gcodefp.reporting.figures.paper import paper_style, save
from gcodefp.reporting.figures.predicted import draw_predicted

logger = logging.getLogger("gcodefp.predict")

SUFFIXES = ("nc", "greedy.nc", "csv", "json", "svg", "png")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("predict", __doc__)
    add = parser.add_argument
    text = "CSV, or a layout's file or folder"
    add("recordings", type=Path, nargs="+", metavar="RECORDING", help=text)
    add("--layout", help="how other files are read; default: as the recordings of the train split")
    add_files(parser, "checkpoint", folder=RESULTS / "best")
    add("--output", type=Path, default=RESULTS / "predictions", help="default: %(default)s")
    add("--allow-missing", action="store_true", help="nodes may lack some of their channels")
    add("--greedy", "--free", action="store_true", help="NAME.greedy.nc too, without programs")
    add_device_flags(parser)
    return run_command(parser, _predict, argv)


def _predict(arguments: argparse.Namespace) -> None:
    predictor = load(arguments.checkpoint, arguments.device, arguments.threads)
    layout = read_optional_layout(arguments.layout) or stored_layout(predictor.description.document)
    recordings = recordings_of(arguments.recordings, layout)
    _check_names(recordings, arguments.output)
    if predictor.decoder.templates is None:
        logger.warning(NETWORK_ALONE_NOTE)

    def predict(source: RawRecording) -> None:
        unlabelled = predictor.read(source, arguments.allow_missing)
        prediction = predictor.decode(unlabelled)
        _write(arguments, source, predictor, unlabelled, prediction)
        _log(prediction, unlabelled)

    end = f"the files are in {arguments.output}; never run them on a machine"
    for_each(recordings, predict, lambda source: paths_of([source])[0], end)


def _check_names(recordings: Sequence[RawRecording], output: Path) -> None:
    """Raises UserError if an output would overwrite a recording or another prediction."""
    names = [name_of(recording) for recording in recordings]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two recordings are called {duplicates[0]!r}; predict them one by one")
    inputs = {os.path.realpath(path) for path in paths_of(recordings)}
    for name in names:
        for suffix in SUFFIXES:
            if (target := os.path.realpath(output / f"{name}.{suffix}")) in inputs:
                raise UserError(f"{target}: would be overwritten; choose another --output folder")


def _write(
    arguments: argparse.Namespace,
    source: RawRecording,
    predictor: Predictor,
    unlabelled: UnlabelledRecording,
    prediction: RecordingPrediction,
) -> None:
    description, notes = predictor.description, prediction.warnings
    folder, name, digest = arguments.output, prediction.name, sha256(arguments.checkpoint)
    with paper_style():
        # First: a figure that cannot be drawn leaves no other file behind.
        save(draw_predicted(prediction, notes), folder, name, notes)
    write_text(folder / f"{name}.nc", gcode_text(prediction, digest, notes, unlabelled.clock))
    write_text(folder / f"{name}.csv", table_text(prediction))
    if arguments.greedy:
        write_text(folder / f"{name}.greedy.nc", greedy_text(prediction, digest, notes))
    content = {
        "provenance": provenance(
            [*paths_of([source]), *predictor.decoder.paths(arguments.checkpoint)]
        ),
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        **document(prediction),
        "step_seconds": float(description.programs.step_seconds),
        "channels": len(description.scaler.channels),
        "missing_channels": list(unlabelled.missing),
        "counts": dict(unlabelled.recording.counts),
    }
    write_json(folder / f"{name}.json", PREDICTION_FORMAT, content)


def _log(prediction: RecordingPrediction, unlabelled: UnlabelledRecording) -> None:
    name = prediction.name
    for note in prediction.warnings:
        logger.warning("%s: %s", name, note)
    if unlabelled.missing:
        channels = ", ".join(unlabelled.missing)
        logger.warning("%s: %d channels are missing: %s", name, len(unlabelled.missing), channels)
    logger.info(
        "%s: program %s (%.2f), operation %s (%.2f), mean confidence %.2f (%.2f with the median "
        "lag), agreement %.2f",
        *(name, *prediction.program, *prediction.operation),
        *(prediction.mean_confidence, prediction.mean_median_lag_confidence, prediction.agreement),
    )


if __name__ == "__main__":
    sys.exit(main())
