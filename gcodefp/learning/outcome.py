"""How a run ended, in the words of its run.json."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from gcodefp.errors import UserError
from gcodefp.learning.hyperparameters import Hyperparameters
from gcodefp.learning.trainer import Diverged, TrainingResult


def succeeded(
    result: TrainingResult, hyperparameters: Hyperparameters, device: torch.device
) -> dict[str, Any]:
    """A run that trained to its end, or was stopped early."""
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


def failed(error: Exception, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """A run that went wrong, with the class of what did."""
    return {
        "state": "failed",
        "failure": failure_class(error),
        "reason": str(error) or type(error).__name__,
        "hyperparameters": dict(hyperparameters),
        "best_epoch": None,
        "best_value": None,
        "epochs": None,
        "seconds": None,
        "parameters": None,
        "device": None,
    }


def failure_class(error: Exception) -> str:
    """diverged, out_of_memory, bad_hyperparameters or error."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "out of memory" in str(error):
        return "out_of_memory"
    return "bad_hyperparameters" if isinstance(error, UserError) else "error"


def describe_device(device: torch.device) -> str:
    """The device's name, with the model of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
