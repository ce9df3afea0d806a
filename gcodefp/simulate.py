"""Writes recordings of a simulated mill, in the schema of the real ones.

Six small programs (facing, pocketing, adaptive clearing, two sizes each) run on a simulated
three-axis machine; sensor nodes record them with noise, drift, lost samples and separate clocks.
The same seed gives the same files. Later stages read these files and real ones alike.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import command_parser, not_negative, positive, run_command
from gcodefp.errors import UserError
from gcodefp.files import write_text
from gcodefp.recordings.laboratory.lab_files import SIMULATION_MARK
from gcodefp.simulation.alterations import ALTERATIONS
from gcodefp.simulation.programs import PROGRAMS
from gcodefp.simulation.recording import simulate_recordings

logger = logging.getLogger("gcodefp.simulate")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("simulate", __doc__)
    add = parser.add_argument
    add("--output", type=Path, required=True, help="folder for the recordings")
    add("--recordings-per-program", type=positive, default=8, help="default: %(default)s")
    add("--seed", type=not_negative, default=0, help="default: %(default)s")
    text = f"default: {' '.join(PROGRAMS)}"
    add("--programs", nargs="+", choices=PROGRAMS, default=PROGRAMS, metavar="NAME", help=text)
    text = f"recordings of a machine that did something else, for judge: {' '.join(ALTERATIONS)}"
    add("--attack", choices=ALTERATIONS, metavar="KIND", help=text)
    return run_command(parser, _simulate, argv)


def _simulate(arguments: argparse.Namespace) -> None:
    programs = list(dict.fromkeys(arguments.programs))
    count, seed = arguments.recordings_per_program, arguments.seed
    attack = f", with --attack {arguments.attack}" if arguments.attack else ""
    text = f"gcodefp.simulate wrote these recordings{attack}\n"
    mark = arguments.output / SIMULATION_MARK
    # Their names are the same: one overwritten is judged, or trained on, as what it is not.
    is_other = mark.is_file() and mark.read_text(encoding="utf-8") != text
    if is_other or (attack and not mark.is_file() and any(arguments.output.glob("*.csv*"))):
        raise UserError(
            f"--output {arguments.output}: has other recordings, which these would overwrite or "
            "mix with; name another folder"
        )
    paths = simulate_recordings(arguments.output, count, seed, programs, arguments.attack)
    write_text(mark, text)
    logger.info("wrote %d files to %s", len(paths), arguments.output)


if __name__ == "__main__":
    sys.exit(main())
