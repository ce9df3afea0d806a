"""Reads a sweep YAML (W&B's schema), checks it, and writes sweep.json.

The sweep's id is a hash of what decides the runs: parameters, method, metric, seed, the dataset and
the training code. The same again finds its runs again; another run_cap goes on with them.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gcodefp.code_digest import runs_digest
from gcodefp.command_line import not_negative, positive, run_step, step_parser
from gcodefp.dataset.store import read_description
from gcodefp.errors import UserError
from gcodefp.provenance import provenance
from gcodefp.search.flags import add_rule_flags, with_rules
from gcodefp.search.sampling import check_possible, total_runs
from gcodefp.search.specification import Specification, load_specification
from gcodefp.search.trainable import check_trainable
from gcodefp.sweep.sweep_file import write_sweep
from gcodefp.sweep.table import common_objective

logger = logging.getLogger("gcodefp.create_sweep")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("create_sweep", __doc__)
    parser.add_argument("--sweep", type=Path, required=True, help="sweep YAML in W&B's schema")
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json")
    parser.add_argument(
        "--seed", type=not_negative, required=True, help="of the search and of the runs"
    )
    parser.add_argument("--run-cap", type=positive, help="instead of the YAML's run_cap")
    parser.add_argument(
        "--phases",
        type=Path,
        nargs="*",
        default=[],
        help="YAML of the sweeps that will follow, to be checked before anything is paid for",
    )
    add_rule_flags(parser)
    parser.add_argument("--output", type=Path, required=True, help="sweep.json")
    return run_step(parser, _create_sweep, argv)


def _create_sweep(arguments: argparse.Namespace) -> None:
    specification = load_specification(arguments.sweep)
    if arguments.run_cap is not None:
        specification = replace(specification, run_cap=arguments.run_cap)
    specification = with_rules(specification, arguments)
    total = _checked(specification, arguments.sweep, arguments.seed)
    phases = [load_specification(path) for path in arguments.phases]
    for phase, path in zip(phases, arguments.phases, strict=True):
        # First points are those of the first sweep.
        _checked(with_rules(phase, arguments, first=[]), path, arguments.seed)
    common_objective([specification, *phases])
    if "metric" not in specification.document:
        metric = specification.objective.metric
        logger.info("%s: has no metric; %s decides which run wins", arguments.sweep, metric)
    origin = {
        "provenance": provenance([arguments.sweep, arguments.dataset]),
        "learning_digest": read_description(arguments.dataset).learning_digest(),
        "training_code": runs_digest(specification.method),
    }
    identity = write_sweep(arguments.output, specification, arguments.seed, total, origin)
    logger.info("sweep %s: %s, %d runs", identity, specification.method, total)


def _checked(specification: Specification, path: Path, seed: int) -> int:
    """The number of runs of a sweep that can be run."""
    check_trainable(specification, str(path))
    try:
        check_possible(specification, seed)
        return total_runs(specification)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
