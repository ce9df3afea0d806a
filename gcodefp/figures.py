"""Draws all figures as SVG, PNG and PDF from the result files of a finished pipeline.

A sweep of a user script has those of the sweep: without --dataset, --evaluation, --explanation.
The output is byte-identical for the same files. Needs no display.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import add_results_flags, command_parser, run_command
from gcodefp.errors import UserError, did_you_mean
from gcodefp.reporting.figures.paper import draw_figures, stems_of
from gcodefp.reporting.results import results_from_flags

logger = logging.getLogger("gcodefp.figures")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("figures", __doc__)
    add_results_flags(parser)
    add = parser.add_argument
    add("--no-titles", action="store_true", help="for a paper: they are in captions.md")
    text = "another title for the figure NAME; may be repeated"
    add("--title", nargs=2, metavar=("NAME", "TEXT"), action="append", default=[], help=text)
    add("--only", nargs="+", metavar="NAME", default=[], help="such as accuracy; default: all")
    add("--output", type=Path, required=True, help="folder for the figures")
    return run_command(parser, _draw, argv)


def _draw(arguments: argparse.Namespace) -> None:
    results = results_from_flags(arguments)
    for warning in results.warnings:
        logger.warning(warning)
    stems = stems_of(results)
    titles = dict(arguments.title)
    for flag, names in (("--only", arguments.only), ("--title", titles)):
        if unknown := [name for name in names if name not in stems]:
            raise UserError(f"{flag}: no figure {unknown[0]!r}; {did_you_mean(unknown[0], stems)}")
    stems = arguments.only or stems
    if missing := [name for name in titles if name not in stems]:
        raise UserError(f"--title: {missing[0]} is not drawn; name it in --only too")
    draw_figures(results, arguments.output, not arguments.no_titles, stems, titles)
    logger.info("%d figures in %s", len(stems), arguments.output)


if __name__ == "__main__":
    sys.exit(main())
