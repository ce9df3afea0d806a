"""Scores a checkpoint on the test split, unseen by all that learns or chooses, or on others.

Everything is read from sensors alone, with no true word as input. Every metric has a 95 % interval
from a bootstrap over recordings. Beside it stand the same metric of the baselines, and that of
readers who are told how far each recording's sensors lag behind the controller.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.store import LEAKY_NOTE, Split, read_description, read_split
from gcodefp.dataset.windows import read_recordings
from gcodefp.errors import UserError
from gcodefp.evaluation.bootstrap import Estimate
from gcodefp.evaluation.controls import not_failed, read_controls
from gcodefp.evaluation.names import EVALUATION_FORMAT, MODEL
from gcodefp.evaluation.split_scores import describe_evaluation, evaluate_split, write_predictions
from gcodefp.files import write_json
from gcodefp.model.checkpoint import Checkpoint, read_checkpoint
from gcodefp.model.data import DEVICES, open_device
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.evaluate")

Scores = Mapping[str, Mapping[str, Estimate]]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("evaluate", __doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt")
    scored = parser.add_mutually_exclusive_group(required=True)
    scored.add_argument("--test", type=Path, help="test.npz of the checkpoint's dataset")
    scored.add_argument("--recordings", type=Path, help="folder of other recordings with labels")
    add("--dataset", type=Path, help="dataset.json; needed with --test and --train")
    add("--train", type=Path, help="train.npz, for the baselines; without it there are none")
    add("--controls", type=Path, nargs="*", default=[], help="control.json of each control")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    add("--output", type=Path, required=True, help="folder for metrics.json and the predictions")
    return run_step(parser, _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> None:
    device = open_device(arguments.device, arguments.threads)
    checkpoint = read_checkpoint(arguments.checkpoint, device)
    if checkpoint.description.control:
        raise UserError(
            f"{arguments.checkpoint}: was trained for control {checkpoint.description.control}: "
            "no model to be evaluated; it belongs to python -m gcodefp.control"
        )
    test, train, left_out = _read_splits(arguments, checkpoint)
    controls = read_controls(arguments.controls)
    evaluated = evaluate_split(checkpoint, test, train, device, arguments.threads)
    description = checkpoint.description
    write_predictions(arguments.output, evaluated, test, description)
    write_json(
        arguments.output / "metrics.json",
        EVALUATION_FORMAT,
        {
            "provenance": provenance([arguments.checkpoint, *_inputs(arguments)]),
            "external": str(arguments.recordings) if arguments.recordings else None,
            "excluded": left_out,
            **describe_evaluation(evaluated, test, description, device, controls),
        },
    )
    _tell(evaluated.scores, checkpoint)
    for control in controls:
        for line in not_failed(control):
            logger.error(line)


def _inputs(arguments: argparse.Namespace) -> list[Path]:
    given = (arguments.dataset, arguments.test, arguments.train, *arguments.controls)
    return [path for path in given if path is not None]


def _read_splits(
    arguments: argparse.Namespace, checkpoint: Checkpoint
) -> tuple[Split, Split | None, list[dict[str, str]]]:
    """Test split, train split if the baselines are wanted, and recordings that were left out."""
    if arguments.dataset is None:
        if arguments.test or arguments.train:
            raise UserError("--dataset is missing: --test and --train belong to a dataset.json")
        test, left_out = read_recordings(arguments.recordings, checkpoint.description)
        return test, None, left_out
    description = read_description(arguments.dataset)
    if checkpoint.description.learning_digest() != description.learning_digest():
        raise UserError(
            f"{arguments.checkpoint}: was trained on another dataset than {arguments.dataset}; "
            "run the sweep again: snakemake --cores all"
        )
    train = read_split(arguments.train, description, "train") if arguments.train else None
    if arguments.test:
        return read_split(arguments.test, description, "test"), train, []
    test, left_out = read_recordings(arguments.recordings, description)
    return test, train, left_out


def _tell(scores: Scores, checkpoint: Checkpoint) -> None:
    if checkpoint.description.leaky:
        logger.warning(LEAKY_NOTE)
    for metric in ("gcode", "token", "gcode_error_rate", "position_error_mm"):
        told = [
            f"{name} {of[metric].value:.3f} [{of[metric].low:.3f}, {of[metric].high:.3f}]"
            for name, of in scores.items()
            if of[metric].value is not None and (metric == "gcode" or name.startswith(MODEL))
        ]
        logger.info("%s: %s", metric, ", ".join(told))


if __name__ == "__main__":
    sys.exit(main())
