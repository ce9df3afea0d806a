"""The flags of `figures` and `report`, without the libraries that read the files."""

import argparse
from pathlib import Path

RESULTS_FLAGS = {
    "dataset": "dataset.json",
    "sweep": "sweep.json",
    "best": "folder of select_best",
    "evaluation": "folder of evaluate",
    "explanation": "folder of explain",
}
"""Argument of `read_results`, and flag of the steps -> what it names."""


def add_results_flags(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for each file or folder that results are read from."""
    for name, content in RESULTS_FLAGS.items():
        is_of_sweep = name in ("sweep", "best")
        text = content if is_of_sweep else f"{content}; not for a sweep of another program"
        parser.add_argument(f"--{name}", type=Path, required=is_of_sweep, help=text)
    parser.add_argument("--detection", type=Path, help="detection.json, if there is one")
    help_text = "show absolute paths, which name folders of this machine"
    parser.add_argument("--show-paths", action="store_true", help=help_text)
