"""What the metrics consist of: accuracy by operation, confusion matrices, words, and differences.

All of it is written to metrics.json, so that figures and report only draw what `evaluate` computed.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Description, Split
from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PARAMETER, TOKEN_TYPES, UNSEEN
from gcodefp.evaluation.baselines import RowPredictions
from gcodefp.evaluation.bootstrap import estimate
from gcodefp.evaluation.names import BASELINE, MODEL, PREDICTORS
from gcodefp.model.scores import Score, row_scores
from gcodefp.recordings.gcode import Word, parse_block

BY_OPERATION = ("gcode", "token")
"""The metrics that are broken down by operation."""
OTHER, NOTHING_PREDICTED, NOT_IN_TRAIN = "other kind", "nothing", "not in train"
"""Names of the last class of a confusion matrix; it is there only where it counts something."""


def break_down(
    predictions: Mapping[str, RowPredictions],
    test: Split,
    rows: NDArray[np.integer],
    description: Description,
) -> dict[str, Any]:
    """The keys `by_operation`, `confusion`, `words` and `differences` of metrics.json.

    Args:
        predictions: of these rows, by name.
        rows: (N,) of the test split.
    """
    return {
        "by_operation": {
            name: accuracy_by_operation(predictions[name], test, rows, description)
            for name in PREDICTORS
            if name in predictions
        },
        "confusion": confusion_matrices(predictions[MODEL], test, rows, description),
        "words": accuracy_by_word(predictions[MODEL], test, rows),
        "differences": {
            name: _difference(predictions[MODEL], predictions[name], test, rows)
            for name in PREDICTORS
            if name in predictions and PREDICTORS[name].kind == BASELINE
        },
    }


def accuracy_by_operation(
    predictions: RowPredictions,
    test: Split,
    rows: NDArray[np.integer],
    description: Description,
) -> list[dict[str, Any]]:
    """BY_OPERATION of each operation of the test split by name; at the end, of all (None).

    An operation with a single recording has no interval, as all its resamples are equal.
    """
    recording = test.recording[rows]
    names = np.array([_operation(name, test, description) for name in range(len(test.recordings))])
    operation = names[recording]
    scores = _scores(predictions, test, rows, description)
    parts = [(str(name), np.flatnonzero(operation == name)) for name in np.unique(operation)]
    return [
        {
            "operation": name,
            "rows": len(part),
            **{metric: _with_spread(scores[metric], recording, part) for metric in BY_OPERATION},
        }
        for name, part in [*parts, (None, np.arange(len(rows)))]
    ]


def _operation(recording: int, test: Split, description: Description) -> str:
    """Name of a recording's operation, also where only dataset.json knows it."""
    known = description.document["recordings"].get(str(test.recordings[recording]))
    if known is not None:
        return str(known["operation"])
    index = int(test.operation[np.flatnonzero(test.recording == recording)[0]])
    return NOT_IN_TRAIN if index == UNSEEN else description.vocabulary.operations[index]


def _with_spread(
    score: Score, recording: NDArray[np.integer], part: NDArray[np.integer]
) -> dict[str, Any]:
    """An Estimate and `shares`: the share of each recording that has anything to count."""
    correct, total, recording = score.correct[part], score.total[part], recording[part]
    value = estimate(correct, total, recording)
    if value.recordings < 2:
        value = value._replace(low=None, high=None)
    counts = np.bincount(recording, weights=total)
    shares = np.bincount(recording, weights=correct)[counts > 0] / counts[counts > 0]
    return {**value._asdict(), "shares": shares.tolist()}


def _scores(
    predictions: RowPredictions,
    test: Split,
    rows: NDArray[np.integer],
    description: Description,
) -> Mapping[str, Score]:
    predicted, true = _codes(predictions, test, rows, description)
    return row_scores(predicted, true, predictions.operation, test.operation[rows])


def _codes(
    predictions: RowPredictions,
    test: Split,
    rows: NDArray[np.integer],
    description: Description,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Classes of the predicted and of the true words, both (N, S, 4)."""
    encode = description.vocabulary.encode_rows
    return encode(predictions.blocks), encode(test.blocks[test.block[rows]])


def confusion_matrices(
    predictions: RowPredictions,
    test: Split,
    rows: NDArray[np.integer],
    description: Description,
) -> dict[str, dict[str, Any]]:
    """Counts of words, or of rows for operation and program, by name of the head.

    Returns:
        head -> `true` (T names of classes), `predicted` (W names), `counts` (T lists of W counts).
        Words are compared position by position up to the end of the true block.
    """
    vocabulary = description.vocabulary
    predicted, true = _codes(predictions, test, rows, description)
    letters = list(vocabulary.parameter_types)
    matrices = {
        "token_type": _token_types(predicted[..., 0], true[..., 0]),
        "command": _field(predicted, true, "command", COMMAND, list(vocabulary.commands)),
        "parameter_type": _field(predicted, true, "parameter_type", PARAMETER, letters),
        "operation": _count(
            predictions.operation, test.operation[rows], list(vocabulary.operations)
        ),
    }
    if predictions.program is not None:
        names = description.programs.names.tolist()
        matrices["program"] = _count(predictions.program, test.program[rows], names)
    return matrices


def _token_types(predicted: NDArray[np.int32], true: NDArray[np.int32]) -> dict[str, Any]:
    """All words up to the end of the true block; behind the predicted end there is nothing."""
    kinds = (COMMAND, PARAMETER, END)
    index = np.full(len(TOKEN_TYPES), -1)
    index[list(kinds)] = range(len(kinds))
    counted = np.isin(true, kinds)
    names = [TOKEN_TYPES[kind] for kind in kinds]
    return _count(index[predicted[counted]], index[true[counted]], names, NOTHING_PREDICTED)


def _field(
    predicted: NDArray[np.int32], true: NDArray[np.int32], field: str, kind: int, names: list[str]
) -> dict[str, Any]:
    """The classes of a field, over the words that are truly of its kind."""
    counted = true[..., 0] == kind
    column = FIELDS.index(field)
    return _count(predicted[counted][:, column], true[counted][:, column], names)


def _count(
    predicted: NDArray[np.integer],
    true: NDArray[np.integer],
    names: list[str],
    other: str = OTHER,
) -> dict[str, Any]:
    """Counts pairs; a class below 0 comes last, and only where something is in it."""
    last = len(names)
    counts = np.zeros((last + 1, last + 1), np.int64)
    np.add.at(counts, (np.where(true < 0, last, true), np.where(predicted < 0, last, predicted)), 1)
    true_names, predicted_names = [*names, NOT_IN_TRAIN], [*names, other]
    if not counts[-1].any():
        counts, true_names = counts[:-1], names
    if not counts[:, -1].any():
        counts, predicted_names = counts[:, :-1], names
    return {"true": true_names, "predicted": predicted_names, "counts": counts.tolist()}


def accuracy_by_word(
    predictions: RowPredictions, test: Split, rows: NDArray[np.integer]
) -> list[dict[str, Any]]:
    """Each word of the test split, most errors first, then by the word.

    A word is correct where the predicted block has it at the same position.
    """
    pairs = Counter(
        zip(test.blocks[test.block[rows]].tolist(), predictions.blocks.tolist(), strict=True)
    )
    total: Counter[Word] = Counter()
    correct: Counter[Word] = Counter()
    for (true_text, predicted_text), count in pairs.items():
        predicted = parse_block(predicted_text)
        for position, word in enumerate(parse_block(true_text)):
            total[word] += count
            correct[word] += count * (predicted[position : position + 1] == (word,))
    order = sorted(total, key=lambda word: (correct[word] - total[word], word))
    return [{"word": str(word), "rows": total[word], "correct": correct[word]} for word in order]


def _difference(
    model: RowPredictions, baseline: RowPredictions, test: Split, rows: NDArray[np.integer]
) -> dict[str, Any]:
    """Exact lines of the model minus those of a baseline, on the same resamples of recordings."""
    true = test.blocks[test.block[rows]]
    gain = (model.blocks == true).astype(int) - (baseline.blocks == true).astype(int)
    return estimate(gain, np.ones(len(gain)), test.recording[rows])._asdict()
