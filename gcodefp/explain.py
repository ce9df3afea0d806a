"""Asks a checkpoint why it says what it says of the test split.

What it loses without some of the sensors (it is not trained again), whether it is as sure as it is
right, where its encoder puts the rows, and which samples its choice of a place rests on. Nothing
that is found out here chooses or changes anything.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.store import LEAKY_NOTE, Split, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.evaluation.explanation import describe_explanation, explain_split, explanation_arrays
from gcodefp.evaluation.names import EXPLANATION_FORMAT
from gcodefp.files import replacing, write_json
from gcodefp.model.checkpoint import Checkpoint, read_checkpoint
from gcodefp.model.data import DEVICES, open_device
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.explain")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("explain", __doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt")
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--test", type=Path, required=True, help="test.npz")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    add("--output", type=Path, required=True, help="folder for explanation.json and .npz")
    return run_step(parser, _explain, argv)


def _explain(arguments: argparse.Namespace) -> None:
    device = open_device(arguments.device, arguments.threads)
    checkpoint = read_checkpoint(arguments.checkpoint, device)
    test = _read_test(arguments, checkpoint)
    description = checkpoint.description
    explained = explain_split(checkpoint, test, device)
    arrays: dict[str, Any] = explanation_arrays(explained, test, description)
    with (
        replacing(arguments.output / "explanation.npz") as temporary,
        temporary.open("wb") as handle,
    ):
        np.savez_compressed(handle, allow_pickle=False, **arrays)
    content = describe_explanation(explained, test, description, device)
    inputs = (arguments.checkpoint, arguments.dataset, arguments.test)
    write_json(
        arguments.output / "explanation.json",
        EXPLANATION_FORMAT,
        {"provenance": provenance(inputs), **content},
    )
    if description.leaky:
        logger.warning(LEAKY_NOTE)
    _tell(content)


def _read_test(arguments: argparse.Namespace, checkpoint: Checkpoint) -> Split:
    if control := checkpoint.description.control:
        raise UserError(
            f"{arguments.checkpoint}: was trained for control {control}: no model to be explained; "
            "it belongs to python -m gcodefp.control"
        )
    description = read_description(arguments.dataset)
    if checkpoint.description.learning_digest() != description.learning_digest():
        raise UserError(
            f"{arguments.checkpoint}: was trained on another dataset than {arguments.dataset}; "
            "run the sweep again: snakemake --cores all"
        )
    return read_split(arguments.test, description, "test")


def _tell(content: Mapping[str, Any]) -> None:
    for part in content["sensors"]["without"]:
        name = f"{part['kind']} {part['name']}".strip()
        lost = part["differences"]["gcode"]
        logger.info("exact line without %s: %+.3f [%+.3f, %+.3f]", name, *_three(lost))
    for name, of in content["calibration"].items():
        error = _three(of["expected_calibration_error"])
        logger.info("%s: expected calibration error %.3f [%.3f, %.3f]", name, *error)


def _three(found: Mapping[str, float]) -> tuple[float, float, float]:
    return found["value"], found["low"], found["high"]


if __name__ == "__main__":
    sys.exit(main())
