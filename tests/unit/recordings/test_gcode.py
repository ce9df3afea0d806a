from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcodefp.dataset.vocabulary import (
    COMMAND,
    END,
    FIELDS,
    PAD,
    PARAMETER,
    UNSEEN,
    build_vocabulary,
)
from gcodefp.recordings.gcode import Word, format_block, format_number, parse_block

# G-code

numbers = st.integers(-(10**7), 10**7).map(lambda number: number / 10**4 + 0.0)
words = st.builds(Word, st.sampled_from("FGMNRSTXYZ"), numbers)


@given(st.lists(words, max_size=7))
def test_a_block_is_read_back_as_it_was_written(block: list[Word]) -> None:
    assert parse_block(format_block(tuple(block))) == tuple(block)


@given(st.lists(words, min_size=1, max_size=4), st.text("( \t;ab", max_size=5), st.booleans())
def test_spaces_comments_and_case_change_nothing(
    block: list[Word], remark: str, lower: bool
) -> None:
    text = " (first) ".join(f"{word.letter} {word.number:+.6f}" for word in block) + f" ;{remark}"
    assert parse_block(text.lower() if lower else text) == tuple(block)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("G53 G0 Z0.", "G53 G0 Z0"),
        ("G2 X0. Y3.481 R0.071", "G2 X0 Y3.481 R0.071"),
        ("X-0.1254", "X-0.1254"),
        ("G1X1.Y.5F7.30", "G1 X1 Y0.5 F7.3"),
        ("G01 Z-0.0", "G1 Z0"),
        ("M30", "M30"),
        ("G38.2 Z-.125", "G38.2 Z-0.125"),
        ("X0.12344999 Y-0.00004", "X0.1234 Y0"),
        ("(tool 1) G0 ; to the start", "G0"),
        ("  ", ""),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert format_block(parse_block(text)) == canonical


@pytest.mark.parametrize(
    "text", ["G", "X1.2.3", "G1 X", "1.5", "G1 %", "(open G1", "X--1", "G1 X1,5"]
)
def test_garbage_is_no_block(text: str) -> None:
    with pytest.raises(ValueError, match="no G-code word"):
        parse_block(text)


@given(st.floats(-1e6, 1e6))
def test_numbers_have_one_text_of_at_most_four_decimals(number: float) -> None:
    text = format_number(number)
    assert abs(float(text) - number) <= 0.50001e-4 + 1e-9
    assert format_number(float(text)) == text
    assert text != "-0"
    assert not text.endswith(".")
    assert len(text.partition(".")[2]) <= 4


# Vocabulary

blocks = st.lists(words, min_size=1, max_size=5).map(lambda block: format_block(tuple(block)))


@given(st.lists(blocks, min_size=1, max_size=8), st.randoms())
def test_train_blocks_are_decoded_as_they_were_encoded(texts: list[str], random: Random) -> None:
    vocabulary = build_vocabulary(texts, ["face"])
    codes = vocabulary.encode(texts)
    assert codes.shape == (len(texts), vocabulary.steps, len(FIELDS))
    assert vocabulary.decode(codes) == texts
    assert ((codes[..., 0] == END).sum(axis=1) == 1).all()
    random.shuffle(texts)
    assert build_vocabulary([*texts, *texts], ["face", "face"]) == vocabulary


def test_the_classes_are_those_of_the_train_blocks() -> None:
    texts = ["G0 X1.5 Y-0.125", "G53 G0 Z0", "Y1.5", "M3 S9000"]
    vocabulary = build_vocabulary(texts, ["pocket", "face", "pocket"])
    assert vocabulary.commands == ("G0", "G53", "M3")
    assert vocabulary.parameter_types == ("S", "X", "Y", "Z")
    assert vocabulary.parameter_values == (-0.125, 0.0, 1.5, 9000.0)
    assert vocabulary.operations == ("face", "pocket")
    assert vocabulary.steps == 4
    assert vocabulary.encode(["G0 Y1.5"]).tolist() == [
        [
            [COMMAND, 0, UNSEEN, UNSEEN],
            [PARAMETER, UNSEEN, 2, 2],
            [END, UNSEEN, UNSEEN, UNSEEN],
            [PAD, UNSEEN, UNSEEN, UNSEEN],
        ]
    ]


def test_what_train_never_saw_is_unseen_field_by_field() -> None:
    vocabulary = build_vocabulary(["G1 X1"], ["face"])
    codes = vocabulary.encode(["G2 Q1", "X7 G1"])
    assert codes[0, :2].tolist() == [
        [COMMAND, UNSEEN, UNSEEN, UNSEEN],
        [PARAMETER, UNSEEN, UNSEEN, 0],
    ]
    assert codes[1, :2].tolist() == [[PARAMETER, UNSEEN, 0, UNSEEN], [COMMAND, 0, UNSEEN, UNSEEN]]


def test_a_block_longer_than_the_steps_is_cut_without_an_end() -> None:
    vocabulary = build_vocabulary(["G1 X1 Y2 Z3", "G1"], ["face"])
    assert vocabulary.steps == 5
    codes = vocabulary.encode(["G1 X1 Y2 Z3", "G1"], steps=2)
    assert codes[:, :, 0].tolist() == [[COMMAND, PARAMETER], [COMMAND, END]]
    assert vocabulary.decode(codes) == ["G1 X1", "G1"]
    long = vocabulary.encode(["G1 X1 Y2 Z3"], steps=9)
    assert long.shape[1] == 9
    np.testing.assert_array_equal(long[0, 5:, 0], PAD)
