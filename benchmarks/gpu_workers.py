"""How the sections of benchmarks/gpu.py work: where, what they record, and their processes."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from gcodefp.model import epoch as learning_epoch
from gcodefp.model.data import mixed_precision, select_device
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE, Hyperparameters, parse_hyperparameters
from gcodefp.model.trainer import TrainingData, load_training_data, train

METRICS = ("val/loss", "val/aligned_acc")
ROOT = Path(__file__).parent.parent
TINY = {"d_model": 16, "nhead": 2, "num_layers": 1, "batch_size": 32}
ERROR_LINES = 6


class Skipped(Exception):
    """A check that cannot be made here."""


@dataclass(frozen=True)
class Context:
    """Where a section works.

    Attributes:
        seconds: how long it may take before it is ended.
        folder: of this section and the others, for what they make.
    """

    dataset: Path
    folder: Path
    device: str
    tiny: bool
    seconds: float

    def settings(self, **changes: Any) -> Hyperparameters:
        """The shipped ones, or small ones."""
        return parse_hyperparameters((TINY if self.tiny else {}) | changes)

    def data(self) -> TrainingData:
        """The splits on the device."""
        splits = (self.dataset / name for name in ("dataset.json", "train.npz", "val.npz"))
        return load_training_data(*splits, select_device(self.device, 1))

    def to_json(self) -> str:
        """What `from_json` takes, in another process."""
        return json.dumps(vars(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> "Context":
        """The context that another process has written."""
        values = json.loads(text)
        return cls(**values | {name: Path(values[name]) for name in ("dataset", "folder")})

    def need_cuda(self) -> None:
        """Ends a section that is of no use on a CPU."""
        if self.device != "cuda":
            raise Skipped("no CUDA")


class Record:
    """What a section has found out so far, in a file that survives its end."""

    def __init__(self, path: Path) -> None:
        self.path, self.content = path, dict[str, Any]()

    def put(self, name: str, value: object) -> None:
        """Writes one result more."""
        self.content[name] = value
        print(f"    {name}: {json.dumps(value, default=str)[:600]}", flush=True)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.content, default=str), encoding="utf-8")
        temporary.replace(self.path)

    def attempt(self, name: str, body: Callable[..., Any], *arguments: Any) -> Any:
        """Puts what `body` returns, or how it failed; returns it, or None."""
        started, state = time.monotonic(), "ok"
        try:
            value = body(*arguments)
        except Skipped as error:
            state, value = f"skipped: {error}", None
        except Exception:
            state, value = "failed", None
            lines = traceback.format_exc().splitlines()[-ERROR_LINES:]
        report = value if isinstance(value, Mapping) else {} if value is None else {"value": value}
        report = {"state": state, "seconds": round(time.monotonic() - started, 2), **report}
        self.put(name, report | ({"error": lines} if state == "failed" else {}))
        return value


def worker(path: Path) -> None:
    """Trains the jobs of a file one after the other; tells when each epoch was over."""
    request = json.loads(path.read_text(encoding="utf-8"))
    context = Context.from_json(request["context"])
    data, device = context.data(), torch.device(context.device)
    progress: dict[str, Any] = {"epochs": [], "runs": []}
    stop_at = math.inf

    def report(epoch: int, metrics: Mapping[str, float]) -> bool:
        progress["epochs"].append(time.time())
        progress["last"] = {name: metrics[name] for name in METRICS}
        return time.time() > stop_at

    def run(job: Mapping[str, Any], name: str) -> None:
        settings = context.settings(**job["settings"])
        plain = job.get("precision") == "float32"
        precision = (lambda *_: nullcontext()) if plain else mixed_precision
        with patch.object(learning_epoch, "mixed_precision", precision):
            result = train(settings, data, DEFAULT_OBJECTIVE, path.with_suffix("") / name, report)
        done = result.epochs == settings.max_epochs
        progress["runs"].append(
            {"job": job, "done": done, "seconds": result.seconds, **progress["last"]}
        )

    warm = request["jobs"][0]
    run(warm | {"settings": warm["settings"] | {"max_epochs": 1}}, "warm")
    progress["epochs"].clear(), progress["runs"].clear()
    path.with_suffix(".ready").touch()
    while not (path.parent / "go").exists():
        time.sleep(0.005)
    stop_at = time.time() + request["seconds"]
    for number, job in enumerate(request["jobs"]):
        if time.time() > stop_at:
            break
        run(job, str(number))
        cuda = device.type == "cuda"
        progress["gpu_mib"] = torch.cuda.max_memory_reserved() / 2**20 if cuda else 0
        path.with_suffix(".report").write_text(json.dumps(progress), encoding="utf-8")


def run_workers(
    context: Context,
    name: str,
    jobs: Sequence[Sequence[Mapping[str, Any]]],
    seconds: float,
    started: Callable[[], None] = lambda: None,
    variables: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Trains each list of jobs in a process of its own, all from the same moment.

    Args:
        seconds: after so long each run ends with its epoch, and no other begins.
        started: is called when all begin.
        variables: of the environment.
    """
    folder = context.folder / f"workers_{name}"
    folder.mkdir()
    processes, paths = [], []
    for number, part in enumerate(jobs):
        path = folder / f"{number}.json"
        path.write_text(
            json.dumps({"context": context.to_json(), "jobs": part, "seconds": seconds})
        )
        command = [sys.executable, str(ROOT / "benchmarks/gpu.py"), "--worker", str(path)]
        with path.with_suffix(".log").open("wb") as log:
            environment = os.environ | (variables or {})
            processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        paths.append(path)
    patience = min(90.0, context.seconds / 2)
    try:
        _wait(
            processes, lambda: all(p.with_suffix(".ready").exists() for p in paths), paths, patience
        )
        (folder / "go").touch()
        started()
        _wait(processes, lambda: all(p.poll() == 0 for p in processes), paths, seconds + 30)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return [json.loads(p.with_suffix(".report").read_text(encoding="utf-8")) for p in paths]


def _wait(
    processes: Sequence[subprocess.Popen[bytes]],
    is_over: Callable[[], bool],
    paths: Sequence[Path],
    seconds: float,
) -> None:
    until = time.monotonic() + seconds
    while not is_over():
        for process, path in zip(processes, paths, strict=True):
            if process.poll() not in (None, 0):
                lines = path.with_suffix(".log").read_text(errors="replace").splitlines()
                raise RuntimeError(" | ".join(lines[-ERROR_LINES:]))
        if time.monotonic() > until:
            raise RuntimeError(f"workers took longer than {seconds:g} s")
        time.sleep(0.02)


@contextmanager
def mps_server(folder: Path) -> Iterator[dict[str, str]]:
    """The server's environment variables, while it runs."""
    variables = {
        "CUDA_MPS_PIPE_DIRECTORY": str(folder / "mps"),
        "CUDA_MPS_LOG_DIRECTORY": str(folder / "mps_log"),
    }
    for path in variables.values():
        Path(path).mkdir(exist_ok=True)
    log = folder / "mps_said"
    # No pipe: the server would hold it open, and this would wait for its end.
    with log.open("wb") as output:
        command = ["nvidia-cuda-mps-control", "-d"]
        where = {"env": os.environ | variables, "stdout": output, "stderr": output}
        done = subprocess.run(command, timeout=20, stdin=subprocess.DEVNULL, **where)
    if done.returncode:
        raise Skipped(f"MPS does not start: {log.read_text(errors='replace')[-200:]}")
    try:
        yield variables
    finally:
        end_mps(folder)


def end_mps(folder: Path) -> None:
    """Ends the server, if it runs."""
    if not (folder / "mps").is_dir():
        return
    variables = os.environ | {"CUDA_MPS_PIPE_DIRECTORY": str(folder / "mps")}
    command = ["nvidia-cuda-mps-control"]
    with suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run(command, input="quit\n", env=variables, text=True, timeout=20)
    shutil.rmtree(folder / "mps", ignore_errors=True)
