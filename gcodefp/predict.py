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

import torch

from gcodefp.command_line import DEVICES, RESULTS, positive, run_step, step_parser
from gcodefp.dataset.store import LEAKY_NOTE, Description
from gcodefp.errors import UserError
from gcodefp.evaluation.decoder import NETWORK_ALONE_NOTE, Decoder, read_decoder
from gcodefp.evaluation.prediction import (
    MIN_AGREEMENT,
    PREDICTION_FORMAT,
    RecordingPrediction,
    document,
    gcode_text,
    greedy_text,
    predict_recording,
    table_text,
)
from gcodefp.files import sha256, write_json, write_text
from gcodefp.model.checkpoint import read_checkpoint
from gcodefp.model.data import select_device
from gcodefp.provenance import provenance
from gcodefp.recordings.lab_files import Recordable, name_of, paths_of, recordings_of
from gcodefp.recordings.layout import read_optional_layout, stored_layout
from gcodefp.recordings.loading import UnlabelledRecording, read_unlabelled
from gcodefp.reporting.figures.paper import paper_style, save
from gcodefp.reporting.figures.predicted import draw_predicted

logger = logging.getLogger("gcodefp.predict")

CONTROLLER_INPUT_NOTE = "this checkpoint was trained with the controller's reports as input"
SUFFIXES = ("nc", "greedy.nc", "csv", "json", "svg", "png")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("predict", __doc__)
    add = parser.add_argument
    add(
        "recordings",
        type=Path,
        nargs="+",
        metavar="RECORDING",
        help="CSV, or a layout's file or folder",
    )
    add("--layout", help="how other files are read; default: as the recordings of the train split")
    add(
        "--checkpoint",
        type=Path,
        default=RESULTS / "best/checkpoint.pt",
        help="default: %(default)s",
    )
    add("--output", type=Path, default=RESULTS / "predictions", help="default: %(default)s")
    add("--allow-missing", action="store_true", help="nodes may lack some of their channels")
    add("--greedy", "--free", action="store_true", help="NAME.greedy.nc too, without programs")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1, help="CPU threads; bit-exact repeats need 1")
    return run_step(parser, _predict, argv)


def _predict(arguments: argparse.Namespace) -> None:
    device = select_device(arguments.device, arguments.threads)
    decoder = read_decoder(
        read_checkpoint(arguments.checkpoint, device), arguments.checkpoint, device
    )
    layout = read_optional_layout(arguments.layout) or stored_layout(decoder.description.document)
    recordings = recordings_of(arguments.recordings, layout)
    _check_names(recordings, arguments.output)
    if decoder.templates is None:
        logger.warning(NETWORK_ALONE_NOTE)
    failed = []
    for recording in recordings:
        try:
            _predict_recording(recording, decoder, device, arguments)
        except (UserError, OSError) as error:
            logger.error("%s", error)
            failed.append(str(paths_of([recording])[0]))
    predicted = len(recordings) - len(failed)
    if predicted:
        logger.info("the files are in %s; never run them on a machine", arguments.output)
    if failed:
        raise UserError(
            f"not predicted: {', '.join(failed)}; the reasons are above (predicted: {predicted})"
        )


def _predict_recording(
    source: Recordable, decoder: Decoder, device: torch.device, arguments: argparse.Namespace
) -> None:
    description = decoder.description
    unlabelled = read_unlabelled(
        source,
        description.scaler.channels,
        description.window,
        float(description.programs.step_seconds),
        arguments.allow_missing,
    )
    prediction = predict_recording(decoder, unlabelled.recording, device)
    notes = _notes(description, prediction)
    _write(arguments, source, decoder, unlabelled, prediction, notes)
    _log(prediction, unlabelled, notes)


def _check_names(recordings: Sequence[Recordable], output: Path) -> None:
    """Raises UserError if an output would overwrite a recording or another prediction."""
    names = [name_of(recording) for recording in recordings]
    if duplicates := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"two recordings are called {duplicates[0]!r}; predict them one by one")
    inputs = {os.path.realpath(path) for path in paths_of(recordings)}
    for name in names:
        for suffix in SUFFIXES:
            if (target := os.path.realpath(output / f"{name}.{suffix}")) in inputs:
                raise UserError(f"{target}: would be overwritten; choose another --output folder")


def _notes(description: Description, prediction: RecordingPrediction) -> list[str]:
    """Warnings for every file of the prediction."""
    notes = [LEAKY_NOTE] if description.leaky else []
    if description.document["controller_is_input"]:
        notes.append(CONTROLLER_INPUT_NOTE)
    return [*notes, *prediction.warnings]


def _write(
    arguments: argparse.Namespace,
    source: Recordable,
    decoder: Decoder,
    unlabelled: UnlabelledRecording,
    prediction: RecordingPrediction,
    notes: list[str],
) -> None:
    description = decoder.description
    folder, name, digest = arguments.output, prediction.name, sha256(arguments.checkpoint)
    with paper_style():
        # First: a figure that cannot be drawn leaves no other file behind.
        save(draw_predicted(prediction, notes), folder, name, notes)
    write_text(folder / f"{name}.nc", gcode_text(prediction, digest, notes, unlabelled.clock))
    write_text(folder / f"{name}.csv", table_text(prediction))
    if arguments.greedy:
        write_text(folder / f"{name}.greedy.nc", greedy_text(prediction, digest, notes))
    content = {
        "provenance": provenance([*paths_of([source]), *decoder.paths(arguments.checkpoint)]),
        "leaky": description.leaky,
        "controller_is_input": description.document["controller_is_input"],
        **document(prediction),
        "doubtful_below": MIN_AGREEMENT if prediction.refusal is None else None,
        "step_seconds": float(description.programs.step_seconds),
        "channels": len(description.scaler.channels),
        "missing_channels": list(unlabelled.missing),
        "counts": dict(unlabelled.recording.counts),
    }
    write_json(folder / f"{name}.json", PREDICTION_FORMAT, content)


def _log(
    prediction: RecordingPrediction, unlabelled: UnlabelledRecording, notes: Sequence[str]
) -> None:
    name = prediction.name
    for note in notes:
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
