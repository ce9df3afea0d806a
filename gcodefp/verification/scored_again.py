"""Whether the winner still scores what is reported: everything is read and measured once more."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from gcodefp.dataset.store import Description, Split, read_description, read_split
from gcodefp.errors import UserError
from gcodefp.evaluation.controls import read_controls
from gcodefp.evaluation.evaluated import Evaluated, describe_evaluation, evaluate_split
from gcodefp.evaluation.files import EVALUATION_FORMAT, EVALUATION_REBUILD
from gcodefp.evaluation.predictions_file import prediction_arrays, reconstructed_programs
from gcodefp.files import read_json
from gcodefp.learning.checkpoint import read_checkpoint
from gcodefp.learning.epoch import validate
from gcodefp.learning.outcome import describe_device
from gcodefp.learning.tensors import to_tensors
from gcodefp.sweep.best_file import BEST_FORMAT, BEST_REBUILD
from gcodefp.verification.check import Check, in_words, run_check
from gcodefp.verification.differences import array_differences, differences
from gcodefp.verification.folder import ResultsFolder, inputs_of, located, recorded_roots

TOLERANCE = 1e-6
"""Relative; the same device gives the same numbers but for their last digits."""
OTHER_DEVICE = 5e-3
"""What select_best grants another kind of device, of numbers and of the share of rows."""
CHOSEN = ("best/run.json", "evaluation/metrics.json", "evaluation/predictions.npz")
NAMES = (*(f"{name}, scored again" for name in CHOSEN), "evaluation/gcode, read again")
"""The checks."""


class _Again(NamedTuple):
    """What was read and scored once more."""

    metrics: dict[str, Any]
    test: Split
    evaluated: Evaluated
    description: Description
    device: torch.device


def check_scores(results: ResultsFolder, device: torch.device, threads: int) -> list[Check]:
    """Scores the winner on val and test split.

    Args:
        threads: processor cores that the baselines may use.
    """
    try:
        again = _score(results, device, threads)
        grace, on = _grace(results, again.metrics, device)
    except Exception as error:
        return [Check(name, False, f"cannot be: {in_words(error)}") for name in NAMES]
    count = sum(len(of) for of in again.evaluated.scores.values())
    looks = (
        (f"the winner has the value that it was chosen by {on}", _chosen),
        (f"{count} metrics with their intervals, {on}", _metrics),
        (f"every row, {on}", _predictions),
        (f"the reconstructed programs, {on}", _programs),
    )
    return [
        run_check(name, what, partial(look, results, again, grace))
        for name, (what, look) in zip(NAMES, looks, strict=True)
    ]


def _score(results: ResultsFolder, device: torch.device, threads: int) -> _Again:
    metrics = read_json(results.evaluation / "metrics.json", EVALUATION_FORMAT, EVALUATION_REBUILD)
    checkpoint = read_checkpoint(results.best / "checkpoint.pt", device)
    description = read_description(results.dataset)
    if checkpoint.description.learning_digest() != description.learning_digest():
        raise UserError(f"{results.best / 'checkpoint.pt'}: was trained on another dataset")
    test, train = (_split(results, description, name) for name in ("test", "train"))
    evaluated = evaluate_split(checkpoint, test, train, device, threads)
    return _Again(metrics, test, evaluated, checkpoint.description, device)


def _split(results: ResultsFolder, description: Description, name: str) -> Split:
    return read_split(results.dataset.with_name(f"{name}.npz"), description, name)


def _grace(
    results: ResultsFolder, metrics: Mapping[str, Any], device: torch.device
) -> tuple[float, str]:
    """How much numbers may differ, and why so much."""
    # Older results do not tell where they were evaluated: as a rule where they were trained.
    recorded = metrics.get("device") or _best(results)["device"]
    now = describe_device(device)
    if recorded == now:
        return TOLERANCE, f"on the same kind of device ({now}; up to {TOLERANCE:g})"
    return OTHER_DEVICE, f"on {now} instead of {recorded} (up to {OTHER_DEVICE:g})"


def _best(results: ResultsFolder) -> dict[str, Any]:
    return read_json(results.best / "run.json", BEST_FORMAT, BEST_REBUILD)


def _chosen(results: ResultsFolder, again: _Again, grace: float) -> Iterator[str]:
    """On the val split, whose labels have the lags taken out."""
    best = _best(results)
    checkpoint = read_checkpoint(results.best / "checkpoint.pt", again.device)
    val = _split(results, again.description, "val")
    data = to_tensors(val, again.description, again.device)
    measured = validate(checkpoint.network, checkpoint.hyperparameters, data)
    learnt = vars(checkpoint.hyperparameters)
    due: dict[str, Any] = {
        "best_epoch": checkpoint.epoch,
        # A run that W&B told of may leave out defaults.
        "hyperparameters": {name: learnt[name] for name in best["hyperparameters"]},
    }
    if best["metric"] in measured:  # A train metric belongs to a pass of training.
        due |= dict.fromkeys(("best_value", "scored_again"), measured[best["metric"]])
    yield from differences(due, {key: best[key] for key in due}, grace)


def _metrics(results: ResultsFolder, again: _Again, grace: float) -> Iterator[str]:
    roots = recorded_roots([again.metrics])
    paths = (located(results, of, roots) for of in inputs_of(again.metrics))
    controls = read_controls([path for path in paths if path.name == "control.json"])
    due = describe_evaluation(
        again.evaluated, again.test, again.description, again.device, controls
    )
    due |= {"foreign": None, "left_out": []}
    # These say where and when, which is another today.
    apart = ("format", "provenance", "device")
    due, found = ({k: v for k, v in of.items() if k not in apart} for of in (due, again.metrics))
    yield from differences(due, found, grace)


def _predictions(results: ResultsFolder, again: _Again, grace: float) -> Iterator[str]:
    due = prediction_arrays(again.evaluated, again.test, again.description)
    with np.load(results.evaluation / "predictions.npz", allow_pickle=False) as arrays:
        found = dict(arrays)
    if _granted(grace):
        # Rows that are read otherwise make other sequences, of other lengths.
        due, found = (
            {name: array for name, array in of.items() if not name.startswith("reconstructed_")}
            for of in (due, found)
        )
    yield from array_differences(due, found, TOLERANCE, _granted(grace))


def _granted(grace: float) -> float:
    """The share of rows that may be read otherwise: none on the same kind of device."""
    return 0.0 if grace == TOLERANCE else grace


def _programs(results: ResultsFolder, again: _Again, grace: float) -> Iterator[str]:
    due = reconstructed_programs(again.evaluated.reading, again.test, again.description)
    folder = results.evaluation / "gcode"
    found = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.nc"))}
    for name in dict.fromkeys([*due, *found]):
        path = results.name(folder / f"{name}.nc")
        if name not in due or name not in found:
            yield f"{path} {'is missing' if name in due else 'should not be there'}"
        elif due[name] != found[name] and not _granted(grace):
            yield f"{path} is not what is read from the sensors"
