"""Writes the runs of any W&B sweep as a table like best/runs.csv, best first."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.files import write_text
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, Objective
from gcodefp.sweeps.ranking import ended_runs, ranked, runs_csv
from gcodefp.wandb_service.fetch import fetch_runs
from gcodefp.wandb_service.service import read_address, read_remote

logger = logging.getLogger("gcodefp.export")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("export", __doc__)
    add = parser.add_argument
    add("--sweep", required=True, metavar="ENTITY/PROJECT/ID")
    add("--output", type=Path, default=Path("runs.csv"), help="default: %(default)s")
    return run_command(parser, _export, argv)


def _export(arguments: argparse.Namespace) -> None:
    address = read_address(arguments.sweep)
    config = read_remote(address).config
    # Without read_specification, which refuses sweeps of other trainers.
    metric = config.get("metric")
    objective = DEFAULT_OBJECTIVE
    if metric:
        objective = Objective(metric["name"], metric.get("goal", "minimize"))
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / address.sweep_id
        fetch_runs(address, runs, objective, checkpoints=False)
        ended = ended_runs(runs)
        if not ended:
            raise UserError(f"sweep {address}: none of its runs is over")
        write_text(arguments.output, runs_csv(ranked(ended, objective)))
    logger.info("%s: %d runs of sweep %s", arguments.output, len(ended), address)


if __name__ == "__main__":
    sys.exit(main())
