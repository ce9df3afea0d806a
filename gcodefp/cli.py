"""gcodefp STEP …: every step as a command, with `sweep` and `agent` as W&B has them.

gcodefp sweep FILE   create a sweep from a YAML in W&B's schema; prints its ID
gcodefp agent ID     work on it, until its runs are done
"""

import argparse
import ast
import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from pathlib import Path

from gcodefp.errors import UserError, did_you_mean

FOLDER = Path(__file__).parent
SWEEP, AGENT = "sweep", "agent"


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    step, *rest = words
    if step in ("-V", "--version"):
        print(f"gcodefp {metadata.version('gcodefp')}")
        return 0
    has_name = bool(rest) and not rest[0].startswith("-")
    if step == SWEEP:
        step, rest = "create_sweep", ["--seed", "0", *(["--sweep"] if has_name else []), *rest]
    elif step == AGENT and has_name:
        try:
            rest = ["--sweep", _sweep_of(rest[0], rest[1:]), *rest[1:]]
        except UserError as error:
            print(f"gcodefp agent: error: {error}", file=sys.stderr)
            return 1
    if step not in _steps():
        hint = did_you_mean(step, [SWEEP, *_steps()])
        print(f"gcodefp: {step!r} is no step; {hint}; gcodefp -h lists them", file=sys.stderr)
        return 2
    code: int = import_module(f"gcodefp.{step}").main(rest)
    return code


def _sweep_of(sweep_id: str, flags: Sequence[str]) -> str:
    """sweep.json of an ID, below the folder that --runs names."""
    from gcodefp.command_line import RUNS
    from gcodefp.sweeps.creation import read_created

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--runs", default=RUNS)
    runs = parser.parse_known_args(flags)[0].runs
    return str(Path(runs) / read_created(sweep_id, runs).sweep_id / "sweep.json")


def _steps() -> dict[str, str]:
    """Steps, and the first line of what each does; none is imported."""
    steps = {}
    for path in sorted(FOLDER.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "= step_parser(" in text:
            steps[path.stem] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return steps


def _help() -> str:
    width = max(map(len, _steps()))
    lines = [f"  {name:{width}}  {line}" for name, line in _steps().items()]
    return "\n".join([__doc__ or "", "Steps (gcodefp STEP -h has the flags):", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
