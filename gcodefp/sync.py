"""Uploads W&B offline runs that have ended, from any computer that has a network.

Runs that were uploaded before are skipped. Needs `wandb login` or WANDB_API_KEY.
"""

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import add_runs_flag, command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.sweeps.run_folder import RunFolder, run_folders
from gcodefp.sweeps.wandb_log import is_synced
from gcodefp.wandb_service.service import base_url, open_session

logger = logging.getLogger("gcodefp.sync")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("sync", __doc__)
    add = parser.add_argument
    add_runs_flag(parser)
    add("--sweep", nargs="*", metavar="ID", help="only these sweeps")
    add("--project", help="upload to this project instead of the one that the runs name")
    add("--entity", help="upload to this entity (default: the one logged in)")
    return run_command(parser, _sync, argv)


def _sync(arguments: argparse.Namespace) -> None:
    logs = _offline_logs(arguments.runs, arguments.sweep)
    waiting = [(run, folder) for run, folder in logs if not is_synced(folder)]
    logger.info("%d runs are on W&B already, %d are not", len(logs) - len(waiting), len(waiting))
    if not waiting:
        return
    open_session()
    flags = [f"--{n}={v}" for n in ("project", "entity") if (v := getattr(arguments, n))]
    for run, folder in waiting:
        command = [sys.executable, "-m", "wandb", "sync", *flags, str(folder)]
        environment = {k: v for k, v in os.environ.items() if k != "WANDB_MODE"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not is_synced(folder):
            output = " ".join((done.stderr or done.stdout).split()[-60:])
            raise UserError(
                f"{folder}: cannot be uploaded to {base_url()}: {output}; fix that and start this "
                "again, earlier runs are uploaded"
            )
        logger.info("run %s of sweep %s is on W&B", run.path.name, run.sweep_id)


def _offline_logs(runs: Path, sweeps: Sequence[str] | None) -> list[tuple[RunFolder, Path]]:
    """Runs that have ended, each with its offline folder. Raises UserError: no run has one."""
    if not runs.is_dir():
        raise UserError(f"{runs}: no such folder; --runs names the folder of all sweeps' runs")
    chosen = [path for path in sorted(runs.iterdir()) if path.is_dir()]
    if sweeps and (unknown := set(sweeps) - {path.name for path in chosen}):
        raise UserError(f"{runs}: has no sweep {', '.join(sorted(unknown))}")
    logs = [
        (run, folder)
        for path in chosen
        if not sweeps or path.name in sweeps
        for run in run_folders(path)
        if run.has_ended()
        for folder in sorted((run.path / "wandb").glob("offline-run-*"))
    ]
    if not logs:
        raise UserError(f"{runs}: no finished run with a W&B offline log; wandb.enabled makes them")
    return logs


if __name__ == "__main__":
    sys.exit(main())
