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
from gcodefp.search.sampling import propose, total_runs
from gcodefp.search.specification import load_specification
from gcodefp.search.trainable import check_trainable
from gcodefp.sweep.sweep_file import write_sweep

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
    add_rule_flags(parser)
    parser.add_argument("--output", type=Path, required=True, help="sweep.json")
    return run_step(parser, _create_sweep, argv)


def _create_sweep(arguments: argparse.Namespace) -> None:
    specification = with_rules(load_specification(arguments.sweep), arguments)
    if arguments.run_cap is not None:
        specification = replace(specification, run_cap=arguments.run_cap)
    check_trainable(specification, str(arguments.sweep))
    if "metric" not in specification.document:
        metric = specification.objective.metric
        logger.info("%s: has no metric; %s decides which run wins", arguments.sweep, metric)
    try:
        total = total_runs(specification)
        for number in range(len(specification.rules.first)):
            propose(specification, arguments.seed, number, [])
    except UserError as error:
        raise UserError(f"{arguments.sweep}: {error}") from None
    origin = {
        "provenance": provenance([arguments.sweep, arguments.dataset]),
        "learning_digest": read_description(arguments.dataset).learning_digest(),
        "training_code": runs_digest(specification.method),
    }
    identity = write_sweep(arguments.output, specification, arguments.seed, total, origin)
    logger.info("sweep %s: %s, %d runs", identity, specification.method, total)


if __name__ == "__main__":
    sys.exit(main())
