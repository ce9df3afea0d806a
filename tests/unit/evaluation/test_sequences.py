from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learning_data import RECORDINGS, tiny_programs, tiny_split

from gcodefp.evaluation.sequences import align_sequences, edit_distance, executed_blocks
from gcodefp.programs.table import UNKNOWN, Programs

BLOCKS = st.lists(st.sampled_from(["M3", "G1 X1", "G1 X2", "G1 X1 "]), max_size=7)


@pytest.mark.parametrize(
    ("predicted", "true", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abcdef", "bcdefa", 2)],
)
def test_edits_are_those_of_the_textbooks(predicted: str, true: str, edits: int) -> None:
    assert edit_distance(predicted, true) == edits


@settings(deadline=None, max_examples=100)
@given(predicted=BLOCKS, true=BLOCKS)
def test_alignment_has_all_blocks_in_order_and_the_fewest_edits(
    predicted: list[str], true: list[str]
) -> None:
    pairs = align_sequences(predicted, true)
    assert [i for i, _ in pairs if i is not None] == list(range(len(predicted)))
    assert [j for _, j in pairs if j is not None] == list(range(len(true)))
    edits = sum(i is None or j is None or predicted[i] != true[j] for i, j in pairs)
    assert edits == edit_distance(predicted, true)


def test_replaced_blocks_are_paired() -> None:
    pairs = align_sequences(list("sitting"), list("kitten"))
    assert pairs == [*((i, i) for i in range(6)), (6, None)]
    assert align_sequences(list("bc"), list("abc")) == [(None, 0), (0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("program", "line", "blocks", "executed"),
    [
        pytest.param([1] * 3, [1, 1, 5], "Y1 Y1 Y5", "Y1 Y2 Y4 Y5", id="lines-without-a-row"),
        pytest.param([1, 1], [2, 3], "Y2 Y3", "Y2 Y3", id="nothing-between"),
        pytest.param([1, 1], [1, 2], "Y1 Y1", "Y1 Y1", id="equal-blocks-of-two-lines"),
        pytest.param([1, 1], [5, 1], "Y5 Y1", "Y5 Y1", id="program-starts-again"),
        pytest.param([0, 1], [1, 5], "X9 Y5", "X9 Y5", id="another-program"),
        pytest.param([UNKNOWN] * 2, [1, 5], "Y1 Y5", "Y1 Y5", id="unknown-program"),
        pytest.param([1, 1], [1, 4], "Z1 Z4", "Z1 Y2 Z4", id="own-lines-hold"),
    ],
)
def test_lines_between_rows_are_filled_in(
    program: list[int], line: list[int], blocks: str, executed: str
) -> None:
    rows = np.array(program), np.array(line), np.array(blocks.split())
    assert [block for block, _ in executed_blocks(two_programs(), *rows)] == executed.split()


def two_programs() -> Programs:
    """Two programs; the second begins with the lines 1, 2, 4 and 5."""
    programs = tiny_programs(tiny_split(RECORDINGS["train"]))
    lines = {
        "executed_program": np.array([0, 0, 1, 1, 1, 1]),
        "executed_line": np.array([1, 2, 5, 2, 1, 4]),
        "executed_block": np.array(["X9", "X8", "Y5", "Y2", "Y1", "Y4"]),
    }
    return replace(programs, **lines)
