"""Puts the evaluations of all protocols into one table, one line a protocol.

A protocol is a way of splitting the recordings; each of its folds has its own training and its own
evaluation. Which protocol a fold belongs to is in its metrics.json.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import run_step, step_parser
from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.evaluation.names import MODEL
from gcodefp.files import read_json, write_json, write_text
from gcodefp.provenance import provenance
from gcodefp.reporting.protocols_table import (
    PROTOCOLS_FORMAT,
    described,
    markdown,
    protocol_lines,
    read_fold,
    table_csv,
)
from gcodefp.sweeps.sweep_file import BEST_FORMAT, BEST_REBUILD

logger = logging.getLogger("gcodefp.protocols")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("protocols", __doc__)
    add = parser.add_argument
    add("--evaluations", type=Path, nargs="+", required=True, help="folders that evaluate wrote")
    add("--winner", type=Path, required=True, help="best/run.json, whose run the folds train again")
    add("--left-out", nargs="*", default=[], metavar="TEXT", help="protocols without a fold, why")
    add("--output", type=Path, required=True, help="folder for protocols.{md,csv,json}")
    return run_step(parser, _collect, argv)


def _collect(arguments: argparse.Namespace) -> None:
    winner = read_json(arguments.winner, BEST_FORMAT, BEST_REBUILD)
    lines = protocol_lines([read_fold(folder) for folder in arguments.evaluations])
    files = [f / n for f in arguments.evaluations for n in ("metrics.json", "predictions.npz")]
    write_text(arguments.output / "protocols.md", markdown(lines, arguments.left_out))
    write_text(arguments.output / "protocols.csv", table_csv(lines))
    content = {
        "provenance": provenance([arguments.winner, *files]),
        **described(lines, arguments.left_out, winner),
    }
    write_json(arguments.output / "protocols.json", PROTOCOLS_FORMAT, content)
    for text in arguments.left_out:
        logger.info("left out %s", text)
    for line in lines:
        exact, note = line.exact[MODEL], f" ({LEAKY_NOTE})" if line.leaky else ""
        logger.info(
            "%s: exact line %.3f [%.3f, %.3f], %d recordings, %d folds%s",
            *(line.protocol, *exact, len(line.recordings), line.folds, note),
        )


if __name__ == "__main__":
    sys.exit(main())
