"""Any text, and programs of whole blocks, go through the interpreter."""

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gcodefp.errors import UserError
from gcodefp.recordings.gcode import parse_block
from gcodefp.recordings.interpreter import Interpretation, interpret_program, program_flow
from gcodefp.recordings.interpreter.dialects import Dialect

WORDS = """
    G0 G1 G2 G3 G4 G17 G18 G19 G28 G53 G55 G68 G73 G80 G90 G92 G93 G98 M2 M82 M98P1 M99 X1 X-2.5 Y3
    Z.5 Z-4 R2 I1 J-1 K1 E5 E-1 F100 P2 Q1 L2 #1=3 X#1 X[#1+1] O1 N5 GOTO5 o1while[1] o1endwhile
    o<a>sub o<a>endsub o<a>call IF[1] END1 X1E5 ( ) ; % / M117 G28X SET_A *7 [ ] # E
"""
LINES = """G1 X1 Y-2.5 F100|X3|G0 Z5|G2 X1 Y1 R3|G3 X-2 I-1|G18|G17|G20|G21|G91|G90|G92 X4|G92.1
G81 X1 Z-2 R2|G83 Y2 Z-4 R1 Q1.5|G80|G99|G98|G55|G10 L2 P2 X5 Z1|G10 L20 P2 Y0|G54|G52 Z1
G28 Z6|G53 G0 X2|G93|G95 S10|G4 P1|G1 X5 E3|M83|M82|#1=[#1 + 1.5]|G1 X#1|M98 P7|O7|M99
N5 G1 Y[#1 * 2]|o2 while [#1 LT 4]|o2 endwhile|o1 repeat [2]|o1 endrepeat"""
BLOCKS = st.sampled_from(LINES.replace("\n", "|").split("|"))
BROKEN = st.lists(st.sampled_from(WORDS.split()), max_size=5).map(" ".join)
PROGRAMS = st.lists(BLOCKS | BROKEN | st.text(max_size=12), max_size=12).map("\n".join)
WHOLE_PROGRAMS = st.lists(BLOCKS, max_size=15).map("\n".join)


def interpret_briefly(text: str, dialect: Dialect | None) -> Interpretation | None:
    """None where the program does not end: the only error that there is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(program_flow, "MAX_REPEATED_LINES", 300)
        try:
            return interpret_program(text, dialect=dialect)
        except UserError:
            return None


@settings(max_examples=300, deadline=None)
@example("G18\nG83 Y2 Z-4 R1 Q1.5", None)  # Refused after the way to its hole.
@given(PROGRAMS, st.sampled_from([None, *Dialect]))
def test_any_text_is_executed_or_listed(text: str, dialect: Dialect | None) -> None:
    run = interpret_briefly(text, dialect)
    if run is None:
        return
    position, listed = (0.0, 0.0, 0.0, 0.0), {line for line, *_ in run.not_understood}
    for block in run.blocks:
        assert block.text
        assert block.start_mm == position
        for move in block.moves:
            assert move.start_mm == position
            position = move.end_mm
        assert block.end_mm == position
        assert all(map(math.isfinite, position))
        assert not block.error_text or block.line in listed
        assert not (block.words and block.text and not block.error_text) or parse_block(block.text)


@settings(max_examples=200, deadline=None)
@given(WHOLE_PROGRAMS, st.sampled_from(Dialect))
def test_executing_the_executed_blocks_again_moves_the_same(text: str, dialect: Dialect) -> None:
    """Jumps and calls are behind them: their lines are left out."""
    first = interpret_briefly(text, dialect)
    if first is None:
        return
    unrolled = [b.text for b in first.blocks if b.kind != "flow" and not b.error_text]
    if len(unrolled) < sum(b.kind != "flow" for b in first.blocks) or "M99" in text:
        return
    again = interpret_program("\n".join(unrolled), dialect=dialect)
    assert [b.moves for b in again.blocks] == [b.moves for b in first.blocks if b.kind != "flow"]
