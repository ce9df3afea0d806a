"""Breakdowns of the metrics: accuracy by operation and word, confusion matrices, differences.

All of them are written to metrics.json; figures and report compute none.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import DatasetDescription, Split
from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PARAMETER, TOKEN_TYPES, UNSEEN
from gcodefp.evaluation.bootstrap import estimate, paired_difference
from gcodefp.evaluation.metrics import METRICS, LabelledPredictions
from gcodefp.evaluation.names import BASELINE, GCODEFP, MODEL, PREDICTORS, PRIMARY
from gcodefp.recordings.gcode import Word, parse_block

BY_OPERATION = ("gcode", "token")
"""The metrics that are broken down by operation."""
OTHER, NOTHING_PREDICTED, NOT_IN_TRAIN = "other kind", "nothing", "not in train"
"""Names of the last class of a confusion matrix, which exists only with a count above 0."""


def break_down(
    scored: Mapping[str, LabelledPredictions], description: DatasetDescription
) -> dict[str, Any]:
    """The keys `by_operation`, `confusion`, `words` and `differences` of metrics.json.

    Args:
        scored: predictor -> its predictions of the same rows; MODEL is one.
    """
    model = scored[MODEL]
    operations = _operations(model.split, description)[model.recording]
    return {
        "by_operation": {
            name: _accuracy_by_operation(each, operations) for name, each in scored.items()
        },
        "confusion": _confusion_matrices(model),
        "words": _accuracy_by_word(model),
        "differences": _primary_differences(scored),
    }


def _operations(split: Split, description: DatasetDescription) -> NDArray[np.str_]:
    """Name of each recording's operation, (R,), in dataset.json or the vocabulary."""

    def name(index: int, recording: str) -> str:
        if entry := description.document["recordings"].get(recording):
            return str(entry["operation"])
        operation = int(split.operation[split.recording == index][0])
        return NOT_IN_TRAIN if operation == UNSEEN else description.vocabulary.operations[operation]

    return np.array([name(*pair) for pair in enumerate(split.recordings.tolist())])


def _accuracy_by_operation(
    scored: LabelledPredictions, operations: NDArray[np.str_]
) -> list[dict[str, Any]]:
    """The metrics BY_OPERATION of each operation (N,), by name; last, of all operations (None)."""
    every_row = np.arange(len(operations))
    parts = [(name, np.flatnonzero(operations == name)) for name in np.unique(operations).tolist()]
    return [
        {
            "operation": name,
            "rows": len(rows),
            **{metric: _with_shares(scored, metric, rows) for metric in BY_OPERATION},
        }
        for name, rows in [*parts, (None, every_row)]
    ]


def _with_shares(
    scored: LabelledPredictions, metric: str, rows: NDArray[np.integer]
) -> dict[str, Any]:
    """An Estimate, and `shares` of the recordings; a single recording has no interval."""
    correct, total = (array[rows] for array in scored.counts[metric])
    recording = scored.recording[rows]
    value = estimate(correct, total, recording)
    if value.recordings < 2:  # All its resamples are equal.
        value = value._replace(low=None, high=None)
    counts = np.bincount(recording, weights=total)
    shares = np.bincount(recording, weights=correct)[counts > 0] / counts[counts > 0]
    return {**value._asdict(), "shares": shares.tolist()}


def _confusion_matrices(scored: LabelledPredictions) -> dict[str, dict[str, Any]]:
    """Counts of words, or of rows for operation and program, by name of the head.

    Returns:
        head -> `true` (T names of classes), `predicted` (W names), `counts` (T lists of W counts).
        Words are compared one by one, in order, up to the end of the true block.
    """
    vocabulary, predictions, split = scored.vocabulary, scored.predictions, scored.split
    predicted, true = scored.tokens

    def field(name: str, kind: int, names: tuple[str, ...]) -> dict[str, Any]:
        """Over true words of one kind."""
        counted, column = true[..., 0] == kind, FIELDS.index(name)
        return _count(predicted[counted][:, column], true[counted][:, column], names)

    matrices = {
        "token_type": _token_types(predicted[..., 0], true[..., 0]),
        "command": field("command", COMMAND, vocabulary.commands),
        "parameter_type": field("parameter_type", PARAMETER, vocabulary.parameter_types),
        "operation": _count(
            predictions.operation, split.operation[scored.rows], vocabulary.operations
        ),
    }
    if predictions.program is not None:
        names = tuple(scored.programs.names.tolist())
        matrices["program"] = _count(predictions.program, split.program[scored.rows], names)
    return matrices


def _token_types(predicted: NDArray[np.int32], true: NDArray[np.int32]) -> dict[str, Any]:
    """All words up to the end of the true block; NOTHING_PREDICTED after the predicted end."""
    kinds = (COMMAND, PARAMETER, END)
    index = np.full(len(TOKEN_TYPES), -1)
    index[list(kinds)] = range(len(kinds))
    counted = np.isin(true, kinds)
    names = tuple(TOKEN_TYPES[kind] for kind in kinds)
    return _count(index[predicted[counted]], index[true[counted]], names, NOTHING_PREDICTED)


def _count(
    predicted: NDArray[np.integer],
    true: NDArray[np.integer],
    names: tuple[str, ...],
    other: str = OTHER,
) -> dict[str, Any]:
    """Counts pairs; classes below 0 are the last class, which is dropped if its count is 0."""
    last = len(names)
    counts = np.zeros((last + 1, last + 1), np.int64)
    np.add.at(counts, (np.where(true < 0, last, true), np.where(predicted < 0, last, predicted)), 1)
    has_new, has_other = counts[-1].any(), counts[:, -1].any()
    counts = counts[: last + has_new, : last + has_other]
    return {
        "true": [*names, NOT_IN_TRAIN][: last + has_new],
        "predicted": [*names, other][: last + has_other],
        "counts": counts.tolist(),
    }


def _accuracy_by_word(scored: LabelledPredictions) -> list[dict[str, Any]]:
    """Each word of the true blocks, most errors first, then by the word.

    A word is correct where the predicted block has it at the same index.
    """
    pairs = zip(scored.true_blocks.tolist(), scored.predictions.blocks.tolist(), strict=True)
    total: Counter[Word] = Counter()
    correct: Counter[Word] = Counter()
    for (true_text, predicted_text), count in Counter(pairs).items():
        predicted = parse_block(predicted_text)
        for index, word in enumerate(parse_block(true_text)):
            total[word] += count
            correct[word] += count * (predicted[index : index + 1] == (word,))
    order = sorted(total, key=lambda word: (correct[word] - total[word], word))
    return [{"word": str(word), "rows": total[word], "correct": correct[word]} for word in order]


def _primary_differences(
    scored: Mapping[str, LabelledPredictions],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Predictor of GCODEFP -> baseline -> difference of PRIMARY, on the same resamples.

    Without a value where the baseline does not predict what PRIMARY measures.
    """
    statistics = {
        name: METRICS[PRIMARY].compute(each)
        for name, each in scored.items()
        if name in GCODEFP or PREDICTORS[name].kind == BASELINE
    }
    return {
        name: {
            baseline: paired_difference(statistics[name], statistic)._asdict()
            for baseline, statistic in statistics.items()
            if baseline not in GCODEFP
        }
        for name in GCODEFP
        if name in statistics
    }
