import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.recordings.gcode import Word, format_block, format_number, parse_block

numbers = st.integers(-(10**7), 10**7).map(lambda number: number / 10**4 + 0.0)
words = st.builds(Word, st.sampled_from("FGMNRSTXYZ"), numbers)


@settings(max_examples=50, deadline=None)
@given(st.lists(words, max_size=7), st.text("( \t;ab", max_size=5), st.booleans())
def test_blocks_are_read_whatever_their_spaces_comments_and_case(
    block: list[Word], remark: str, lower: bool
) -> None:
    assert parse_block(format_block(tuple(block))) == tuple(block)
    text = " (first) ".join(f"{word.letter} {word.number:+.6f}" for word in block) + f" ;{remark}"
    assert parse_block(text.lower() if lower else text) == tuple(block)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("G53 G0 Z0.", "G53 G0 Z0"),
        ("G1X1.Y.5F7.30", "G1 X1 Y0.5 F7.3"),
        ("G01 Z-0.0", "G1 Z0"),
        ("G38.2 Z-.125", "G38.2 Z-0.125"),
        ("X0.12344999 Y-0.00004", "X0.1234 Y0"),
        ("(tool 1) G0 ; to the start", "G0"),
        ("  ", ""),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert format_block(parse_block(text)) == canonical


@pytest.mark.parametrize("text", ["G", "X1.2.3", "1.5", "G1 %", "(open G1", "X--1", "G1 X1,5"])
def test_garbage_is_no_block(text: str) -> None:
    with pytest.raises(ValueError, match="no G-code word"):
        parse_block(text)


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6))
def test_numbers_have_one_text_of_at_most_four_decimals(number: float) -> None:
    text = format_number(number)
    assert abs(float(text) - number) <= 0.50001e-4 + 1e-9
    assert format_number(float(text)) == text != "-0"
    assert len(text.partition(".")[2]) <= 4
    assert not text.endswith(".")
