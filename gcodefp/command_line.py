"""What the command lines of all steps share: help, log, exit code."""

import argparse
import logging
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gcodefp.errors import UserError

INTERRUPTED = 130
RUNS = Path("results/runs")
"""The folder that keeps the runs of all sweeps, in the shipped configuration."""
DEVICES = ("auto", "cpu", "cuda")


def step_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser for `python -m gcodefp.NAME`, with the options that all steps share."""
    parser = argparse.ArgumentParser(
        prog=f"python -m gcodefp.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--log", type=Path, help="write the log to this file too")
    return parser


def add_sweep_flags(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds --sweep and --runs, by default those of the shipped configuration.

    Args:
        more: what --sweep includes besides sweep.json.
    """
    parser.add_argument(
        "--sweep",
        type=Path,
        default=Path("results/sweep/sweep.json"),
        help=f"sweep.json{more} (default: %(default)s)",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=RUNS,
        help="folder that keeps the runs of all sweeps (default: %(default)s)",
    )


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    """Adds --sweep, --runs, and --train, --val, --dataset of the shipped configuration."""
    add_sweep_flags(parser)
    for name, file in (("train", "train.npz"), ("val", "val.npz"), ("dataset", "dataset.json")):
        path = Path("results/dataset", file)
        parser.add_argument(
            f"--{name}", type=Path, default=path, help=f"{file} (default: %(default)s)"
        )


def _whole_number(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if not least <= number <= most:
            shown = text if len(text) <= 30 else f"{text[:30]}…"
            raise argparse.ArgumentTypeError(
                f"{shown} is not a whole number from {least} to {most}"
            )
        return number

    return parse


positive = _whole_number(1, 1_000_000)
not_negative = _whole_number(0, 2**32 - 1)
"""Such as a seed, which NumPy's generators take up to there."""


def not_negative_number(text: str) -> float:
    """A finite number, at least 0."""
    number = float(text)
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is negative or infinite")
    return number


def share(text: str) -> float:
    """A number between 0 and 1."""
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def run_step(
    parser: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace], None],
    argv: Sequence[str] | None,
) -> int:
    """Parses, runs, and turns errors into a message and an exit code."""
    arguments = parser.parse_args(argv)
    # With a log file, its name, such as agent_1.
    name = arguments.log.stem if arguments.log else parser.prog.rpartition(".")[2]
    logger = logging.getLogger("gcodefp")
    handlers = log_handlers(name, arguments.log)
    for handler in handlers:
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        body(arguments)
    except (UserError, OSError) as error:
        logger.error("error: %s", error)
        return 1
    except KeyboardInterrupt:
        logger.error("interrupted")
        return INTERRUPTED
    except Exception:
        logger.exception("this should not have happened; please report it with the lines below")
        return 1
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
    return 0


def log_handlers(step: str, log_file: Path | None, mode: str = "w") -> list[logging.Handler]:
    """Handlers that write a step's log to the terminal, and to a file if there is one."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log_file is not None:
        log_file.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log_file, mode=mode, encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(f"%(asctime)s {step}: %(message)s", "%H:%M:%S"))
    return handlers
