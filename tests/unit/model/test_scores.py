"""Accuracies by hand, with codes as the vocabulary makes them of blocks."""

import numpy as np
import pytest

from gcodefp.dataset.vocabulary import FIELDS, UNSEEN, build_vocabulary
from gcodefp.model.scores import HEADS, SCORES, Score, row_scores

VOCABULARY = build_vocabulary(
    ["G0 X1 Y2", "G1 X2 Y1", "M3", "Z1", "G1 F7"], ["damageface", "face", "pocket"]
)
STEPS = VOCABULARY.steps + 1
"""One more than train blocks need, so that a longer block differs from one that was cut."""


def scored(written: str, true: str, operations: tuple[int, int] = (0, 0)) -> dict[str, list[int]]:
    """metric -> hits and chances of one row."""
    written_codes, true_codes = (VOCABULARY.encode([text], STEPS) for text in (written, true))
    ours, theirs = (np.array([operation]) for operation in operations)
    scores = row_scores(written_codes, true_codes, ours, theirs)
    assert tuple(scores) == SCORES
    return {name: [int(s.correct[0]), int(s.total[0])] for name, s in scores.items()}


@pytest.mark.parametrize(
    ("written", "true", "token_type", "command", "letter", "value", "token", "gcode"),
    [
        # All of it; the end is a token too.
        ("G1 X2 Y1", "G1 X2 Y1", [4, 4], [1, 1], [2, 2], [2, 2], [4, 4], 1),
        ("M3", "M3", [2, 2], [1, 1], [0, 0], [0, 0], [2, 2], 1),
        ("Z1", "Z1", [2, 2], [0, 0], [1, 1], [1, 1], [2, 2], 1),
        # One field is wrong.
        ("G0 X2 Y1", "G1 X2 Y1", [4, 4], [0, 1], [2, 2], [2, 2], [3, 4], 0),
        ("G1 X2 Y2", "G1 X2 Y1", [4, 4], [1, 1], [2, 2], [1, 2], [3, 4], 0),
        ("G1 X2 Z1", "G1 X2 Y1", [4, 4], [1, 1], [1, 2], [2, 2], [3, 4], 0),
        # A word of another kind in its place.
        ("X2 X2 Y1", "G1 X2 Y1", [3, 4], [0, 1], [2, 2], [2, 2], [3, 4], 0),
        ("G1 M3 Y1", "G1 X2 Y1", [3, 4], [1, 1], [1, 2], [1, 2], [3, 4], 0),
        # Too short: nothing stands where the true block goes on.
        ("G1 X2", "G1 X2 Y1", [2, 4], [1, 1], [1, 2], [1, 2], [2, 4], 0),
        ("G1", "G1 X2 Y1", [1, 4], [1, 1], [0, 2], [0, 2], [1, 4], 0),
        # Too long: a word stands where the true block ends.
        ("G1 X2 Y1", "G1 X2", [2, 3], [1, 1], [1, 1], [1, 1], [2, 3], 0),
        ("M3 X1", "M3", [1, 2], [1, 1], [0, 0], [0, 0], [1, 2], 0),
        # The same words in another order.
        ("G1 Y1 X2", "G1 X2 Y1", [4, 4], [1, 1], [0, 2], [0, 2], [2, 4], 0),
    ],
)
def test_words_are_compared_one_by_one(
    written: str,
    true: str,
    token_type: list[int],
    command: list[int],
    letter: list[int],
    value: list[int],
    token: list[int],
    gcode: int,
) -> None:
    expected = [token_type, command, letter, value, token, [gcode, 1], [1, 1]]
    assert scored(written, true) == dict(zip(SCORES, expected, strict=True))


@pytest.mark.parametrize(
    ("text", "metric"),
    [("G5 X1", "command"), ("X9", "parameter_value"), ("Q1", "parameter_type")],
)
def test_a_class_that_train_never_had_is_never_right(text: str, metric: str) -> None:
    # Both sides hold UNSEEN there; that they are equal must not count.
    scores = scored(text, text)
    assert scores[metric] == [0, 1]
    assert scores["gcode"] == [0, 1]
    assert scores["token"][0] == scores["token"][1] - 1
    assert scores["token_type"][0] == scores["token_type"][1]


@pytest.mark.parametrize(
    ("written", "true", "correct"), [(0, 0, 1), (0, 1, 0), (UNSEEN, UNSEEN, 0), (1, UNSEEN, 0)]
)
def test_the_operation_is_the_row_s(written: int, true: int, correct: int) -> None:
    assert scored("M3", "M3", (written, true))["operation"] == [correct, 1]


def test_a_true_block_that_was_cut_is_not_written_whole() -> None:
    longest = "G0 X1 Y2"
    for steps in (VOCABULARY.steps, VOCABULARY.steps + 1):
        more = " ".join([longest, *["X1"] * (steps - 2)])
        codes = VOCABULARY.encode([more], steps)
        scores = row_scores(codes, codes, np.zeros(1, int), np.zeros(1, int))
        assert scores["token"].correct == scores["token"].total == steps
        assert scores["gcode"].accuracy() == 0


def test_rows_are_scored_each_for_itself() -> None:
    true = VOCABULARY.encode(["G1 X2 Y1", "M3", "Z1"], STEPS)
    written = VOCABULARY.encode(["G1 X2 Y1", "M3", "M3"], STEPS)
    scores = row_scores(written, true, np.array([0, 1, 2]), np.array([0, 2, 2]))
    assert scores["gcode"].correct.tolist() == [1, 1, 0]
    assert scores["operation"].correct.tolist() == [1, 0, 1]
    assert scores["token"].total.tolist() == [4, 2, 2]
    assert scores["token"].accuracy() == pytest.approx(7 / 8)


def test_an_accuracy_without_chances_is_zero() -> None:
    assert Score(np.zeros(3, np.int64), np.zeros(3, np.int64)).accuracy() == 0.0


def test_every_head_has_a_score() -> None:
    assert set(FIELDS) < set(HEADS) < set(SCORES)
