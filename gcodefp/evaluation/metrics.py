"""The metrics: a registry that metrics.json, the report's tables and docs/metrics.md come from.

To add a metric, add an entry to METRICS and run `make docs`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import COMMAND, UNSEEN, Vocabulary
from gcodefp.evaluation.bootstrap import EMPTY, Statistic, balanced_accuracy, quantile, ratio
from gcodefp.evaluation.sequences import (
    block_sequence,
    edit_distance,
    matching_segments,
    rows_of_sequences,
)
from gcodefp.model.accuracy import Counts, count_correct
from gcodefp.programs.table import UNKNOWN, Programs

NEAR_SECONDS = 1.0
"""Largest error of the time in the program that counts as correct."""
MIN_OVERLAP = 0.5
"""Intersection over union at which a predicted segment of one block matches a true one."""


class RowPredictions(NamedTuple):
    """Predictions of N rows by gcodefp or a baseline; None is not predicted."""

    blocks: NDArray[np.str_]  # (N,) text of each block
    operation: NDArray[np.int64]  # (N,) class of the operation
    program: NDArray[np.int64] | None = None  # (N,) index of the program
    position_mm: NDArray[np.float32] | None = None  # (N, 3) tool position
    line: NDArray[np.int64] | None = None  # (N,) line number in the program
    state: NDArray[np.int64] | None = None  # (N,) state of the programs that the sensors measure

    def take(self, rows: NDArray[np.integer]) -> "RowPredictions":
        """The predictions of some of the rows, in their order."""
        taken: list[Any] = [None if array is None else array[rows] for array in self]
        return RowPredictions(*taken)


class RowSequences(NamedTuple):
    """M rows in S sequences, each of which is decoded at once."""

    rows: NDArray[np.integer]  # (M,) of the split; those of a sequence are neighbours, in order
    sequence: NDArray[np.integer]  # (M,) sequence of each, from 0


class SequencePredictions(NamedTuple):
    """Sequences and the predictions of their rows."""

    sequences: RowSequences
    predictions: RowPredictions


NO_ROWS = np.zeros(0, np.int64)
NO_SEQUENCES = SequencePredictions(
    RowSequences(NO_ROWS, NO_ROWS), RowPredictions(np.zeros(0, str), NO_ROWS)
)


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions and labels of N rows: the input of a metric."""

    predictions: RowPredictions
    split: Split
    rows: NDArray[np.integer]  # (N,) of the split
    vocabulary: Vocabulary
    programs: Programs
    by_sequence: SequencePredictions = NO_SEQUENCES  # for the metrics of sequences

    @property
    def recording(self) -> NDArray[np.integer]:
        """Index of each row's recording, (N,)."""
        return self.split.recording[self.rows]

    @property
    def sequence_recording(self) -> NDArray[np.integer]:
        """Index of each sequence's recording, (S,)."""
        rows, sequence = self.by_sequence.sequences
        return self.split.recording[rows[np.unique(sequence, return_index=True)[1]]]

    @cached_property
    def true_blocks(self) -> NDArray[np.str_]:
        return self.split.blocks[self.split.block[self.rows]]

    @cached_property
    def program_error_seconds(self) -> NDArray[np.float64] | None:
        """Error of the time in the program, (N,); infinite where the program is wrong."""
        state, program = self.predictions.state, self.predictions.program
        if state is None or program is None:
            return None
        true_state, true_program = self.split.state[self.rows], self.split.program[self.rows]
        return program_error_seconds(self.programs, state, program, true_state, true_program)

    @cached_property
    def tokens(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Classes of the predicted and the true words, both (N, steps, 4)."""
        encode = self.vocabulary.encode_rows
        return encode(self.predictions.blocks), encode(self.true_blocks)

    @cached_property
    def counts(self) -> Mapping[str, Counts]:
        """Correct and total words of each row, by metric."""
        true_operation = self.split.operation[self.rows]
        return count_correct(*self.tokens, self.predictions.operation, true_operation)

    def share(self, correct: NDArray[np.bool_]) -> Statistic:
        """The share of correct rows (N,)."""
        return ratio(correct, np.ones(len(correct)), self.recording)


def program_error_seconds(
    programs: Programs,
    state: NDArray[np.integer],
    program: NDArray[np.integer],
    true_state: NDArray[np.floating],
    true_program: NDArray[np.integer],
) -> NDArray[np.float64]:
    """Error of the time in the program, (N,); infinite where the program is wrong."""
    error = np.abs(state - true_state.astype(np.float64)) * float(programs.step_seconds)
    return np.where((program == true_program) & np.isfinite(error), error, np.inf)


SHARE, MILLIMETRES, SECONDS = "share", "mm", "s"


@dataclass(frozen=True)
class Metric:
    """One metric of the registry."""

    title: str  # its name in the report
    definition: str  # for docs/metrics.md
    counts: str  # what `n` counts
    compute: Callable[[LabelledPredictions], Statistic]
    unit: str = SHARE  # SHARE, MILLIMETRES or SECONDS
    higher_is_better: bool = True
    main: bool = False  # whether it is in the report's first table
    of_sequences: bool = False  # whether it compares whole sequences rather than rows


def compute_metrics(
    scored: LabelledPredictions, names: Collection[str] | None = None
) -> dict[str, Statistic]:
    """The metrics of these names, by default all."""
    return {
        name: metric.compute(scored)
        for name, metric in METRICS.items()
        if names is None or name in names
    }


def _accuracy(name: str) -> Callable[[LabelledPredictions], Statistic]:
    return lambda scored: ratio(*scored.counts[name], scored.recording)


def _command_balanced(scored: LabelledPredictions) -> Statistic:
    predicted, true = scored.tokens
    counted = (true[..., 0] == COMMAND) & (true[..., 1] != UNSEEN)
    correct = (predicted[..., 0] == COMMAND) & (predicted[..., 1] == true[..., 1])
    recording = np.broadcast_to(scored.recording[:, None], counted.shape)
    return balanced_accuracy(correct[counted], true[..., 1][counted], recording[counted])


def _program(scored: LabelledPredictions) -> Statistic:
    program, true = scored.predictions.program, scored.split.program[scored.rows]
    return EMPTY if program is None else scored.share((program == true) & (true != UNKNOWN))


def _near(scored: LabelledPredictions) -> Statistic:
    error = scored.program_error_seconds
    return EMPTY if error is None else scored.share(error <= NEAR_SECONDS)


def _program_time_error(level: float) -> Callable[[LabelledPredictions], Statistic]:
    def error_quantile(scored: LabelledPredictions) -> Statistic:
        error = scored.program_error_seconds
        if error is None:
            return EMPTY
        return quantile(np.where(np.isfinite(error), error, np.nan), scored.recording, level)

    return error_quantile


def _sensed_block(scored: LabelledPredictions) -> Statistic:
    state = scored.predictions.state
    if state is None:
        return EMPTY
    return scored.share(scored.programs.block[state] == _sensed_blocks(scored.split, scored.rows))


def _sensed_blocks(split: Split, rows: NDArray[np.integer]) -> NDArray[np.str_]:
    """The true blocks at the sensors' time, (N,): those that are executed when a row is sensed."""
    return split.blocks[split.block[split.lag_corrected_row[rows]]]


def _position_error(scored: LabelledPredictions) -> Statistic:
    position_mm = scored.predictions.position_mm
    if position_mm is None:
        return EMPTY
    error = np.linalg.norm(position_mm - scored.split.position_mm[scored.rows], axis=1)
    return quantile(error, scored.recording)


def _gcode_error_rate(scored: LabelledPredictions) -> Statistic:
    """Edits over reported blocks, summed over sequences."""
    (rows, sequence), predictions = scored.by_sequence
    true_blocks = scored.split.blocks[scored.split.block[rows]]
    edits, lengths = [], []
    for sequence_rows in rows_of_sequences(sequence):
        true = block_sequence(true_blocks[sequence_rows])
        edits.append(edit_distance(block_sequence(predictions.blocks[sequence_rows]), true))
        lengths.append(len(true))
    return ratio(np.array(edits), np.array(lengths), scored.sequence_recording)


def _segment_f1(scored: LabelledPredictions) -> Statistic:
    """Twice the matching segments over the predicted and the true ones, summed over sequences."""
    (rows, sequence), predictions = scored.by_sequence
    if predictions.state is None:
        return EMPTY
    predicted, true = scored.programs.block[predictions.state], _sensed_blocks(scored.split, rows)
    counts = [
        matching_segments(predicted[sequence_rows], true[sequence_rows], MIN_OVERLAP)
        for sequence_rows in rows_of_sequences(sequence)
    ]
    matching, total = np.array(counts).reshape(-1, 2).T
    return ratio(2 * matching, total, scored.sequence_recording)


METRICS: Mapping[str, Metric] = {
    "within_1s": Metric(
        "within 1 s",
        "rows whose program is correct, and whose time in the program is within "
        f"{NEAR_SECONDS:g} s of the true one, at the sensors' time / rows",
        "rows", _near, main=True,
    ),
    "program": Metric(
        "program",
        "rows whose program is correct / rows",
        "rows", _program, main=True,
    ),
    "program_time_error_s": Metric(
        "time error in the program, median",
        "median of abs(predicted - true time in the program) at the sensors' time",
        "rows whose program is correct", _program_time_error(0.5), SECONDS,
        higher_is_better=False, main=True,
    ),
    "program_time_error_90_s": Metric(
        "time error in the program, 90th percentile",
        "the same, the 90th percentile",
        "rows whose program is correct", _program_time_error(0.9), SECONDS,
        higher_is_better=False, main=True,
    ),
    "gcode_sensed": Metric(
        "block accuracy, sensors' time",
        "rows whose predicted state has the block that is executed when the sensors measure / rows",
        "rows", _sensed_block, main=True,
    ),
    "gcode": Metric(
        "block accuracy, controller's clock",
        "rows of which every word, and the end, of the block is correct / rows",
        "rows", _accuracy("gcode"), main=True,
    ),
    "gcode_error_rate": Metric(
        "block error rate",
        "fewest insertions, deletions and substitutions that turn the predicted sequence of blocks "
        "into the reported one / length of the reported one, both summed over sequences; blocks "
        "too short for a row count in neither; as the word error rate it may exceed 1",
        "blocks reported", _gcode_error_rate,
        higher_is_better=False, main=True, of_sequences=True,
    ),
    "segment_f1": Metric(
        "segment F1",
        "F1 of segments (neighbouring rows of one block), at the sensors' time: a predicted one "
        "matches a true one of the same block if their intersection over union is at least "
        f"{MIN_OVERLAP:g}",
        "predicted and true segments", _segment_f1, main=True, of_sequences=True,
    ),
    "position_error_mm": Metric(
        "tool position error",
        "median of the distance between the predicted tool position and the one that the "
        "controller reports",
        "rows with both", _position_error, MILLIMETRES, higher_is_better=False, main=True,
    ),
    "token": Metric(
        "token, controller's clock",
        "tokens (words and the end) that are correct / tokens",
        "tokens", _accuracy("token"),
    ),
    "command_balanced": Metric(
        "command, balanced, controller's clock",
        "mean over commands of the share of their words that are correct (recall)",
        "command words that the train split has", _command_balanced,
    ),
    "operation": Metric(
        "operation",
        "rows whose operation is correct / rows",
        "rows", _accuracy("operation"),
    ),
}  # fmt: skip
"""Name in metrics.json -> metric, in the order of the report."""


def update_definitions(page: str) -> str:
    """A Markdown page with updated tables of the metrics of rows, or of sequences.

    Each is between the comments `<!-- metrics of rows -->` (or `sequences`) and `<!-- end -->`.
    """
    header = "| metric | in the report | definition | unit | `n` counts |\n" + "| --- " * 5 + "|\n"
    for kind in ("rows", "sequences"):
        table = header + "".join(
            f"| `{name}` | {m.title} | {m.definition} | {m.unit} | {m.counts} |\n"
            for name, m in METRICS.items()
            if m.of_sequences == (kind == "sequences")
        )
        marker = f"<!-- metrics of {kind} -->\n"
        before, _, rest = page.partition(marker)
        page = f"{before}{marker}{table}<!-- end -->{rest.partition('<!-- end -->')[2]}"
    return page
