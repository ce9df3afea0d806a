"""The blocks between reports, from the programs of the train split."""

import numpy as np
from learning_data import RECORDINGS, tiny_programs, tiny_split

from gcodefp.evaluation.sequences import ExecutedBlocks
from gcodefp.programs.table import UNKNOWN, Programs


def programs() -> Programs:
    """Two programs; the second begins with the lines 1, 2, 4 and 5."""
    known = tiny_programs(tiny_split(RECORDINGS["train"]))
    return type(known)(
        **{
            **vars(known),
            "executed_program": np.array([0, 0, 1, 1, 1, 1]),
            "executed_line": np.array([1, 2, 5, 2, 1, 4]),
            "executed_block": np.array(["G1 X9", "G1 X8", "Y5", "Y2", "Y1", "Y4"]),
        }
    )


def read(program: list[int], line: list[int], blocks: list[str]) -> list[str]:
    executed = ExecutedBlocks(programs())
    return executed.of_rows(np.array(program), np.array(line), np.array(blocks))


def test_lines_that_no_row_reports_are_filled_in() -> None:
    assert read([1, 1, 1], [1, 1, 5], ["Y1", "Y1", "Y5"]) == ["Y1", "Y2", "Y4", "Y5"]


def test_neighbouring_lines_have_nothing_between() -> None:
    assert read([1, 1], [1, 2], ["Y1", "Y2"]) == ["Y1", "Y2"]
    assert read([1, 1], [2, 3], ["Y2", "Y3"]) == ["Y2", "Y3"]


def test_equal_blocks_of_two_lines_are_two() -> None:
    assert read([1, 1], [1, 2], ["Y1", "Y1"]) == ["Y1", "Y1"]


def test_nothing_is_filled_in_where_a_program_starts_again_or_another_begins() -> None:
    assert read([1, 1], [5, 1], ["Y5", "Y1"]) == ["Y5", "Y1"]
    assert read([0, 1], [1, 5], ["G1 X9", "Y5"]) == ["G1 X9", "Y5"]


def test_of_an_unknown_program_only_what_is_reported_counts() -> None:
    assert read([UNKNOWN, UNKNOWN], [1, 5], ["Y1", "Y5"]) == ["Y1", "Y5"]


def test_what_a_row_says_of_its_own_line_holds() -> None:
    assert read([1, 1], [1, 4], ["Z1", "Z4"]) == ["Z1", "Y2", "Z4"]


def test_lines_that_are_filled_in_have_no_row() -> None:
    executed = ExecutedBlocks(programs())
    found = executed.with_rows(
        np.array([1, 1, 1]), np.array([1, 1, 4]), np.array(["Y1", "Y1", "Y4"])
    )
    assert found == [("Y1", 0), ("Y2", None), ("Y4", 2)]
