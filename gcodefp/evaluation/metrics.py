"""All metrics of one set of answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import COMMAND, UNSEEN, Vocabulary
from gcodefp.evaluation.baselines import RowPredictions
from gcodefp.evaluation.bootstrap import NOTHING, Estimate, Statistic, ratio, with_interval
from gcodefp.evaluation.sequences import (
    ExecutedBlocks,
    block_sequence,
    edit_distance,
    rows_of_segments,
)
from gcodefp.evaluation.toolpaths import axis_errors, segment_distances
from gcodefp.model.scores import row_scores
from gcodefp.programs.table import UNKNOWN


@dataclass(frozen=True)
class Balanced:
    """The mean over classes of recall (Brodersen et al. 2010) in K recordings; a `Statistic`.

    A resample may have lost every recording of a class: its mean is over the classes that it has.

    Attributes:
        right, count: (K, classes) hits and rows.
    """

    recordings: NDArray[np.integer]
    right: NDArray[np.number]
    count: NDArray[np.integer]

    @property
    def n(self) -> int:
        return int(self.count.sum())

    def of(self, times: NDArray[np.integer]) -> NDArray[np.floating]:
        right, count = times @ self.right, times @ self.count
        recall = right / np.maximum(count, 1)
        return recall.sum(1) / (count > 0).sum(1)


def balanced(
    correct: NDArray[np.number] | NDArray[np.bool_],
    true_class: NDArray[np.integer],
    recording: NDArray[np.integer],
) -> Balanced:
    """The mean over classes of recall.

    Args:
        correct: (N,) 1 where the row's class was told right, else 0.
        true_class: (N,) of each row.
        recording: (N,) index of each row's recording.
    """
    recordings, of_recording = np.unique(recording, return_inverse=True)
    classes, of_class = np.unique(true_class, return_inverse=True)
    shape = len(recordings), len(classes)
    cells = of_recording * len(classes) + of_class
    right = np.bincount(cells, weights=correct, minlength=shape[0] * shape[1]).reshape(shape)
    count = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    return Balanced(recordings, right, count)


@dataclass(frozen=True)
class Median:
    """The median over N rows of K recordings; a `Statistic`.

    Attributes:
        ascending: (N,) sorted values.
        of_recording: (N,) index of each value's recording in `recordings`.
    """

    recordings: NDArray[np.integer]
    ascending: NDArray[np.floating]
    of_recording: NDArray[np.integer]

    @property
    def n(self) -> int:
        return len(self.ascending)

    def of(self, times: NDArray[np.integer]) -> NDArray[np.floating]:
        totals = times @ np.bincount(self.of_recording)
        # The two middle places of an even number of values, twice the same one of an odd number.
        middles = np.stack([(totals - 1) // 2, totals // 2], axis=1)
        # A loop, as a table of every row in every resample would take hundreds of megabytes.
        states = [
            np.cumsum(of[self.of_recording]).searchsorted(middle, side="right")
            for of, middle in zip(times, middles, strict=True)
        ]
        return self.ascending[np.array(states)].mean(1)


def median(values: NDArray[np.floating], recording: NDArray[np.integer]) -> Median:
    """The median over rows.

    Args:
        values: (N,) of each row; NaN is left out.
        recording: (N,) index of each row's recording.
    """
    known = ~np.isnan(values)
    recordings, of_recording = np.unique(recording[known], return_inverse=True)
    order = np.argsort(values[known], kind="stable")
    return Median(recordings, values[known][order], of_recording[order])


def estimate_median(values: NDArray[np.floating], recording: NDArray[np.integer]) -> Estimate:
    """The median with a percentile interval from resampled recordings.

    Returns:
        `n` counts the rows that have a value, `recordings` those with such rows.
    """
    return with_interval(median(values, recording))


class Segments(NamedTuple):
    """Rows that are read as a sequence: M rows of S stretches.

    Attributes:
        rows: (M,) rows of the split; those of a stretch are neighbours, in order.
        segment: (M,) which stretch each lies in, from 0.
    """

    rows: NDArray[np.integer]
    segment: NDArray[np.integer]


def with_intervals(statistics: Mapping[str, Statistic]) -> dict[str, Estimate]:
    """Every metric with its interval."""
    return {name: with_interval(of) for name, of in statistics.items()}


def measure_rows(
    answers: RowPredictions, test: Split, rows: NDArray[np.integer], vocabulary: Vocabulary
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
        name: ratio(s.correct, s.total, recording) for name, s in scores.items()
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


def measure_segments(
    answers: RowPredictions, test: Split, segments: Segments, executed: ExecutedBlocks
) -> dict[str, Statistic]:
    """Metrics that judge whole stretches, which a clock that is off by seconds hardly spoils.

    Args:
        answers: of the rows of the stretches.
    """
    rows = segments.rows
    first = np.unique(segments.segment, return_index=True)[1]
    recording = test.recording[rows][first]
    edits, lengths = _errors(answers, test, segments, executed)
    metrics: dict[str, Statistic] = {
        "gcode_error_rate": ratio(np.array(edits), np.array(lengths), recording),
        "toolpath_distance_mm": NOTHING,
    }
    if answers.position_mm is not None:
        distance = segment_distances(answers.position_mm, test.position_mm[rows], segments.segment)
        if np.isfinite(distance).any():
            metrics["toolpath_distance_mm"] = median(distance, recording)
    return metrics


def _errors(
    answers: RowPredictions, test: Split, segments: Segments, executed: ExecutedBlocks
) -> tuple[list[int], list[int]]:
    """Edits, and blocks truly executed, of each stretch."""
    true = RowPredictions(
        test.blocks[test.block[segments.rows]],
        test.operation[segments.rows],
        test.program[segments.rows],
        line=test.line[segments.rows],
    )
    edits, lengths = [], []
    for rows in rows_of_segments(segments.segment):
        written, wanted = (_sequence(of.take(rows), executed) for of in (answers, true))
        edits.append(edit_distance(written, wanted))
        lengths.append(len(wanted))
    return edits, lengths


def _sequence(answers: RowPredictions, executed: ExecutedBlocks) -> list[str]:
    if answers.line is None or answers.program is None:
        return block_sequence(answers.blocks)
    return executed.of_rows(answers.program, answers.line, answers.blocks)


def _program(answers: RowPredictions, test: Split, rows: NDArray[np.integer]) -> Statistic:
    if answers.program is None:
        return NOTHING
    true = test.program[rows]
    correct = (answers.program == true) & (true != UNKNOWN)
    return ratio(correct, np.ones(len(rows)), test.recording[rows])


def _position_error(answers: RowPredictions, test: Split, rows: NDArray[np.integer]) -> Statistic:
    if answers.position_mm is None:
        return NOTHING
    error = np.linalg.norm(answers.position_mm - test.position_mm[rows], axis=1)
    if not np.isfinite(error).any():
        return NOTHING
    return median(error, test.recording[rows])
