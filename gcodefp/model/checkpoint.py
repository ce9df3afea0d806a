"""Checkpoints: what `torch.load(weights_only=True)` can read, with all that prediction needs."""

import io
import pickle
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, description_of
from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.model.data import sizes_of
from gcodefp.model.hyperparameters import Hyperparameters, hyperparameters_from
from gcodefp.model.network import Network
from gcodefp.programs.table import Programs

FORMAT = "gcodefp-checkpoint-3"
RESUME_FORMAT = "gcodefp-resume-3"


UNREADABLE = (
    *(RuntimeError, OSError, EOFError, LookupError, ValueError),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)
"""What torch raises for a file that is torn, or no checkpoint at all."""


class Checkpoint(NamedTuple):
    """A trained network and where it stands."""

    network: Network
    hyperparameters: Hyperparameters
    description: Description
    epoch: int
    value: float


def write_torch(path: Path, content: dict[str, Any]) -> None:
    """Saves tensors and plain values, whole or not at all."""
    # Through memory: a full disk is then an OSError, where torch would raise a RuntimeError.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_torch(path: Path, format_name: str, device: torch.device) -> dict[str, Any]:
    """Reads what `write_torch` wrote.

    Raises:
        UserError: the file is missing, torn, or of another format.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except UNREADABLE as error:
        raise UserError(
            f"{path}: is no checkpoint of gcodefp, or a torn one ({type(error).__name__}); remove "
            "it, and run what made it again"
        ) from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != format_name:
        raise UserError(f"{path}: format is {found!r}, this version reads {format_name!r}")
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
    write_torch(
        path,
        {
            "format": FORMAT,
            "weights": weights,
            "hyperparameters": asdict(hyperparameters),
            "dataset": dict(description.document),
            "programs": {name: _plain(array) for name, array in vars(description.programs).items()},
            "epoch": epoch,
            "value": value,
        },
    )


def _plain(array: NDArray[Any]) -> Any:
    """Texts as a list, numbers as a tensor: what can be loaded without trusting the file."""
    return array.tolist() if array.dtype.kind == "U" else torch.as_tensor(array)


def _array(plain: Any) -> NDArray[Any]:
    """What `_plain` was given, from whatever device it was loaded onto."""
    return np.asarray(plain.cpu() if isinstance(plain, torch.Tensor) else plain)


def read_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Loads a checkpoint, ready for prediction."""
    content = read_torch(path, FORMAT, device)
    hyperparameters = hyperparameters_from(content["hyperparameters"], str(path))
    programs = Programs(**{name: _array(of) for name, of in content["programs"].items()})
    description = description_of(content["dataset"], programs)
    network = Network(sizes_of(description), hyperparameters).to(device)
    network.load_state_dict(content["weights"])
    network.eval()
    return Checkpoint(
        network, hyperparameters, description, int(content["epoch"]), float(content["value"])
    )


def check_fits(checkpoint: Checkpoint, description: Description, path: Path) -> None:
    """Checks that a checkpoint was trained on a dataset.

    Args:
        path: of the checkpoint, for the message.

    Raises:
        UserError: it was trained on other train or val splits.
    """
    description.check_learning_digest(checkpoint.description.learning_digest(), path)
