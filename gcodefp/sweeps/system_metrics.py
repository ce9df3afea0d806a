"""What a run uses of its computer over time: CPU, memory and GPU of its processes, in system.csv.

A thread samples a process and its descendants every few seconds, and ever more rarely in a long
run. It never costs a run: after an error it is logged once, and nothing is sampled any more.
"""

import functools
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from gcodefp.model.run_files import SYSTEM_FILE, append_line, complete_lines

logger = logging.getLogger("gcodefp.agent")

SYSTEM_COLUMNS = ("utc_seconds", "seconds", "cpu_share", "memory_mb", "gpu_share", "gpu_memory_mb",
           "gpu_memory_allocated_mb")  # fmt: skip
"""Shares are of one core, so up to the number of cores, and of the GPUs in use. Both are means over
the `seconds` before, but NVIDIA's, which is of its last sampling period. Memory in 10^6 bytes."""
SYSTEM_FIELDS = ("cpu_share", "peak_memory_mb", "gpu_share", "peak_gpu_memory_mb")
"""A run's summary, in runs.csv and beside it."""

FIRST_SECONDS, USUAL_SECONDS = 0.5, 5.0
SHORTEST_SECONDS = 0.1
"""For a share: the kernel counts CPU time in hundredths of a second."""
ROWS = 500
"""Samples are at least 1/500 of the time so far apart: 3300 rows in a week."""
JOIN_SECONDS = 5.0

SystemRow = Mapping[str, float | None]


@contextmanager
def system_metrics(folder: Path, pid: int) -> Iterator[None]:
    """Samples a process and its descendants into a folder's system.csv until the block ends."""
    stop = threading.Event()
    arguments = (folder / SYSTEM_FILE, pid, stop)
    thread = threading.Thread(target=_sample, args=arguments, name="system metrics", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        logger.warning("the run goes on without system metrics: %s", error)
        stop.set()
    try:
        yield
    finally:
        if not stop.is_set():
            stop.set()
            thread.join(JOIN_SECONDS)


def _sample(path: Path, pid: int, stop: threading.Event) -> None:
    try:
        process, begin = psutil.Process(pid), time.monotonic()
        (before, _, _), at = _usage(process), begin
        is_last = False
        while not is_last:
            elapsed = at - begin
            pause = max(min(elapsed, USUAL_SECONDS), FIRST_SECONDS, elapsed / ROWS)
            is_last = stop.wait(pause)
            seconds = time.monotonic() - at
            is_measurable = seconds > SHORTEST_SECONDS
            if is_measurable or at == begin:  # Also the shortest run has a row.
                cpu_seconds, memory, pids = _usage(process)
                share = max(cpu_seconds - before, 0.0) / seconds if is_measurable else None
                gpu_share, gpu_memory = _gpu(pids)
                megabytes = [_text(n, 1, 1e6) for n in (memory, gpu_memory, _cuda(pid))]
                cells = [f"{time.time():.3f}", f"{seconds:.3f}", _text(share, 3), megabytes[0]]
                cells += [_text(gpu_share, 3), *megabytes[1:]]
                append_line(path, SYSTEM_COLUMNS, ",".join(cells))
                before, at = cpu_seconds, at + seconds
    except psutil.NoSuchProcess:
        return  # It has ended.
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        logger.warning("%s: the run goes on without system metrics: %s", path.parent, text)


def _text(value: float | None, digits: int, unit: float = 1.0) -> str:
    return "" if value is None else f"{value / unit:.{digits}f}"


def _usage(process: psutil.Process) -> tuple[float, int, set[int]]:
    """CPU seconds, those of ended children too, bytes and process ids of a living tree.

    Raises psutil.NoSuchProcess: it has ended.
    """
    cpu_seconds, memory_bytes, pids = 0.0, 0, set()
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.Error), one.oneshot():
            memory_bytes += one.memory_info().rss
            times = one.cpu_times()
            cpu_seconds += times.user + times.system + times.children_user + times.children_system
            pids.add(one.pid)
    return cpu_seconds, memory_bytes, pids


@functools.cache
def _nvml() -> Any:
    """NVIDIA's library; None without it, its driver or a GPU."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:
        return None
    return pynvml


def _gpu(pids: set[int]) -> tuple[float | None, float | None]:
    """Mean share of the GPUs on which these processes are, others on it included; their bytes."""
    shares, memory, nvml = [], [], _nvml()
    for index in range(nvml.nvmlDeviceGetCount()) if nvml else ():
        with suppress(nvml.NVMLError):  # Such as a part of a GPU (MIG), which has no share.
            gpu = nvml.nvmlDeviceGetHandleByIndex(index)
            listed = nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
            if used_bytes := [one.usedGpuMemory for one in listed if one.pid in pids]:
                memory += [used for used in used_bytes if used is not None]  # None: not available.
                shares.append(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
    share = sum(shares) / len(shares) if shares else None
    return share, sum(memory) if memory else None


def _cuda(pid: int) -> int | None:
    """Bytes of torch's tensors on the GPUs, if the process is this one."""
    with suppress(AttributeError):  # torch is being imported.
        torch = sys.modules.get("torch")
        if torch is not None and pid == os.getpid() and torch.cuda.is_initialized():
            return sum(map(torch.cuda.memory_allocated, range(torch.cuda.device_count())))
    return None


def read_system(path: Path) -> list[SystemRow]:
    """All complete lines of system.csv; none if the file is missing. None: no such device."""
    rows: list[SystemRow] = []
    for line in complete_lines(path):
        with suppress(ValueError):  # The header, and lines whose write was interrupted.
            values = [float(cell) if cell else None for cell in line.split(",")]
            row = dict(zip(SYSTEM_COLUMNS, values, strict=True))
            if row["seconds"] is not None and all(v is None or math.isfinite(v) for v in values):
                rows.append(row)
    return rows


def system_summary(folder: Path) -> dict[str, float | None]:
    """SYSTEM_FIELDS -> mean or peak over the run's rows; None where there is none."""
    rows = read_system(folder / SYSTEM_FILE)

    def mean(name: str) -> float | None:
        """Weighted by the time that a row is about."""
        pairs = [(row["seconds"] or 0.0, v) for row in rows if (v := row[name]) is not None]
        total = sum(seconds for seconds, _ in pairs)
        return round(sum(s * value for s, value in pairs) / total, 3) if total else None

    def peak(name: str) -> float | None:
        return max((v for row in rows if (v := row[name]) is not None), default=None)

    gpu_peak = peak("gpu_memory_mb")
    gpu_peak = peak("gpu_memory_allocated_mb") if gpu_peak is None else gpu_peak
    values = mean("cpu_share"), peak("memory_mb"), mean("gpu_share"), gpu_peak
    return dict(zip(SYSTEM_FIELDS, values, strict=True))
