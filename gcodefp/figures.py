"""Draws every figure as SVG and PNG, from the files of a finished pipeline and nothing else.

The same files give the same bytes. Needs no display.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from gcodefp.command_line import run_step, step_parser
from gcodefp.findings.results import Results, read_results
from gcodefp.plots.accuracy import draw_accuracy, draw_axis_errors
from gcodefp.plots.clocks import draw_clocks
from gcodefp.plots.confusion import draw_confusion
from gcodefp.plots.curves import draw_learning_curves
from gcodefp.plots.dataset import draw_dataset
from gcodefp.plots.style import paper_style, save
from gcodefp.plots.sweep import draw_sweep
from gcodefp.plots.toolpath import draw_toolpath, draw_toolpaths

logger = logging.getLogger("gcodefp.figures")

FIGURES: dict[str, Callable[[Results], Figure]] = {
    "toolpath": draw_toolpath,
    "toolpaths": draw_toolpaths,
    "accuracy": draw_accuracy,
    "axis_errors": draw_axis_errors,
    "confusion": draw_confusion,
    "learning_curves": draw_learning_curves,
    "sweep": draw_sweep,
    "dataset": draw_dataset,
    "clocks": draw_clocks,
}
"""File stem -> what draws it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("figures", __doc__)
    add = parser.add_argument
    add("--dataset", type=Path, required=True, help="dataset.json")
    add("--sweep", type=Path, required=True, help="sweep.json")
    add("--best", type=Path, required=True, help="folder of select_best")
    add("--evaluation", type=Path, required=True, help="folder of evaluate")
    add("--output", type=Path, required=True, help="folder for the figures")
    return run_step(parser, _draw, argv)


def _draw(arguments: argparse.Namespace) -> None:
    results = read_results(arguments.dataset, arguments.sweep, arguments.best, arguments.evaluation)
    for mark in results.marks:
        logger.warning(mark)
    for stem, draw in FIGURES.items():
        with paper_style():
            save(draw(results), arguments.output, stem, results.marks)
    logger.info("%d figures in %s", len(FIGURES), arguments.output)


if __name__ == "__main__":
    sys.exit(main())
