"""Writes the sweep YAML of the next phase, its ranges narrowed around the best runs so far.

The result is a plain sweep in W&B's schema, which can be copied and edited.
"""

import argparse
import copy
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gcodefp.command_line import command_parser, run_command
from gcodefp.files import write_text
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.parameters import SEPARATOR, dotted, leaf
from gcodefp.sweeps.ranking import common_objective, select_of_sweeps
from gcodefp.sweeps.specification import Specification, load_specification, varying
from gcodefp.sweeps.sweep_file import read_sweep

BEST_SHARE = 0.25
MIN_BEST = 3
MARGIN = 0.1
"""Share of the best runs' spread that is added on both sides, in the unit interval."""
MIN_MARGIN = 0.05
DIGITS = 4


def best_count(runs: int) -> int:
    """How many of the runs a range is narrowed around."""
    return min(runs, max(MIN_BEST, math.ceil(runs * BEST_SHARE)))


def narrowed(
    following: Specification, best: Sequence[Mapping[str, Any]], varied: set[str]
) -> dict[str, Any]:
    """The document of a sweep with narrower ranges.

    A range becomes that of the best runs, somewhat widened, on the scale of its distribution; a
    list of values keeps those that occur in them. Everything else stays as it is written.

    Args:
        following: the sweep of the next phase.
        best: hyperparameters of the best runs, by name.
        varied: the names that were searched before; only these are narrowed.
    """
    document = copy.deepcopy(dict(following.document))
    if following.script and following.script.path:
        document["program"] = following.script.path  # Not beside the new YAML.
    for path, parameter in following.parameters.items():
        if leaf(path) not in varied:
            continue
        name = dotted(path) if following.script else leaf(path)
        coordinates = [parameter.to_unit(run[name]) for run in best if name in run]
        inside = [u for u in coordinates if u is not None]
        if inside:
            *groups, name = path.split(SEPARATOR)
            entries = document["parameters"]
            for group in groups:
                entries = entries[group]["parameters"]
            entries[name] = _narrowed(parameter, inside) or entries[name]
    return document


def _narrowed(parameter: Parameter, coordinates: Sequence[float]) -> dict[str, Any]:
    """The entry of a parameter around these unit coordinates; empty if it stays as it is."""
    if parameter.distribution == "categorical":
        chosen = {parameter.choice(u) for u in coordinates}
        return {"values": [v for i, v in enumerate(parameter.choices) if i in chosen]}
    if "min" not in parameter.arguments:
        return {}
    margin = max(MIN_MARGIN, MARGIN * (max(coordinates) - min(coordinates)))
    low, high = max(0.0, min(coordinates) - margin), min(1.0, max(coordinates) + margin)
    if parameter.distribution == "int_uniform":
        return _range({}, parameter.value(low), parameter.value(high))
    distribution = parameter.distribution.removesuffix("_values")
    entry: dict[str, Any] = {"distribution": distribution}
    if "log" in distribution:  # Bounds that are exponents are hard to read, and to edit.
        entry["distribution"] += "_values"
    if not parameter.is_quantized:
        return _range(entry, _rounded(parameter.quantile(low)), _rounded(parameter.quantile(high)))
    q = parameter.arguments["q"]
    least: Any = parameter.value(low)
    if "log" in distribution:
        least = max(least, q)
    return _range({**entry, "q": q}, least, parameter.value(high))


def _range(entry: dict[str, Any], low: Any, high: Any) -> dict[str, Any]:
    """An entry with these bounds, or with its only value."""
    return {**entry, "min": low, "max": high} if low < high else {"value": high}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


logger = logging.getLogger("gcodefp.narrow")

HEADER = """\
# Phase {phase}: {name}, narrowed around the best {best} of {runs} runs before it.
# To change it, copy it to sweep.yaml in this folder: the pipeline then uses that, and keeps it.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("narrow", __doc__)
    add = parser.add_argument
    add("--sweep", type=Path, nargs="+", required=True, help="sweep.json of each phase so far")
    add("--runs", type=Path, required=True, help="folder that keeps the runs of all sweeps")
    add("--next", type=Path, required=True, help="YAML of the sweep that follows")
    add("--output", type=Path, required=True, help="the narrowed YAML")
    return run_command(parser, _narrow, argv)


def _narrow(arguments: argparse.Namespace) -> None:
    sweeps = [read_sweep(path) for path in arguments.sweep]
    following = load_specification(arguments.next)
    common_objective([*(sweep.specification for sweep in sweeps), following])
    counted = select_of_sweeps(sweeps, arguments.runs).scored
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
