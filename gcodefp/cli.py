# PYTHON_ARGCOMPLETE_OK
"""gcodefp COMMAND …: the stages of the pipeline, the whole of it, and the commands around it.

gcodefp run           the whole pipeline: Snakemake with this project's Snakefile and your flags
gcodefp sweep FILE    create a sweep from a YAML in W&B's schema; prints its ID
gcodefp agent ID      work on it, until its runs are done
"""

import __future__

import argparse
import ast
import fcntl
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import gcodefp
from gcodefp.command_line import COMMANDS, parse
from gcodefp.errors import did_you_mean

FOLDER = Path(__file__).parent
RUN = "run"
DIRECT = ("inspect_recordings", "predict", "status", "dashboard", "compare", "verify",
          "check_sweep", "estimate", "train", "sync", "export", "clean")  # fmt: skip
"""Commands that users call."""
DEVELOPERS = ("configuration_reference",)
RENAMED = {"calibrate": "fit_decoder", "evaluate_program": "evaluate_script"}
"""Former name of a module -> that of today; the module of the former name only says so."""
SIZED = {"-c", "--cores", "-j", "--jobs", "--profile", "--workflow-profile", "-e", "--executor"}
"""Snakemake's flags that say how many jobs there are at a time."""
VERBOSE = {"-q", "--quiet", "--verbose", "-n", "--dry-run", "--dryrun", "-p", "--printshellcmds"}
"""Those that say what is written."""
WITHOUT_LOCK = {"-n", "--dry-run", "--dryrun", "--unlock", "--nolock", "--list", "--help", "-h"}
"""Those with which Snakemake locks nothing."""
ACTIVE = (
    "another one is active in this folder; wait until it ends, or work in another folder, from "
    "which the configuration's paths (recordings, layout, sweep) then count: "
    "gcodefp run --directory FOLDER"
)
EXIT_CODES = """\
Exit codes: 0 done; 1 an error, which the last line explains; 2 a wrong command line;
130 interrupted. `gcodefp run` has those of Snakemake."""


def main(argv: Sequence[str] | None = None) -> int:
    """The console script."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:
        _complete(os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])])
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    command, *rest = words
    if command in ("-V", "--version"):
        print(f"gcodefp {gcodefp.__version__}")
        return 0
    if command == RUN:
        _run(rest)
    module = module_of(command)
    if today := RENAMED.get(module):
        other = f"gcodefp {_command(today)}, or python -m gcodefp.{today}"
        print(f"gcodefp: {command!r} is replaced by: {other}", file=sys.stderr)
        return 2
    if module not in (modules := _modules()):
        names = [RUN, *map(_command, modules)]
        hint = did_you_mean(command, names)
        print(f"gcodefp: {command!r} is no command; {hint}; gcodefp -h lists them", file=sys.stderr)
        return 2
    _check_early(module, rest)
    code: int = import_module(f"gcodefp.{module}").main(rest)
    return code


def module_of(command: str) -> str:
    """The module of a command, if there is one."""
    named = {name: module for module, name in COMMANDS.items()}
    return named.get(command, command.replace("-", "_"))


def _command(module: str) -> str:
    return COMMANDS.get(module, module.replace("_", "-"))


def _modules() -> list[str]:
    """The modules that are commands; none is imported."""
    others = sorted({*FOLDER.glob("*.py")} - {Path(__file__)})
    return [path.stem for path in others if "= command_parser(" in path.read_text(encoding="utf-8")]


def _purpose(module: str) -> str:
    """The first line of what it does."""
    return str(_LazyGlobals(FOLDER / f"{module}.py")["__doc__"]).partition("\n")[0]


def _help() -> str:
    modules = _modules()
    width = max(map(len, modules))
    rules = [module for module in modules if module not in (*DIRECT, *DEVELOPERS)]
    parts = [__doc__ or ""]
    groups = {
        "Run directly": DIRECT,
        "Called by the pipeline": rules,
        "For `make docs`": DEVELOPERS,
    }
    for title, names in groups.items():
        lines = [f"  {_command(name):{width}}  {_purpose(name)}" for name in names]
        parts.append("\n".join([f"{title} (gcodefp COMMAND -h has the flags):", "", *lines, ""]))
    return "\n".join([*parts, EXIT_CODES])


def _complete(line: str) -> None:
    """Completes a command line up to the cursor; argcomplete writes the words, and exits."""
    import argcomplete

    command = line.split()[1] if line.count(" ") > 1 else ""
    if (module := module_of(command)) in _modules():
        os.environ["_ARGCOMPLETE"] = "2"  # The words before the flags.
        _check_early(module, [])
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("command", choices=[RUN, *map(_command, _modules())])
    argcomplete.autocomplete(parser)


# The whole pipeline.


def _run(words: Sequence[str]) -> NoReturn:
    """Becomes Snakemake; in a folder without a Snakefile, with that of this project."""
    end = words.index("--") if "--" in words else len(words)
    flags, targets = words[:end], words[end:]
    here = any(Path(path).is_file() for path in ("Snakefile", "workflow/Snakefile"))
    where: list[str] = []
    if not here and not any(flag.startswith(("-s", "--snakefile")) for flag in flags):
        snakefile = FOLDER.parent / "Snakefile"
        if not snakefile.is_file():
            sys.exit(
                f"gcodefp run: {snakefile}: is missing, as gcodefp was installed without its "
                "workflow; run it in a clone of the repository"
            )
        where = ["--snakefile", str(snakefile)]
    early = _snakemake_parser().parse_known_args(flags)[0]
    if missing := [name for name in early.configfile if not Path(name).is_file()]:
        sys.exit(f"gcodefp run: --configfile: no such file: {missing[0]}")
    names = {flag.partition("=")[0].rstrip("0123456789") for flag in flags}
    size = [] if names & SIZED else ["--cores", "all"]
    quiet = [] if names & VERBOSE else ["--quiet", "rules", "host", "progress"]
    snakemake = [sys.executable, "-m", "snakemake", *where, "--rerun-incomplete", *flags, *size]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = os.environ | {"PATH": path}
    if not names & WITHOUT_LOCK:
        _lock(early.directory, [*snakemake, "--unlock"], environment)
    os.execve(sys.executable, [*snakemake, *quiet, *targets], environment)


def _snakemake_parser() -> argparse.ArgumentParser:
    """Those of Snakemake's flags that decide before it starts."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-d", "--directory", type=Path, default=Path())
    parser.add_argument("--configfile", "--configfiles", nargs="*", default=[])
    return parser


def _lock(folder: Path, unlock: Sequence[str], environment: dict[str, str]) -> None:
    """Holds the lock of a folder until Snakemake ends, and removes locks that a kill has left.

    The kernel releases ours when its holder is killed.
    """
    folder = folder / ".snakemake"
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "make-run.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"gcodefp run: {ACTIVE}", file=sys.stderr)
        sys.exit(1)
    os.set_inheritable(lock, True)  # Snakemake holds it, and none of its jobs.
    if any(folder.glob("locks/*")):
        subprocess.run(unlock, env=environment, check=False)


# A command line is checked before its module is imported, which may take seconds.


def _check_early(module: str, words: Sequence[str]) -> None:
    """Ends the process for -h, or at a wrong command line."""
    names = _LazyGlobals(FOLDER / f"{module}.py")
    names["run_command"] = lambda parser, body, argv: parse(parser, argv)
    with suppress(Exception):  # The command itself reports it.
        names["main"](words)


class _LazyGlobals(dict[str, Any]):
    """The globals of a module, each made when `main` first needs it: its parser needs few."""

    def __init__(self, source: Path) -> None:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        super().__init__(__doc__=ast.get_docstring(tree))
        self.source = source
        self.statements: dict[str, ast.stmt] = {}
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    only = type(node)(**{**vars(node), "names": [alias]})
                    self.statements[alias.asname or alias.name.partition(".")[0]] = only
            elif isinstance(node, ast.FunctionDef):
                self.statements[node.name] = node
            elif isinstance(node, ast.Assign):
                names = (target.id for target in node.targets if isinstance(target, ast.Name))
                self.statements |= dict.fromkeys(names, node)

    def __missing__(self, name: str) -> Any:
        module = ast.Module([self.statements.pop(name)], [])  # KeyError: a builtin.
        postponed = __future__.annotations.compiler_flag
        exec(compile(module, str(self.source), "exec", postponed), self)
        return self[name]


if __name__ == "__main__":
    sys.exit(main())
