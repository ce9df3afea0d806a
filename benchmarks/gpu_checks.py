"""What benchmarks/gpu.py checks: that the pipeline's stages do on a GPU what they do on a CPU."""

import importlib
import json
import math
import os
import pkgutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from gpu_workers import ERROR_LINES, METRICS, ROOT, TINY, Context, Record

import gcodefp
from gcodefp.model.hyperparameters import DEFAULT_OBJECTIVE
from gcodefp.model.trainer import failure_class, train


class Step:
    """`python -m gcodefp.NAME` in a process of its own."""

    def __init__(self, context: Context, name: str, *flags: object, log: str = "") -> None:
        self.log = context.folder / f"{log or name}.log"
        self.started = time.monotonic()
        command = [sys.executable, "-m", f"gcodefp.{name}", *map(str, flags)]
        with self.log.open("ab") as log_file:
            self.process = subprocess.Popen(command, stdout=log_file, stderr=log_file)

    def end(self, seconds: float = 180.0) -> dict[str, Any]:
        """Waits; raises with the log's last lines if it failed."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = f"none: killed after {seconds:g} s"
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        if code != 0:
            raise RuntimeError(f"exit code {code}: " + " | ".join(lines[-ERROR_LINES:]))
        return {"seconds_of_step": round(time.monotonic() - self.started, 1), "log": lines[-2:]}


def environment(context: Context, record: Record) -> None:
    """Versions, and which stages cannot even be imported here."""
    cuda = context.device == "cuda"
    versions = {
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cpus": os.cpu_count(),
    }
    versions["gcodefp"] = gcodefp.__path__[0]
    versions["gpu"] = torch.cuda.get_device_name() if cuda else None
    for name in ("numpy", "pandas", "sklearn", "scipy", "matplotlib", "optuna", "wandb"):
        try:
            versions[name] = importlib.import_module(name).__version__
        except Exception as error:
            versions[name] = f"{type(error).__name__}: {error}"
    record.put("versions", versions)
    missing = {}
    for module in pkgutil.iter_modules([str(ROOT / "gcodefp")], "gcodefp."):
        try:
            importlib.import_module(module.name)
        except Exception as error:
            missing[module.name] = f"{type(error).__name__}: {error}"
    record.put("not_importable", missing)


def _files(context: Context, *names: str) -> list[object]:
    suffixes = {"dataset": "json"}
    flags: list[object] = []
    for name in names:
        flags += [f"--{name}", context.dataset / f"{name}.{suffixes.get(name, 'npz')}"]
    return flags


def _start_training(context: Context, folder: str, **changes: Any) -> Step:
    settings = (TINY if context.tiny else {}) | {"max_epochs": 6, **changes}
    flags = [part for name, value in settings.items() for part in (f"--{name}", value)]
    output = ["--output", context.folder / folder, "--device", context.device]
    files = _files(context, "train", "val", "dataset")
    return Step(context, "train", *files, *output, *flags, log=folder)


def _last_epoch(folder: Path) -> dict[str, float]:
    header, *rows = (folder / "metrics.csv").read_text(encoding="utf-8").splitlines()
    values = zip(header.split(","), rows[-1].split(","), strict=True)
    return {name: float(value) for name, value in values if name in ("epoch", *METRICS)}


def training(context: Context, record: Record) -> None:
    """Two equal trainings at the same time, beside one that is killed and goes on."""
    folders = ("train", "killed") if context.tiny else ("train", "killed", "again")
    trainings = [_start_training(context, folder) for folder in folders]
    metrics = context.folder / "killed" / "metrics.csv"
    record.attempt("killed_after_2_epochs", _kill, trainings[1], metrics)
    record.attempt("train", lambda: trainings[0].end() | _last_epoch(context.folder / "train"))
    if not context.tiny:
        record.attempt("two_at_once", lambda: trainings[2].end() | _off(context, "train", "again"))
    record.attempt(
        "resumed",
        lambda: _start_training(context, "killed").end() | _off(context, "train", "killed"),
    )


def _kill(step: Step, metrics: Path) -> dict[str, Any]:
    while step.process.poll() is None:
        if metrics.exists() and len(metrics.read_text(encoding="utf-8").splitlines()) > 2:
            step.process.send_signal(signal.SIGKILL)
            step.process.wait()
            return {"epochs": _last_epoch(metrics.parent)["epoch"]}
        time.sleep(0.005)
    step.end()
    raise RuntimeError("it was over before it could be killed")


def _off(context: Context, *folders: str) -> dict[str, float]:
    """How far two checkpoints are apart."""
    paths = [context.folder / folder / "checkpoint.pt" for folder in folders]
    one, two = (torch.load(path, map_location="cpu", weights_only=True) for path in paths)
    offs = [float((one["weights"][n] - two["weights"][n]).abs().max()) for n in one["weights"]]
    return {
        "largest_weight_difference": max(offs),
        "best_epochs": [one["epoch"], two["epoch"]],
        "best_values": [one["value"], two["value"]],
    }


def evaluation(context: Context, record: Record) -> None:
    """evaluate on both devices, explain and predict, all at the same time."""
    given: list[object] = ["--checkpoint", context.folder / "train" / "checkpoint.pt"]
    inputs = [*given, *_files(context, "dataset", "test")]
    baselines = [] if context.tiny else [*_files(context, "train"), "--threads", 4]
    device = ["--device", context.device, "--output"]
    recording = min((context.dataset.parent / "recordings").glob("*.csv*"))

    def evaluate(on: str) -> Step:
        flags = ["--device", on, "--output", context.folder / f"evaluation_{on}"]
        return Step(context, "evaluate", *inputs, *baselines, *flags, log=f"evaluate_{on}")

    to = context.folder / "predictions"
    steps = {"predict": Step(context, "predict", recording, *given, *device, to)}
    steps |= {f"evaluate_{on}": evaluate(on) for on in dict.fromkeys((context.device, "cpu"))}
    if not context.tiny:
        steps["explain"] = Step(context, "explain", *inputs, *device, context.folder / "explained")
    for name, step in steps.items():
        record.attempt(name, step.end, context.seconds)
        if name == "evaluate_cpu" and context.device == "cuda":
            record.attempt("cuda_and_cpu", _metrics_off, context)


def _metrics_off(context: Context) -> dict[str, Any]:
    paths = (context.folder / f"evaluation_{on}" / "metrics.json" for on in ("cuda", "cpu"))
    one, two = (dict(_numbers(json.loads(p.read_text(encoding="utf-8")))) for p in paths)
    shared = [name for name in one if name in two and not name.startswith("/provenance")]
    offs = {name: abs(one[name] - two[name]) for name in shared if one[name] != two[name]}
    largest = sorted(offs, key=lambda name: offs[name], reverse=True)[:5]
    pairs = {name: [one[name], two[name]] for name in largest}
    return {"compared": len(shared), "different": len(offs), "largest": pairs}


def _numbers(value: Any, name: str = "") -> Any:
    """Names and values of all finite numbers in a document."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _numbers(inner, f"{name}/{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _numbers(inner, f"{name}/{index}")
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        yield name, float(value)


def out_of_memory(context: Context, record: Record) -> None:
    """What is too large is called so, and does not spoil the next run of the process."""
    data, device = context.data(), torch.device(context.device)

    def too_large() -> dict[str, str]:
        try:
            torch.empty(1 << 50, dtype=torch.uint8, device=device)
        except Exception as error:
            return {"class": failure_class(error), "type": type(error).__name__}
        raise RuntimeError("a petabyte was allocated")

    def short_of_memory() -> dict[str, str]:
        context.need_cuda()
        # The allocator's own limit, so that the GPU itself never becomes full.
        torch.cuda.set_per_process_memory_fraction(0.01)
        try:
            train_once("absurd", d_model=512, batch_size=10**6, rows_per_window=64)
        except Exception as error:
            message = str(error)[:200]
            return {"class": failure_class(error), "type": type(error).__name__, "error": message}
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        raise RuntimeError("the absurd run fitted")

    def train_once(name: str, **changes: Any) -> dict[str, float]:
        settings = context.settings(max_epochs=1, **changes)
        folder = context.folder / f"memory_{name}"
        result = train(settings, data, DEFAULT_OBJECTIVE, folder, lambda *_: False)
        return {"epochs": result.epochs, "best_value": result.best_value}

    record.attempt("too_large", too_large)
    record.attempt("short_of_memory", short_of_memory)
    record.attempt("next_run", train_once, "next")


def agents(context: Context, record: Record) -> None:
    """A sweep is created and trained by two agents, one of them with two workers; estimate too."""
    document = yaml.safe_load((ROOT / "workflow/sweeps/random.yaml").read_text(encoding="utf-8"))
    document["run_cap"] = 4
    document["parameters"]["max_epochs"] = {"value": 2}
    if context.tiny:
        document["parameters"] |= {name: {"value": value} for name, value in TINY.items()}
    sweep = context.folder / "sweep.yaml"
    sweep.write_text(yaml.safe_dump(document), encoding="utf-8")
    created = context.folder / "sweep.json"
    inputs = ["--sweep", sweep, *_files(context, "dataset"), "--seed", 0, "--output", created]
    record.attempt("create_sweep", lambda: Step(context, "create_sweep", *inputs).end())
    given = ["--sweep", created, "--runs", context.folder / "runs", "--device", context.device]
    given += _files(context, "train", "val", "dataset")
    workers = 1 if context.tiny else 2
    crew = ["--agents", 2]
    trainings = [
        Step(context, "agent", *given, *crew, *more, log=f"agent_{n}")
        for n, more in enumerate(([], ["--workers", workers]))
    ]
    for number, step in enumerate(trainings):
        record.attempt(f"agent_{number}", step.end)
    record.attempt("runs", _run_states, context.folder / "runs")
    if not context.tiny:
        record.attempt("estimate", _estimate, context, inputs, given)


def _estimate(context: Context, inputs: list[object], given: list[object]) -> dict[str, Any]:
    """Of another sweep, none of whose runs is over."""
    other = context.folder / "other.json"
    changes = ["--seed", 1, "--run-cap", 3, "--output", other]
    Step(context, "create_sweep", *inputs, *changes, log="create_other").end()
    return Step(context, "estimate", *given, "--sweep", other, "--agents", 2, "--seconds", 1).end()


def _run_states(runs: Path) -> dict[str, Any]:
    outcomes = [json.loads(path.read_text(encoding="utf-8")) for path in runs.rglob("run.json")]
    states = [run["state"] for run in outcomes]
    if states != ["finished"] * 4:
        raise RuntimeError(f"not 4 finished runs: {states} {[run['reason'] for run in outcomes]}")
    return {"states": states, "devices": sorted({run["device"] for run in outcomes})}
