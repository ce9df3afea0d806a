"""How important each hyperparameter is, on made tables."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from result_files import results_of, spoilt, true_blocks, write_results
from sweep_results import SEARCHED, decided_by_rate, swept

from gcodefp.reporting.importance import (
    Importance,
    chance_limits,
    importance_order,
    measure_importance,
)
from gcodefp.reporting.results import Results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Four runs, one of them killed and taken over."""
    return results_of(write_results(tmp_path_factory.mktemp("made"), spoilt(0.3), true_blocks()))


def test_the_hyperparameter_that_decides_is_important(results: Results) -> None:
    made = swept(results, 40, SEARCHED, value=decided_by_rate)
    found = measure_importance(made)
    assert isinstance(found, Importance)
    assert found.names[0] == "learning_rate"
    assert found.shares[0] > 0.85
    assert found.shares.sum() == pytest.approx(1)
    assert found.beyond_chance == ("learning_rate",)
    assert (found.runs, found.best) == (40, 5)
    assert (found.low <= found.high).all()
    again = measure_importance(made)
    assert isinstance(again, Importance)
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))
    assert importance_order(made) == found.names


def test_the_limit_of_chance_is_a_shuffle_of_its_rank() -> None:
    # Of 39, the 38th: 0.95 of 40, which are the shuffles and the sweep itself.
    shuffled = np.random.default_rng(0).permutation(np.arange(1.0, 40.0))[:, None]
    assert chance_limits(shuffled) == pytest.approx([38])
    assert chance_limits(np.hstack([shuffled, 2 * shuffled])) == pytest.approx([38, 76])
    assert chance_limits(shuffled[:5]) == pytest.approx([shuffled[:5].max()])


def test_a_loss_has_the_importance_of_its_negative(results: Results) -> None:
    gain = measure_importance(swept(results, 20, SEARCHED, value=decided_by_rate))
    loss = measure_importance(
        swept(results, 20, SEARCHED, value=lambda given: -decided_by_rate(given), goal="minimize")
    )
    assert isinstance(gain, Importance)
    assert isinstance(loss, Importance)
    assert gain.shares == pytest.approx(loss.shares)


def test_importance_rests_on_runs_that_have_a_value_and_are_no_repeats(results: Results) -> None:
    made = swept(results, 14, SEARCHED, {0: "failed", 1: "stopped"}, value=decided_by_rate)
    seeds = [{"runs": ["0002", "0003"]}]
    found = measure_importance(replace(made, winner={**made.winner, "seeds": seeds}))
    assert isinstance(found, Importance)
    assert found.runs == 14 - 1 - 2


@pytest.mark.parametrize(
    ("runs", "parameters", "value", "reason"),
    [(9, SEARCHED, None, "Only 9 runs"), (12, {"d_model": {"value": 8}}, None, "same values"),
     (12, SEARCHED, lambda given: 0.0, "same value")],
)  # fmt: skip
def test_importance_that_cannot_be_told_has_a_reason(
    results: Results, runs: int, parameters: dict[str, Any], value: Any, reason: str
) -> None:
    made = swept(results, runs, parameters, value=value)
    found = measure_importance(made)
    assert isinstance(found, str)
    assert reason in found
    assert importance_order(made) == ()
