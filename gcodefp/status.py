"""Shows how far a sweep is: its runs, the best of them, the agents at work and the time left.

Reads the run folders and nothing else, from any host that sees them, and disturbs nobody: watch a
sweep that runs, or look at one that is over or was interrupted.
"""

import argparse
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.sweeps.observer import Observer
from gcodefp.sweeps.overview_table import add_sweep_flags, overview_table
from gcodefp.sweeps.sweep_file import read_sweep


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("status", __doc__)
    add_sweep_flags(parser)
    add = parser.add_argument
    add(
        "--watch",
        action=argparse.BooleanOptionalAction,
        help="go on until the sweep is over or Ctrl-C; default: if the output is a terminal. "
        "Elsewhere only the end is shown",
    )
    add(
        "--every",
        type=positive,
        default=2,
        metavar="SECONDS",
        help="between two looks (default: %(default)s)",
    )
    return run_step(parser, _show, argv)


def _show(arguments: argparse.Namespace) -> None:
    sweep = read_sweep(arguments.sweep)
    observer = Observer(sweep, arguments.runs / sweep.sweep_id)
    # What files say is shown as it is, not taken for colours and symbols.
    console = Console(markup=False, emoji=False, highlight=False)
    watch = sys.stdout.isatty() if arguments.watch is None else arguments.watch
    overview = observer.overview()
    if not watch:
        console.print(overview_table(overview, console))
        return
    with Live(overview_table(overview, console), console=console, auto_refresh=False) as live:
        while not overview.is_over:
            time.sleep(arguments.every)
            overview = observer.overview()
            live.update(overview_table(overview, console), refresh=True)


if __name__ == "__main__":
    sys.exit(main())
