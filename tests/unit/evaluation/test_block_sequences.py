import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.evaluation.sequences import alignment, block_sequence, edit_distance

BLOCKS = st.lists(st.sampled_from(["M3", "G1 X1", "G1 X2", "G1 X1 "]), max_size=7)


def recursive_distance(written: list[str], true: list[str]) -> int:
    """Levenshtein's distance as it is defined, without a table."""
    if not written or not true:
        return len(written) + len(true)
    if written[0] == true[0]:
        return recursive_distance(written[1:], true[1:])
    return 1 + min(
        recursive_distance(written[1:], true),
        recursive_distance(written, true[1:]),
        recursive_distance(written[1:], true[1:]),
    )


@pytest.mark.parametrize(
    ("written", "true", "edits"),
    [
        ("kitten", "sitting", 3),
        ("saturday", "sunday", 3),
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("bc", "abc", 1),
        ("abc", "xyz", 3),
        ("abcdef", "bcdefa", 2),
    ],
)
def test_edits_are_those_of_the_textbooks(written: str, true: str, edits: int) -> None:
    assert edit_distance(written, true) == edits


@settings(deadline=None, max_examples=60)
@given(written=BLOCKS.map(lambda of: of[:5]), true=BLOCKS.map(lambda of: of[:5]))
def test_the_edit_distance_is_the_one_that_is_defined(written: list[str], true: list[str]) -> None:
    assert edit_distance(written, true) == recursive_distance(written, true)


@settings(deadline=None)
@given(one=BLOCKS, two=BLOCKS, three=BLOCKS)
def test_the_edit_distance_is_a_metric(one: list[str], two: list[str], three: list[str]) -> None:
    there = edit_distance(one, two)
    assert (there == 0) == (one == two)
    assert there == edit_distance(two, one)
    assert edit_distance(one, three) <= there + edit_distance(two, three)
    assert abs(len(one) - len(two)) <= there <= max(len(one), len(two))


@settings(deadline=None)
@given(written=BLOCKS, true=BLOCKS)
def test_an_alignment_has_all_blocks_in_order_and_no_edit_too_many(
    written: list[str], true: list[str]
) -> None:
    pairs = alignment(written, true)
    assert [i for i, _ in pairs if i is not None] == list(range(len(written)))
    assert [j for _, j in pairs if j is not None] == list(range(len(true)))
    edits = sum(i is None or j is None or written[i] != true[j] for i, j in pairs)
    assert edits == edit_distance(written, true)


def test_blocks_that_are_replaced_stand_beside_each_other() -> None:
    pairs = alignment(list("sitting"), list("kitten"))
    assert pairs == [*((i, i) for i in range(6)), (6, None)]


def test_neighbours_that_are_equal_are_one_block() -> None:
    rows = np.array(["M3", "M3", "X1", "M3", "M3", "X2"])
    assert block_sequence(rows) == ["M3", "X1", "M3", "X2"]
    assert block_sequence(rows[:0]) == []


@settings(deadline=None)
@given(blocks=BLOCKS, times=st.lists(st.integers(1, 4), min_size=7, max_size=7))
def test_how_many_rows_a_block_lasts_makes_no_difference(
    blocks: list[str], times: list[int]
) -> None:
    rows = np.array(blocks, np.str_)
    assert block_sequence(rows.repeat(times[: len(rows)])) == block_sequence(rows)
