"""Collects the evaluations of all protocols in one table, one row a protocol.

A protocol is a way to divide the recordings, with one fold or several; each has its own training
and its own evaluation. Which protocol a fold belongs to is in its metrics.json.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gcodefp.command_line import command_parser, run_command
from gcodefp.dataset.store import LEAKY_NOTE
from gcodefp.evaluation.names import MODEL, PRIMARY
from gcodefp.files import write_json, write_text
from gcodefp.provenance import provenance
from gcodefp.reporting.protocols_table import (
    PROTOCOLS_FORMAT,
    conclusions,
    markdown,
    protocol_rows,
    read_folds,
    table_csv,
)
from gcodefp.reporting.wording import METRIC_TITLES, interval_text
from gcodefp.sweeps.sweep_file import read_best

logger = logging.getLogger("gcodefp.protocols")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("protocols", __doc__)
    add = parser.add_argument
    add("--evaluations", type=Path, nargs="+", required=True, help="folders that evaluate wrote")
    text = "best/run.json, of the run that the folds train again"
    add("--winner", type=Path, required=True, help=text)
    text = "skipped protocols, with the reason"
    add("--left-out", nargs="*", default=[], metavar="TEXT", help=text)
    add("--output", type=Path, required=True, help="folder for protocols.{md,csv,json}")
    return run_command(parser, _collect, argv)


def _collect(arguments: argparse.Namespace) -> None:
    winner = read_best(arguments.winner)
    rows = protocol_rows(read_folds(arguments.evaluations))
    files = [f / n for f in arguments.evaluations for n in ("metrics.json", "predictions.npz")]
    write_text(arguments.output / "protocols.md", markdown(rows, arguments.left_out))
    write_text(arguments.output / "protocols.csv", table_csv(rows))
    content = {
        "provenance": provenance([arguments.winner, *files]),
        "winner": {key: winner[key] for key in ("run", "sweeps", "hyperparameters")},
        "left_out": arguments.left_out,
        "protocols": rows,
    }
    write_json(arguments.output / "protocols.json", PROTOCOLS_FORMAT, content)
    for text in arguments.left_out:
        logger.info("excluded %s", text)
    for row in rows:
        measured = interval_text(row["measured"][PRIMARY][MODEL], ".3f", 1)
        counts = (len(row["recordings"]), row["folds"])
        note = f" ({LEAKY_NOTE})" if row["leaky"] else ""
        logger.info(
            "%s: %s %s, %d recordings, %d folds%s",
            *(row["protocol"], METRIC_TITLES[PRIMARY], measured, *counts, note),
        )
    for each in conclusions(rows):
        logger.info("%s %s", each["conclusion"], each["evidence"])


if __name__ == "__main__":
    sys.exit(main())
