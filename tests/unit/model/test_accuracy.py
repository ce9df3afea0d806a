"""Counts of correct predictions, for tokens that the vocabulary encodes."""

import numpy as np
import pytest

from gcodefp.dataset.vocabulary import FIELDS, UNSEEN, build_vocabulary
from gcodefp.model.accuracy import ACCURACIES, HEADS, Counts, count_correct

VOCABULARY = build_vocabulary(
    ["G0 X1 Y2", "G1 X2 Y1", "M3", "Z1", "G1 F7"], ["damageface", "face", "pocket"]
)
STEPS = VOCABULARY.steps + 1
"""One more than train blocks need, so that a longer block differs from one that was cut."""


def scored(predicted: str, true: str, operations: tuple[int, int] = (0, 0)) -> dict[str, list[int]]:
    """metric -> correct and total of one row."""
    predicted_codes, true_codes = (VOCABULARY.encode([text], STEPS) for text in (predicted, true))
    predicted_operation, true_operation = (np.array([operation]) for operation in operations)
    counts = count_correct(predicted_codes, true_codes, predicted_operation, true_operation)
    assert tuple(counts) == ACCURACIES
    return {name: [int(s.correct[0]), int(s.total[0])] for name, s in counts.items()}


@pytest.mark.parametrize(
    ("predicted", "true", "fields", "token", "gcode"),
    [
        # Correct; the end is a token too.
        ("G1 X2 Y1", "G1 X2 Y1", ([4, 4], [1, 1], [2, 2], [2, 2]), [4, 4], 1),
        ("M3", "M3", ([2, 2], [1, 1], [0, 0], [0, 0]), [2, 2], 1),
        # One field is wrong.
        ("G0 X2 Y1", "G1 X2 Y1", ([4, 4], [0, 1], [2, 2], [2, 2]), [3, 4], 0),
        ("G1 X2 Y2", "G1 X2 Y1", ([4, 4], [1, 1], [2, 2], [1, 2]), [3, 4], 0),
        ("G1 X2 Z1", "G1 X2 Y1", ([4, 4], [1, 1], [1, 2], [2, 2]), [3, 4], 0),
        # A word of another kind.
        ("G1 M3 Y1", "G1 X2 Y1", ([3, 4], [1, 1], [1, 2], [1, 2]), [3, 4], 0),
        # Too short, and too long.
        ("G1", "G1 X2 Y1", ([1, 4], [1, 1], [0, 2], [0, 2]), [1, 4], 0),
        ("G1 X2 Y1", "G1 X2", ([2, 3], [1, 1], [1, 1], [1, 1]), [2, 3], 0),
        # The same words in another order.
        ("G1 Y1 X2", "G1 X2 Y1", ([4, 4], [1, 1], [0, 2], [0, 2]), [2, 4], 0),
    ],
)
def test_words_are_compared_one_by_one(
    predicted: str, true: str, fields: tuple[list[int], ...], token: list[int], gcode: int
) -> None:
    expected = [*fields, token, [gcode, 1], [1, 1]]
    assert scored(predicted, true) == dict(zip(ACCURACIES, expected, strict=True))


@pytest.mark.parametrize(
    ("text", "metric"), [("G5 X1", "command"), ("X9", "parameter_value"), ("Q1", "parameter_type")]
)
def test_a_class_without_train_rows_is_never_correct(text: str, metric: str) -> None:
    # Both sides hold UNSEEN there.
    counts = scored(text, text)
    assert counts[metric] == counts["gcode"] == [0, 1]
    assert counts["token"][0] == counts["token"][1] - 1
    assert counts["token_type"][0] == counts["token_type"][1]


@pytest.mark.parametrize(
    ("predicted", "true", "correct"), [(0, 0, 1), (0, 1, 0), (UNSEEN, UNSEEN, 0), (1, UNSEEN, 0)]
)
def test_the_operation_is_scored_at_each_row(predicted: int, true: int, correct: int) -> None:
    assert scored("M3", "M3", (predicted, true))["operation"] == [correct, 1]


def test_a_true_block_that_was_cut_is_never_correct() -> None:
    for steps in (VOCABULARY.steps, STEPS):
        tokens = VOCABULARY.encode([" ".join(["G0 X1 Y2", *["X1"] * (steps - 2)])], steps)
        counts = count_correct(tokens, tokens, np.zeros(1, int), np.zeros(1, int))
        assert counts["token"].correct == counts["token"].total == steps
        assert counts["gcode"].accuracy() == 0


def test_accuracies_are_over_all_rows() -> None:
    true = VOCABULARY.encode(["G1 X2 Y1", "M3", "Z1"], STEPS)
    predicted = VOCABULARY.encode(["G1 X2 Y1", "M3", "M3"], STEPS)
    counts = count_correct(predicted, true, np.array([0, 1, 2]), np.array([0, 2, 2]))
    assert counts["gcode"].correct.tolist() == [1, 1, 0]
    assert counts["operation"].correct.tolist() == [1, 0, 1]
    assert counts["token"].accuracy() == pytest.approx(7 / 8)
    assert Counts(np.zeros(3, np.int64), np.zeros(3, np.int64)).accuracy() == 0.0
    assert set(FIELDS) < set(HEADS) < set(ACCURACIES)
