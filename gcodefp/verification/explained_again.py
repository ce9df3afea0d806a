"""Whether the explanation is what the winner gives: everything is asked once more."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gcodefp.dataset.store import read_description, read_split
from gcodefp.errors import UserError
from gcodefp.explanation.explained import describe_explanation, explain_split, explanation_arrays
from gcodefp.explanation.files import EXPLANATION_FORMAT, EXPLANATION_REBUILD
from gcodefp.files import read_json
from gcodefp.learning.checkpoint import read_checkpoint
from gcodefp.learning.outcome import describe_device
from gcodefp.verification.check import Check, in_words, run_check
from gcodefp.verification.differences import array_differences, differences
from gcodefp.verification.folder import ResultsFolder

TOLERANCE = 1e-3
"""Relative, and absolute for arrays: gradients and confidences are sums of many rounded numbers."""
OTHER_DEVICE = 5e-3
"""The same for what another kind of device has to give too, and the share of rows it may miss."""
FOUND = ("explanation/explanation.json", "explanation/explanation.npz")
NAMES = tuple(f"{name}, asked again" for name in FOUND)
"""The checks."""
DECIDED_BY_ROUNDING = ("embedding_xy",)
"""The last bits of the vectors decide where t-SNE lays them."""
ONLY_ON_THE_SAME = ("differences", "overconfidence", "bins", "embedding", "saliency")
"""What is near 0, or rests on who is the nearest: another device rounds otherwise."""


class _Again(NamedTuple):
    found: dict[str, Any]
    due: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    same: bool


def check_explanation(results: ResultsFolder, device: torch.device) -> list[Check]:
    """Asks the winner about the test split again."""
    try:
        again = _explain(results, device)
    except Exception as error:
        return [Check(name, False, f"cannot be: {in_words(error)}") for name in NAMES]
    on = f"on {again.due['device']}, explained on {again.found['device']}"
    looks = (
        (f"sensors left out, calibration, embedding and saliency, {on}", _document),
        (f"every row, {on}", _arrays),
    )
    return [
        run_check(name, what, partial(look, results, again))
        for name, (what, look) in zip(NAMES, looks, strict=True)
    ]


def _explain(results: ResultsFolder, device: torch.device) -> _Again:
    path = results.explanation / "explanation.json"
    found = read_json(path, EXPLANATION_FORMAT, EXPLANATION_REBUILD)
    checkpoint = read_checkpoint(results.best / "checkpoint.pt", device)
    description = read_description(results.dataset)
    if checkpoint.description.learning_digest() != description.learning_digest():
        raise UserError(f"{results.best / 'checkpoint.pt'}: was trained on another dataset")
    test = read_split(results.dataset.with_name("test.npz"), description, "test")
    explained = explain_split(checkpoint, test, device)
    return _Again(
        found,
        describe_explanation(explained, test, checkpoint.description, device),
        explanation_arrays(explained, test, checkpoint.description),
        found["device"] == describe_device(device),
    )


def _document(results: ResultsFolder, again: _Again) -> Iterator[str]:
    # These say where and when, which is another today.
    apart = {"format", "provenance", "device", *(() if again.same else ONLY_ON_THE_SAME)}
    due, found = (_without(of, apart) for of in (again.due, again.found))
    yield from differences(due, found, TOLERANCE if again.same else OTHER_DEVICE)


def _without(content: Any, keys: set[str]) -> Any:
    """The same JSON document without these keys, wherever they are."""
    if isinstance(content, Mapping):
        return {key: _without(of, keys) for key, of in content.items() if key not in keys}
    if isinstance(content, list | tuple):
        return [_without(of, keys) for of in content]
    return content


def _arrays(results: ResultsFolder, again: _Again) -> Iterator[str]:
    with np.load(results.explanation / "explanation.npz", allow_pickle=False) as arrays:
        found = dict(arrays)
    due = dict(again.arrays)
    for name, of in again.arrays.items():
        rounded = name in DECIDED_BY_ROUNDING or (not again.same and name.endswith("saliency"))
        if rounded and name in found and found[name].shape == of.shape:
            del due[name], found[name]
    granted = 0.0 if again.same else OTHER_DEVICE
    yield from array_differences(due, found, TOLERANCE, granted)
