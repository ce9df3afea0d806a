"""Checkpoints: weights with all that prediction needs; loaded with `weights_only=True`."""

import io
import pickle
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, parse_description
from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.model.data import network_sizes
from gcodefp.model.hyperparameters import Hyperparameters, parse_hyperparameters
from gcodefp.model.network import Network
from gcodefp.programs.table import Programs

FORMAT = "gcodefp-checkpoint-3"
RESUME_FORMAT = "gcodefp-resume-3"
UNREADABLE = (
    *(RuntimeError, OSError, EOFError, LookupError, ValueError),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)
"""Errors of torch for a file that is truncated or not a checkpoint."""


class Checkpoint(NamedTuple):
    """A trained network.

    Attributes:
        description: of the dataset that it was trained on.
        epoch: its epoch, from 1.
        value: of the run's metric in that epoch.
    """

    network: Network
    hyperparameters: Hyperparameters
    description: Description
    epoch: int
    value: float


def write_torch(path: Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values atomically."""
    # Through memory: a full disk is then an OSError, where torch would raise a RuntimeError.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_torch(path: Path, format_name: str, device: torch.device) -> dict[str, Any]:
    """Reads what `write_torch` wrote.

    Raises:
        UserError: the file is missing, truncated, or of another format.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except UNREADABLE as error:
        raise UserError(
            f"{path}: is not a gcodefp checkpoint, or is truncated ({type(error).__name__}); "
            "remove it, and run the step that made it again"
        ) from None
    file_format = content.get("format") if isinstance(content, dict) else None
    if file_format != format_name:
        raise UserError(f"{path}: format is {file_format!r}, this version reads {format_name!r}")
    return dict(content)


def write_checkpoint(
    path: Path,
    weights: dict[str, Any],
    hyperparameters: Hyperparameters,
    description: Description,
    epoch: int,
    value: float,
) -> None:
    """Saves the weights of one epoch with the dataset's description."""
    programs = vars(description.programs).items()
    write_torch(
        path,
        {
            "format": FORMAT,
            "weights": weights,
            "hyperparameters": asdict(hyperparameters),
            "dataset": dict(description.document),
            "programs": {name: _to_plain(array) for name, array in programs},
            "epoch": epoch,
            "value": value,
        },
    )


def _to_plain(array: NDArray[Any]) -> Any:
    """Texts as a list, numbers as a tensor: types that load with `weights_only`."""
    return array.tolist() if array.dtype.kind == "U" else torch.as_tensor(array)


def _from_plain(value: Any) -> NDArray[Any]:
    """The inverse of `_to_plain`, from any device."""
    return np.asarray(value.cpu() if isinstance(value, torch.Tensor) else value)


def read_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Loads a checkpoint, ready for prediction.

    Raises:
        UserError: the file is missing, truncated, or of another format.
    """
    content = read_torch(path, FORMAT, device)
    hyperparameters = parse_hyperparameters(content["hyperparameters"], str(path))
    programs = {name: _from_plain(plain) for name, plain in content["programs"].items()}
    description = parse_description(content["dataset"], Programs(**programs))
    network = Network(network_sizes(description), hyperparameters).to(device)
    network.load_state_dict(content["weights"])
    network.eval()
    epoch, value = int(content["epoch"]), float(content["value"])
    return Checkpoint(network, hyperparameters, description, epoch, value)


def check_dataset(checkpoint: Checkpoint, description: Description, path: Path) -> None:
    """Checks that a checkpoint was trained on a dataset.

    Args:
        path: of the checkpoint, for the message.

    Raises:
        UserError: it was trained on other train or val splits.
    """
    description.check_learning_digest(checkpoint.description.learning_digest(), path)
