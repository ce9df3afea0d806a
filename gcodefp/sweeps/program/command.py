"""A sweep's own training program: the script, and the command line that starts it, as in W&B."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError, shown
from gcodefp.files import sha256
from gcodefp.yaml_input import load_yaml, read_text

PROGRAM_KEYS = ("program", "command")
"""Of a sweep's document."""
OWN_TRAINER = "gcodefp/train.py"
TRAINER = Path(__file__).parents[1] / "train.py"
DEFAULT_COMMAND = ("${env}", "${interpreter}", "${program}", "${args}")
"""W&B's command, where the YAML has none."""
MACROS = (
    "env", "interpreter", "program", "args", "args_no_equals", "args_no_hyphens",
    "args_no_boolean_flags", "args_json", "args_json_file", "args_dict", "args_append_hydra",
    "args_override_hydra",
)  # fmt: skip
WHOLE_MACRO = re.compile(r"\$\{(.*)\}")
ENVVAR_MACRO = re.compile(r"\$\{envvar:([A-Z0-9_]*)\}")


@dataclass(frozen=True)
class Program:
    """The training program of a sweep, which is not this project's trainer.

    Attributes:
        path: the script, relative to the folder in which agents start; None where the command alone
            names what runs.
        command: strings and W&B's macros, such as `${args}`.
        digest: SHA-256 of the script; modules that it imports do not count.
    """

    path: str | None
    command: tuple[str, ...] = DEFAULT_COMMAND
    digest: str | None = None

    @property
    def name(self) -> str:
        """For messages and tables."""
        return self.path or " ".join(self.command)

    def describe(self) -> dict[str, Any]:
        """The entry of sweep.json, and a part of the sweep's identity."""
        return asdict(self) | {"command": list(self.command)}


def is_external(document: Any) -> bool:
    """Whether a sweep as written is one of another program than this project's trainer."""
    if not isinstance(document, Mapping):
        return False
    program = document.get("program")
    if program is None:
        return bool(document.get("command"))
    return not isinstance(program, str) or not _is_own(program)


def _is_own(program: str) -> bool:
    return Path(program) == Path(OWN_TRAINER) or Path(program).absolute() == TRAINER


def read_program(document: Mapping[str, Any], where: str) -> Program | None:
    """The program of a sweep; None if it is this project's trainer.

    The script's path is relative to the current folder, as for `wandb agent`; one that is not there
    is looked for in the folder of the sweep YAML.

    Raises UserError: there is no such script, or program or command is not what it should be.
    """
    if not is_external(document):
        return None
    command = _read_command(document.get("command"), where)
    program = document.get("program")
    if program is None:
        if "${program}" in command:
            raise UserError(f"{where}: command: has ${{program}}, but the key program is missing")
        return Program(None, command)
    if not isinstance(program, str) or not program:
        raise UserError(f"{where}: program: {shown(program)} is not the path of a script")
    for path in (Path(program), Path(where).parent / program):
        if path.is_file():
            absolute, here = path.absolute(), Path.cwd()
            inside = absolute.is_relative_to(here)
            relative = absolute.relative_to(here) if inside else path
            return Program(str(relative), command, sha256(path))
    raise UserError(
        f"{where}: program: {shown(program)}: no such file in {Path.cwd()} or beside the YAML; "
        "create the script there to run it, or remove the key to train with gcodefp's own trainer "
        "(a guide's scripts/train_multihead.py is such a case)"
    )


def _read_command(command: Any, where: str) -> tuple[str, ...]:
    """W&B's macros are those that it replaces; it drops unknown ones without a word."""
    if not command:
        return DEFAULT_COMMAND
    if not isinstance(command, list):
        example = ", ".join(f'"{macro}"' for macro in DEFAULT_COMMAND)
        raise UserError(f"{where}: command: {shown(command)} is not a list, such as [{example}]")
    for index, part in enumerate(command):
        if isinstance(part, bool) or not isinstance(part, str | int | float):
            raise UserError(f"{where}: command[{index}]: {shown(part)} is not a string")
        macro = WHOLE_MACRO.fullmatch(str(part))
        if macro and macro[1] not in MACROS and not ENVVAR_MACRO.search(str(part)):
            macros = ", ".join(f"${{{name}}}" for name in MACROS)
            raise UserError(
                f"{where}: command[{index}]: {shown(part)} is no macro of W&B; they are {macros} "
                "and ${envvar:NAME}"
            )
    return tuple(map(str, command))


def check_unchanged(program: Program, where: str) -> None:
    """Raises UserError: a function trains the sweep, or its script is missing or has changed."""
    if not (program.path or program.command):
        raise UserError(
            f"{where}: program: is missing: a Python function trains this sweep; call "
            f'gcodefp.sweeps.agent("{Path(where).parent.name}", function=train)'
        )
    if program.path is None:
        return
    if not Path(program.path).is_file():
        raise UserError(
            f"{where}: program: {program.path!r}: no such file in {Path.cwd()}; start the agent in "
            "the folder in which the sweep was created"
        )
    if sha256(Path(program.path)) != program.digest:
        raise UserError(
            f"{where}: program: {program.path} has changed since the sweep was created; create the "
            "sweep again, which gets another id, or restore the script"
        )


def sweep_program(sweep: Mapping[str, Any]) -> Program | None:
    """The program of all files of a checked section `sweep`; None for this project's trainer.

    Raises UserError: its script is not there, the files differ in it, or a key does not fit it.
    """
    if sweep["existing"]:  # The service has the sweep, and not the file.
        return None
    files = [first := sweep["file"], *sweep["phases"]]
    programs = {f: read_program(load_yaml(read_text(Path(f)), f), f) for f in files}
    names = {file: p.name if p else "gcodefp's own trainer" for file, p in programs.items()}
    for file in (file for file, program in programs.items() if program != programs[first]):
        raise UserError(
            f"{file}: program: is {names[file]}, in {first} {names[first]}; all phases need the "
            "same program and command"
        )
    for key in ("uses_dataset", "evaluate"):
        if programs[first] is None and sweep[key]:
            raise UserError(
                f"sweep.{key}: {shown(sweep[key])}: is for a sweep of another program, and {first} "
                "names none"
            )
    if programs[first] and sweep["engine"] == "wandb":
        raise UserError(
            f"{first}: program: {names[first]} is run by `wandb agent`; set sweep.engine: local"
        )
    return programs[first]
