"""Differences of a result file from the one that was made again, key by key and row by row."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.image import imread

from gcodefp.evaluation.names import BREAKDOWN
from gcodefp.model.checkpoint import read_checkpoint

TOLERANCE = 1e-6
EXPLANATION_TOLERANCE = 1e-3
"""Confidences are sums of many rounded numbers."""
OTHER_TOLERANCE = 5e-3
"""For another device or library version: relative, and the share of rows that may differ."""
NOT_COMPARED = ("provenance", "device")
ONLY_ON_THE_SAME = (*BREAKDOWN, "overconfidence", "bins", "reconstructed_block",
                    "reconstructed_recording")  # fmt: skip
"""Numbers of few rows, and sequences whose length rounding may change."""


def compare_files(again: Path, path: Path, is_same: bool) -> Iterator[str]:
    """Differences of a file from the one that was made again.

    Args:
        is_same: whether the same device and libraries made both.
    """
    if not path.is_file():
        yield "is missing"
    elif again.read_bytes() != path.read_bytes() and (is_same or again.suffix != ".nc"):
        skipped = NOT_COMPARED if is_same else (*NOT_COMPARED, *ONLY_ON_THE_SAME)
        tolerance = EXPLANATION_TOLERANCE if again.stem == "explanation" else TOLERANCE
        tolerance = tolerance if is_same else OTHER_TOLERANCE
        new = _without(_content(again), skipped)
        try:
            old = _without(_content(path), skipped)
        except Exception as error:
            yield f"cannot be read ({type(error).__name__}: {error})"
        else:
            yield from differences(new, old, 0.0 if again.suffix == ".pt" else tolerance)


def _content(path: Path) -> Any:
    """The comparable content of a file, as nested dicts and lists."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".npz":
        # NumPy leaves a file that it opens itself open when it is torn.
        with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
            return dict(arrays)
    if path.suffix == ".png":  # Libraries may pack the same pixels into other bytes.
        return {"pixels": imread(path)}
    if path.suffix == ".pt":
        checkpoint = read_checkpoint(path, torch.device("cpu"))
        weights = {name: tensor.numpy() for name, tensor in checkpoint.network.state_dict().items()}
        return {**weights, "epoch": checkpoint.epoch, "value": checkpoint.value}
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".csv":
        return {
            f"row {number}": row for number, row in enumerate(csv.DictReader(io.StringIO(text)), 1)
        }
    return {"text": text}


def _without(content: Any, keys: Sequence[str]) -> Any:
    if isinstance(content, dict):
        return {key: _without(part, keys) for key, part in content.items() if key not in keys}
    return [_without(part, keys) for part in content] if isinstance(content, list) else content


def differences(again: Any, recorded: Any, tolerance: float = 0.0, key: str = "") -> Iterator[str]:
    """Keys at which a content is not the one that was made again."""
    if isinstance(again, dict) and isinstance(recorded, dict):
        for name in dict.fromkeys([*again, *recorded]):
            path = f"{key}.{name}" if key else str(name)
            if name in again and name in recorded:
                yield from differences(again[name], recorded[name], tolerance, path)
            else:
                yield f"{path} {'is missing' if name in again else 'should not be there'}"
    elif isinstance(again, list) and isinstance(recorded, list) and len(again) == len(recorded):
        for index, pair in enumerate(zip(again, recorded, strict=True)):
            yield from differences(*pair, tolerance, f"{key}[{index}]")
    elif isinstance(again, np.ndarray):
        yield from _differing_rows(again, recorded, tolerance, key)
    elif isinstance(again, float) and isinstance(recorded, float):
        if not isclose(again, recorded, rel_tol=tolerance, abs_tol=min(tolerance, 1e-9)):
            yield f"{key} is {recorded}, made again {again}"
    elif type(again) is not type(recorded) or again != recorded:
        yield f"{key} is {_part(recorded, again)}, made again {_part(again, recorded)}"


def _differing_rows(again: Any, recorded: Any, tolerance: float, key: str) -> Iterator[str]:
    again, recorded = np.atleast_1d(again), np.atleast_1d(recorded)
    if again.shape != recorded.shape:
        yield f"{key} has shape {recorded.shape}, made again {again.shape}"
        return
    equal = np.asarray(again == recorded)
    if again.dtype.kind == recorded.dtype.kind == "f":
        equal = np.isclose(again, recorded, rtol=tolerance, atol=tolerance, equal_nan=True)
    rows = len(equal)
    count = int((~equal).any(axis=tuple(range(1, equal.ndim))).sum())
    if count > (rows * tolerance if tolerance == OTHER_TOLERANCE else 0):
        yield f"{key} differs in {count} of {rows} rows"


def _part(value: Any, other: Any, width: int = 70) -> str:
    """A value as text; of a long one, the part where it starts to differ."""
    text, other_text = repr(value), repr(other)
    pairs = enumerate(zip(text, other_text, strict=False))
    start = next((index for index, (a, b) in pairs if a != b), 0) - width // 2
    return text if len(text) <= width else text[max(start, 0) : max(start, 0) + width]
