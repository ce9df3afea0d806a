"""Are the pipeline's steps right on a GPU, and how fast do many small runs share one?

`make bench-gpu` runs it; it needs no more than `python3 benchmarks/gpu.py`. Each section is a
process of its own with a time limit, the most valuable first; what they find is written to one
JSON file while they work, and printed as a table at the end.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]
GIVEN_PATH = [path for path in [os.environ.get("PYTHONPATH")] if path]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *GIVEN_PATH])
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gpu_checks as checks  # noqa: E402
import gpu_rates as rates  # noqa: E402
import torch  # noqa: E402
from bench_training import make_dataset  # noqa: E402
from gpu_workers import ERROR_LINES, Context, Record, Skipped, end_mps, worker  # noqa: E402

RECORDINGS = 16
POLL_SECONDS = 0.1
LEAST_SECONDS = 15.0
"""With less time left no section is begun."""


class Section(NamedTuple):
    """A part of the benchmark, and the most seconds that it may take."""

    body: Callable[[Context, Record], None]
    seconds: float
    needs_cuda: bool = False


SECTIONS = {
    "environment": Section(checks.environment, 60),
    "training": Section(checks.training, 80),
    "evaluation": Section(checks.evaluation, 100),
    "agents": Section(checks.agents, 100),
    "out_of_memory": Section(checks.out_of_memory, 60),
    "precision": Section(rates.precision, 100, needs_cuda=True),
    "plain": Section(rates.plain, 75),
    "together": Section(rates.together, 60),
    "together_graph": Section(rates.together_graph, 90, needs_cuda=True),
    "processes": Section(rates.processes, 100),
    "graph": Section(rates.graph, 30, needs_cuda=True),
    "shared": Section(rates.shared, 80, needs_cuda=True),
    "together_compiled": Section(rates.together_compiled, 75, needs_cuda=True),
    "quality": Section(rates.quality, 240),
}
STAGES = (
    # Nothing is timed in these, so they may disturb each other.
    ("environment", "training"),
    ("evaluation", "agents", "out_of_memory", "precision"),
    *((name,) for name in list(SECTIONS)[6:]),
)


def run_section(name: str, context: Context, path: Path) -> None:
    """In the section's own process."""
    record = Record(path)
    started, outcome = time.monotonic(), dict[str, Any](state="ok")
    try:
        SECTIONS[name].body(context, record)
    except Skipped as error:
        outcome = {"state": f"skipped: {error}"}
    except Exception:
        outcome = {"state": "failed", "error": traceback.format_exc().splitlines()[-ERROR_LINES:]}
    record.put("section", outcome | {"seconds": round(time.monotonic() - started, 1)})


class Work:
    """A section at work, in a process group that is ended with it."""

    def __init__(self, name: str, context: Context) -> None:
        self.name, self.seconds = name, context.seconds
        self.path = context.folder / f"section_{name}.json"
        request = context.folder / f"context_{name}.json"
        request.write_text(context.to_json(), encoding="utf-8")
        flags = ["--section", name, str(request), str(self.path)]
        self.started = time.monotonic()
        command = [sys.executable, str(Path(__file__).resolve()), *flags]
        self.process = subprocess.Popen(command, start_new_session=True)

    def state(self) -> str | None:
        """How it ended; None while it is at work."""
        code = self.process.poll()
        if code is None and time.monotonic() - self.started < self.seconds:
            return None
        self.end()
        if code is None:
            return f"ended after {self.seconds:.0f} s"
        return "ok" if code == 0 else f"failed: exit code {code}"

    def end(self) -> None:
        """Ends it and its children, should there be any left."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Run:
    """The sections one after the other, and the file of what they found."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        self.until = time.monotonic() + 60 * arguments.minutes
        self.found: dict[str, Any] = {}

    def stage(self, names: Sequence[str], dataset: Path) -> None:
        """Runs sections side by side, if there is time."""
        left = self.until - time.monotonic()
        why = "no time left" if left < LEAST_SECONDS else "no CUDA"
        able = [name for name in names if why == "no CUDA" and self._can(name)]
        self.found |= {n: {"section": {"state": f"skipped: {why}"}} for n in {*names} - {*able}}
        where = (dataset, self.folder, self.arguments.device, self.arguments.tiny)
        limits = {name: min(SECTIONS[name].seconds, left) for name in able}
        if able:
            print(f"{left:.0f} s left: {limits}", flush=True)
        works = [Work(name, Context(*where, limits[name])) for name in able]
        try:
            while works:
                time.sleep(POLL_SECONDS)
                works = [work for work in works if not self._is_over(work)]
        finally:
            for work in works:
                work.end()
            end_mps(self.folder)
        self.write()

    def _can(self, name: str) -> bool:
        return self.arguments.device == "cuda" or not SECTIONS[name].needs_cuda

    def _is_over(self, work: Work) -> bool:
        state = work.state()
        self.take(work.name, work.path)
        if state is None:
            return False
        outcome = self.found.setdefault(work.name, {}).setdefault("section", {"state": state})
        outcome["seconds_with_start"] = round(time.monotonic() - work.started, 1)
        print(f"{work.name}: {outcome}", flush=True)
        self.write()
        return True

    def take(self, name: str, path: Path) -> None:
        """Takes over what a section has found so far."""
        content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        if content and content != self.found.get(name):
            self.found[name] = content
            self.write()

    def write(self) -> None:
        """Writes all that is known by now."""
        output: Path = self.arguments.output
        temporary = output.with_name(f".{output.name}.tmp")
        temporary.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")
        temporary.replace(output)


def table(measured: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """What was measured, and beside it how often the plain loop would fit into it."""
    base = measured.get("plain", {}).get("dataloader_0_workers", {}).get("epochs_per_s")
    columns = ("epochs_per_s", "train_epochs_per_s", "windows_per_s", "reserved_mib", "card_mib")
    columns = (*columns, "gpu_percent")
    yield " | ".join(("| way to train", *columns, "times the plain loop |"))
    yield "|" + " --- |" * (len(columns) + 2)
    for section in measured.values():
        for name, value in section.items():
            if isinstance(value, dict) and "epochs_per_s" in value:
                cells = [str(value.get(column, "")) for column in columns]
                times = f"{value['epochs_per_s'] / base:.2f}" if base else ""
                yield " | ".join((f"| {name}", *cells, f"{times} |"))
    yield ""
    for section_name, section in measured.items():
        for name, value in section.items():
            if isinstance(value, dict) and "state" in value:
                error = str(value.get("error", [""])[-1])[-300:]
                yield f"{section_name}.{name}: {value['state']} {value.get('seconds', '')} {error}"


def main() -> None:
    """Runs the sections and prints what they found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    cuda = torch.cuda.is_available()
    add("--minutes", type=float, default=7.5, help="for all sections; default: %(default)s")
    add("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="default: all")
    add("--device", choices=("cpu", "cuda"), default="cuda" if cuda else "cpu")
    add("--tiny", action="store_true", help="a small network and short measurements: a smoke test")
    add(
        "--dataset",
        type=Path,
        help="folder of a dataset, beside its recordings; default: simulated",
    )
    out = Path(os.environ.get("OUT") or "gpu_results") / "results.json"
    add("--output", type=Path, default=out, help="JSON file; default: %(default)s")
    add("--section", nargs=3, help=argparse.SUPPRESS)
    add("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.worker)
    elif arguments.section:
        name, request, path = arguments.section
        run_section(name, Context.from_json(Path(request).read_text(encoding="utf-8")), Path(path))
    else:
        benchmark(arguments)


def benchmark(arguments: argparse.Namespace) -> None:
    """All sections, in a folder that is removed afterwards."""
    arguments.output = arguments.output.absolute()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="gcodefp-gpu-", ignore_cleanup_errors=True) as name:
        run = Run(arguments, Path(name))
        started = time.monotonic()
        recordings = 3 if arguments.tiny else RECORDINGS
        dataset = (arguments.dataset or make_dataset(Path(name), recordings)).absolute()
        print(f"dataset: {time.monotonic() - started:.1f} s", flush=True)
        for stage in STAGES:
            if names := [name for name in stage if name in arguments.only]:
                run.stage(names, dataset)
    print("\n".join(table(run.found)), flush=True)
    print(f"written: {arguments.output}")


if __name__ == "__main__":
    main()
