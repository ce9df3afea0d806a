"""Fits the decoder of a checkpoint: decoder.npz beside it.

Templates are fitted to the train split. The weights of the network and of the templates in the
hidden Markov model are chosen on the val split, by the probability near the true state.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.dataset.controls import CONTROLS, apply_control
from gcodefp.evaluation.decoder import DECODER_FILE, fit_decoder, write_decoder
from gcodefp.evaluation.split_scores import open_evaluation
from gcodefp.model.data import DEVICES, select_device

logger = logging.getLogger("gcodefp.calibrate")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("calibrate", __doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="checkpoint.pt; decoder.npz goes beside it")
    add("--train", type=Path, required=True, help="train.npz")
    add("--val", type=Path, required=True, help="val.npz")
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--control", choices=[name for name, c in CONTROLS.items() if c.needs_training])
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1)
    return run_step(parser, _calibrate, argv)


def _calibrate(arguments: argparse.Namespace) -> None:
    device, path = select_device(arguments.device, arguments.threads), arguments.checkpoint
    control, split_paths = arguments.control, {"train": arguments.train, "val": arguments.val}
    # A decoder of an earlier checkpoint is replaced, not read.
    path.with_name(DECODER_FILE).unlink(missing_ok=True)
    opened, description, splits = open_evaluation(
        path, arguments.dataset, split_paths, device, control
    )
    train, val = (
        apply_control(split, name, control, description.window) if control else split
        for name, split in splits.items()
    )
    decoder = fit_decoder(opened.checkpoint, train, val, device)
    write_decoder(path.with_name(DECODER_FILE), decoder, path)
    for network_weight, template_weight, score, near in decoder.tried.tolist():
        logger.info(
            "val: network %.2f, templates %.2f: log score %.3f, within 1 s %.3f",
            *(network_weight, template_weight, score, near),
        )
    logger.info("chosen: %s", decoder.summary)


if __name__ == "__main__":
    sys.exit(main())
