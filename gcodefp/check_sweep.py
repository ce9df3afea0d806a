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

from gcodefp.command_line import command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.sweeps.check import describe_specification, problems
from gcodefp.sweeps.fixes import Fix, apply_fixes
from gcodefp.sweeps.sampling import check_possible, total_runs
from gcodefp.sweeps.search_options import add_option_flags, read_named, with_options
from gcodefp.sweeps.specification import SweepYaml, read_specification, with_script
from gcodefp.yaml_input import load_yaml, read_text

logger = logging.getLogger("gcodefp.check_sweep")

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("check_sweep", __doc__)
    add = parser.add_argument
    add("sweep", type=Path, nargs="?", metavar="FILE", help="sweep YAML in W&B's schema")
    add("--schema", action="store_true", help="print the JSON Schema for editors")
    add("--fix", action="store_true", help="write the corrected YAML")
    text = "with --fix: write here, keep FILE as it is"
    add("--output", type=Path, metavar="OTHER", help=text)
    add_option_flags(parser)
    return run_command(parser, _check_sweep, argv)


def _check_sweep(arguments: argparse.Namespace) -> None:
    if arguments.schema:
        title = {"$schema": DIALECT, "title": "W&B sweep that gcodefp runs"}
        print(json.dumps(SweepYaml.model_json_schema() | title, indent=2))
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
    refusal = []
    if arguments.fix:
        path = _write(arguments, corrected, fixes)
    elif fixes:
        refusal.append(f"{path}: does not run here as it stands; --fix would write:")
        refusal += [f"  - {fix.describe()}" for fix in fixes]
    if messages:
        refusal.append(f"{path}: these need a decision of yours:")
        refusal += [f"  - {message.removeprefix(f'{arguments.sweep}: ')}" for message in messages]
    if refusal:
        raise UserError("\n".join(refusal))
    specification = with_script(read_specification(document, str(path)), str(path))
    specification = with_options(specification, arguments)
    try:
        if specification.method == "grid":
            total_runs(specification)
        check_possible(specification, 0)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    print(describe_specification(specification))


def _write(arguments: argparse.Namespace, text: str, fixes: Sequence[Fix]) -> Path:
    """Writes the corrected text; where it takes the place of the original, that is kept beside."""
    # A link stays one.
    path: Path = arguments.output or arguments.sweep.resolve()
    if not fixes and not arguments.output:
        logger.info("%s: nothing to fix", path)
        return path
    if not arguments.output:
        logger.info("the original is kept as %s", _backup(path))
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))
        shutil.copymode(arguments.sweep, temporary)
    for fix in fixes:
        logger.info("%s: %s", path, fix.describe())
    return path


def _backup(path: Path) -> Path:
    """A copy of the file under a name that was free; another process may be at it too."""
    for number in count(1):
        kept = path.with_name(f"{path.name}.orig" + (f".{number}" if number > 1 else ""))
        with suppress(FileExistsError), path.open("rb") as original, kept.open("xb") as copy:
            shutil.copyfileobj(original, copy)
            return kept
    raise AssertionError


if __name__ == "__main__":
    sys.exit(main())
