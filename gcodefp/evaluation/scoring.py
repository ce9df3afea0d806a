"""All metrics of one set of answers."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import COMMAND, UNSEEN, Vocabulary
from gcodefp.evaluation.answers import Answers
from gcodefp.evaluation.axis_errors import axis_errors
from gcodefp.evaluation.balanced import balanced
from gcodefp.evaluation.block_sequences import block_sequence, edit_distance, rows_of_stretches
from gcodefp.evaluation.bootstrap import NOTHING, Estimate, Statistic, ratio, with_interval
from gcodefp.evaluation.executed import ExecutedBlocks
from gcodefp.evaluation.medians import median
from gcodefp.evaluation.toolpath_distance import stretch_distances
from gcodefp.learning.scores import row_scores
from gcodefp.programs.table import UNKNOWN


class Stretches(NamedTuple):
    """Rows that are read as a sequence: M rows of S stretches.

    Attributes:
        rows: (M,) rows of the split; those of a stretch are neighbours, in order.
        stretch: (M,) which stretch each lies in, from 0.
    """

    rows: NDArray[np.integer]
    stretch: NDArray[np.integer]


def with_intervals(statistics: Mapping[str, Statistic]) -> dict[str, Estimate]:
    """Every metric with its interval."""
    return {name: with_interval(of) for name, of in statistics.items()}


def measure_rows(
    answers: Answers, test: Split, rows: NDArray[np.integer], vocabulary: Vocabulary
) -> dict[str, Statistic]:
    """Metrics that judge each of N rows by itself.

    Args:
        answers: of these rows.
        rows: (N,) of the test split.
    """
    recording = test.recording[rows]
    true_blocks = test.blocks[test.block[rows]]
    written, true = (vocabulary.encode_rows(of) for of in (answers.blocks, true_blocks))
    scores = row_scores(written, true, answers.operation, test.operation[rows])
    metrics: dict[str, Statistic] = {
        name: ratio(s.hits, s.chances, recording) for name, s in scores.items()
    }
    word = (true[..., 0] == COMMAND) & (true[..., 1] != UNSEEN)
    right = (written[..., 0] == COMMAND) & (written[..., 1] == true[..., 1])
    of_word = np.broadcast_to(recording[:, None], word.shape)[word]
    metrics["command_balanced"] = balanced(right[word], true[..., 1][word], of_word)
    metrics["program"] = _program(answers, test, rows)
    errors = axis_errors(answers.blocks, true_blocks, test.mm_per_unit[rows])
    for axis, of in errors.items():
        metrics[f"{axis.lower()}_error_mm"] = ratio(of.error_mm, of.counted, recording)
    metrics["position_error_mm"] = _position_error(answers, test, rows)
    return metrics


def measure_stretches(
    answers: Answers, test: Split, stretches: Stretches, executed: ExecutedBlocks
) -> dict[str, Statistic]:
    """Metrics that judge whole stretches, which a clock that is off by seconds hardly spoils.

    Args:
        answers: of the rows of the stretches.
    """
    rows = stretches.rows
    first = np.unique(stretches.stretch, return_index=True)[1]
    recording = test.recording[rows][first]
    edits, lengths = _errors(answers, test, stretches, executed)
    metrics: dict[str, Statistic] = {
        "gcode_error_rate": ratio(np.array(edits), np.array(lengths), recording),
        "toolpath_distance_mm": NOTHING,
    }
    if answers.position_mm is not None:
        distance = stretch_distances(answers.position_mm, test.position_mm[rows], stretches.stretch)
        if np.isfinite(distance).any():
            metrics["toolpath_distance_mm"] = median(distance, recording)
    return metrics


def _errors(
    answers: Answers, test: Split, stretches: Stretches, executed: ExecutedBlocks
) -> tuple[list[int], list[int]]:
    """Edits, and blocks truly executed, of each stretch."""
    true = Answers(
        test.blocks[test.block[stretches.rows]],
        test.operation[stretches.rows],
        test.program[stretches.rows],
        line=test.line[stretches.rows],
    )
    edits, lengths = [], []
    for rows in rows_of_stretches(stretches.stretch):
        written, wanted = (_sequence(of.take(rows), executed) for of in (answers, true))
        edits.append(edit_distance(written, wanted))
        lengths.append(len(wanted))
    return edits, lengths


def _sequence(answers: Answers, executed: ExecutedBlocks) -> list[str]:
    if answers.line is None or answers.program is None:
        return block_sequence(answers.blocks)
    return executed.of_rows(answers.program, answers.line, answers.blocks)


def _program(answers: Answers, test: Split, rows: NDArray[np.integer]) -> Statistic:
    if answers.program is None:
        return NOTHING
    true = test.program[rows]
    hits = (answers.program == true) & (true != UNKNOWN)
    return ratio(hits, np.ones(len(rows)), test.recording[rows])


def _position_error(answers: Answers, test: Split, rows: NDArray[np.integer]) -> Statistic:
    if answers.position_mm is None:
        return NOTHING
    error = np.linalg.norm(answers.position_mm - test.position_mm[rows], axis=1)
    if not np.isfinite(error).any():
        return NOTHING
    return median(error, test.recording[rows])
