"""How fast many small runs share one GPU: the sections of benchmarks/gpu.py that measure it."""

import math
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from bench_loops import Loop, Training
from gpu_loops import Together, agreement, seeded_network
from gpu_workers import METRICS, Context, Record, Skipped, mps_server, run_workers
from scipy import stats

from gcodefp.dataset.store import read_description
from gcodefp.model.data import network_sizes
from gcodefp.model.epoch import make_optimizer, train_epoch, validate
from gcodefp.model.graphed_step import GraphedStep
from gcodefp.model.hyperparameters import Hyperparameters
from gcodefp.model.network import Network
from gcodefp.model.trainer import TrainingData
from gcodefp.model.window_decoding import decode_split_windows, measure_state_prior

QUALITY_PAIRS, QUALITY_EPOCHS = 30, 8


class Watch:
    """How busy the GPU is and how much of its memory is taken, from NVML, while it is entered."""

    def __init__(self) -> None:
        self.busy: list[float] = []
        self.mib: list[float] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)

    def restart(self) -> None:
        """Forgets what was before."""
        self.busy.clear()

    def summary(self) -> dict[str, float | None]:
        """Mean percent of the time with a kernel at work, and most memory in use by all."""
        busy, mib = self.busy[1:], self.mib
        return {
            "gpu_percent": round(statistics.fmean(busy), 1) if busy else None,
            "card_mib": max(mib, default=None),
        }

    def _follow(self) -> None:
        with suppress(Exception):
            import pynvml

            pynvml.nvmlInit()
            card = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self._end.wait(0.1):
                self.busy.append(float(pynvml.nvmlDeviceGetUtilizationRates(card).gpu))
                self.mib.append(pynvml.nvmlDeviceGetMemoryInfo(card).used / 2**20)


def wait_for(device: str) -> None:
    """Until the GPU has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def timed(device: str, seconds: float, body: Callable[[], Any]) -> tuple[int, float]:
    """How often `body` was done in at least so many seconds, and in how many exactly."""
    wait_for(device)
    started, count = time.perf_counter(), 0
    while not count or time.perf_counter() - started < seconds:
        body()
        count += 1
        wait_for(device)
    return count, time.perf_counter() - started


def rate(windows: int, epochs: float, train: float, extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the table shows of a way to train.

    Args:
        epochs: epochs a second of all runs, with validation; train: without it.
    """
    cuda = torch.cuda.is_available()
    mib = torch.cuda.max_memory_reserved() / 2**20 if cuda else None
    of_steps = {"train_epochs_per_s": round(train, 3), "windows_per_s": round(train * windows, 1)}
    return {"epochs_per_s": round(epochs, 3), **of_steps, "reserved_mib": mib} | extra


def fresh_memory() -> None:
    """The peak of GPU memory is counted anew."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def plain(context: Context, record: Record) -> None:
    """A plain DataLoader loop (B1) and the trainer without a CUDA graph (B2), in this process."""
    settings, data = context.settings(), context.data()
    windows = len(data.train.starts)

    def loop(kind: Loop) -> dict[str, Any]:
        fresh_memory()
        made, taken = Training(kind, settings, data), []
        made.seconds(1)
        with Watch() as watch:
            timed(context.device, measure(context), lambda: taken.append(made.seconds(2)))
        steps = sum(n[0] for n in taken) / len(taken)
        whole = sum(map(sum, taken)) / len(taken)
        return rate(windows, 1 / whole, 1 / steps, watch.summary()) | {"counted_epochs": len(taken)}

    record.attempt("dataloader_0_workers", loop, Loop(0, bfloat16=False, fused=False))
    record.attempt("without_graph", loop, Loop())
    record.attempt("without_graph_float32", loop, Loop(bfloat16=False))
    record.attempt("dataloader_2_workers", loop, Loop(2, bfloat16=False, fused=False))
    record.attempt("parts_of_an_epoch", parts, context, data)


def parts(context: Context, data: TrainingData) -> dict[str, float]:
    """Seconds of what the trainer does in an epoch, of a network that has learnt a little."""
    settings = context.settings()
    network = Network(network_sizes(data.description), settings).to(context.device)
    optimizer = make_optimizer(network, settings)
    bodies = {
        "train_epoch": lambda: train_epoch(network, optimizer, settings, data.train, 3),
        "measure_place_prior": lambda: measure_state_prior(network, data.train),
        "validate": lambda: validate(network, settings, data.val),
        "predict_in_validate": lambda: decode_split_windows(network, data.val),
    }
    rates = {}
    for name, body in bodies.items():
        body()
        count, seconds = timed(context.device, measure(context) / 2, body)
        rates[name] = round(seconds / count, 5)
    return rates


def measure(context: Context) -> float:
    """How many seconds a measurement lasts."""
    return 0.3 if context.tiny else 3.5


def crew(context: Context, name: str, count: int, variables: Mapping[str, str]) -> dict[str, Any]:
    """So many processes, each the trainer with run after run, between epochs that all are in."""
    settings = {"max_epochs": 3 if context.tiny else 20}
    jobs = [
        [{"settings": settings | {"seed": 100 * n + k}} for k in range(9)] for n in range(count)
    ]
    seconds = 2.0 if context.tiny else measure(context) * (1 + count / 8)
    with Watch() as watch:
        reports = run_workers(context, name, jobs, seconds, watch.restart, variables)
    ends = [report["epochs"] for report in reports]
    first, last = max(end_times[0] for end_times in ends), min(end_times[-1] for end_times in ends)
    counted = sum(first < end <= last for end_times in ends for end in end_times)
    if not counted:
        raise RuntimeError(f"no epoch lies within all runs: {ends}")
    windows = read_description(context.dataset / "dataset.json").document["splits"]["train"]
    return {
        "epochs_per_s": round(counted / (last - first), 3),
        "windows_per_s": round(counted / (last - first) * windows["windows"], 1),
        "reserved_mib": max(report["gpu_mib"] for report in reports),
        "counted_epochs": counted,
        "seconds_counted": round(last - first, 2),
        **watch.summary(),
    }


def processes(context: Context, record: Record) -> None:
    """The trainer in 1 (B2), 4, 8 and 16 processes at once (B3)."""
    for count in (2,) if context.tiny else (1, 8, 16, 4):
        record.attempt(f"trainer_{count}_processes", crew, context, f"{count}", count, {})


def shared(context: Context, record: Record) -> None:
    """The same under NVIDIA's multi-process service (B4)."""
    if not shutil.which("nvidia-cuda-mps-control"):
        raise Skipped("no nvidia-cuda-mps-control")
    with mps_server(context.folder) as variables:
        for count in (8, 16, 4):
            name = f"mps_{count}"
            if record.attempt(name, crew, context, name, count, variables) is None:
                break


def graph(context: Context, record: Record) -> None:
    """The trainer's step as a CUDA graph (B5), and how far its gradients are from one without."""
    data = context.data()
    for precision in ("bf16", "float32"):

        def one(precision: str = precision) -> dict[str, Any]:
            fresh_memory()
            made = GraphedRun(context.settings(precision=precision), data)
            return of_epochs(context, data, made.epoch, 1, lambda: made.network)

        record.attempt(f"graph_{precision}", one)


class GraphedRun:
    """One run of the trainer, without files."""

    def __init__(self, settings: Hyperparameters, data: TrainingData) -> None:
        self.settings, self.train = settings, data.train
        self.network = seeded_network(data, settings, data.train.signals.device)
        self.optimizer = make_optimizer(self.network, settings)
        self.step = GraphedStep(self.network, settings, data.train)

    def epoch(self, epoch: int) -> int:
        """Trains an epoch (from 1); returns how many steps."""
        train_epoch(self.network, self.optimizer, self.settings, self.train, epoch, self.step)
        if self.step.failures:
            raise RuntimeError(f"no CUDA graph: {self.step.failures}")
        return -(-len(self.train.starts) // self.settings.batch_size)


def of_epochs(
    context: Context,
    data: TrainingData,
    epoch: Callable[[int], int],
    members: int,
    network: Callable[[], Network],
) -> dict[str, Any]:
    """The rate of a loop that trains K runs; validation is the trainer's, run by run."""
    epoch(1)
    epoch(2)
    with Watch() as watch:
        count, seconds = timed(context.device, measure(context) * 0.75, lambda: epoch(3))
    extra = {"step_ms": round(1000 * seconds / count / epoch(3), 3), **watch.summary()}
    made = network()

    def check() -> None:
        measure_state_prior(made, data.train)
        validate(made, context.settings(), data.val)

    check()
    times, taken = timed(context.device, measure(context) / 8, check)
    one, each = seconds / count, taken / times
    extra["validation_s_per_run"] = round(each, 4)
    windows = len(data.train.starts)
    whole = members / (one + members * each)
    return rate(windows, whole, members / one, extra)


def joined(settings: Sequence[Hyperparameters], data: TrainingData, **how: Any) -> Together:
    """Runs that can do a step together, with fused attention if vmap has a rule for it."""
    try:
        made = Together(settings, data, **how)
        made.step()
    except (RuntimeError, NotImplementedError) as error:
        print(f"without fused attention, as {error}", flush=True)
        made = Together(settings, data, **how | {"fused_attention": False})
        made.step()
    made.forget()  # The learning rate was 0.
    return made


def join(
    context: Context, data: TrainingData, count: int, is_graph: bool, **how: Any
) -> dict[str, Any]:
    """K runs as one."""
    fresh_memory()
    settings = [
        context.settings(seed=k, learning_rate=0.002 * 3 ** (k / count)) for k in range(count)
    ]
    made = joined(settings, data, **how)
    if is_graph:
        made.capture()
    rates = of_epochs(context, data, made.epoch, count, lambda: made.network(0))
    return (
        rates
        | {"fused_attention": made.attention is nullcontext}
        | {"losses_finite": bool(made.loss.isfinite().all())}
    )


def together(context: Context, record: Record) -> None:
    """K runs of one shape as one, by vmap (B6), and whether that is right."""
    data = context.data()
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        record.attempt(f"agreement_{dtype}", agreement, data, context.settings(), 4, 5)
    torch.set_default_dtype(torch.float32)
    for count in (2,) if context.tiny else (16, 4, 64):
        record.attempt(f"vmap_{count}", join, context, data, count, False)


def together_graph(context: Context, record: Record) -> None:
    """K runs of one shape as one, their common step a CUDA graph."""
    data = context.data()
    for count in (16, 64, 32, 4, 1):
        record.attempt(f"vmap_graph_{count}", join, context, data, count, True)


def together_compiled(context: Context, record: Record) -> None:
    """K runs of one shape as one, compiled; and that as a CUDA graph."""
    data = context.data()
    for is_graph in (False, True):
        name = f"vmap_compiled{'_graph' * is_graph}_16"
        body = lambda g=is_graph: join(context, data, 16, g, compiled=True)  # noqa: E731
        record.attempt(name, body)


def precision(context: Context, record: Record) -> None:
    """What bfloat16 does to the quality: the same runs with and without it."""
    names = ("bfloat16", "float32")
    jobs = [
        [{"settings": {"max_epochs": 12, "seed": seed}, "precision": name}]
        for seed in range(4)
        for name in names
    ]
    reports = run_workers(context, "precision", jobs, context.seconds - 30)
    runs = [run for report in reports for run in report["runs"] if run["done"]]
    for metric in METRICS:
        values = {(r["job"]["precision"], r["job"]["settings"]["seed"]): r[metric] for r in runs}
        whole = [seed for seed in range(4) if all((name, seed) in values for name in names)]
        off = [values["bfloat16", seed] - values["float32", seed] for seed in whole]
        rates = {name: [values[name, seed] for seed in whole] for name in names}
        record.put(metric, rates | {"bfloat16_minus_float32": interval(off)})


def quality(context: Context, record: Record) -> None:
    """Runs trained together against the same ones alone, and these against other seeds (B7)."""
    data, random = context.data(), np.random.default_rng(0)
    pairs, epochs = (2, 1) if context.tiny else (QUALITY_PAIRS, QUALITY_EPOCHS)
    variants = [
        {"max_epochs": epochs, "learning_rate": float(rate), "seed": 10 + number}
        for number, rate in enumerate(np.exp(random.uniform(np.log(0.002), np.log(0.006), pairs)))
    ]
    started = time.monotonic()
    joined = record.attempt("trained_together", train_together, context, data, variants)
    if joined is None:
        return
    of_seeds = [[run, run | {"seed": run["seed"] + 1000}] for run in variants]
    train_one = train_graph if context.device == "cuda" else train_alone
    runs = []
    for number, pair in enumerate(of_seeds):
        if time.monotonic() - started > context.seconds - 15:
            break
        for is_other, run in enumerate(pair):
            runs.append((number, bool(is_other), train_one(context, data, context.settings(**run))))
    for metric in METRICS:
        scores = {(number, is_other): rates[metric] for number, is_other, rates in runs}
        whole = [n for n in range(pairs) if (n, True) in scores]
        changes = [joined["values"][metric][n] - scores[n, False] for n in whole]
        noise = [scores[n, True] - scores[n, False] for n in whole]
        means = {"alone": [scores[n, False] for n in whole], "together": joined["values"][metric]}
        record.put(
            metric,
            {"together_minus_alone": interval(changes), "other_seed_minus_alone": interval(noise)}
            | {f"mean_{name}": statistics.fmean(v) if v else None for name, v in means.items()},
        )


def train_graph(
    context: Context, data: TrainingData, settings: Hyperparameters
) -> dict[str, float]:
    """Trains one run to its end, its step a CUDA graph; its val metrics."""
    made = GraphedRun(replace(settings, precision="float32"), data)
    for epoch in range(1, settings.max_epochs + 1):
        made.epoch(epoch)
    measure_state_prior(made.network, data.train)
    return validate(made.network, replace(settings, seed=0), data.val)


def train_alone(
    context: Context, data: TrainingData, settings: Hyperparameters
) -> dict[str, float]:
    """Trains one run to its end as the trainer does; its val metrics."""
    network = Network(network_sizes(data.description), settings).to(context.device)
    optimizer = make_optimizer(network, settings)
    for epoch in range(1, settings.max_epochs + 1):
        train_epoch(network, optimizer, settings, data.train, epoch)
    measure_state_prior(network, data.train)
    return validate(network, replace(settings, seed=0), data.val)


def train_together(
    context: Context, data: TrainingData, variants: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Trains all runs as one to their end; the val metrics of each after its last epoch."""
    settings = [context.settings(**values) for values in variants]
    made = joined(settings, data)
    if context.device == "cuda":
        made.capture()
    for epoch in range(1, settings[0].max_epochs + 1):
        made.epoch(epoch)
    values: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for number, chosen in enumerate(settings):
        network = made.network(number)
        measure_state_prior(network, data.train)
        rates = validate(network, replace(chosen, seed=0), data.val)
        for metric in METRICS:
            values[metric].append(rates[metric])
    return {"values": values}


def interval(values: Sequence[float]) -> dict[str, Any]:
    """The mean and its 95 % interval (Student's t)."""
    if len(values) < 2:
        return {"n": len(values), "mean": None}
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return {"n": len(values), "mean": mean, "low": mean - reach, "high": mean + reach}
