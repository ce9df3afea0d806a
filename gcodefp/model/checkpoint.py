"""Checkpoints: weights with all that prediction needs; loaded with `weights_only=True`."""

import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from gcodefp import files
from gcodefp.dataset.document import DatasetDocument
from gcodefp.dataset.store import DatasetDescription, parse_description
from gcodefp.documents import ArraySpec, Document, Finite, check_arrays, check_document
from gcodefp.errors import UserError
from gcodefp.files import replacing
from gcodefp.model.data import network_sizes
from gcodefp.model.hyperparameters import Hyperparameters, parse_hyperparameters
from gcodefp.model.network import Network, NetworkSizes
from gcodefp.programs.table import Programs

FORMAT = "gcodefp-checkpoint-3"
RESUME_FORMAT = "gcodefp-resume-3"
REBUILD = "remove it, and run the stage that made it again"
UNREADABLE = (*files.UNREADABLE, OSError, ImportError, AssertionError, pickle.UnpicklingError)
"""Errors of torch for a file that is truncated or not a checkpoint."""
PROGRAMS: Mapping[str, ArraySpec] = {
    "names": ArraySpec("U", ("K",)),
    "first": ArraySpec("i", ("J",), 0),
    "line": ArraySpec("i", ("P",)),
    "block": ArraySpec("U", ("P",)),
    "position_mm": ArraySpec("f", ("P", 3), nan=True),
    "mm_per_unit": ArraySpec("f", ("P",), 1e-6, 1e6),
    "template": ArraySpec("f", ("P", "C"), nan=True),
    "noise": ArraySpec("f", ("C", "C"), -1e6, 1e6),
    "lag_seconds": ArraySpec("f", ("L",), nan=True),
    "lag_program": ArraySpec("i", ("L",), 0, "K"),
    "executed_line": ArraySpec("i", ("E",)),
    "executed_block": ArraySpec("U", ("E",)),
    "executed_program": ArraySpec("i", ("E",), 0, "K"),
    "step_seconds": ArraySpec("f", (), 1e-9, 1e9),
}
"""Arrays of a checkpoint's `programs`: K programs, P states, C channels, as in Programs."""
MIN_PRECISION, MAX_WEIGHT, MIN_EIGENVALUE = 1e-3, 500, 1e-6
CHANNEL_WEIGHT = {"weight": ArraySpec("f", ("K", "C"), 0)}
"""What earlier versions had in place of `noise`: the root of the signal-to-noise ratio."""


class _CheckpointDocument(Document):
    weights: dict[str, Any]
    hyperparameters: dict[str, Any]
    dataset: DatasetDocument
    programs: dict[str, Any]
    epoch: int = Field(ge=1, le=10**9)
    value: Finite


class Checkpoint(NamedTuple):
    """A trained network."""

    network: Network
    hyperparameters: Hyperparameters
    description: DatasetDescription  # of the dataset that it was trained on
    epoch: int  # its epoch, from 1
    value: float  # of the run's metric in that epoch


def write_torch(path: Path, content: dict[str, Any]) -> None:
    """Writes tensors and plain values atomically."""
    # Through memory: a full disk is then an OSError, where torch would raise a RuntimeError.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def read_torch(path: Path, format_name: str, device: torch.device) -> dict[str, Any]:
    """Reads what `write_torch` wrote.

    Raises UserError: the file is missing, truncated, or of another format.
    """
    try:
        stored = io.BytesIO(path.read_bytes())
        with zipfile.ZipFile(stored) as archive:
            if damaged := archive.testzip():  # torch does not look at the checksums.
                raise ValueError(f"{damaged} has another checksum")
        stored.seek(0)
        content = torch.load(stored, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except UNREADABLE as error:
        raise UserError(
            f"{path}: is not a gcodefp checkpoint, or is truncated ({type(error).__name__}); "
            f"{REBUILD}"
        ) from None
    file_format = content.get("format") if isinstance(content, dict) else None
    if file_format != format_name:
        raise UserError(f"{path}: format is {file_format!r}, this version reads {format_name!r}")
    return dict(content)


def write_checkpoint(
    path: Path,
    weights: dict[str, Any],
    hyperparameters: Hyperparameters,
    description: DatasetDescription,
    epoch: int,
    value: float,
) -> None:
    """Saves the weights of one epoch with the dataset's description."""
    content = {
        "format": FORMAT,
        "weights": weights,
        "hyperparameters": asdict(hyperparameters),
        "dataset": dict(description.document),
        # Texts as a list, numbers as a tensor: types that load with `weights_only`.
        "programs": {
            name: array.tolist() if array.dtype.kind == "U" else torch.as_tensor(array)
            for name, array in vars(description.programs).items()
        },
        "epoch": epoch,
        "value": value,
    }
    write_torch(path, content)


def _from_plain(value: Any) -> NDArray[Any]:
    """The array of a list of texts, or of a tensor from any device."""
    if isinstance(value, torch.Tensor):
        return np.asarray(value.cpu())
    is_texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
    return np.asarray(value, np.str_) if is_texts else np.asarray(str(value))


def read_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Loads a checkpoint, ready for prediction.

    Raises UserError: the file is missing, truncated, damaged, or of another format.
    """
    content = read_torch(path, FORMAT, device)
    check_document(content, _CheckpointDocument, path, REBUILD)
    hyperparameters = parse_hyperparameters(content["hyperparameters"], str(path))
    programs = {name: _from_plain(plain) for name, plain in content["programs"].items()}
    if {"names", "weight"} <= programs.keys() and "noise" not in programs:
        lengths = {"K": programs["names"].size, "C": len(content["dataset"]["channels"])}
        check_arrays(programs, CHANNEL_WEIGHT, path, REBUILD, lengths)
        precision = np.square(np.minimum(programs.pop("weight"), MAX_WEIGHT)).mean(0)
        programs["noise"] = np.diag(1 / np.maximum(precision, MIN_PRECISION))
    if programs.keys() != PROGRAMS.keys():
        raise UserError(f"{path}: programs has not the keys {', '.join(PROGRAMS)}; {REBUILD}")
    channels = len(content["dataset"]["channels"])
    lengths = {"C": channels, "J": programs["names"].size + 1}
    check_arrays(programs, PROGRAMS, path, REBUILD, lengths)
    noise = programs["noise"] = programs["noise"].astype(np.float32)
    least = np.linalg.eigvalsh(noise.astype(np.float64))[0]
    if not np.allclose(noise, noise.T) or least < MIN_EIGENVALUE:
        raise UserError(f"{path}: programs.noise is no covariance of channels; {REBUILD}")
    description = parse_description(content["dataset"], Programs(**programs))
    sizes, weights = network_sizes(description), content["weights"]
    first = programs["first"]
    if first[0] or (np.diff(first) < 1).any() or first[-1] != len(programs["line"]):
        raise UserError(f"{path}: programs.first is not a division of the states; {REBUILD}")
    check_weights(sizes, hyperparameters, weights, path)
    network = Network(sizes, hyperparameters).to(device)
    network.load_state_dict(weights)
    network.eval()
    epoch, value = int(content["epoch"]), float(content["value"])
    return Checkpoint(network, hyperparameters, description, epoch, value)


def check_weights(
    sizes: NetworkSizes, hyperparameters: Hyperparameters, weights: dict[str, Any], path: Path
) -> None:
    """Checks weights before a network of their size takes memory.

    Raises UserError: they are not of such a network, or one is NaN.
    """
    try:
        if hyperparameters.num_layers > len(weights):
            raise ValueError(f"num_layers is {hyperparameters.num_layers}")
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):
            Network(sizes, hyperparameters).load_state_dict(weights)
        if wrong := [name for name, weight in weights.items() if torch.isnan(weight).any()]:
            raise ValueError(f"{wrong[0]} has NaN")
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: weights do not fit ({reason}); {REBUILD}") from None


def check_dataset(checkpoint: Checkpoint, description: DatasetDescription, path: Path) -> None:
    """Raises UserError: the checkpoint at `path` was trained on other train or val splits."""
    description.check_training_data(checkpoint.description.training_data_digest(), path)
