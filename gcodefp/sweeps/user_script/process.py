"""A script at work on a run: W&B's command line and environment for it, and its process."""

import json
import os
import re
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

from gcodefp.sweeps.lease import SCRIPT_FOLDER
from gcodefp.sweeps.local_engine import LeasedRun
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.user_script.command import ENVVAR_MACRO, WHOLE_MACRO, UserScript
from gcodefp.sweeps.user_script.metrics import json_lines_files
from gcodefp.sweeps.user_script.watchdog import NOT_STARTED
from gcodefp.sweeps.wandb_log import INHERITED, OFFLINE


def command_line(
    script: UserScript, hyperparameters: Mapping[str, object], json_file: Path
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
        "program": [str(script.path)],
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
    if "${args_json_file}" in script.command:
        json_file.write_text(replaced["args_json"][0], encoding="utf-8")
    command = []
    for part in script.command:
        filled = ENVVAR_MACRO.sub(lambda match: os.environ.get(match[1], match[1]), part)
        macro = WHOLE_MACRO.fullmatch(filled)
        command += replaced.get(macro[1], []) if macro else [filled]
    return command


def run_variables(run: LeasedRun, sweep: SweepFile, data: Mapping[str, Path]) -> dict[str, str]:
    """The environment of a run's script, with the folders and files that it names."""
    files, document = run.lease.files.absolute(), sweep.specification.document
    config = {name: {"value": value} for name, value in run.hyperparameters.items()}
    text = yaml.safe_dump({"wandb_version": 1, **config}, sort_keys=False)
    (files / "config.yaml").write_text(text, encoding="utf-8")
    (files / SCRIPT_FOLDER).mkdir(exist_ok=True)
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
        # The SDK's service drops what it has not flushed when its script is killed.
        "WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL": "0.05",
        "WANDB_SWEEP_ID": sweep.sweep_id,
        "WANDB_RUN_ID": run.folder.run_id,
        "WANDB_DIR": str(files),
        "WANDB_SWEEP_PARAM_PATH": str(files / "config.yaml"),
        "GCODEFP_RUN_DIR": str(files / SCRIPT_FOLDER),
        "GCODEFP_METRICS": str(json_lines_files(files)[-1]),
        **{name: str(path.absolute()) for name, path in data.items()},
    }


TAIL_LINES, TAIL_BYTES, TAIL_LETTERS = 20, 20_000, 2000
OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|Cannot allocate memory|MemoryError|OutOfMemory|"
    r"RESOURCE_EXHAUSTED|CUBLAS_STATUS_ALLOC_FAILED"
)
"""What torch, TensorFlow, JAX, Python and C say."""


class Attempt(Protocol):
    """A script at work.

    Attributes:
        pid: of the process that works on it; 0 if it was not started.
    """

    pid: int

    def wait(self, seconds: float) -> bool:
        """Whether it has ended, at the latest after so long."""

    def terminate(self) -> None:
        """Asks it to end."""

    def kill(self) -> None:
        """Ends it now."""

    def problem(self) -> tuple[str, str] | None:
        """The class and the reason of its failure, once it has ended; None if it ended well."""


class ScriptProcess:
    """A command at work, in a process group of its own that ends with this process."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], output: Path) -> None:
        watchdog = Path(__file__).with_name("watchdog.py")
        self._output, self._memory_kills = output, _memory_kills()
        self._returncode: int | None = None
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
        if self._returncode is None and select.select([self._answers], [], [], seconds)[0]:
            # Without an answer the watchdog was killed.
            self._returncode = int(self._answers.readline() or -signal.SIGKILL)
        return self._returncode is not None

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def problem(self) -> tuple[str, str] | None:
        code = self._returncode or 0
        if code == 0:
            return None
        is_memory_full = code == -signal.SIGKILL and _memory_kills() > self._memory_kills
        return _describe_exit(code, _tail(self._output), is_memory_full)

    def close(self) -> None:
        """Ends what is left of it."""
        if self._returncode is None or self._returncode == -signal.SIGKILL:
            self.kill()
        for stream in (self._process.stdin, self._answers):
            if stream is not None:
                stream.close()
        self._process.wait()

    def _signal(self, number: int) -> None:
        if self.pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def _describe_exit(code: int, tail: str, is_memory_full: bool) -> tuple[str, str]:
    """The class and the reason of a failure with an exit code, or by a signal."""
    kind, reason = "error", f"exit code {code}"
    if code < 0:
        is_named = -code in {number.value for number in signal.Signals}
        kind, reason = "killed", f"killed by {signal.Signals(-code).name if is_named else -code}"
        reason += ", as the host was out of memory" if is_memory_full else ""
    elif code == NOT_STARTED:
        reason = "could not be started"
    if is_memory_full or OUT_OF_MEMORY.search(tail):
        kind = "out_of_memory"
    return kind, reason + (f"; its output ends: {tail}" if tail else "; it has no output")


def _tail(path: Path) -> str:
    """The last lines of a script's output."""
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = handle.read().decode("utf-8", errors="replace").splitlines()
    kept = [line.rstrip() for line in lines if line.strip() and not line.startswith("wandb:")]
    return "\n".join(kept[-TAIL_LINES:])[-TAIL_LETTERS:]


def _memory_kills() -> int:
    """Processes that the kernel has killed for lack of memory since the boot; 0 if not Linux."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
