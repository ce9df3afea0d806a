"""Scores a control on the test split: a network that was kept from what tells the motion.

A control must fail: none of its readings may have more exact lines than a baseline that is told
no more than the control left it. Where one has (the 95 % interval of the difference on the same
rows is above 0), something else than motion gives the lines away; this step and `evaluate` say so.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.controls import CONTROLS, apply_control
from gcodefp.dataset.store import Description, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.evaluation.baselines import majority, majority_given_operation
from gcodefp.evaluation.controls import CONTROL_FORMAT, judge, not_failed
from gcodefp.evaluation.decode import predict_split
from gcodefp.evaluation.names import MAJORITY, MAJORITY_PRIVILEGED
from gcodefp.files import write_json
from gcodefp.model.checkpoint import Checkpoint, read_checkpoint
from gcodefp.model.data import DEVICES, open_device
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.control")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("control", __doc__)
    add = parser.add_argument
    add("--control", choices=CONTROLS, required=True)
    add(
        "--checkpoint",
        type=Path,
        required=True,
        help="checkpoint.pt of `gcodefp.train --control`; for sensors_permuted the winner's",
    )
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--train", type=Path, required=True, help="train.npz, for the baselines")
    add("--test", type=Path, required=True, help="test.npz")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    add("--output", type=Path, required=True, help="control.json")
    return run_step(parser, _score, argv)


def _score(arguments: argparse.Namespace) -> None:
    name, control = arguments.control, CONTROLS[arguments.control]
    device = open_device(arguments.device, arguments.threads)
    checkpoint = read_checkpoint(arguments.checkpoint, device)
    description = read_description(arguments.dataset)
    _check_checkpoint(checkpoint, description, name, arguments.checkpoint)
    train = read_split(arguments.train, description, "train")
    test = read_split(arguments.test, description, "test")
    changed = apply_control(test, "test", name, description.window)
    reading = predict_split(checkpoint, changed, device)
    limits = {
        MAJORITY: majority(train, reading.rows),
        MAJORITY_PRIVILEGED: majority_given_operation(train, test, reading.rows),
    }
    judged = judge(name, reading.of_rows, limits, test, reading.rows)
    inputs = (arguments.checkpoint, arguments.dataset, arguments.train, arguments.test)
    content = {
        "provenance": provenance(inputs),
        "control": name,
        "what": control.what,
        "changed": control.splits,
        "rows": len(reading.rows),
        "recordings": len(np.unique(test.recording[reading.rows])),
        "fails": all(of.fails for of in judged.values()),
        "answers": {answer: of.described() for answer, of in judged.items()},
    }
    write_json(arguments.output, CONTROL_FORMAT, content)
    for answer, of in judged.items():
        scores = (of.score.value, of.limit, of.limit_score.value)
        logger.info("exact line: %s %.3f, %s %.3f", answer, *scores)
    for line in not_failed(content):
        logger.error(line)


def _check_checkpoint(
    checkpoint: Checkpoint, description: Description, control: str, path: Path
) -> None:
    """A control that is no training of its own reads what the winner learnt."""
    due = control if CONTROLS[control].trains else None
    found = checkpoint.description.control
    if found != due:
        kinds = [f"trained for control {of}" if of else "no control's" for of in (found, due)]
        raise UserError(f"{path}: is {kinds[0]}, {control} needs one that is {kinds[1]}")
    if checkpoint.description.learning_digest() != description.for_control(due).learning_digest():
        raise UserError(
            f"{path}: was trained on another dataset; train again: snakemake --cores all"
        )


if __name__ == "__main__":
    sys.exit(main())
