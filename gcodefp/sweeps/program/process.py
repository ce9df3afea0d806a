"""A program at work on a run: W&B's command line and environment for it, and its process."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import yaml

from gcodefp.sweeps.lease import PROGRAM_FOLDER
from gcodefp.sweeps.local_engine import LeasedRun
from gcodefp.sweeps.program.command import ENVVAR_MACRO, WHOLE_MACRO, Program
from gcodefp.sweeps.program.metrics import json_lines_files
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.wandb_log import INHERITED, OFFLINE


def command_line(
    program: Program, hyperparameters: Mapping[str, object], json_file: Path
) -> list[str]:
    """The command of a run, with W&B's macros replaced as its agent does.

    Args:
        hyperparameters: nested; a group is one argument, such as `--model={'d_model': 64}`.
        json_file: for `${args_json_file}`; written if the command has it.
    """
    pairs = [f"{name}={value}" for name, value in hyperparameters.items()]
    flags = [
        f"--{n}" if v is True else f"--{n}={v}"
        for n, v in hyperparameters.items()
        if v is not False
    ]
    replaced = {
        "env": ["/usr/bin/env"],
        "interpreter": ["python"],
        "program": [str(program.path)],
        "args": [f"--{pair}" for pair in pairs],
        "args_no_equals": [t for n, v in hyperparameters.items() for t in (f"--{n}", str(v))],
        "args_no_hyphens": pairs,
        "args_no_boolean_flags": flags,
        "args_json": [json.dumps(dict(hyperparameters))],
        "args_json_file": [str(json_file)],
        "args_dict": list(hyperparameters),
        "args_append_hydra": [f"+{pair}" for pair in pairs],
        "args_override_hydra": [f"++{pair}" for pair in pairs],
    }
    if "${args_json_file}" in program.command:
        json_file.write_text(replaced["args_json"][0], encoding="utf-8")
    command = []
    for part in program.command:
        filled = ENVVAR_MACRO.sub(lambda match: os.environ.get(match[1], match[1]), part)
        macro = WHOLE_MACRO.fullmatch(filled)
        command += replaced.get(macro[1], []) if macro else [filled]
    return command


def environment(run: LeasedRun, sweep: SweepFile, data: Mapping[str, Path]) -> dict[str, str]:
    """The environment of a run's program, with the folders and files that it names."""
    files, document = run.lease.files.absolute(), sweep.specification.document
    config = {name: {"value": value} for name, value in run.hyperparameters.items()}
    text = yaml.safe_dump({"wandb_version": 1, **config}, sort_keys=False)
    (files / "config.yaml").write_text(text, encoding="utf-8")
    (files / PROGRAM_FOLDER).mkdir(exist_ok=True)
    inherited = (*INHERITED, "WANDB_RESUME", "WANDB_DISABLED")
    variables = {name: value for name, value in os.environ.items() if name not in inherited}
    if shutil.which("python") is None:  # W&B's interpreter, where only python3 is on the path.
        folders = (str(Path(sys.executable).parent), variables.get("PATH"))
        variables["PATH"] = os.pathsep.join(filter(None, folders))
    for key in ("project", "entity"):
        if isinstance(document.get(key), str):
            variables.setdefault(f"WANDB_{key.upper()}", document[key])
    return {
        **variables,
        **OFFLINE,
        # The SDK's service drops what it has not flushed when its program is killed.
        "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "0.05",
        "WANDB_SWEEP_ID": sweep.sweep_id,
        "WANDB_RUN_ID": run.folder.run_id,
        "WANDB_DIR": str(files),
        "WANDB_SWEEP_PARAM_PATH": str(files / "config.yaml"),
        "GCODEFP_RUN_DIR": str(files / PROGRAM_FOLDER),
        "GCODEFP_METRICS": str(json_lines_files(files)[-1]),
        **{name: str(path.absolute()) for name, path in data.items()},
    }


class Attempt(Protocol):
    """A program at work."""

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after so long."""

    def terminate(self) -> None:
        """Asks it to end."""

    def kill(self) -> None:
        """Ends it now."""


class Script:
    """A command at work, in a process group of its own that ends with this process.

    Attributes:
        pid: the command's own; 0 if it was not started.
    """

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], output: Path) -> None:
        watchdog = Path(__file__).with_name("watchdog.py")
        self.returncode: int | None = None
        with output.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(watchdog), *command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=dict(variables),
                process_group=0,
            )  # fmt: skip
        assert self._process.stdout is not None
        self._answers = self._process.stdout
        self.pid = int(self._answers.readline() or 0)

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after so long."""
        if self.returncode is None and select.select([self._answers], [], [], seconds)[0]:
            # Without an answer the watchdog was killed.
            self.returncode = int(self._answers.readline() or -signal.SIGKILL)
        return self.returncode is not None

    def terminate(self) -> None:
        """Sends SIGTERM to the group."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends all processes of the group."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Ends what is left of it."""
        if self.returncode is None or self.returncode == -signal.SIGKILL:
            self.kill()
        for stream in (self._process.stdin, self._answers):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _signal(self, number: int) -> None:
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
