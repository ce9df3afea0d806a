"""The training loop: epochs, best weights, and a state on disk from which a killed run resumes.

All random numbers of an epoch follow from (seed, epoch), so a resumed run ends with the same
weights as an uninterrupted one (bit-identical on one CPU thread).
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict, Field

from gcodefp.dataset.controls import apply_control
from gcodefp.dataset.store import DatasetDescription, read_description, read_split
from gcodefp.documents import Document, Finite, check_document
from gcodefp.errors import UserError
from gcodefp.model.checkpoint import (
    RESUME_FORMAT,
    UNREADABLE,
    check_weights,
    read_torch,
    write_checkpoint,
    write_torch,
)
from gcodefp.model.data import Tensors, network_sizes, to_tensors
from gcodefp.model.epoch import make_optimizer, train_epoch, validate
from gcodefp.model.graphed_step import GraphedStep
from gcodefp.model.hyperparameters import Hyperparameters, Incompatible, Objective, leaf_values
from gcodefp.model.network import Network
from gcodefp.model.run_files import (
    RETRAIN,
    append_metrics,
    append_work,
    check_epochs,
    truncate_metrics,
)
from gcodefp.model.window_decoding import measure_state_prior

EpochCallback = Callable[[int, Mapping[str, float]], bool]
"""Called with an epoch (from 1) and its metrics; returns True to stop the run."""
Combine = Callable[[Mapping[str, float]], Mapping[str, float]]
"""Further metrics of an epoch, computed from those that are logged."""


class Diverged(Exception):
    """The loss is no longer finite."""


class Killed(Exception):
    """The run's process was killed repeatedly, most often for lack of memory."""


class RunMismatch(UserError):
    """The folder holds an unfinished run of other hyperparameters, data or metric."""


@dataclass(frozen=True)
class TrainingData:
    """The splits of a training run, on its device; never the test split."""

    description: DatasetDescription
    train: Tensors
    val: Tensors


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a run; `stopped`: `report` ended it before max_epochs."""

    stopped: bool
    epochs: int
    best_epoch: int
    best_value: float
    seconds: float
    weight_count: int


def train(
    hyperparameters: Hyperparameters,
    data: TrainingData,
    objective: Objective,
    folder: Path,
    report: EpochCallback,
    *,
    compiled: bool = False,
    combine: Combine | None = None,
) -> TrainingResult:
    """Trains until max_epochs or until `report` stops the run; resumes from `folder` if it can.

    Writes metrics.csv, work.csv and last.pt after every epoch, and checkpoint.pt, the best epoch by
    `objective`, at the end.

    Args:
        compiled: the encoder runs under torch.compile, which changes the last bits; a step is
            then no CUDA graph.
        combine: metrics that are logged too, and may be the objective's.

    Raises:
        Diverged: a loss, or a combined metric, became infinite or NaN.
        RunMismatch: `folder` holds another unfinished run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = _Run(hyperparameters, data, objective, compiled)
    state = run.resume(folder / "last.pt")
    append_work(folder / "work.csv", state.epoch)
    stop, metrics_file = False, folder / "metrics.csv"
    rows = truncate_metrics(metrics_file, state.epoch)
    check_epochs(metrics_file, state.epoch)
    for row in rows:
        stop = report(int(row["epoch"]), row)
    while state.epoch < hyperparameters.max_epochs and not stop:
        metrics = run.next_epoch(combine)
        row = {"epoch": state.epoch, **metrics, "seconds": round(state.seconds, 3)}
        append_metrics(metrics_file, row)
        append_work(folder / "work.csv", state.epoch)
        run.save(folder / "last.pt")
        stop = report(state.epoch, row)
    check_epochs(metrics_file, state.epoch)  # The folder may have been removed meanwhile.
    best = (state.best_weights, hyperparameters, data.description)
    write_checkpoint(folder / "checkpoint.pt", *best, state.best_epoch, state.best_value)
    for name in ("metrics.csv", "last.pt", "checkpoint.pt"):  # Of killed processes.
        for path in folder.glob(f".{name}.*.tmp"):
            path.unlink(missing_ok=True)
    return run.result()


class _State(Document):
    """The content of last.pt besides weights and optimizer, which has had an epoch or more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    epoch: int = Field(ge=1, le=10**9)
    seconds: float = Field(ge=0, le=1e12)
    best_epoch: int = Field(ge=1, le=10**9)
    best_value: Finite
    best_weights: dict[str, Any]


class _ResumeDocument(Document):
    identity: dict[str, Any]
    weights: dict[str, Any]
    optimizer: dict[str, Any]
    state: _State


class _Run:
    """A network in training, with its optimizer and its progress."""

    def __init__(
        self,
        hyperparameters: Hyperparameters,
        data: TrainingData,
        objective: Objective,
        compiled: bool = False,
    ) -> None:
        torch.manual_seed(hyperparameters.seed)
        self.hyperparameters, self.data, self.objective = hyperparameters, data, objective
        device, sizes = data.train.signals.device, network_sizes(data.description)
        self.network = Network(sizes, hyperparameters).to(device)
        self.optimizer = make_optimizer(self.network, hyperparameters)
        if compiled:
            self.network.encode = torch.compile(self.network.encode)  # type: ignore[method-assign]
        is_graphed = device.type == "cuda" and not compiled
        self.step = GraphedStep(self.network, hyperparameters, data.train) if is_graphed else None
        self.state = _State.model_construct(
            epoch=0, seconds=0.0, best_epoch=0, best_value=math.nan, best_weights={}
        )
        # All that determines the run; it resumes only from a last.pt of the same identity.
        self.identity = {
            "hyperparameters": asdict(hyperparameters),
            "data": data.description.training_data_digest(),
            "objective": asdict(objective),
        }

    def next_epoch(self, combine: Combine | None = None) -> dict[str, float]:
        """Trains and validates one epoch, and keeps the best weights; returns its metrics."""
        start, state = time.monotonic(), self.state
        network, hyperparameters, data = self.network, self.hyperparameters, self.data
        split, epoch = data.train, state.epoch + 1
        metrics = train_epoch(network, self.optimizer, hyperparameters, split, epoch, self.step)
        measure_state_prior(network, data.train)
        metrics |= validate(network, hyperparameters, data.val)
        combined = combine(metrics) if combine else {}
        metrics |= combined
        for name in ("train/loss", "val/loss", *combined):
            if not math.isfinite(metrics[name]):
                raise Diverged(f"{name} is {metrics[name]} in epoch {state.epoch + 1}")
        state.epoch += 1
        state.seconds += time.monotonic() - start
        value = metrics[self.objective.metric]
        if state.best_epoch == 0 or self.objective.is_better(value, state.best_value):
            state.best_epoch, state.best_value = state.epoch, value
            state.best_weights = {k: v.clone() for k, v in network.state_dict().items()}
        return metrics

    def result(self) -> TrainingResult:
        state = self.state
        return TrainingResult(
            stopped=state.epoch < self.hyperparameters.max_epochs,
            epochs=state.epoch,
            best_epoch=state.best_epoch,
            best_value=state.best_value,
            seconds=state.seconds,
            weight_count=sum(p.numel() for p in self.network.parameters()),
        )

    def save(self, path: Path) -> None:
        content = {
            "format": RESUME_FORMAT,
            "identity": self.identity,
            "weights": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "state": vars(self.state),
        }
        write_torch(path, content)

    def resume(self, path: Path) -> _State:
        """The state of last.pt, with its weights and optimizer; the initial one without a file."""
        if not path.exists():
            return self.state
        content = read_torch(path, RESUME_FORMAT, self.network.log_state_prior.device)
        check_document(content, _ResumeDocument, path, RETRAIN)
        # Runs of versions without this hyperparameter were computed as by its default.
        content["identity"]["hyperparameters"].setdefault("precision", Hyperparameters.precision)
        if content["identity"] != self.identity:
            raise RunMismatch(
                f"{path}: belongs to a run with other hyperparameters, data or metric; choose "
                "another folder, or remove this one"
            )
        for weights in (content["weights"], content["state"]["best_weights"]):
            check_weights(self.network.sizes, self.hyperparameters, weights, path)
        self.network.load_state_dict(content["weights"])
        # Its settings follow from the hyperparameters.
        groups = self.optimizer.state_dict()["param_groups"]
        try:
            slots = content["optimizer"]["state"]
            self.optimizer.load_state_dict({"state": slots, "param_groups": groups})
            _check_optimizer(self.optimizer)
        except UNREADABLE as error:
            raise UserError(f"{path}: optimizer does not fit ({error}); {RETRAIN}") from None
        self.state = _State(**content["state"])
        return self.state


def _check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Raises ValueError unless the slots of all parameters are alike, of their shape and finite."""
    names = {tuple(sorted(slots)) for slots in optimizer.state.values()}
    if len(names) > 1:
        raise ValueError(f"parameters have {len(names)} kinds of state")
    for parameter, slots in optimizer.state.items():
        for name, value in slots.items():
            if value is None:
                continue
            if value.shape not in (parameter.shape, ()) or not value.isfinite().all():
                raise ValueError(f"{name} has another shape, or is not finite")


def load_training_data(
    dataset: Path, train: Path, val: Path, device: torch.device, control: str | None = None
) -> TrainingData:
    """Reads dataset.json, train.npz and val.npz; never the test split.

    Args:
        control: one of CONTROLS, for which the splits are changed.
    """
    description = read_description(dataset)

    def load(path: Path, name: str) -> Tensors:
        split = read_split(path, description, name)
        changed = apply_control(split, name, control, description.window)
        return to_tensors(changed, description, device)

    splits = load(train, "train"), load(val, "val")
    return TrainingData(description.with_control(control), *splits)


# The outcome of a run, as run.json records it.

INVALID = "invalid"
"""The failure of a run whose hyperparameters exclude each other."""
OUT_OF_MEMORY = ("out of memory", "can't allocate memory")
"""Parts of torch's messages, on a GPU and on a CPU."""


def describe_result(
    result: TrainingResult, hyperparameters: Hyperparameters, device: torch.device
) -> dict[str, Any]:
    """A run that finished, or was pruned or stopped."""
    return {
        "state": "stopped" if result.stopped else "finished",
        "failure": None,
        "reason": "early termination" if result.stopped else "all epochs done",
        "hyperparameters": asdict(hyperparameters),
        "best_epoch": result.best_epoch,
        "best_value": result.best_value,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 3),
        "parameters": result.weight_count,
        "device": describe_device(device),
    }


def describe_failure(error: Exception, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """A failed run, with the class of its failure."""
    unknown = ("best_epoch", "best_value", "epochs", "seconds", "parameters", "device")
    return {
        "state": "failed",
        "failure": failure_class(error),
        "reason": str(error) or type(error).__name__,
        "hyperparameters": dict(leaf_values(hyperparameters)),
        **dict.fromkeys(unknown),
    }


def failure_class(error: Exception) -> str:
    """diverged, killed, invalid, out_of_memory, bad_hyperparameters or error."""
    for kind, name in ((Diverged, "diverged"), (Killed, "killed"), (Incompatible, INVALID)):
        if isinstance(error, kind):
            return name
    is_memory_full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if is_memory_full or any(phrase in str(error) for phrase in OUT_OF_MEMORY):
        return "out_of_memory"
    return "bad_hyperparameters" if isinstance(error, UserError) else "error"


def describe_device(device: torch.device) -> str:
    """The device's name, with the model of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
