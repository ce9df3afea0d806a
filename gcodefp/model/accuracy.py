"""Correct and total predictions of each row, by metric.

Predicted blocks are compared with the true ones word by word, up to and including the end of the
true block:

- token_type, command, parameter_type, parameter_value: the field, over words with that field;
- token: the whole word, or the end;
- gcode: the whole block (block accuracy);
- operation: the recording's operation.

A class that is not in the train split is never correct.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PARAMETER, UNSEEN

HEADS = (*FIELDS, "operation")
"""Heads of the network with a cross-entropy."""
ACCURACIES = (*FIELDS, "token", "gcode", "operation")


class Counts(NamedTuple):
    """Correct and total predictions of each row, both (N,)."""

    correct: NDArray[np.int64]
    total: NDArray[np.int64]

    def accuracy(self) -> float:
        """The share of correct predictions; 0 without predictions."""
        return float(self.correct.sum() / max(1, self.total.sum()))


def count_correct(
    predicted: NDArray[np.integer],
    true: NDArray[np.integer],
    predicted_operation: NDArray[np.integer],
    true_operation: NDArray[np.integer],
) -> Mapping[str, Counts]:
    """Compares N rows: metric -> its counts, in the order of ACCURACIES.

    Args:
        predicted, true: (N, S, 4) classes, in the order of vocabulary.FIELDS.
        predicted_operation, true_operation: (N,) classes.
    """
    kind = true[..., 0]
    is_parameter = kind == PARAMETER
    is_token = (kind == END) | (kind == COMMAND) | is_parameter
    has_field = (is_token, kind == COMMAND, is_parameter, is_parameter)
    is_correct = (predicted == true) & (true != UNSEEN)
    counts = {}
    correct_token = is_token
    for index, (field, applies) in enumerate(zip(FIELDS, has_field, strict=True)):
        correct = is_correct[..., index] & applies
        correct_token = correct_token & (correct | ~applies)
        counts[field] = Counts(correct.sum(1), applies.sum(1))
    counts["token"] = Counts(correct_token.sum(1), is_token.sum(1))
    # A true block without an end was truncated: it is longer than any decoded block.
    is_exact = (correct_token == is_token).all(1) & (kind == END).any(1)
    operation = (predicted_operation == true_operation) & (true_operation != UNSEEN)
    every_row = np.ones(len(true), np.int64)
    counts["gcode"] = Counts(is_exact.astype(np.int64), every_row)
    counts["operation"] = Counts(operation.astype(np.int64), every_row)
    return counts
