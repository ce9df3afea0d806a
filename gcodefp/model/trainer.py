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
from gcodefp.dataset.store import Description, read_description, read_split
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
from gcodefp.model.hyperparameters import Hyperparameters, Incompatible, Objective, flatten
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

    description: Description
    train: Tensors
    val: Tensors


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a run."""

    stopped: bool
    epochs: int
    best_epoch: int
    best_value: float
    seconds: float
    parameters: int


@dataclass
class _TrainingState:
    """The content of last.pt besides weights and optimizer."""

    epoch: int = 0
    seconds: float = 0.0
    best_epoch: int = 0
    best_value: float = math.nan
    best_weights: dict[str, Any] | None = None

    def update_best(self, network: Network, objective: Objective, value: float) -> None:
        """Stores the weights if the epoch's value is better than that of every earlier epoch."""
        if self.best_epoch == 0 or objective.is_better(value, self.best_value):
            self.best_epoch, self.best_value = self.epoch, value
            self.best_weights = {k: v.clone() for k, v in network.state_dict().items()}


class _StateDocument(Document):
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
    state: _StateDocument


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
        compiled: the encoder runs under torch.compile, which changes the last bits.
        combine: metrics that are logged too, and may be the objective's.

    Raises:
        Diverged: a loss, or a combined metric, became infinite or NaN.
        RunMismatch: `folder` holds another unfinished run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(hyperparameters.seed)
    network = Network(network_sizes(data.description), hyperparameters).to(
        data.train.signals.device
    )
    if compiled:
        network.encode = torch.compile(network.encode)  # type: ignore[method-assign]
    optimizer = make_optimizer(network, hyperparameters)
    identity = _identity(hyperparameters, data, objective)
    state = _load_state(folder / "last.pt", identity, hyperparameters, network, optimizer)
    append_work(folder / "work.csv", state.epoch)
    stop, metrics_file = False, folder / "metrics.csv"
    rows = truncate_metrics(metrics_file, state.epoch)
    check_epochs(metrics_file, state.epoch)
    for row in rows:
        stop = report(int(row["epoch"]), row)
    while state.epoch < hyperparameters.max_epochs and not stop:
        metrics = _next_epoch(network, optimizer, hyperparameters, data, state, combine)
        state.update_best(network, objective, metrics[objective.metric])
        row = {"epoch": state.epoch, **metrics, "seconds": round(state.seconds, 3)}
        append_metrics(metrics_file, row)
        append_work(folder / "work.csv", state.epoch)
        _save_state(folder / "last.pt", identity, network, optimizer, state)
        stop = report(state.epoch, row)
    check_epochs(metrics_file, state.epoch)  # The folder may have been removed meanwhile.
    assert state.best_weights is not None, "max_epochs is at least 1"
    best = (state.best_weights, hyperparameters, data.description)
    write_checkpoint(folder / "checkpoint.pt", *best, state.best_epoch, state.best_value)
    _remove_leftovers(folder)
    return TrainingResult(
        stopped=state.epoch < hyperparameters.max_epochs,
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        best_value=state.best_value,
        seconds=state.seconds,
        parameters=sum(p.numel() for p in network.parameters()),
    )


def _identity(
    hyperparameters: Hyperparameters, data: TrainingData, objective: Objective
) -> dict[str, Any]:
    """All that determines the run; it resumes only from a last.pt of the same identity."""
    return {
        "hyperparameters": asdict(hyperparameters),
        "data": data.description.learning_digest(),
        "objective": asdict(objective),
    }


def _next_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    hyperparameters: Hyperparameters,
    data: TrainingData,
    state: _TrainingState,
    combine: Combine | None,
) -> dict[str, float]:
    """Trains and validates one epoch; returns its metrics."""
    start = time.monotonic()
    metrics = train_epoch(network, optimizer, hyperparameters, data.train, state.epoch + 1)
    measure_state_prior(network, data.train)
    metrics |= validate(network, hyperparameters, data.val)
    combined = combine(metrics) if combine else {}
    metrics |= combined
    for name in ("train/loss", "val/loss", *combined):
        if not math.isfinite(metrics[name]):
            raise Diverged(f"{name} is {metrics[name]} in epoch {state.epoch + 1}")
    state.epoch += 1
    state.seconds += time.monotonic() - start
    return metrics


def _load_state(
    path: Path,
    identity: Mapping[str, Any],
    hyperparameters: Hyperparameters,
    network: Network,
    optimizer: torch.optim.Optimizer,
) -> _TrainingState:
    if not path.exists():
        return _TrainingState()
    content = read_torch(path, RESUME_FORMAT, network.log_state_prior.device)
    check_document(content, _ResumeDocument, path, RETRAIN)
    if content["identity"] != identity:
        raise RunMismatch(
            f"{path}: belongs to a run with other hyperparameters, data or metric; choose another "
            "folder, or remove this one"
        )
    for weights in (content["weights"], content["state"]["best_weights"]):
        check_weights(network.sizes, hyperparameters, weights, path)
    network.load_state_dict(content["weights"])
    try:
        # Its settings follow from the hyperparameters.
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": content["optimizer"]["state"], "param_groups": groups})
        _check_optimizer(optimizer)
    except UNREADABLE as error:
        raise UserError(f"{path}: optimizer does not fit ({error}); {RETRAIN}") from None
    return _TrainingState(**content["state"])


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


def _save_state(
    path: Path,
    identity: Mapping[str, Any],
    network: Network,
    optimizer: torch.optim.Optimizer,
    state: _TrainingState,
) -> None:
    content = {
        "format": RESUME_FORMAT,
        "identity": dict(identity),
        "weights": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "state": vars(state),
    }
    write_torch(path, content)


def _remove_leftovers(folder: Path) -> None:
    """Removes temporary files of killed processes."""
    for name in ("metrics.csv", "last.pt", "checkpoint.pt"):
        for path in folder.glob(f".{name}.*.tmp"):
            path.unlink(missing_ok=True)


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
        return to_tensors(
            apply_control(split, name, control, description.window), description, device
        )

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
    """A finished run, or one that was stopped early."""
    return {
        "state": "stopped" if result.stopped else "finished",
        "failure": None,
        "reason": "early termination" if result.stopped else "all epochs done",
        "hyperparameters": asdict(hyperparameters),
        "best_epoch": result.best_epoch,
        "best_value": result.best_value,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 3),
        "parameters": result.parameters,
        "device": describe_device(device),
    }


def describe_failure(error: Exception, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """A failed run, with the class of its failure."""
    unknown = ("best_epoch", "best_value", "epochs", "seconds", "parameters", "device")
    return {
        "state": "failed",
        "failure": failure_class(error),
        "reason": str(error) or type(error).__name__,
        "hyperparameters": dict(flatten(hyperparameters)),
        **dict.fromkeys(unknown),
    }


def failure_class(error: Exception) -> str:
    """diverged, killed, invalid, out_of_memory, bad_hyperparameters or error."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, Killed):
        return "killed"
    if isinstance(error, Incompatible):
        return INVALID
    is_memory_full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if is_memory_full or any(phrase in str(error) for phrase in OUT_OF_MEMORY):
        return "out_of_memory"
    return "bad_hyperparameters" if isinstance(error, UserError) else "error"


def describe_device(device: torch.device) -> str:
    """The device's name, with the model of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
