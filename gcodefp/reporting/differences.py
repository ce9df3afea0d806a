"""Differences of a result file from the recomputed one, key by key and row by row."""

import json
from collections.abc import Iterator, Sequence
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
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
SAME_ENVIRONMENT_ONLY = (*BREAKDOWN, "overconfidence", "bins", "reconstructed_block",
                    "reconstructed_recording")  # fmt: skip
"""Numbers of few rows, and sequences whose length rounding may change."""


def compare_files(recomputed: Path, path: Path, is_same: bool) -> Iterator[str]:
    """Differences of a file from the recomputed one.

    Args:
        is_same: whether the same device and libraries made both.
    """
    if not path.is_file():
        yield "is missing"
    elif recomputed.suffix == ".pdf":  # It is drawn as the SVG, in bytes that depend on zlib.
        return
    elif recomputed.read_bytes() != path.read_bytes() and (is_same or recomputed.suffix != ".nc"):
        tolerance = EXPLANATION_TOLERANCE if recomputed.stem == "explanation" else TOLERANCE
        tolerance = tolerance if is_same else OTHER_TOLERANCE
        try:
            old = _content(path)
        except Exception as error:
            yield f"cannot be read ({type(error).__name__}: {error})"
        else:
            skipped = NOT_COMPARED if is_same else (*NOT_COMPARED, *SAME_ENVIRONMENT_ONLY)
            exact = recomputed.suffix == ".pt"
            new = _content(recomputed)
            yield from differences(new, old, 0.0 if exact else tolerance, skipped=skipped)


def _content(path: Path) -> Any:
    """The comparable content of a file, as nested dicts and lists."""
    match path.suffix:
        case ".json":
            return json.loads(path.read_text(encoding="utf-8"))
        case ".npz":
            # NumPy leaves a file that it opens itself open when it is truncated.
            with path.open("rb") as handle, np.load(handle, allow_pickle=False) as arrays:
                return dict(arrays)
        case ".png":  # Libraries may pack the same pixels into other bytes.
            return {"pixels": imread(path)}
        case ".pt":
            checkpoint = read_checkpoint(path, torch.device("cpu"))
            weights = {n: t.numpy() for n, t in checkpoint.network.state_dict().items()}
            return {**weights, "epoch": checkpoint.epoch, "value": checkpoint.value}
        case ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            return {f"row {n}": row for n, row in enumerate(table.to_dict("records"), 1)}
    return {"text": path.read_text(encoding="utf-8")}


def differences(
    recomputed: Any,
    recorded: Any,
    tolerance: float = 0.0,
    key: str = "",
    skipped: Sequence[str] = (),
) -> Iterator[str]:
    """Keys at which a content is not the recomputed one; `skipped` are not compared anywhere."""
    kinds = {type(recomputed), type(recorded)}
    if kinds == {dict}:
        for name in dict.fromkeys([*recomputed, *recorded]):
            path = f"{key}.{name}" if key else str(name)
            if name in skipped:
                continue
            if name in recomputed and name in recorded:
                pair = recomputed[name], recorded[name]
                yield from differences(*pair, tolerance, path, skipped)
            else:
                yield f"{path} {'is missing' if name in recomputed else 'should not be there'}"
    elif kinds == {list} and len(recomputed) == len(recorded):
        for index, pair in enumerate(zip(recomputed, recorded, strict=True)):
            yield from differences(*pair, tolerance, f"{key}[{index}]", skipped)
    elif isinstance(recomputed, np.ndarray):
        yield from _differing_rows(recomputed, recorded, tolerance, key)
    elif kinds == {float}:
        if not isclose(recomputed, recorded, rel_tol=tolerance, abs_tol=min(tolerance, 1e-9)):
            yield f"{key} is {recorded}, recomputed {recomputed}"
    elif len(kinds) > 1 or recomputed != recorded:
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
    start = max(next((index for index, (a, b) in pairs if a != b), 0) - width // 2, 0)
    return text if len(text) <= width else text[start : start + width]
