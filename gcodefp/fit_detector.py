"""Fits and tests the detector of deviations: detector.npz and detection.json.

Profiles and calibration are of the recordings of the train and val split, which are taken to be
good: their signals, on the states of their lag-corrected labels. The test recordings are judged as
they are, and altered in many ways; nothing is chosen by them.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import add_files, command_parser, not_negative, run_command
from gcodefp.dataset.store import read_description, read_split
from gcodefp.detection.detector import fit_detector, labelled_signals, write_detector
from gcodefp.detection.evaluation import evaluate_detector
from gcodefp.detection.reading import read_dataset
from gcodefp.detection.verdict import DETECTION_FORMAT
from gcodefp.evaluation.split_evaluation import open_evaluation
from gcodefp.files import write_json
from gcodefp.model.data import select_device
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.fit_detector")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("fit_detector", __doc__)
    add = parser.add_argument
    add("--recordings", type=Path, required=True, help="folder of the files, as for preprocess")
    add_files(parser, "dataset", "train", "val", "test")
    add("--checkpoint", type=Path, help="checkpoint.pt, whose confidence is a baseline")
    text = "seed of the alterations (default: %(default)s)"
    add("--seed", type=not_negative, default=0, help=text)
    add("--output", type=Path, required=True, help="folder for detector.npz and detection.json")
    return run_command(parser, _fit, argv)


def _fit(arguments: argparse.Namespace) -> None:
    description = read_description(arguments.dataset)
    files = {name: getattr(arguments, name) for name in ("train", "val", "test")}
    splits = {name: read_split(path, description, name) for name, path in files.items()}
    names = {str(name) for split in splits.values() for name in split.recordings}
    recordings = read_dataset(arguments.recordings, names, description)
    good, test = (
        labelled_signals(recordings, [splits[name] for name in members], description)
        for members in (("train", "val"), ("test",))
    )
    programs = description.programs
    step = float(programs.step_seconds)
    channels = description.scaler.channels
    detector = fit_detector(good, programs.names.tolist(), channels, step)
    write_detector(arguments.output / "detector.npz", detector, description)
    inputs = [arguments.dataset, *files.values(), arguments.output / "detector.npz"]
    decoder = None
    if arguments.checkpoint:
        # On the CPU: any computer gets the same numbers.
        device = select_device("cpu", 1)
        decoder = open_evaluation(arguments.checkpoint, arguments.dataset, {}, device).decoder
        inputs += decoder.paths(arguments.checkpoint)
    content = evaluate_detector(detector, test, [*good, *test], arguments.seed, decoder=decoder)
    document = {"provenance": provenance(inputs), "leaky": description.leaky, **content}
    write_json(arguments.output / "detection.json", DETECTION_FORMAT, document)
    calibration = content["calibration"]
    logger.info(
        "%d good recordings: no false-alarm rate below %.1f %%; %s",
        *(calibration["recordings"], 100 * calibration["least_rate"]),
        "pooled over programs" if calibration["pooled"] else "each program by its own",
    )


if __name__ == "__main__":
    sys.exit(main())
