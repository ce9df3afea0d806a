"""Writes recordings of a simulated mill, in the schema of the real ones.

Six small programs (facing, pocketing, adaptive clearing, two sizes each) run on a simulated
three-axis machine; sensor nodes listen with noise, drift, lost samples and clocks of their own.
The same seed gives the same bytes. The later steps take these files and real ones alike.
"""

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import run_step, step_parser
from gcodefp.errors import UserError, did_you_mean
from gcodefp.simulation.programs import PROGRAMS
from gcodefp.simulation.recording import simulate_recordings

logger = logging.getLogger("gcodefp.simulate")


def build_parser() -> argparse.ArgumentParser:
    """The command line of this step."""
    parser = step_parser("simulate", __doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the recordings")
    parser.add_argument(
        "--recordings-per-program", type=int, default=8, help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="not negative; default: %(default)s")
    parser.add_argument(
        "--programs",
        nargs="+",
        default=list(PROGRAMS),
        metavar="NAME",
        help=f"default: {' '.join(PROGRAMS)}",
    )
    return parser


def simulate(arguments: argparse.Namespace) -> None:
    """Checks the arguments, writes the recordings and logs how many."""
    for name in arguments.programs:
        if name not in PROGRAMS:
            raise UserError(f"--programs: no program {name!r}; {did_you_mean(name, PROGRAMS)}")
    if len(set(arguments.programs)) < len(arguments.programs):
        raise UserError("--programs: a name occurs twice; give each once")
    if arguments.recordings_per_program < 1:
        raise UserError("--recordings-per-program: must be 1 or more")
    if arguments.seed < 0:
        raise UserError(f"--seed: {arguments.seed} is negative; give 0 or more")
    started = time.monotonic()
    paths = simulate_recordings(
        arguments.output, arguments.recordings_per_program, arguments.seed, arguments.programs
    )
    seconds = time.monotonic() - started
    logger.info("wrote %d files to %s in %.1f s", len(paths), arguments.output, seconds)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the step; returns its exit code."""
    return run_step(build_parser(), simulate, argv)


if __name__ == "__main__":
    sys.exit(main())
