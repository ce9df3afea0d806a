"""Prints how a sweep YAML is understood, or all that keeps it from running here.

--fix changes what has one right answer, and nothing else: names that are misspelt or another
trainer's, exponents that are meant as values, numbers that YAML reads as text. Comments and order
of the file stay, and the original is kept as FILE.orig.
"""

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from gcodefp.command_line import RUNS, run_step, step_parser
from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.sweeps.check import describe_specification, problems
from gcodefp.sweeps.fixes import Fix, apply_fixes
from gcodefp.sweeps.ranking import ended_runs
from gcodefp.sweeps.run_folder import SCORED_STATES
from gcodefp.sweeps.sampling import check_possible, total_runs
from gcodefp.sweeps.search_options import add_option_flags, read_named, with_options
from gcodefp.sweeps.specification import (
    Specification,
    json_schema,
    read_specification,
    with_program,
)
from gcodefp.sweeps.sweep_file import read_sweep
from gcodefp.yaml_input import load_yaml, read_text

logger = logging.getLogger("gcodefp.check_sweep")


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the step."""
    parser = step_parser("check_sweep", __doc__)
    parser.add_argument(
        "sweep", type=Path, nargs="?", metavar="FILE", help="sweep YAML in W&B's schema"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema for editors")
    parser.add_argument("--fix", action="store_true", help="write the corrected YAML")
    parser.add_argument(
        "--output", type=Path, metavar="OTHER", help="with --fix: write here, keep FILE as it is"
    )
    add_option_flags(parser)
    parser.add_argument(
        "--runs", type=Path, default=RUNS,
        help="folder of all sweeps, whose runs show what a program logs (default: %(default)s)",
    )  # fmt: skip
    return run_step(parser, _check_sweep, argv)


def _check_sweep(arguments: argparse.Namespace) -> None:
    if arguments.schema:
        print(json.dumps(json_schema(), indent=2))
        return
    if not arguments.sweep:
        raise UserError("FILE missing: name the sweep YAML, such as workflow/sweeps/random.yaml")
    if arguments.output and not arguments.fix:
        raise UserError(f"--output {arguments.output}: there is nothing to write without --fix")
    path: Path = arguments.sweep
    text = read_text(path)
    corrected, document, fixes = apply_fixes(text, str(path))
    as_written = load_yaml(text, str(path), warn=True)
    if not arguments.fix and not any(fix.is_needed for fix in fixes):
        document, fixes = as_written, []  # The notes name the others.
    combined = read_named("--combined", arguments.combined)
    messages = problems(document, str(path), combined)
    decisions = [message.removeprefix(f"{path}: ") for message in messages]
    if arguments.fix:
        path = _write(arguments, corrected, fixes)
        if decisions:
            raise UserError(_listed(f"{path}: these need a decision of yours", decisions))
    elif fixes or decisions:
        raise UserError(_refusal(path, fixes, decisions))
    specification = with_program(read_specification(document, str(path)), str(path))
    specification = with_options(specification, arguments)
    _check_possible(specification, path)
    note = _unlogged_metric(specification, arguments.runs) if specification.program else None
    print(describe_specification(specification, [note] if note else []))


def _unlogged_metric(specification: Specification, runs: Path) -> str | None:
    """A note where the runs of the same program so far have ended without logging the metric."""
    metric = specification.objective.metric
    for path in sorted([*runs.glob("*/sweep.json"), *runs.parent.glob("sweep/**/sweep.json")]):
        with suppress(UserError):  # Of another version.
            sweep = read_sweep(path)
            ended = [run.content for run in ended_runs(runs / sweep.sweep_id)]
            without = [run for run in ended if run["failure"] == "no_metric"]
            trained = sweep.program, sweep.specification.objective.metric
            if trained != (specification.program, metric) or not without:
                continue
            if not any(run["state"] in SCORED_STATES for run in ended):
                count = f"{len(without)} of {len(ended)} runs of sweep {sweep.sweep_id}"
                return f"metric {metric}: {count} ended without it: {without[-1]['reason']}"
    return None


def _check_possible(specification: Specification, path: Path) -> None:
    """Constraints and the trainer leave something to run, the first configurations among it."""
    try:
        if specification.method == "grid":
            total_runs(specification)
        check_possible(specification, 0)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _write(arguments: argparse.Namespace, text: str, fixes: Sequence[Fix]) -> Path:
    """Writes the corrected text; where it takes the place of the original, that is kept beside."""
    # A link stays one.
    path: Path = arguments.output or arguments.sweep.resolve()
    if not fixes and not arguments.output:
        logger.info("%s: nothing to fix", path)
        return path
    if not arguments.output:
        logger.info("the original is kept as %s", _kept(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        shutil.copymode(arguments.sweep, temporary)
    for fix in fixes:
        logger.info("%s: %s", path, fix.describe())
    return path


def _kept(path: Path) -> Path:
    """A copy of the file under a name that was free; another process may be at it too."""
    for number in count(1):
        kept = path.with_name(f"{path.name}.orig" + (f".{number}" if number > 1 else ""))
        try:
            with path.open("rb") as original, kept.open("xb") as copy:
                shutil.copyfileobj(original, copy)
        except FileExistsError:
            continue
        return kept
    raise AssertionError


def _refusal(path: Path, fixes: Sequence[Fix], decisions: Sequence[str]) -> str:
    parts = []
    if fixes:
        head = f"{path}: does not run here as it stands; --fix would write"
        parts.append(_listed(head, [fix.describe() for fix in fixes]))
    if decisions:
        parts.append(_listed(f"{path}: these need a decision of yours", decisions))
    return "\n".join(parts)


def _listed(head: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{head}:", *(f"  - {line}" for line in lines)])


if __name__ == "__main__":
    sys.exit(main())
