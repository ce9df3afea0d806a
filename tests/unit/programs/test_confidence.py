"""The probability of a block whose row is known but not the controller's clock."""

from dataclasses import replace

import numpy as np
import pytest
from learning_data import ORDER, RECORDINGS, ROWS, ROWS_PER_BLOCK, tiny_programs, tiny_split
from numpy.typing import NDArray

from gcodefp.programs.lag_marginal import BELL, block_confidence, marginalise_lag
from gcodefp.programs.table import Programs


@pytest.fixture
def programs() -> Programs:
    """Three train recordings each: face lags -1, 0 and 1 s, pocket does not lag."""
    of = tiny_programs(tiny_split(RECORDINGS["train"]))
    return replace(of, lag_seconds=np.array([-1.0, 0.0, 1.0, 0.0, 0.0, 0.0]))


def sure(states: list[int], programs: Programs) -> NDArray[np.float32]:
    posterior = np.zeros((len(states), len(programs)), np.float32)
    posterior[np.arange(len(states)), states] = 1.0
    return posterior


def test_a_place_is_moved_by_the_lags_of_its_program(programs: Programs) -> None:
    moved = marginalise_lag(sure([10, ROWS + 10], programs), programs)
    expected = np.zeros_like(moved)
    for lag in (-4, 0, 4):
        expected[0, 10 + lag - 1 : 10 + lag + 2] = np.array(BELL) / 3
    expected[1, ROWS + 9 : ROWS + 12] = BELL
    np.testing.assert_allclose(moved, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("state", "reached"),
    [(2, {0: 1 / 3, 1: 1 / 12, 2: 1 / 6}), (ROWS - 2, {ROWS - 1: 1 / 3 + 1 / 12, ROWS - 2: 1 / 6})],
)
def test_no_lag_leads_out_of_a_program(
    state: int, reached: dict[int, float], programs: Programs
) -> None:
    moved = marginalise_lag(sure([state], programs), programs)
    for other, probability in reached.items():
        assert moved[0, other] == pytest.approx(probability)
    assert moved[0, :ROWS].sum() == pytest.approx(1)


def test_the_probability_stays_one(programs: Programs) -> None:
    random = np.random.default_rng(0).random((7, len(programs))).astype(np.float32)
    posterior = random / random.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(marginalise_lag(posterior, programs).sum(axis=1), 1, rtol=1e-5)


def test_a_block_is_as_probable_as_all_places_with_its_text(programs: Programs) -> None:
    everywhere = np.full((1, len(programs)), 1 / len(programs), np.float32)
    orders = [block for order in ORDER for block in order]
    for state in (0, ROWS - 1, ROWS, 2 * ROWS - 1):
        share = orders.count(orders[state // ROWS_PER_BLOCK]) / len(orders)
        found = block_confidence(everywhere, np.array([state]), programs)
        assert found[0] == pytest.approx(share, rel=1e-5)
