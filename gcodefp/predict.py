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
from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.errors import UserError
from gcodefp.evaluation.decoder import NETWORK_ALONE_NOTE, Decoder, read_decoder
from gcodefp.evaluation.prediction import (
    PREDICTION_FORMAT,
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
from gcodefp.recordings.loading import read_unlabelled
from gcodefp.reporting.figures.paper import paper_style, save
from gcodefp.reporting.figures.predicted import draw_predicted

logger = logging.getLogger("gcodefp.predict")

CONTROLLER_INPUT_NOTE = "this checkpoint was trained with the controller's reports as input"
SUFFIXES = ("nc", "greedy.nc", "csv", "json", "svg", "png")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("predict", __doc__)
    add, default = parser.add_argument, "default: %(default)s"
    source = "CSV, or a layout's file or folder"
    add("recordings", type=Path, nargs="+", metavar="RECORDING", help=source)
    add("--layout", help="how other files are read; default: as the recordings of the train split")
    add("--checkpoint", type=Path, default=RESULTS / "best/checkpoint.pt", help=default)
    add("--output", type=Path, default=RESULTS / "predictions", help=default)
    add("--allow-missing", action="store_true", help="nodes may lack some of their channels")
    add("--greedy", "--free", action="store_true", help="NAME.greedy.nc too, without programs")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1, help="CPU threads; bit-exact repeats need 1")
    return run_step(parser, _predict, argv)


def _predict(arguments: argparse.Namespace) -> None:
    device = select_device(arguments.device, arguments.threads)
    checkpoint = read_checkpoint(arguments.checkpoint, device)
    decoder = read_decoder(checkpoint, arguments.checkpoint, device)
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


def _predict_recording(
    source: Recordable, decoder: Decoder, device: torch.device, arguments: argparse.Namespace
) -> None:
    description = decoder.description
    channels, step_seconds = description.scaler.channels, float(description.programs.step_seconds)
    unlabelled = read_unlabelled(
        source, channels, description.window, step_seconds, arguments.allow_missing
    )
    prediction = predict_recording(decoder, unlabelled.recording, device)
    controller_is_input = description.document["controller_is_input"]
    notes = [LEAKY_NOTE] * description.leaky + [CONTROLLER_INPUT_NOTE] * controller_is_input
    notes += prediction.warnings
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
        "controller_is_input": controller_is_input,
        **document(prediction),
        "step_seconds": step_seconds,
        "channels": len(channels),
        "missing_channels": list(unlabelled.missing),
        "counts": dict(unlabelled.recording.counts),
    }
    write_json(folder / f"{name}.json", PREDICTION_FORMAT, content)
    for note in notes:
        logger.warning("%s: %s", name, note)
    if missing := unlabelled.missing:
        logger.warning("%s: %d channels are missing: %s", name, len(missing), ", ".join(missing))
    logger.info(
        "%s: program %s (%.2f), operation %s (%.2f), mean confidence %.2f (%.2f with the median "
        "lag), agreement %.2f",
        *(name, *prediction.program, *prediction.operation),
        *(prediction.mean_confidence, prediction.mean_median_lag_confidence, prediction.agreement),
    )


if __name__ == "__main__":
    sys.exit(main())
