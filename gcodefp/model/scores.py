"""What counts as right: hits and chances of every row, for each metric.

All metrics compare freely written blocks with the true ones, word by word, up to and including the
end of the true block:

- token_type, command, parameter_type, parameter_value: the field is right, over the words that have
  it;
- token: the whole word, or the end, is right;
- gcode: the whole block is right (exact line);
- operation: the recording's operation is right.

A class that the train split never had cannot be right.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.vocabulary import COMMAND, END, FIELDS, PARAMETER, UNSEEN

HEADS = (*FIELDS, "operation")
"""What the network has a head, and so a loss, for."""
SCORES = (
    "token_type",
    "command",
    "parameter_type",
    "parameter_value",
    "token",
    "gcode",
    "operation",
)


class Score(NamedTuple):
    """Hits and chances of each row, both (N,)."""

    correct: NDArray[np.int64]
    total: NDArray[np.int64]

    def accuracy(self) -> float:
        """The share of chances that were hit; 0 if there was none."""
        return float(self.correct.sum() / max(1, self.total.sum()))


def row_scores(
    written: NDArray[np.integer],
    true: NDArray[np.integer],
    written_operation: NDArray[np.integer],
    true_operation: NDArray[np.integer],
) -> Mapping[str, Score]:
    """Compares N rows.

    Args:
        written, true: (N, S, 4) classes, in the order of vocabulary.FIELDS.
        written_operation, true_operation: (N,) classes.

    Returns:
        metric -> its score, in the order of SCORES.
    """
    kind = true[..., 0]
    counted = (kind == END) | (kind == COMMAND) | (kind == PARAMETER)
    same = written == true
    applies = {
        "token_type": counted,
        "command": kind == COMMAND,
        "parameter_type": kind == PARAMETER,
        "parameter_value": kind == PARAMETER,
    }
    right = {
        name: same[..., index] & applies[name] & (true[..., index] != UNSEEN)
        for index, name in enumerate(applies)
    }
    token = right["token_type"].copy()
    for name in ("command", "parameter_type", "parameter_value"):
        token &= right[name] | ~applies[name]
    scores = {name: Score(right[name].sum(1), applies[name].sum(1)) for name in applies}
    scores["token"] = Score(token.sum(1), counted.sum(1))
    ones = np.ones(len(true), np.int64)
    # A true block that was cut, and so has no end, is longer than any that can be written.
    whole = (token.sum(1) == counted.sum(1)) & (kind == END).any(1)
    scores["gcode"] = Score(whole.astype(np.int64), ones)
    known = (written_operation == true_operation) & (true_operation != UNSEEN)
    scores["operation"] = Score(known.astype(np.int64), ones)
    return scores
