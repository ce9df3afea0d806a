"""Makes a sweep that trains the best configurations once more, each with other seeds.

The best of many runs is in part the luckiest, so its own value is too optimistic. The mean over
fresh seeds decides, and their spread is reported.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gcodefp.command_line import command_parser, positive, run_command
from gcodefp.errors import UserError
from gcodefp.provenance import provenance
from gcodefp.sweeps.parameters import SEPARATOR, dotted, nest
from gcodefp.sweeps.ranking import select_of_sweeps
from gcodefp.sweeps.search_options import read_options
from gcodefp.sweeps.specification import Specification, read_specification
from gcodefp.sweeps.sweep_file import SweepFile, compute_sweep_id, read_sweep, write_sweep
from gcodefp.sweeps.user_script.command import SCRIPT_KEYS

logger = logging.getLogger("gcodefp.repeat_best")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("repeat_best", __doc__)
    add = parser.add_argument
    add("--sweep", type=Path, nargs="+", required=True, help="sweep.json of each phase")
    add("--runs", type=Path, required=True, help="folder that keeps the runs of all sweeps")
    add("--finalists", type=positive, required=True, help="how many configurations")
    add("--seeds", type=positive, required=True, help="how many seeds each is trained with")
    add("--output", type=Path, required=True, help="sweep.json")
    return run_command(parser, _repeat_best, argv)


def _repeat_best(arguments: argparse.Namespace) -> None:
    sweeps = [read_sweep(path) for path in arguments.sweep]
    counted = select_of_sweeps(sweeps, arguments.runs).scored
    best = dict.fromkeys(run.configuration for run in counted)
    finalists = [json.loads(text) for text in list(best)[: arguments.finalists]]
    used = _highest_seed([run.content["hyperparameters"] for run in counted], arguments.sweep[0])
    points = [
        values | {"seed": used + fresh}
        for values in finalists
        for fresh in range(1, arguments.seeds + 1)
    ]
    document = sweeps[0].document
    origin = {
        "provenance": provenance(arguments.sweep),
        "is_repeat": True,
        **{key: document[key] for key in ("learning_digest", "training_code")},
    }
    specification = _listed(points, sweeps)
    sweep_id = compute_sweep_id(specification, sweeps[0].seed, origin)
    write_sweep(arguments.output, sweep_id, specification, sweeps[0].seed, len(points), origin)
    text = "sweep %s: the best %d configurations, %d times each"
    logger.info(text, sweep_id, len(finalists), arguments.seeds)


def _highest_seed(runs: Sequence[Mapping[str, Any]], where: Path) -> int:
    """Raises UserError: the runs, those of a user script, have no seed."""
    seeds = [run.get("seed") for run in runs]
    if not all(isinstance(seed, int) for seed in seeds):
        raise UserError(
            f"{where}: parameters.seed: is missing, or no whole number: the best configurations "
            "are repeated with other seeds. Add `seed: {value: 0}` to the parameters, and let the "
            "program use it; or set sweep.seeds_per_winner: 1"
        )
    return max(seed for seed in seeds if seed is not None)


def _listed(points: Sequence[Mapping[str, Any]], sweeps: Sequence[SweepFile]) -> Specification:
    """A sweep of these runs and no others.

    Args:
        points: by the names in run.json, which are dotted for a user script.
    """
    original = sweeps[0].specification
    paths = {dotted(path): path for sweep in sweeps for path in sweep.specification.parameters}
    first = [{paths.get(name, name): value for name, value in p.items()} for p in points]
    values: dict[str, list[Any]] = {}
    for point in first:
        for path, value in point.items():
            listed = values.setdefault(path, [])
            listed += [] if value in listed else [value]
    document = {
        "method": "random",
        "metric": {"name": original.objective.metric, "goal": original.objective.goal},
        "run_cap": len(points),
        # A group's parameters lie below its key `parameters`.
        "parameters": nest(
            {
                path.replace(SEPARATOR, f"{SEPARATOR}parameters{SEPARATOR}"): {"values": listed}
                for path, listed in values.items()
            }
        ),
        **{key: original.document[key] for key in SCRIPT_KEYS if key in original.document},
    }
    specification = read_specification(document, "repeats")
    # A run that lacks a conditional parameter must not get one now.
    conditions = {
        path: condition.text
        for sweep in sweeps
        for path, condition in sweep.specification.options.conditions.items()
        if path in values and any(path not in point for point in first)
    }
    combined = original.options.combined.texts
    options = read_options(
        specification.parameters, conditions=conditions, first=first, combined=combined,
        has_script=original.script is not None,
    )  # fmt: skip
    return replace(specification, options=options, script=original.script)


if __name__ == "__main__":
    sys.exit(main())
