"""Trains one run from hyperparameters given as flags.

The trainer of the sweep's agents, alone: for a single run, for one of a sweep again, or as the
`program` of another sweep tool. Started again with the same output folder it goes on where it was.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.errors import UserError
from gcodefp.files import digest, read_json, write_json
from gcodefp.learning.device import DEVICES, open_device
from gcodefp.learning.hyperparameters import KNOWN, Hyperparameters, hyperparameters_from
from gcodefp.learning.load import load_training_data
from gcodefp.learning.objective import METRICS, Objective
from gcodefp.learning.outcome import succeeded
from gcodefp.learning.trainer import Diverged, train
from gcodefp.provenance import provenance

logger = logging.getLogger("gcodefp.train")

FORMAT = "gcodefp-train-1"


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("train", __doc__)
    add = parser.add_argument
    add(
        "--train", type=Path, default=Path("results/dataset/train.npz"), help="default: %(default)s"
    )
    add("--val", type=Path, default=Path("results/dataset/val.npz"), help="default: %(default)s")
    add(
        "--dataset",
        type=Path,
        default=Path("results/dataset/dataset.json"),
        help="default: %(default)s",
    )
    add("--output", type=Path, help="folder of the run; results/train/HASH, of hyperparameters")
    add(
        "--metric",
        choices=METRICS,
        metavar="METRIC",
        default="val/gcode_acc",
        help="what the best epoch is by, such as val/loss (default: val/gcode_acc)",
    )
    add("--goal", choices=("maximize", "minimize"), default="maximize")
    add("--device", choices=DEVICES, default="auto")
    add("--threads", type=positive, default=1, help="CPU threads; bit-exact repeats need 1")
    known = parser.add_argument_group("hyperparameters")
    for field in fields(Hyperparameters):
        text = f"{field.metadata['help']} (default: {field.default})"
        kind = type(field.default)
        known.add_argument(f"--{field.name}", type=kind, default=field.default, help=text)
    return run_step(parser, _train, argv)


def _train(arguments: argparse.Namespace) -> None:
    values = {name: getattr(arguments, name) for name in KNOWN}
    hyperparameters = hyperparameters_from(values, "command line")
    device = open_device(arguments.device, arguments.threads)
    data = load_training_data(arguments.dataset, arguments.train, arguments.val, device)
    folder = arguments.output or Path("results/train") / digest(values)[:8]
    objective = Objective(arguments.metric, arguments.goal)
    asked = {**asdict(objective), "learning_digest": data.description.learning_digest()}
    if (folder / "run.json").exists():
        _check_same(folder, asked | asdict(hyperparameters))
        logger.info("%s: this run is over already", folder)
        return

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        value = metrics[arguments.metric]
        logger.info("epoch %d of %d: %s %.4f", epoch, arguments.max_epochs, arguments.metric, value)
        return False

    try:
        result = train(hyperparameters, data, objective, folder, report, device)
    except Diverged as error:
        raise UserError(f"{folder}: {error}; a smaller learning_rate may help") from None
    content = succeeded(result, hyperparameters, device)
    origin = {"provenance": provenance([arguments.train, arguments.val])}
    write_json(folder / "run.json", FORMAT, origin | asked | content)
    (folder / "last.pt").unlink(missing_ok=True)
    logger.info("%s: best %.4f in epoch %d", folder, result.best_value, result.best_epoch)


def _check_same(folder: Path, asked: Mapping[str, object]) -> None:
    done = read_json(folder / "run.json", FORMAT, "another --output folder")
    done |= done["hyperparameters"]
    for name, value in asked.items():
        if done.get(name) != value:
            raise UserError(
                f"{folder}: holds a run with {name} {done.get(name)!r}, not {value!r}; "
                "choose another --output folder"
            )


if __name__ == "__main__":
    sys.exit(main())
