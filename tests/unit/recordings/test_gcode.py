import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.recordings.gcode import Word, format_block, parse_block

numbers = st.integers(-(10**7), 10**7).map(lambda number: number / 10**4 + 0.0)
words = st.builds(Word, st.sampled_from("FGMPRSTXYZ"), numbers)


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
        # The line number, checksum, block delete and tape mark are no part of the block.
        *((text, "G1 X1.5") for text in (
            "N10 G1X1.5*71", "/G1 X1.5", "/1 N5 g1 x1.5", "N5 /1G1 X1.5", "N10.5 G1 X1.5 (c) * 7",
            "% G1 N7 X1.5",
        )),
        ("%", ""),
        ("N24", ""),
        ("M110 N0", "M110"),
        # An exponent, and what is none.
        ("Z9.0e-02", "Z0.09"),
        ("X1.5e1 Y-2e+0", "X15 Y-2"),
        ("X10E5.2", "X10 E5.2"),
        ("G1 X1 E.5", "G1 X1 E0.5"),
        ("G1 X1 E-2", "G1 X1 E-2"),
    ],
)  # fmt: skip
def test_canonical_form(text: str, canonical: str) -> None:
    assert format_block(parse_block(text)) == canonical


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *((t, "no G-code word") for t in
          ("G", "X1.2.3", "1.5", "G1 %", "(open G1", "X--1", "G1 X1,5")),
        *((t, "exponent or E word") for t in ("X1E5", "x1e5", "G1 X1.E-2")),
        ("G1 X1" + "(" * 10**6, "too long"),
        *((t, "too large") for t in ("X1e300", "X1e999", "X1000000001", f"Y-{'9' * 400}")),
    ],
)  # fmt: skip
def test_garbage_is_no_block(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_block(text)
