"""Which sweep is watched, on a command line."""

import argparse
from pathlib import Path


def add_sweep_flags(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Adds --sweep and --runs, by default those of the shipped configuration.

    Args:
        more: what else --sweep brings along.
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
        default=Path("results/runs"),
        help="folder that keeps the runs of all sweeps (default: %(default)s)",
    )
