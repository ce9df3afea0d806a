"""Makes a sweep that trains the best configurations once more, each with other seeds.

The best of many runs is in part the luckiest, so its own value is too optimistic. The mean over
fresh seeds decides, and their spread is reported.
"""

import argparse
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gcodefp.command_line import positive, run_step, step_parser
from gcodefp.errors import UserError
from gcodefp.provenance import provenance
from gcodefp.sweeps.ranking import best_runs, common_objective, configuration
from gcodefp.sweeps.search_options import read_options
from gcodefp.sweeps.specification import Specification, read_specification
from gcodefp.sweeps.sweep_file import compute_sweep_id, read_sweep, write_sweep
from gcodefp.sweeps.values import SEPARATOR, dotted, nest

logger = logging.getLogger("gcodefp.repeat_best")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("repeat_best", __doc__)
    add = parser.add_argument
    add("--sweep", type=Path, nargs="+", required=True, help="sweep.json of each phase")
    add("--runs", type=Path, required=True, help="folder that keeps the runs of all sweeps")
    add("--finalists", type=positive, required=True, help="how many configurations")
    add("--seeds", type=positive, required=True, help="how many seeds each is trained with")
    add("--output", type=Path, required=True, help="sweep.json")
    return run_step(parser, _repeat_best, argv)


def _repeat_best(arguments: argparse.Namespace) -> None:
    sweeps = [read_sweep(path) for path in arguments.sweep]
    objective = common_objective([sweep.specification for sweep in sweeps])
    counted = best_runs(sweeps, arguments.runs, objective)
    if program := sweeps[0].program:
        _check_seeded([run.content["hyperparameters"] for run in counted], program.name)
    best = dict.fromkeys(configuration(run) for run in counted)
    finalists = [dict(values) for values in list(best)[: arguments.finalists]]
    seed = sweeps[0].seed
    used = max(run.content["hyperparameters"]["seed"] for run in counted)
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
    specification = _listed(points, sweeps[0].specification)
    sweep_id = compute_sweep_id(
        specification, seed, document["learning_digest"], document["training_code"]
    )
    write_sweep(arguments.output, sweep_id, specification, seed, len(points), origin)
    text = "sweep %s: the best %d configurations, %d times each"
    logger.info(text, sweep_id, len(finalists), arguments.seeds)


def _listed(points: Sequence[Mapping[str, Any]], original: Specification) -> Specification:
    """A sweep of these runs and no others."""
    paths = {dotted(path): path for path in original.parameters} if original.program else {}
    points = [{paths.get(name, name): value for name, value in p.items()} for p in points]
    parameters: dict[str, Any] = {}
    for path in points[0]:
        *groups, name = path.split(SEPARATOR)
        entries = parameters
        for group in groups:
            entries = entries.setdefault(group, {"parameters": {}})["parameters"]
        entries[name] = {"values": list(dict.fromkeys(point[path] for point in points))}
    document = {
        "method": "random",
        "metric": {"name": original.objective.metric, "goal": original.objective.goal},
        "run_cap": len(points),
        "parameters": parameters,
    }
    specification = read_specification(document, "repeats")
    combined = original.options.combined.texts
    first = [nest(point) for point in points]
    options = read_options(specification.parameters, first=first, combined=combined)
    return replace(specification, options=options, program=original.program)


def _check_seeded(runs: Sequence[Mapping[str, Any]], program: str) -> None:
    """Another program's runs can be repeated if their seed is a hyperparameter.

    Raises UserError: it is not, or conditions give the runs different hyperparameters.
    """
    if any(type(run.get("seed")) is not int for run in runs):
        raise UserError(
            f"{program}: has no hyperparameter `seed` to repeat its best runs with; add "
            "`seed: {value: 0}` to the sweep's parameters and use it in the program, or set no "
            "repeats"
        )
    if len({tuple(sorted(run)) for run in runs}) > 1:
        raise UserError(f"{program}: a sweep with conditions cannot be repeated; set no repeats")


if __name__ == "__main__":
    sys.exit(main())
