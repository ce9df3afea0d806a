"""Breakdowns of the metrics: accuracy by operation and word, confusion matrices, differences.

All of them are written to metrics.json; figures and report compute none.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split
from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PARAMETER, TOKEN_TYPES, UNSEEN
from gcodefp.evaluation.bootstrap import estimate, paired_difference
from gcodefp.evaluation.metrics import METRICS, RowPredictions, ScoredPredictions
from gcodefp.evaluation.names import BASELINE, MODEL, PIPELINE, PREDICTORS, PRIMARY
from gcodefp.model.scores import Score
from gcodefp.recordings.gcode import Word, parse_block

BY_OPERATION = ("gcode", "token")
"""The metrics that are broken down by operation."""
OTHER, NOTHING_PREDICTED, NOT_IN_TRAIN = "other kind", "nothing", "not in train"
"""Names of the last class of a confusion matrix, which exists only with a count above 0."""


def break_down(
    predictions: Mapping[str, RowPredictions],
    split: Split,
    rows: NDArray[np.integer],
    description: Description,
) -> dict[str, Any]:
    """The keys `by_operation`, `confusion`, `words` and `differences` of metrics.json.

    Args:
        predictions: of these rows, by name.
        rows: (N,) of the split.
    """
    scored = {
        name: ScoredPredictions(
            predictions[name], split, rows, description.vocabulary, description.programs
        )
        for name in PREDICTORS
        if name in predictions
    }
    operations = _operations(split, description)[split.recording[rows]]
    return {
        "by_operation": {
            name: accuracy_by_operation(predictor, operations) for name, predictor in scored.items()
        },
        "confusion": confusion_matrices(scored[MODEL], description),
        "words": accuracy_by_word(scored[MODEL]),
        "differences": primary_differences(scored),
    }


def _operations(split: Split, description: Description) -> NDArray[np.str_]:
    """Name of each recording's operation, (R,), in dataset.json or the vocabulary."""

    def name(index: int, recording: str) -> str:
        if entry := description.document["recordings"].get(recording):
            return str(entry["operation"])
        operation = int(split.operation[split.recording == index][0])
        return NOT_IN_TRAIN if operation == UNSEEN else description.vocabulary.operations[operation]

    return np.array([name(*pair) for pair in enumerate(split.recordings.tolist())])


def accuracy_by_operation(
    scored: ScoredPredictions, operations: NDArray[np.str_]
) -> list[dict[str, Any]]:
    """The metrics BY_OPERATION of each operation, by name; last, of all operations (None).

    Args:
        operations: (N,) name of each row's operation.
    """
    names = np.unique(operations).tolist()
    parts = [(name, np.flatnonzero(operations == name)) for name in names]
    return [
        {
            "operation": name,
            "rows": len(rows),
            **{
                metric: _with_shares(scored.scores[metric], scored.recording, rows)
                for metric in BY_OPERATION
            },
        }
        for name, rows in [*parts, (None, np.arange(len(operations)))]
    ]


def _with_shares(
    score: Score, recording: NDArray[np.integer], rows: NDArray[np.integer]
) -> dict[str, Any]:
    """An Estimate, and `shares` of the recordings; a single recording has no interval."""
    correct, total, recording = score.correct[rows], score.total[rows], recording[rows]
    value = estimate(correct, total, recording)
    if value.recordings < 2:  # All its resamples are equal.
        value = value._replace(low=None, high=None)
    counts = np.bincount(recording, weights=total)
    shares = np.bincount(recording, weights=correct)[counts > 0] / counts[counts > 0]
    return {**value._asdict(), "shares": shares.tolist()}


def confusion_matrices(
    scored: ScoredPredictions, description: Description
) -> dict[str, dict[str, Any]]:
    """Counts of words, or of rows for operation and program, by name of the head.

    Returns:
        head -> `true` (T names of classes), `predicted` (W names), `counts` (T lists of W counts).
        Words are compared position by position up to the end of the true block.
    """
    vocabulary, predictions = description.vocabulary, scored.predictions
    predicted, true = scored.codes
    letters = list(vocabulary.parameter_types)
    operation, program = (
        classes[scored.rows] for classes in (scored.split.operation, scored.split.program)
    )
    matrices = {
        "token_type": _token_types(predicted[..., 0], true[..., 0]),
        "command": _field(predicted, true, "command", COMMAND, list(vocabulary.commands)),
        "parameter_type": _field(predicted, true, "parameter_type", PARAMETER, letters),
        "operation": _count(predictions.operation, operation, list(vocabulary.operations)),
    }
    if predictions.program is not None:
        names = description.programs.names.tolist()
        matrices["program"] = _count(predictions.program, program, names)
    return matrices


def _token_types(predicted: NDArray[np.int32], true: NDArray[np.int32]) -> dict[str, Any]:
    """All words up to the end of the true block; NOTHING_PREDICTED after the predicted end."""
    kinds = (COMMAND, PARAMETER, END)
    index = np.full(len(TOKEN_TYPES), -1)
    index[list(kinds)] = range(len(kinds))
    counted = np.isin(true, kinds)
    names = [TOKEN_TYPES[kind] for kind in kinds]
    return _count(index[predicted[counted]], index[true[counted]], names, NOTHING_PREDICTED)


def _field(
    predicted: NDArray[np.int32], true: NDArray[np.int32], field: str, kind: int, names: list[str]
) -> dict[str, Any]:
    """The classes of a field, over true words of its kind."""
    counted = true[..., 0] == kind
    column = FIELDS.index(field)
    return _count(predicted[counted][:, column], true[counted][:, column], names)


def _count(
    predicted: NDArray[np.integer], true: NDArray[np.integer], names: list[str], other: str = OTHER
) -> dict[str, Any]:
    """Counts pairs; classes below 0 are the last class, which is dropped if its count is 0."""
    last = len(names)
    counts = np.zeros((last + 1, last + 1), np.int64)
    np.add.at(counts, (np.where(true < 0, last, true), np.where(predicted < 0, last, predicted)), 1)
    true_names, predicted_names = [*names, NOT_IN_TRAIN], [*names, other]
    if not counts[-1].any():
        counts, true_names = counts[:-1], names
    if not counts[:, -1].any():
        counts, predicted_names = counts[:, :-1], names
    return {"true": true_names, "predicted": predicted_names, "counts": counts.tolist()}


def accuracy_by_word(scored: ScoredPredictions) -> list[dict[str, Any]]:
    """Each word of the true blocks, most errors first, then by the word.

    A word is correct where the predicted block has it at the same position.
    """
    pairs = zip(scored.true_blocks.tolist(), scored.predictions.blocks.tolist(), strict=True)
    total: Counter[Word] = Counter()
    correct: Counter[Word] = Counter()
    for (true_text, predicted_text), count in Counter(pairs).items():
        predicted = parse_block(predicted_text)
        for position, word in enumerate(parse_block(true_text)):
            total[word] += count
            correct[word] += count * (predicted[position : position + 1] == (word,))
    order = sorted(total, key=lambda word: (correct[word] - total[word], word))
    return [{"word": str(word), "rows": total[word], "correct": correct[word]} for word in order]


def primary_differences(
    scored: Mapping[str, ScoredPredictions],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Predictor of PIPELINE -> baseline -> difference of PRIMARY, on the same resamples.

    Without a value where the baseline does not predict what PRIMARY measures.
    """
    statistics = {
        name: METRICS[PRIMARY].compute(predictor)
        for name, predictor in scored.items()
        if name in PIPELINE or PREDICTORS[name].kind == BASELINE
    }
    return {
        name: {
            baseline: paired_difference(statistics[name], statistic)._asdict()
            for baseline, statistic in statistics.items()
            if baseline not in PIPELINE
        }
        for name in PIPELINE
        if name in statistics
    }
