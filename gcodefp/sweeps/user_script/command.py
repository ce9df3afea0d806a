"""The user's training script of a sweep, and the command line that starts it, as in W&B.

In the sweep YAML and in sweep.json its key is `program`, as in W&B's schema."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gcodefp.errors import UserError, shown
from gcodefp.files import sha256
from gcodefp.yaml_input import load_yaml, read_text

SCRIPT_KEYS = ("program", "command")
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
class UserScript:
    """The training script of a sweep, which is not this project's trainer.

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


def has_script(document: Any) -> bool:
    """Whether a sweep as written trains with a user script, not with this project's trainer."""
    if not isinstance(document, Mapping):
        return False
    script = document.get("program")
    if script is None:
        return bool(document.get("command"))
    return not isinstance(script, str) or not _is_own(script)


def _is_own(script: str) -> bool:
    return Path(script) == Path(OWN_TRAINER) or Path(script).absolute() == TRAINER


def read_script(document: Mapping[str, Any], where: str) -> UserScript | None:
    """The script of a sweep; None if it is this project's trainer.

    The script's path is relative to the current folder, as for `wandb agent`; one that is not there
    is looked for in the folder of the sweep YAML.

    Raises UserError: there is no such script, or `program` or `command` is not what it should be.
    """
    if not has_script(document):
        return None
    command = _read_command(document.get("command"), where)
    script = document.get("program")
    if script is None:
        if "${program}" in command:
            raise UserError(f"{where}: command: has ${{program}}, but the key program is missing")
        return UserScript(None, command)
    if not isinstance(script, str) or not script:
        raise UserError(f"{where}: program: {shown(script)} is not the path of a script")
    for path in (Path(script), Path(where).parent / script):
        if path.is_file():
            absolute, here = path.absolute(), Path.cwd()
            inside = absolute.is_relative_to(here)
            relative = absolute.relative_to(here) if inside else path
            return UserScript(str(relative), command, sha256(path))
    raise UserError(
        f"{where}: program: {shown(script)}: no such file in {Path.cwd()} or beside the YAML; "
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


def check_unchanged(script: UserScript, where: str) -> None:
    """Raises UserError: a function trains the sweep, or its script is missing or has changed."""
    if not (script.path or script.command):
        raise UserError(
            f"{where}: program: is missing: a Python function trains this sweep; call "
            f'gcodefp.sweeps.agent("{Path(where).parent.name}", function=train)'
        )
    if script.path is None:
        return
    if not Path(script.path).is_file():
        raise UserError(
            f"{where}: program: {script.path!r}: no such file in {Path.cwd()}; start the agent in "
            "the folder in which the sweep was created"
        )
    if sha256(Path(script.path)) != script.digest:
        raise UserError(
            f"{where}: program: {script.path} has changed since the sweep was created; create the "
            "sweep again, which gets another id, or restore the script"
        )


def configured_script(sweep: Mapping[str, Any]) -> UserScript | None:
    """The script of all files of a checked section `sweep`; None for this project's trainer.

    Raises UserError: its script is not there, the files differ in it, or a key does not fit it.
    """
    if sweep["existing"]:  # The service has the sweep, and not the file.
        return None
    files = [first := sweep["file"], *sweep["phases"]]
    scripts = {f: read_script(load_yaml(read_text(Path(f)), f), f) for f in files}
    names = {file: p.name if p else "gcodefp's own trainer" for file, p in scripts.items()}
    for file in (file for file, script in scripts.items() if script != scripts[first]):
        raise UserError(
            f"{file}: program: is {names[file]}, in {first} {names[first]}; all phases need the "
            "same program and command"
        )
    for key in ("uses_dataset", "evaluate"):
        if scripts[first] is None and sweep[key]:
            raise UserError(
                f"sweep.{key}: {shown(sweep[key])}: is for a sweep of a user script, and {first} "
                "names none"
            )
    if scripts[first] and sweep["engine"] == "wandb":
        raise UserError(
            f"{first}: program: {names[first]} is run by `wandb agent`; set sweep.engine: local"
        )
    return scripts[first]
