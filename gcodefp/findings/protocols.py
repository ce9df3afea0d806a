"""Several evaluations, one for each fold of each protocol, put together to one line a protocol."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.files import (
    ANSWERS,
    BASELINE,
    CEILING,
    ELAPSED,
    EVALUATION_FORMAT,
    EVALUATION_REBUILD,
    MODEL,
    WHOLE,
)
from gcodefp.files import read_json
from gcodefp.findings.predictions import read_predictions

PROTOCOLS = ("recording", "chronological", "session", "program", "window")
"""In the order of the table: the headline first, the leaky one last."""
TOLD = (MODEL, WHOLE, CEILING, ELAPSED)
"""Whose exact lines are told besides those of the baselines."""
MEASURED = ("token", "gcode_error_rate", "position_error_mm")
"""What is told of MODEL and WHOLE besides exact lines."""


class Fold(NamedTuple):
    """One evaluation.

    Attributes:
        document: its metrics.json.
        recording: (N,) name of each row's recording.
        right: whose answer -> (N,) whether each row's whole block is right.
    """

    document: dict[str, Any]
    recording: NDArray[np.str_]
    right: dict[str, NDArray[np.bool_]]


class Value(NamedTuple):
    """A number and its interval; all None if there was nothing to measure."""

    value: float | None
    low: float | None
    high: float | None


class Line(NamedTuple):
    """What a protocol says.

    Attributes:
        leaky, controller_is_input: why it is no evidence of sensing.
        recordings: names of those tested in any fold.
        exact: whose answer -> exact lines, all folds pooled. A recording tested in several folds is
            drawn as one by the bootstrap.
        baseline: the one with the most exact lines; None if none was asked.
        measured: metric -> MODEL and WHOLE -> mean over folds, and the lowest and highest of them;
            of a single fold the bootstrap interval.
    """

    protocol: str
    leaky: bool
    controller_is_input: bool
    folds: int
    recordings: list[str]
    rows: int
    exact: dict[str, Value]
    baseline: str | None
    measured: dict[str, dict[str, Value]]


def read_fold(folder: Path) -> Fold:
    """Reads what `evaluate` wrote into a folder."""
    document = read_json(folder / "metrics.json", EVALUATION_FORMAT, EVALUATION_REBUILD)
    predictions = read_predictions(folder / "predictions.npz")
    names = predictions.recordings[predictions.recording]
    return Fold(document, names, {name: predictions.right(name) for name in predictions.blocks})


def protocol_lines(folds: Sequence[Fold]) -> list[Line]:
    """One line for each way of splitting that any of the folds was made by."""
    by = [fold.document["split"]["by"] for fold in folds]
    return [
        _line(protocol, [fold for fold, of in zip(folds, by, strict=True) if of == protocol])
        for protocol in PROTOCOLS
        if protocol in by
    ]


def _line(protocol: str, folds: Sequence[Fold]) -> Line:
    everywhere = [name for name in ANSWERS if all(name in fold.right for fold in folds)]
    baselines = [name for name in everywhere if ANSWERS[name].kind == BASELINE]
    told = [name for name in everywhere if name in (*TOLD, *baselines)]
    exact = {name: _pooled(folds, name) for name in told}
    names = np.concatenate([fold.recording for fold in folds])
    return Line(
        protocol=protocol,
        leaky=any(fold.document["leaky"] for fold in folds),
        controller_is_input=any(fold.document["controller_is_input"] for fold in folds),
        folds=len(folds),
        recordings=np.unique(names).tolist(),
        rows=len(names),
        exact=exact,
        baseline=max(baselines, key=lambda name: exact[name].value or 0.0, default=None),
        measured={
            metric: {name: _over_folds(folds, name, metric) for name in (MODEL, WHOLE)}
            for metric in MEASURED
        },
    )


def _pooled(folds: Sequence[Fold], name: str) -> Value:
    right = np.concatenate([fold.right[name] for fold in folds])
    names = np.concatenate([fold.recording for fold in folds])
    recording = np.unique(names, return_inverse=True)[1]
    return Value(*estimate(right, np.ones(len(right)), recording)[:3])


def _over_folds(folds: Sequence[Fold], name: str, metric: str) -> Value:
    found = [fold.document["models"][name][metric] for fold in folds]
    if len(found) == 1:
        return Value(found[0]["value"], found[0]["low"], found[0]["high"])
    values = [of["value"] for of in found if of["value"] is not None]
    if not values:
        return Value(None, None, None)
    return Value(fmean(values), min(values), max(values))
