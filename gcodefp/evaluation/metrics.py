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
from gcodefp.evaluation.bootstrap import EMPTY, Statistic, balanced_accuracy, median, ratio
from gcodefp.evaluation.sequences import (
    ExecutedBlocks,
    block_sequence,
    edit_distance,
    rows_of_segments,
)
from gcodefp.evaluation.toolpaths import AXES, axis_errors_mm, segment_distances
from gcodefp.model.scores import Score, row_scores
from gcodefp.programs.table import UNKNOWN


class RowPredictions(NamedTuple):
    """Predictions of N rows by the model or a baseline.

    Attributes:
        blocks: (N,) text of each block.
        operation: (N,) class of the operation.
        program: (N,) index of the program; None if it is not predicted.
        position_mm: (N, 3) tool position; None if it is not predicted.
        line: (N,) line number in the program; None if it is not predicted.
    """

    blocks: NDArray[np.str_]
    operation: NDArray[np.int64]
    program: NDArray[np.int64] | None = None
    position_mm: NDArray[np.float32] | None = None
    line: NDArray[np.int64] | None = None

    def take(self, rows: NDArray[np.integer]) -> "RowPredictions":
        """The predictions of some of the rows, in their order."""
        fields = self._asdict().items()
        selected: dict[str, Any] = {
            name: None if array is None else array[rows] for name, array in fields
        }
        return RowPredictions(**selected)


class Segments(NamedTuple):
    """M rows in S segments, each of which is decoded as one sequence.

    Attributes:
        rows: (M,) rows of the split; those of a segment are neighbours, in order.
        segment: (M,) segment of each, from 0.
    """

    rows: NDArray[np.integer]
    segment: NDArray[np.integer]


class SegmentPredictions(NamedTuple):
    """Segments and the predictions of their rows."""

    segments: Segments
    predictions: RowPredictions


NO_ROWS = np.zeros(0, np.int64)
NO_SEGMENTS = SegmentPredictions(
    Segments(NO_ROWS, NO_ROWS), RowPredictions(np.zeros(0, str), NO_ROWS)
)


@dataclass(frozen=True)
class ScoredPredictions:
    """Predictions and labels of N rows: the input of a metric.

    Attributes:
        rows: (N,) of the split.
        by_segment: predictions as sequences, for segment metrics.
        executed: adds the blocks between the rows of a segment.
    """

    predictions: RowPredictions
    split: Split
    rows: NDArray[np.integer]
    vocabulary: Vocabulary
    by_segment: SegmentPredictions = NO_SEGMENTS
    executed: ExecutedBlocks | None = None

    @property
    def recording(self) -> NDArray[np.integer]:
        """Index of each row's recording, (N,)."""
        return self.split.recording[self.rows]

    @property
    def segment_recording(self) -> NDArray[np.integer]:
        """Index of each segment's recording, (S,)."""
        rows, segment = self.by_segment.segments
        return self.split.recording[rows[np.unique(segment, return_index=True)[1]]]

    @cached_property
    def true_blocks(self) -> NDArray[np.str_]:
        return self.split.blocks[self.split.block[self.rows]]

    @cached_property
    def codes(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Classes of the predicted and the true words, both (N, steps, 4)."""
        encode = self.vocabulary.encode_rows
        return encode(self.predictions.blocks), encode(self.true_blocks)

    @cached_property
    def scores(self) -> Mapping[str, Score]:
        """Correct and total words of each row, by metric."""
        true_operation = self.split.operation[self.rows]
        return row_scores(*self.codes, self.predictions.operation, true_operation)


SHARE, MILLIMETRES = "share", "mm"


@dataclass(frozen=True)
class Metric:
    """One metric of the registry.

    Attributes:
        title: its name in the report.
        definition: for docs/metrics.md.
        counts: what `n` counts.
        compute: computes it.
        unit: SHARE or MILLIMETRES.
        higher_is_better: the direction.
        main: whether it is in the report's first table.
        of_segments: whether it compares whole segments rather than rows.
    """

    title: str
    definition: str
    counts: str
    compute: Callable[[ScoredPredictions], Statistic]
    unit: str = SHARE
    higher_is_better: bool = True
    main: bool = False
    of_segments: bool = False


def compute_metrics(
    scored: ScoredPredictions, names: Collection[str] | None = None
) -> dict[str, Statistic]:
    """The metrics of these names, by default all."""
    return {
        name: metric.compute(scored)
        for name, metric in METRICS.items()
        if names is None or name in names
    }


def _score(name: str) -> Callable[[ScoredPredictions], Statistic]:
    return lambda scored: ratio(*scored.scores[name], scored.recording)


def _command_balanced(scored: ScoredPredictions) -> Statistic:
    predicted, true = scored.codes
    counted = (true[..., 0] == COMMAND) & (true[..., 1] != UNSEEN)
    correct = (predicted[..., 0] == COMMAND) & (predicted[..., 1] == true[..., 1])
    recording = np.broadcast_to(scored.recording[:, None], counted.shape)
    return balanced_accuracy(correct[counted], true[..., 1][counted], recording[counted])


def _program(scored: ScoredPredictions) -> Statistic:
    program, true = scored.predictions.program, scored.split.program[scored.rows]
    if program is None:
        return EMPTY
    return ratio((program == true) & (true != UNKNOWN), np.ones(len(true)), scored.recording)


def _axis_error(axis: str) -> Callable[[ScoredPredictions], Statistic]:
    def mean_error(scored: ScoredPredictions) -> Statistic:
        mm_per_unit = scored.split.mm_per_unit[scored.rows]
        errors = axis_errors_mm(scored.predictions.blocks, scored.true_blocks, mm_per_unit)
        error, is_finite = errors[:, AXES.index(axis)], np.isfinite(errors[:, AXES.index(axis)])
        return ratio(np.where(is_finite, error, 0.0), is_finite, scored.recording)

    return mean_error


def _position_error(scored: ScoredPredictions) -> Statistic:
    position_mm = scored.predictions.position_mm
    if position_mm is None:
        return EMPTY
    error = np.linalg.norm(position_mm - scored.split.position_mm[scored.rows], axis=1)
    return median(error, scored.recording)


def _gcode_error_rate(scored: ScoredPredictions) -> Statistic:
    """Edits over executed blocks, summed over segments."""
    (rows, segment), predictions = scored.by_segment
    split = scored.split
    true = RowPredictions(
        split.blocks[split.block[rows]], split.operation[rows], split.program[rows],
        line=split.line[rows],
    )  # fmt: skip
    edits, lengths = [], []
    for segment_rows in rows_of_segments(segment):
        predicted, executed = (
            _sequence(source.take(segment_rows), scored.executed) for source in (predictions, true)
        )
        edits.append(edit_distance(predicted, executed))
        lengths.append(len(executed))
    return ratio(np.array(edits), np.array(lengths), scored.segment_recording)


def _sequence(predictions: RowPredictions, executed: ExecutedBlocks | None) -> list[str]:
    if executed is None or predictions.line is None or predictions.program is None:
        return block_sequence(predictions.blocks)
    return executed.executed_sequence(predictions.program, predictions.line, predictions.blocks)


def _toolpath_distance(scored: ScoredPredictions) -> Statistic:
    (rows, segment), predictions = scored.by_segment
    if predictions.position_mm is None:
        return EMPTY
    distance = segment_distances(predictions.position_mm, scored.split.position_mm[rows], segment)
    return median(distance, scored.segment_recording)


def _axis_metric(axis: str) -> Metric:
    return Metric(
        f"{axis} words",
        f"mean of abs(predicted - true number of the {axis} word) · mm per unit",
        "rows of which both blocks have the word",
        _axis_error(axis), MILLIMETRES, higher_is_better=False,
    )  # fmt: skip


METRICS: Mapping[str, Metric] = {
    "gcode": Metric(
        "exact line",
        "rows of which every word, and the end, of the block is correct / rows",
        "rows", _score("gcode"), main=True,
    ),
    "token": Metric(
        "token",
        "tokens (words and the end) that are correct / tokens",
        "tokens", _score("token"), main=True,
    ),
    "command_balanced": Metric(
        "command, balanced",
        "mean over commands of the share of their words that are correct (recall)",
        "command words that the train split has", _command_balanced, main=True,
    ),
    "operation": Metric(
        "operation",
        "rows whose operation is correct / rows",
        "rows", _score("operation"), main=True,
    ),
    "program": Metric(
        "program",
        "rows whose program is correct / rows",
        "rows", _program, main=True,
    ),
    "gcode_error_rate": Metric(
        "G-code error rate",
        "fewest insertions, deletions and substitutions that turn the predicted sequence of blocks "
        "into the true one / length of the true one, both summed over segments; as the word error "
        "rate it may exceed 1",
        "blocks truly executed", _gcode_error_rate,
        higher_is_better=False, main=True, of_segments=True,
    ),
    "position_error_mm": Metric(
        "tool position error",
        "median of the distance between the predicted tool position and the one that the "
        "controller reports",
        "rows with both", _position_error, MILLIMETRES, higher_is_better=False, main=True,
    ),
    "toolpath_distance_mm": Metric(
        "toolpath distance",
        "median over segments of the discrete Fréchet distance between the predicted and the "
        "reported positions: the largest gap when both paths are followed point by point, never "
        "backwards",
        "segments", _toolpath_distance, MILLIMETRES,
        higher_is_better=False, main=True, of_segments=True,
    ),
    "token_type": Metric(
        "token type",
        "tokens whose kind (command, parameter, end) is correct / tokens",
        "tokens", _score("token_type"),
    ),
    "command": Metric(
        "command",
        "command words (`G1`) that are correct / command words",
        "command words", _score("command"),
    ),
    "parameter_type": Metric(
        "parameter type",
        "parameter words (`X1.5`) whose letter is correct / parameter words",
        "parameter words", _score("parameter_type"),
    ),
    "parameter_value": Metric(
        "parameter value",
        "parameter words whose number is correct / parameter words",
        "parameter words", _score("parameter_value"),
    ),
    "x_error_mm": _axis_metric("X"),
    "y_error_mm": _axis_metric("Y"),
    "z_error_mm": _axis_metric("Z"),
}  # fmt: skip
"""Name in metrics.json -> metric, in the order of the report."""


def update_definitions(page: str) -> str:
    """A Markdown page with updated tables of metrics.

    A table of the metrics of rows, or of segments, is between the comments `<!-- metrics of rows
    -->` (or `segments`) and `<!-- end -->`.
    """
    for kind in ("rows", "segments"):
        marker = f"<!-- metrics of {kind} -->\n"
        before, _, rest = page.partition(marker)
        after = rest.partition("<!-- end -->")[2]
        page = f"{before}{marker}{_table(kind == 'segments')}<!-- end -->{after}"
    return page


def _table(of_segments: bool) -> str:
    head = "| metric | in the report | definition | unit | `n` counts |\n" + "| --- " * 5 + "|\n"
    return head + "".join(
        f"| `{name}` | {metric.title} | {metric.definition} | {metric.unit} | {metric.counts} |\n"
        for name, metric in METRICS.items()
        if metric.of_segments == of_segments
    )
