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
from gcodefp.sweep.sampling import total_runs
from gcodefp.sweep.specification import load_specification
from gcodefp.sweep.sweep_file import sweep_identity, write_sweep

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
    parser.add_argument("--output", type=Path, required=True, help="sweep.json")
    return run_step(parser, _create_sweep, argv)


def _create_sweep(arguments: argparse.Namespace) -> None:
    specification = load_specification(arguments.sweep)
    if arguments.run_cap is not None:
        specification = replace(specification, run_cap=arguments.run_cap)
    for key in sorted({"target", "impute"} & set(specification.document["metric"])):
        logger.warning("%s: metric.%s has no effect in the local engine", arguments.sweep, key)
    description = read_description(arguments.dataset)
    training_code = runs_digest()
    identity = sweep_identity(
        specification, arguments.seed, description.learning_digest(), training_code
    )
    try:
        total = total_runs(specification)
    except UserError as error:
        raise UserError(f"{arguments.sweep}: {error}") from None
    write_sweep(
        arguments.output,
        {
            "provenance": provenance([arguments.sweep, arguments.dataset]),
            "id": identity,
            "engine": "local",
            "method": specification.method,
            "metric": specification.objective.metric,
            "goal": specification.objective.goal,
            "seed": arguments.seed,
            "runs": total,
            "parameters": {n: p.describe() for n, p in specification.parameters.items()},
            "as_written": dict(specification.document),
            "learning_digest": description.learning_digest(),
            "training_code": training_code,
        },
    )
    logger.info("sweep %s: %s, %d runs", identity, specification.method, total)


if __name__ == "__main__":
    sys.exit(main())
