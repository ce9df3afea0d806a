"""Evaluates the best run of a user script with the user's own command, which prints JSON.

In the command, ${best} is the folder that the best run had as GCODEFP_RUN_DIR (its run folder, if
it left nothing there), ${run} best/run.json, ${args_json_file} a file with the hyperparameters as
JSON, and ${interpreter} this Python. The result is all that it prints, or the last line that is a
JSON object.
"""

import argparse
import json
import logging
import math
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from gcodefp.command_line import command_parser, run_command
from gcodefp.errors import UserError
from gcodefp.files import write_json, write_text
from gcodefp.provenance import provenance
from gcodefp.reporting.sweep_results import SCRIPT_EVALUATION_FORMAT
from gcodefp.sweeps.lease import SCRIPT_FOLDER
from gcodefp.sweeps.run_folder import RunFolder
from gcodefp.sweeps.sweep_file import read_best

logger = logging.getLogger("gcodefp.evaluate_script")

MACRO = re.compile(r"\$\{(\w+)\}")
LOGGED_LINES = 20


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = command_parser("evaluate_script", __doc__)
    add = parser.add_argument
    add("--best", type=Path, required=True, help="best/run.json")
    add("--runs", type=Path, required=True, help="folder that keeps the runs of all sweeps")
    add("--command", required=True, help="split as a shell does, but run without one")
    add("--output", type=Path, required=True, help="JSON file with the result")
    return run_command(parser, _evaluate, argv)


def _evaluate(arguments: argparse.Namespace) -> None:
    best = read_best(arguments.best)
    if best.get("folder") is None:
        raise UserError(f"{arguments.best}: is of gcodefp's own trainer, which evaluate evaluates")
    hyperparameters = arguments.output.with_name("best_hyperparameters.json")
    folder = RunFolder(arguments.runs / best["folder"])
    assigned = (folder.assigned() or {"hyperparameters": {}})["hyperparameters"]
    write_text(hyperparameters, json.dumps(assigned, indent=2) + "\n")
    files = folder.path / SCRIPT_FOLDER
    macros = {
        "best": files if files.is_dir() else folder.path,
        "run": arguments.best,
        "args_json_file": hyperparameters,
        "interpreter": sys.executable,
    }
    command = expand(arguments.command, macros)
    logger.info("%s", shlex.join(command))
    try:
        # Its progress and errors, on stderr, go to the terminal.
        finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, errors="replace")
    except OSError as error:
        raise UserError(f"sweep.evaluate: {command[0]}: {error.strerror}") from None
    tail = "\n".join(finished.stdout.splitlines()[-LOGGED_LINES:])
    if finished.returncode:
        raise UserError(f"sweep.evaluate: exit code {finished.returncode}; it printed:\n{tail}")
    content = {
        "provenance": provenance([arguments.best]),
        "command": command,
        "result": parse_result(finished.stdout),
    }
    write_json(arguments.output, SCRIPT_EVALUATION_FORMAT, content)
    logger.info("%s: %s", arguments.output, json.dumps(content["result"]))


def expand(text: str, macros: dict[str, Any]) -> list[str]:
    """The words of a command. Raises UserError: a macro is unknown, or a quote is open."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"sweep.evaluate: {text!r}: {error}") from None
    for name in MACRO.findall(text):
        if name not in macros:
            names = ", ".join(f"${{{macro}}}" for macro in macros)
            raise UserError(f"sweep.evaluate: ${{{name}}}: no such macro; they are {names}")
    return [MACRO.sub(lambda match: str(macros[match[1]]), word) for word in words]


def parse_result(text: str) -> dict[str, Any]:
    """All of the text, or its last line, as a JSON object. Raises UserError: neither is one."""
    lines = [line for line in text.splitlines() if line.strip()]
    for part in (text, *lines[::-1]):
        with suppress(ValueError):
            content = json.loads(part, parse_float=_finite, parse_constant=_finite)
            if isinstance(content, dict):
                return content
    tail = "\n".join(lines[-LOGGED_LINES:])
    raise UserError(
        'sweep.evaluate: the command has to print a JSON object such as {"accuracy": 0.9} (its '
        f"numbers finite) as its last line; it printed:\n{tail}"
    )


def _finite(text: str) -> float:
    """A number of JSON, which has no NaN. Raises ValueError: it is not finite, as is 1e999."""
    if not math.isfinite(value := float(text)):
        raise ValueError(text)
    return value


if __name__ == "__main__":
    sys.exit(main())
