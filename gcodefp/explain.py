"""Explains a checkpoint's predictions on the test split.

It measures the drop in accuracy under sensor occlusion (without retraining) and the
calibration of the confidence, and stores an excerpt of signals and blocks for a figure.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gcodefp.command_line import add_device_flags, add_files, command_parser, run_command
from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.evaluation.explanation import describe_explanation, explain_split, explanation_arrays
from gcodefp.evaluation.names import EXPLANATION_FORMAT
from gcodefp.evaluation.split_evaluation import open_evaluation
from gcodefp.files import write_arrays, write_json
from gcodefp.model.data import select_device
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.explain")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("explain", __doc__)
    add_files(parser, "checkpoint", "dataset", "test")
    add_device_flags(parser)
    text = "folder for explanation.json and .npz"
    parser.add_argument("--output", type=Path, required=True, help=text)
    return run_command(parser, _explain, argv)


def _explain(arguments: argparse.Namespace) -> None:
    device = select_device(arguments.device, arguments.threads)
    decoder, _, splits = open_evaluation(
        arguments.checkpoint, arguments.dataset, {"test": arguments.test}, device
    )
    test = splits["test"]
    explanation = explain_split(decoder, test, device)
    arrays = explanation_arrays(explanation, test, decoder.description)
    write_arrays(arguments.output / "explanation.npz", arrays)
    content = describe_explanation(explanation, test, decoder.description, device)
    inputs = (*decoder.paths(arguments.checkpoint), arguments.dataset, arguments.test)
    write_json(
        arguments.output / "explanation.json",
        EXPLANATION_FORMAT,
        {"provenance": provenance(inputs), **content},
    )
    if decoder.description.leaky:
        logger.warning(LEAKY_NOTE)
    _log(content)


def _log(content: Mapping[str, Any]) -> None:
    form = "{value:+.3f} [{low:+.3f}, {high:+.3f}]"
    # The figure has the nodes too, which are many.
    for occluded in (part for part in content["sensors"]["without"] if part["kind"] != "node"):
        name = f"{occluded['kind']} {occluded['name']}".strip()
        drop = form.format(**occluded["differences"]["gcode"])
        logger.info("block accuracy without %s: %s", name, drop)


if __name__ == "__main__":
    sys.exit(main())
