"""Draws every figure as SVG and PNG, from the files of a finished pipeline and nothing else.

The same files give the same bytes. Needs no display.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import run_step, step_parser
from gcodefp.findings.catalogue import FIGURES
from gcodefp.findings.results import read_results
from gcodefp.plots.all_figures import draw_figures

logger = logging.getLogger("gcodefp.figures")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("figures", __doc__)
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--sweep", type=Path, required=True, help="sweep.json")
    add("--best", type=Path, required=True, help="folder of select_best")
    add("--evaluation", type=Path, required=True, help="folder of evaluate")
    add("--explanation", type=Path, required=True, help="folder of explain")
    add("--output", type=Path, required=True, help="folder for the figures")
    return run_step(parser, _draw, argv)


def _draw(arguments: argparse.Namespace) -> None:
    results = read_results(
        arguments.dataset,
        arguments.sweep,
        arguments.best,
        arguments.evaluation,
        arguments.explanation,
    )
    for mark in results.marks:
        logger.warning(mark)
    draw_figures(results, arguments.output)
    logger.info("%d figures in %s", len(FIGURES), arguments.output)


if __name__ == "__main__":
    sys.exit(main())
