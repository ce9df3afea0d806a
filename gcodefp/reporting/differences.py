"""Differences of a result file from the recomputed one, key by key and row by row."""

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
from gcodefp.sweeps.system_metrics import SYSTEM_FIELDS

TOLERANCE = 1e-6
EXPLANATION_TOLERANCE = 1e-3
"""Confidences are sums of many rounded numbers."""
OTHER_TOLERANCE = 5e-3
"""For another device or library version: relative, and the share of rows that may differ."""
NOT_COMPARED = ("provenance", "device", *SYSTEM_FIELDS)
"""Results of earlier versions have no system metrics."""
ONLY_ON_THE_SAME = (*BREAKDOWN, "overconfidence", "bins", "reconstructed_block",
                    "reconstructed_recording")  # fmt: skip
"""Numbers of few rows, and sequences whose length rounding may change."""


def compare_files(recomputed: Path, path: Path, is_same: bool) -> Iterator[str]:
    """Differences of a file from the recomputed one.

    Args:
        is_same: whether the same device and libraries made both.
    """
    if not path.is_file():
        yield "is missing"
    elif recomputed.read_bytes() != path.read_bytes() and (is_same or recomputed.suffix != ".nc"):
        skipped = NOT_COMPARED if is_same else (*NOT_COMPARED, *ONLY_ON_THE_SAME)
        tolerance = EXPLANATION_TOLERANCE if recomputed.stem == "explanation" else TOLERANCE
        tolerance = tolerance if is_same else OTHER_TOLERANCE
        new = _without(_content(recomputed), skipped)
        try:
            old = _without(_content(path), skipped)
        except Exception as error:
            yield f"cannot be read ({type(error).__name__}: {error})"
        else:
            yield from differences(new, old, 0.0 if recomputed.suffix == ".pt" else tolerance)


def _content(path: Path) -> Any:
    """The comparable content of a file, as nested dicts and lists."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    if path.suffix == ".npz":
        # NumPy leaves a file that it opens itself open when it is truncated.
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


def differences(
    recomputed: Any, recorded: Any, tolerance: float = 0.0, key: str = ""
) -> Iterator[str]:
    """Keys at which a content is not the recomputed one."""
    if isinstance(recomputed, dict) and isinstance(recorded, dict):
        for name in dict.fromkeys([*recomputed, *recorded]):
            path = f"{key}.{name}" if key else str(name)
            if name in recomputed and name in recorded:
                yield from differences(recomputed[name], recorded[name], tolerance, path)
            else:
                yield f"{path} {'is missing' if name in recomputed else 'should not be there'}"
    elif (
        isinstance(recomputed, list)
        and isinstance(recorded, list)
        and len(recomputed) == len(recorded)
    ):
        for index, pair in enumerate(zip(recomputed, recorded, strict=True)):
            yield from differences(*pair, tolerance, f"{key}[{index}]")
    elif isinstance(recomputed, np.ndarray):
        yield from _differing_rows(recomputed, recorded, tolerance, key)
    elif isinstance(recomputed, float) and isinstance(recorded, float):
        if not isclose(recomputed, recorded, rel_tol=tolerance, abs_tol=min(tolerance, 1e-9)):
            yield f"{key} is {recorded}, recomputed {recomputed}"
    elif type(recomputed) is not type(recorded) or recomputed != recorded:
        yield f"{key} is {_part(recorded, recomputed)}, recomputed {_part(recomputed, recorded)}"


def _differing_rows(recomputed: Any, recorded: Any, tolerance: float, key: str) -> Iterator[str]:
    recomputed, recorded = np.atleast_1d(recomputed), np.atleast_1d(recorded)
    if recomputed.shape != recorded.shape:
        yield f"{key} has shape {recorded.shape}, recomputed {recomputed.shape}"
        return
    equal = np.asarray(recomputed == recorded)
    if recomputed.dtype.kind == recorded.dtype.kind == "f":
        equal = np.isclose(recomputed, recorded, rtol=tolerance, atol=tolerance, equal_nan=True)
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
