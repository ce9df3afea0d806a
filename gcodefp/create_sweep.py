"""Reads a sweep YAML (W&B's schema), checks it, and writes sweep.json.

The sweep's id is a hash of what decides the runs: parameters, method, metric, seed, the dataset and
the training code. The same sweep has the same runs; another run_cap continues with them.

With `--engine wandb` the sweep is created on the W&B service, once for each such hash and run_cap;
with `--existing ENTITY/PROJECT/ID` an existing sweep of the service is used.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gcodefp.command_line import (
    RUNS,
    add_runs_flag,
    command_parser,
    not_negative,
    positive,
    run_command,
)
from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import LOGGED_METRICS
from gcodefp.sweeps.check import goal_warning
from gcodefp.sweeps.ranking import common_objective, read_pareto
from gcodefp.sweeps.sampling import checked_total, grid_size, never_true
from gcodefp.sweeps.search_options import add_option_flags, with_options
from gcodefp.sweeps.specification import Specification, load_specification, read_specification
from gcodefp.sweeps.sweep_file import compute_sweep_id, origin_of, write_sweep
from gcodefp.sweeps.trainable import check_trainable
from gcodefp.wandb_service.service import (
    check_no_options,
    count_runs,
    create_once,
    read_address,
    read_remote,
)

logger = logging.getLogger("gcodefp.create_sweep")

ENGINES = ("local", "wandb")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("create_sweep", __doc__)
    add = parser.add_argument
    add("file", type=Path, nargs="?", metavar="FILE", help="as --sweep")
    add("--sweep", type=Path, metavar="FILE", help="sweep YAML in W&B's schema")
    add("--dataset", type=Path, help="dataset.json; needed unless the YAML names a user script")
    add("--seed", type=not_negative, default=0, help="of the search and the runs (default: 0)")
    add("--run-cap", type=positive, help="instead of the YAML's run_cap")
    text = "YAML of the sweeps that will follow, to be checked before anything is paid for"
    add("--phases", type=Path, nargs="*", default=[], help=text)
    add_option_flags(parser)
    add_runs_flag(parser)
    text = "two quantities to compare the runs by, such as val/aligned_acc parameters"
    add("--pareto", nargs=2, metavar="METRIC", help=text)
    wandb = parser.add_argument_group("engine")
    wandb.add_argument("--engine", choices=ENGINES, default=ENGINES[0])
    wandb.add_argument("--project", help="of the W&B service")
    wandb.add_argument("--entity", help="of the W&B service (default: the one logged in)")
    wandb.add_argument("--existing", metavar="ENTITY/PROJECT/ID", help="a sweep that is there")
    add("--output", type=Path, help="sweep.json (default: in the sweep's folder of --runs)")
    return run_command(parser, _create_sweep, argv)


def _create_sweep(arguments: argparse.Namespace) -> None:
    if arguments.existing:
        for name in ("dataset", "output"):
            if not getattr(arguments, name):
                raise UserError(f"--{name} missing: --existing needs dataset.json, and the output")
        _use_existing(arguments)
        return
    if bool(arguments.sweep) == bool(arguments.file):
        raise UserError("FILE: name one sweep YAML (or --existing ENTITY/PROJECT/ID)")
    arguments.sweep = arguments.sweep or arguments.file
    specification = load_specification(arguments.sweep)
    _check_flags(arguments, specification)
    if arguments.run_cap is not None:
        specification = replace(specification, run_cap=arguments.run_cap)
    specification = with_options(specification, arguments)
    total = checked_total(specification, str(arguments.sweep), arguments.seed)
    phases = [load_specification(path) for path in arguments.phases]
    for phase, path in zip(phases, arguments.phases, strict=True):
        # First points are those of the first sweep.
        checked_total(with_options(phase, arguments, first=[]), str(path), arguments.seed)
    common_objective([specification, *phases])
    _log_warnings(specification, arguments.sweep)
    origin = origin_of(specification, [arguments.sweep], arguments.dataset)
    if arguments.pareto:
        metric_names = [*LOGGED_METRICS, *specification.options.combined.texts]
        logged = None if specification.script else metric_names
        names, objective = arguments.pareto, specification.objective
        origin["pareto"] = read_pareto(names, objective, logged, "sweep.pareto")
    sweep_id = compute_sweep_id(specification, arguments.seed, origin)
    address = None
    if arguments.engine == "wandb":
        check_no_options(specification, str(arguments.sweep))
        if specification.method == "grid":
            # The service runs impossible combinations too.
            total = min(grid_size(specification), specification.run_cap or grid_size(specification))
        document = {**specification.document, "run_cap": total}
        created = create_once(
            document, f"{sweep_id}-{total}", arguments.runs, arguments.project, arguments.entity
        )
        sweep_id, address = created.sweep_id, str(created)
    output = arguments.output or arguments.runs / sweep_id / "sweep.json"
    write_sweep(output, sweep_id, specification, arguments.seed, total, origin, address)
    logger.info("sweep %s: %s, %d runs", address or sweep_id, specification.method, total)
    if not arguments.output:
        runs = f" --runs {arguments.runs}" if arguments.runs != RUNS else ""
        print(f"{sweep_id}\nstart agents, any number of them, with: gcodefp agent {sweep_id}{runs}")


def _log_warnings(specification: Specification, path: Path) -> None:
    """What is easily overlooked in a sweep."""
    if "metric" not in specification.document:
        metric = specification.objective.metric
        logger.info("%s: has no metric; %s decides which run wins", path, metric)
    if (warning := goal_warning(specification.objective)) is not None:
        logger.warning("%s: metric.goal: %s", path, warning)
    for condition in never_true(specification):
        logger.warning("%s: %r is never true: no run has it", condition.where, condition.text)


def _check_flags(arguments: argparse.Namespace, specification: Specification) -> None:
    """Which flags are needed depends on the engine and on what trains."""
    if specification.script and arguments.engine == "wandb":
        raise UserError(
            f"{arguments.sweep}: program: {specification.script.name} is run by `wandb sweep` and "
            "`wandb agent` themselves; here use --engine local, which needs no server"
        )
    needed = ["project"] if arguments.engine == "wandb" else []
    needed += [] if specification.script else ["dataset"]
    if missing := [f"--{name}" for name in needed if not getattr(arguments, name)]:
        raise UserError(
            f"{', '.join(missing)} missing: a sweep with --engine {arguments.engine} needs "
            f"{', '.join(f'--{name}' for name in needed)} (or --existing ENTITY/PROJECT/ID)"
        )


def _use_existing(arguments: argparse.Namespace) -> None:
    """Writes sweep.json for a sweep that exists on the service already."""
    address = read_address(arguments.existing)
    remote, where = read_remote(address), f"sweep {address}"
    specification = read_specification(remote.config, where)
    check_trainable(specification, where)
    total = specification.run_cap or max(1, count_runs(address))
    origin = origin_of(specification, [], arguments.dataset) | {"existing": True}
    parts = address.sweep_id, specification, arguments.seed, total, origin
    write_sweep(arguments.output, *parts, str(address))
    logger.info("sweep %s: %s, %s, taken over", address, specification.method, remote.state.lower())


if __name__ == "__main__":
    sys.exit(main())
