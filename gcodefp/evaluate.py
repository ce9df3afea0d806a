"""Scores a checkpoint on the test split, unseen by training and selection, or on other recordings.

gcodefp's predictions are free-running, from sensors alone. Every metric has a 95 % interval from
a bootstrap over recordings. Baselines are scored alike, and so is the state oracle, a decoder that
does not know the lag of each recording's sensors behind the controller.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from gcodefp.command_line import add_device_flags, add_files, command_parser, positive, run_command
from gcodefp.dataset.external import read_external_split
from gcodefp.dataset.store import LEAKY_NOTE, Split
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import leak_warnings, read_controls
from gcodefp.evaluation.decoder import NETWORK_ALONE_NOTE, Decoder
from gcodefp.evaluation.names import EVALUATION_FORMAT, MODEL, PRIMARY
from gcodefp.evaluation.split_evaluation import (
    evaluate_split,
    open_decoder,
    open_evaluation,
    write_predictions,
)
from gcodefp.evaluation.window_lengths import STRIDE_ROWS
from gcodefp.files import write_json
from gcodefp.model.data import select_device
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.evaluate")
LOGGED = {PRIMARY: "", "gcode": "", "gcode_error_rate": MODEL, "position_error_mm": MODEL}
"""Metric -> begin of the names of the predictors for which it is logged."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("evaluate", __doc__)
    add = parser.add_argument
    add_files(parser, "checkpoint")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--test", type=Path, help="test.npz of the checkpoint's dataset")
    source.add_argument("--recordings", type=Path, help="folder of other recordings with labels")
    add("--allow-missing", action="store_true", help="nodes may lack some of their channels")
    add("--dataset", type=Path, help="dataset.json; needed with --test, --train and --val")
    add("--train", type=Path, help="train.npz, for the baselines; without it there are none")
    add("--val", type=Path, help="val.npz, on which the baselines' options are chosen")
    text = "rows between windows, in accuracy by length; default: %(default)s, for publication 1"
    add("--ladder-stride", type=positive, default=STRIDE_ROWS, metavar="ROWS", help=text)
    add("--controls", type=Path, nargs="*", default=[], help="control.json of each control")
    add_device_flags(parser)
    add("--output", type=Path, required=True, help="folder for metrics.json and the predictions")
    return run_command(parser, _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> None:
    device = select_device(arguments.device, arguments.threads)
    decoder, splits, excluded, doubtful = _read(arguments, device)
    if decoder.templates is None:
        logger.warning(NETWORK_ALONE_NOTE)
    controls = read_controls(arguments.controls)
    description, test = decoder.description, splits["test"]
    train, val = splits.get("train"), splits.get("val")
    decoding, content = evaluate_split(
        decoder, test, train, val, device, arguments.threads, arguments.ladder_stride, doubtful
    )
    write_predictions(arguments.output, decoding, test, description)
    data = (arguments.dataset, arguments.test, arguments.train, arguments.val)
    inputs = (*decoder.paths(arguments.checkpoint), *data, *arguments.controls)
    origin = {
        "provenance": provenance(path for path in inputs if path),
        "external": str(arguments.recordings) if arguments.recordings else None,
        "excluded": excluded,
        "controls": controls,
    }
    write_json(arguments.output / "metrics.json", EVALUATION_FORMAT, origin | content)
    if description.leaky:
        logger.warning(LEAKY_NOTE)
    _log(content["models"])
    for control in controls:
        for warning in leak_warnings(control):
            logger.error(warning)


def _read(
    arguments: argparse.Namespace, device: torch.device
) -> tuple[Decoder, dict[str, Split], list[dict[str, str]], list[str]]:
    """Checkpoint, splits, and the recordings that are excluded and that have a doubtful lag."""
    names = ("train", "val", "test")
    paths = {name: path for name in names if (path := getattr(arguments, name))}
    if "val" in paths and "train" not in paths:
        raise UserError("--train is missing: --val chooses options of baselines fitted to it")
    if arguments.dataset:
        decoder, description, splits = open_evaluation(
            arguments.checkpoint, arguments.dataset, paths, device
        )
    elif paths:
        raise UserError("--dataset is missing: --test, --train and --val belong to a dataset.json")
    else:
        decoder, splits = open_decoder(arguments.checkpoint, device), {}
        description = decoder.description
    if arguments.test:
        return decoder, splits, [], description.doubtful_lags()
    splits["test"], excluded, doubtful = read_external_split(
        arguments.recordings, description, arguments.allow_missing
    )
    return decoder, splits, excluded, doubtful


def _log(models: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    for metric, prefix in LOGGED.items():
        texts = [
            "{} {value:.3f} [{low:.3f}, {high:.3f}]".format(name, **metrics[metric])
            for name, metrics in models.items()
            if metrics[metric]["value"] is not None and name.startswith(prefix)
        ]
        if texts:
            logger.info("%s: %s", metric, ", ".join(texts))


if __name__ == "__main__":
    sys.exit(main())
