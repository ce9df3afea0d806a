"""The flags of `figures` and `report`, without the libraries that read the files."""

import argparse
from pathlib import Path

from gcodefp.command_line import RESULTS

RESULTS_FLAGS = {
    "dataset": ("dataset/dataset.json", "dataset.json"),
    "sweep": ("sweep/sweep.json", "sweep.json"),
    "best": ("best", "folder of select_best"),
    "evaluation": ("evaluation", "folder of evaluate"),
    "explanation": ("explanation", "folder of explain"),
}
"""Argument of `read_results`, and flag of the steps -> where it is in results/, what it names."""
DETECTION = "detection/detection.json"


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each file or folder that results are read from."""
    for name, (path, content) in RESULTS_FLAGS.items():
        unused = "" if name in ("sweep", "best") else "; not for a sweep of another program"
        text = f"{content}{unused} (default: %(default)s)"
        parser.add_argument(f"--{name}", type=Path, default=RESULTS / path, help=text)
    text = f"detection.json (default: {DETECTION} of the results folder of --dataset, if it exists)"
    parser.add_argument("--detection", type=Path, help=text)
    help_text = "show absolute paths, which name folders of this machine"
    parser.add_argument("--show-paths", action="store_true", help=help_text)
