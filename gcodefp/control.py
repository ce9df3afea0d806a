"""Scores a negative control on the test split: a network without access to the motion.

No predictor may have more blocks, or the program more often, correct than the reference
baseline, which has the information that the control keeps. If one has (the 95 % interval of the
paired difference is above 0), something other than motion predicts them: a leak, which this stage
and `evaluate` report.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gcodefp.command_line import add_device_flags, add_files, command_parser, run_command
from gcodefp.dataset.controls import CONTROLS, apply_control
from gcodefp.evaluation.baselines.baseline_input import BaselineInput
from gcodefp.evaluation.baselines.lookups import majority, majority_of_operation
from gcodefp.evaluation.controls import (
    CONTROL_FORMAT,
    assess_control,
    comparisons,
    leak_warnings,
    no_leak,
)
from gcodefp.evaluation.decode import predict_split
from gcodefp.evaluation.split_evaluation import open_evaluation
from gcodefp.files import write_json
from gcodefp.model.data import select_device
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.control")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("control", __doc__)
    add = parser.add_argument
    add("--control", choices=CONTROLS, required=True)
    text = "checkpoint.pt of `gcodefp.train --control`, or of the best run for sensors_permuted"
    add("--checkpoint", type=Path, required=True, help=text)
    add_files(parser, "dataset", "train", "test")
    add_device_flags(parser)
    add("--output", type=Path, required=True, help="control.json")
    return run_command(parser, _score, argv)


def _score(arguments: argparse.Namespace) -> None:
    name, control = arguments.control, CONTROLS[arguments.control]
    device = select_device(arguments.device, arguments.threads)
    decoder, description, splits = open_evaluation(
        arguments.checkpoint,
        arguments.dataset,
        {"train": arguments.train, "test": arguments.test},
        device,
        control=name if control.needs_training else None,
    )
    train, test = splits["train"], splits["test"]
    decoding = predict_split(decoder, apply_control(test, "test", name, description.window), device)
    task = BaselineInput(train, test, decoding.rows, description.programs, description.window)
    predictions = decoding.predictions | majority(task) | majority_of_operation(task)
    compared = assess_control(name, predictions, test, decoding.rows)
    data = (arguments.dataset, arguments.train, arguments.test)
    inputs = (*decoder.paths(arguments.checkpoint), *data)
    content = {
        "provenance": provenance(inputs),
        "control": name,
        "what": control.description,
        "changed": control.splits,
        "rows": len(decoding.rows),
        "recordings": len(np.unique(test.recording[decoding.rows])),
        "fails": all(no_leak(entry) for *_, entry in comparisons(compared)),
        **compared,
    }
    write_json(arguments.output, CONTROL_FORMAT, content)
    for what, predictor, entry in comparisons(compared):
        scores = (entry["score"]["value"], entry["limit"], entry["limit_score"]["value"])
        logger.info("%s: %s %.3f, %s %.3f", what, predictor, *scores)
    for warning in leak_warnings(content):
        logger.error(warning)


if __name__ == "__main__":
    sys.exit(main())
