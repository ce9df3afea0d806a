"""Writes the report: one HTML file with all figures and numbers, which needs no network.

The output is byte-identical for the same files.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import run_step, step_parser
from gcodefp.files import write_text
from gcodefp.reporting.claims import one_split
from gcodefp.reporting.page import render
from gcodefp.reporting.page_tables import protocol_section
from gcodefp.reporting.results import add_results_flags, results_from_flags

logger = logging.getLogger("gcodefp.report")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("report", __doc__)
    add_results_flags(parser)
    add = parser.add_argument
    add("--figures", type=Path, required=True, help="folder of figures")
    add("--protocols", type=Path, help="protocols.json, shown if it exists")
    add("--benchmarks", type=Path, help="folder of Snakemake's benchmark files, shown if it exists")
    add("--output", type=Path, required=True, help="the HTML file")
    return run_step(parser, _report, argv)


def _report(arguments: argparse.Namespace) -> None:
    results = results_from_flags(arguments)
    page = render(results, arguments.figures, arguments.protocols, arguments.benchmarks)
    write_text(arguments.output, page)
    for warning in results.warnings:
        logger.warning(warning)
    verdicts = protocol_section(results, arguments.protocols)["verdicts"]
    for conclusion in [v["conclusion"] for v in verdicts] or [one_split(results).conclusion]:
        logger.info("%s", conclusion)
    logger.info("%s", arguments.output)


if __name__ == "__main__":
    sys.exit(main())
