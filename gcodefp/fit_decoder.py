"""Fits the decoder of a checkpoint: decoder.npz beside it.

The emission weights of network and templates in the hidden Markov model are chosen on the val
split, by the probability near the true state, with templates of the train split. Then the templates
are fitted to both splits.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import add_device_flags, add_files, command_parser, run_command
from gcodefp.dataset.controls import CONTROLS, apply_control
from gcodefp.evaluation.decoder import write_decoder
from gcodefp.evaluation.decoder_fitting import fit_decoder
from gcodefp.evaluation.split_evaluation import open_evaluation
from gcodefp.model.data import select_device

logger = logging.getLogger("gcodefp.fit_decoder")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("fit_decoder", __doc__)
    add = parser.add_argument
    add_files(parser, "checkpoint", "train", "val", "dataset")
    names = [name for name, control in CONTROLS.items() if control.needs_training]
    add("--control", choices=names, help="negative control that the checkpoint was trained for")
    add("--output", type=Path, required=True, help="decoder.npz; read where checkpoint.pt is")
    add_device_flags(parser)
    return run_command(parser, _fit, argv)


def _fit(arguments: argparse.Namespace) -> None:
    device, control = select_device(arguments.device, arguments.threads), arguments.control
    paths = {"train": arguments.train, "val": arguments.val}
    decoder, description, splits = open_evaluation(
        arguments.checkpoint, arguments.dataset, paths, device, control, is_fitted=False
    )
    if control:
        splits = {n: apply_control(s, n, control, description.window) for n, s in splits.items()}
    decoder = fit_decoder(decoder.checkpoint, splits["train"], splits["val"], device)
    write_decoder(arguments.output, decoder, arguments.checkpoint)
    text = "%s: chosen: %s, softmax temperature %.2f"
    logger.info(text, arguments.checkpoint, decoder.summary, decoder.temperature)


if __name__ == "__main__":
    sys.exit(main())
