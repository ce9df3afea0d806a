"""Draws all figures as SVG, PNG and PDF from the result files of a finished pipeline.

A sweep of another program has those of the sweep: without --dataset, --evaluation, --explanation.
The output is byte-identical for the same files. Needs no display.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import add_results_flags, run_step, step_parser
from gcodefp.reporting.figures.paper import draw_figures, stems_of
from gcodefp.reporting.results import results_from_flags

logger = logging.getLogger("gcodefp.figures")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("figures", __doc__)
    add_results_flags(parser)
    add = parser.add_argument
    add("--no-titles", action="store_true", help="without titles and subtitles, as for a paper")
    add("--output", type=Path, required=True, help="folder for the figures")
    return run_step(parser, _draw, argv)


def _draw(arguments: argparse.Namespace) -> None:
    results = results_from_flags(arguments)
    for warning in results.warnings:
        logger.warning(warning)
    draw_figures(results, arguments.output, has_titles=not arguments.no_titles)
    logger.info("%d figures in %s", len(stems_of(results)), arguments.output)


if __name__ == "__main__":
    sys.exit(main())
