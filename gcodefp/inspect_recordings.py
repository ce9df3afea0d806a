"""Shows what is in a folder of recordings, how it would be read, and what is wrong or missing.

Without --layout it takes the shipped layout that fits the files, or writes a first one,
OUTPUT/layout.yaml, whose lines marked CHECK a person corrects; it never overwrites one. OUTPUT gets
a picture of each recording too.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path

from gcodefp.command_line import command_parser, positive, run_command
from gcodefp.files import write_text
from gcodefp.recordings.inspection.folder import inspect_folder
from gcodefp.reporting.figures.inspected import save_inspected

logger = logging.getLogger("gcodefp.inspect_recordings")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("inspect_recordings", __doc__)
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="where the files of the recordings are")
    add("--layout", metavar="FILE", help="a layout, or the name of a shipped one")
    add("--output", type=Path, default=Path("inspection"), help="default: %(default)s")
    add("--recordings", type=positive, default=20, help="look at the first N (default: 20)")
    return run_command(parser, _inspect, argv)


def _inspect(arguments: argparse.Namespace) -> None:
    # The report says what these would log.
    logging.getLogger("gcodefp.recordings").setLevel(logging.ERROR)
    try:
        inspected = inspect_folder(arguments.folder, arguments.layout, arguments.recordings)
    finally:
        logging.getLogger("gcodefp.recordings").setLevel(logging.NOTSET)
    layout_file = _write_draft(inspected.draft, arguments.output / "layout.yaml")
    for line in inspected.summary_lines(layout_file):
        print(line)
    for recording in inspected.recordings:
        if recording.facts:
            problems = [f"{f.source}: {f.text}" for f in recording.findings]
            save_inspected(recording.name, recording.facts, problems, arguments.output)
    logger.info("%s: a picture of each recording", arguments.output)


def _write_draft(draft: str, first: Path) -> Path:
    """Where the guess is: a person may have edited a file that differs from it."""
    if not draft:
        return first
    names = chain([first], (first.with_suffix(f".{number}.yaml") for number in count(2)))
    path = next(p for p in names if not p.exists() or p.read_bytes() == draft.encode("utf-8"))
    if path != first:
        logger.warning(
            "%s is kept: it differs from the guess, which is in %s; --layout %s reads by it",
            *(first, path, first),
        )
    write_text(path, draft)
    return path


if __name__ == "__main__":
    sys.exit(main())
