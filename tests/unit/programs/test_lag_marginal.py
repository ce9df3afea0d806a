"""The probability of a block whose state is measured but whose recording's lag is unknown."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import ORDER, RECORDINGS, ROWS, ROWS_PER_BLOCK, tiny_programs, tiny_split
from numpy.typing import NDArray

from gcodefp.programs.lag_marginal import (
    LAG_KERNEL,
    block_confidence,
    marginalise_lag,
    most_probable_blocks,
    state_texts,
)
from gcodefp.programs.table import Programs


@pytest.fixture
def programs() -> Programs:
    """Three train recordings each: those of face lag by -1, 0 and 1 s, those of pocket by 0."""
    tiny = tiny_programs(tiny_split(RECORDINGS["train"]))
    return replace(tiny, lag_seconds=np.array([-1.0, 0.0, 1.0, 0.0, 0.0, 0.0]))


def certain(states: list[int], programs: Programs) -> NDArray[np.float32]:
    return np.eye(len(programs), dtype=np.float32)[states]


def test_a_state_is_moved_by_the_lags_of_its_program(programs: Programs) -> None:
    moved = marginalise_lag(certain([10, ROWS + 10], programs), programs)
    expected = np.zeros_like(moved)
    for lag in (-4, 0, 4):
        expected[0, 10 + lag - 1 : 10 + lag + 2] = np.array(LAG_KERNEL) / 3
    expected[1, ROWS + 9 : ROWS + 12] = LAG_KERNEL
    np.testing.assert_allclose(moved, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("state", "reached"),
    [(2, {0: 1 / 3, 1: 1 / 12, 2: 1 / 6}), (ROWS - 2, {ROWS - 1: 1 / 3 + 1 / 12, ROWS - 2: 1 / 6})],
)
def test_no_lag_leads_out_of_a_program(
    state: int, reached: dict[int, float], programs: Programs
) -> None:
    moved = marginalise_lag(certain([state], programs), programs)
    for other, probability in reached.items():
        assert moved[0, other] == pytest.approx(probability)
    assert moved[0, :ROWS].sum() == pytest.approx(1)


def test_a_block_is_as_probable_as_all_states_with_its_text(programs: Programs) -> None:
    uniform = np.full((1, len(programs)), 1 / len(programs), np.float32)
    orders = [block for order in ORDER for block in order]
    shares = [orders.count(block) / len(orders) for block in orders]
    for state in (0, ROWS - 1, ROWS, 2 * ROWS - 1):
        confidence = block_confidence(uniform, np.array([state]), state_texts(programs))
        assert confidence[0] == pytest.approx(shares[state // ROWS_PER_BLOCK], rel=1e-5)
    best = most_probable_blocks(uniform, state_texts(programs))
    assert best.confidence[0] == pytest.approx(max(shares), rel=1e-5)
    assert best.blocks[0] == programs.block[ROWS_PER_BLOCK * shares.index(max(shares))]
