"""The metrics against their definitions, written here a second time."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_data import (
    BLOCKS,
    OPERATIONS,
    RECORDINGS,
    ROWS,
    tiny_programs,
    tiny_split,
    with_blocks,
)
from rapidfuzz.distance import Levenshtein

from gcodefp.dataset.store import Split
from gcodefp.dataset.vocabulary import build_vocabulary
from gcodefp.evaluation.bootstrap import Statistic, with_interval
from gcodefp.evaluation.metrics import (
    MIN_OVERLAP,
    NO_SEQUENCES,
    LabelledPredictions,
    RowPredictions,
    RowSequences,
    SequencePredictions,
    compute_metrics,
)
from gcodefp.programs.table import Programs

PROGRAMS = tiny_programs(tiny_split(RECORDINGS["train"]))
TEST = tiny_split(RECORDINGS["test"])


def compute(
    metric: str,
    predictions: RowPredictions,
    split: Split = TEST,
    programs: Programs = PROGRAMS,
    sequence: Sequence[int] | None = None,
) -> Statistic:
    """A metric of all rows of a split, in sequences if there are any."""
    rows = np.arange(len(split.row))
    by_sequence = NO_SEQUENCES
    if sequence is not None:
        by_sequence = SequencePredictions(RowSequences(rows, np.array(sequence)), predictions)
    vocabulary = build_vocabulary(BLOCKS, OPERATIONS)
    scored = LabelledPredictions(predictions, split, rows, vocabulary, programs, by_sequence)
    return compute_metrics(scored, [metric])[metric]


def at_states(state: np.ndarray, split: Split = TEST) -> RowPredictions:
    """Predictions of states, (N,), whose blocks are of no use."""
    program = PROGRAMS.program_of_state()[state]
    blocks = np.full(len(state), "nothing")
    return RowPredictions(blocks, split.operation.astype(np.int64), program, state=state)


def shifted(states: int) -> np.ndarray:
    """The true states, a constant later or earlier, but within 0 and the last one."""
    return np.clip(TEST.state.astype(np.int64) + states, 0, len(PROGRAMS) - 1)


# Time in the program


@pytest.mark.parametrize("step", [0.25, 0.1, 1 / 3, 1 / 7, 1 / 49])
@pytest.mark.parametrize("direction", [-1, 1])
def test_an_error_of_exactly_one_second_is_near_and_more_is_not(
    step: float, direction: int
) -> None:
    programs = replace(PROGRAMS, first=np.array([0, 200]), names=PROGRAMS.names[:1],
                       step_seconds=np.array(step))  # fmt: skip
    count, second = len(TEST.row), round(1 / step)
    one = replace(TEST, program=np.zeros(count, np.int16), state=np.full(count, 100, np.float32))
    program = np.zeros(count, np.int64)
    predictions = RowPredictions(np.full(count, "M3"), program, program)

    def share(state: int, truth: float = 100.0) -> float:
        split = replace(one, state=np.full(count, truth, np.float32))
        moved = predictions._replace(state=np.full(count, state))
        return with_interval(compute("within_1s", moved, split, programs)).value or 0.0

    assert share(100 + direction * second) == share(100) == 1
    assert share(100 + direction * (second + 1)) == 0
    # The true state has a fraction: a thousandth of a state more.
    assert share(100 + direction * second, 100 - 0.001 * direction) == 0


def test_a_wrong_program_is_never_near() -> None:
    state = shifted(0)
    other = at_states((state + ROWS) % (2 * ROWS))
    assert with_interval(compute("within_1s", other)).value == 0
    assert compute("program_time_error_s", other).n == 0
    # Even at the border, where the next program's first state is one step away.
    last = replace(TEST, program=np.zeros_like(TEST.program),
                   state=np.full_like(TEST.state, ROWS - 1))  # fmt: skip
    assert (
        with_interval(compute("within_1s", at_states(np.full(len(state), ROWS)), last)).value == 0
    )
    half = state.copy()
    half[::2] = (half[::2] + ROWS) % (2 * ROWS)
    near = with_interval(compute("within_1s", at_states(half)))
    assert (near.value, near.n, near.recordings) == (0.5, len(half), 3)


def test_predictions_without_states_have_no_metric_of_them() -> None:
    plain = at_states(shifted(0))._replace(state=None)
    for metric in ("within_1s", "program_time_error_s", "gcode_sensed", "segment_f1"):
        assert with_interval(compute(metric, plain, sequence=TEST.recording.tolist())).value is None
    assert with_interval(compute("program", plain)).value == 1


# Block accuracy at the sensors' time


def test_the_line_at_the_sensors_time_is_that_of_the_lag_corrected_row() -> None:
    rows = np.arange(len(TEST.row))
    corrected = np.maximum(rows % ROWS - 3, 0) + rows // ROWS * ROWS
    late = replace(TEST, lag_corrected_row=corrected.astype(np.int32), state=TEST.state[corrected])
    executed = [str(TEST.blocks[TEST.block[row]]) for row in corrected]
    for state in (late.state.astype(np.int64), shifted(0), shifted(5)):
        right = [PROGRAMS.block[s] == block for s, block in zip(state, executed, strict=True)]
        for lag_seconds in (0.0, 0.75, np.nan):  # The number itself is never used.
            split = replace(late, lag_seconds=np.full(3, lag_seconds, np.float32))
            share = with_interval(compute("gcode_sensed", at_states(state), split))
            assert (share.value, share.n) == (pytest.approx(np.mean(right)), len(rows))
    assert (
        with_interval(compute("gcode_sensed", at_states(late.state.astype(int)), late)).value == 1
    )
    assert (with_interval(compute("gcode_sensed", at_states(shifted(0)), late)).value or 0) < 0.5


# Segment F1


def action_segmentation_counts(
    predicted: Sequence[str], true: Sequence[str]
) -> tuple[int, int, int]:
    """True positives, false positives and false negatives, frame by frame (Lea et al. 2017)."""

    def actions(frames: Sequence[str]) -> list[tuple[str, set[int]]]:
        runs: list[tuple[str, set[int]]] = []
        for index, label in enumerate(frames):
            if not runs or runs[-1][0] != label:
                runs.append((label, set()))
            runs[-1][1].add(index)
        return runs

    hits: set[int] = set()
    false_positives = 0
    for label, frames in actions(predicted):
        best, best_index = Fraction(-1), -1
        for index, (true_label, true_frames) in enumerate(actions(true)):
            share = Fraction(len(frames & true_frames), len(frames | true_frames))
            if label == true_label and share > best:
                best, best_index = share, index
        if best >= MIN_OVERLAP and best_index not in hits:
            hits.add(best_index)
        else:
            false_positives += 1
    return len(hits), false_positives, len(actions(true)) - len(hits)


@settings(deadline=None, max_examples=30)
@given(jumps=st.lists(st.integers(-6, 6), min_size=len(TEST.row), max_size=len(TEST.row)))
def test_segment_f1_is_of_all_segments_together_at_the_sensors_time(jumps: list[int]) -> None:
    state = np.clip(shifted(0) + np.repeat(jumps[::4], 4), 0, len(PROGRAMS) - 1)
    lag_corrected = np.roll(TEST.lag_corrected_row.reshape(-1, ROWS), 2, axis=1).ravel()
    late = replace(TEST, lag_corrected_row=lag_corrected)
    sequence = np.arange(len(state)) // 8
    predicted, true = PROGRAMS.block[state], TEST.blocks[TEST.block[lag_corrected]]
    counts = [
        action_segmentation_counts(predicted[sequence == s].tolist(), true[sequence == s].tolist())
        for s in np.unique(sequence)
    ]
    hits, extra, missed = np.sum(counts, axis=0)
    score = with_interval(compute("segment_f1", at_states(state), late, sequence=sequence.tolist()))
    assert score.value == pytest.approx(2 * hits / (2 * hits + extra + missed))
    assert (score.n, score.recordings) == (2 * hits + extra + missed, 3)


# block error rate


def merged(blocks: Sequence[str]) -> list[str]:
    return [block for i, block in enumerate(blocks) if i == 0 or blocks[i - 1] != block]


@settings(deadline=None, max_examples=50)
@given(data=st.data(), length=st.integers(1, 9))
def test_the_error_rate_counts_edits_of_what_is_reported_and_fills_nothing_in(
    data: st.DataObject, length: int
) -> None:
    count = len(TEST.row)
    texts = st.lists(st.sampled_from(BLOCKS), min_size=count, max_size=count)
    predicted, true = data.draw(texts), data.draw(texts)
    # Line numbers that leave lines out: the program has their blocks, the recording does not.
    split = replace(with_blocks(TEST, np.array(true)), line=7 * np.arange(count))
    sequence = [row // ROWS * ROWS + row % ROWS // length for row in range(count)]
    sequence = np.unique(sequence, return_inverse=True)[1].tolist()
    edits = reported = 0
    for index in range(max(sequence) + 1):
        rows = [row for row in range(count) if sequence[row] == index]
        blocks = merged([true[row] for row in rows])
        edits += Levenshtein.distance(merged([predicted[row] for row in rows]), blocks)
        reported += len(blocks)
    predictions = at_states(shifted(0))._replace(
        blocks=np.array(predicted), line=5 * np.arange(count)
    )
    rate = with_interval(compute("gcode_error_rate", predictions, split, sequence=sequence))
    assert (rate.value, rate.n) == (pytest.approx(edits / reported), reported)
