"""How a run ended, in the words of its run.json."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from gcodefp.errors import UserError
from gcodefp.learning.hyperparameters import Hyperparameters, leaves
from gcodefp.learning.trainer import Diverged, TrainingResult

OUT_OF_MEMORY = ("out of memory", "can't allocate memory")
"""What torch says, on a GPU and on a CPU."""


class Killed(Exception):
    """The run's process was killed, again and again, most often for want of memory."""


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
        "hyperparameters": dict(leaves(hyperparameters)),
        "best_epoch": None,
        "best_value": None,
        "epochs": None,
        "seconds": None,
        "parameters": None,
        "device": None,
    }


def failure_class(error: Exception) -> str:
    """diverged, killed, out_of_memory, bad_hyperparameters or error."""
    if isinstance(error, Diverged):
        return "diverged"
    if isinstance(error, Killed):
        return "killed"
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if full or any(words in str(error) for words in OUT_OF_MEMORY):
        return "out_of_memory"
    return "bad_hyperparameters" if isinstance(error, UserError) else "error"


def describe_device(device: torch.device) -> str:
    """The device's name, with the model of a GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
