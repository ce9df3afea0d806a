"""The files of finished results, named on a command line."""

import argparse
from pathlib import Path

from gcodefp.findings.results import Results, read_results


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each file or folder that results are read from."""
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--sweep", type=Path, required=True, help="sweep.json")
    add("--best", type=Path, required=True, help="folder of select_best")
    add("--evaluation", type=Path, required=True, help="folder of evaluate")
    add("--explanation", type=Path, required=True, help="folder of explain")


def results_of(arguments: argparse.Namespace) -> Results:
    """Reads what the flags name.

    Raises:
        UserError: as `read_results`.
    """
    return read_results(
        arguments.dataset,
        arguments.sweep,
        arguments.best,
        arguments.evaluation,
        arguments.explanation,
    )
