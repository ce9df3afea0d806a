"""Writes the sweep YAML of the next phase, its ranges narrowed around the best runs so far.

The result is a plain sweep in W&B's schema, to be read and, if need be, copied and edited.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from gcodefp.command_line import run_step, step_parser
from gcodefp.files import write_text
from gcodefp.search.narrowing import best_count, narrowed
from gcodefp.search.nesting import leaf
from gcodefp.search.space import varying
from gcodefp.search.specification import load_specification
from gcodefp.sweep.sweep_file import read_sweep
from gcodefp.sweep.table import best_runs, common_objective

logger = logging.getLogger("gcodefp.narrow")

HEADER = """\
# Phase {phase}: {name}, narrowed around the best {best} of {runs} runs before it.
# To change it, copy it to sweep.yaml in this folder: the pipeline goes on with that, and keeps it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("narrow", __doc__)
    add = parser.add_argument
    add("--sweep", type=Path, nargs="+", required=True, help="sweep.json of each phase so far")
    add("--runs", type=Path, required=True, help="folder that keeps the runs of all sweeps")
    add("--next", type=Path, required=True, help="YAML of the sweep that follows")
    add("--output", type=Path, required=True, help="the narrowed YAML")
    return run_step(parser, _narrow, argv)


def _narrow(arguments: argparse.Namespace) -> None:
    sweeps = [read_sweep(path) for path in arguments.sweep]
    following = load_specification(arguments.next)
    objective = common_objective([*(sweep.specification for sweep in sweeps), following])
    counted = best_runs(sweeps, arguments.runs, objective)
    best = [run.content["hyperparameters"] for run in counted[: best_count(len(counted))]]
    varied = {leaf(path) for sweep in sweeps for path in varying(sweep.specification)}
    document = narrowed(following, best, varied)
    header = HEADER.format(
        phase=len(sweeps) + 1, name=arguments.next.name, best=len(best), runs=len(counted)
    )
    text = header + yaml.safe_dump(document, sort_keys=False, default_flow_style=None)
    write_text(arguments.output, text)
    logger.info("%s: ranges of the best %d of %d runs", arguments.output, len(best), len(counted))


if __name__ == "__main__":
    sys.exit(main())
