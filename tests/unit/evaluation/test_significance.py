"""Intervals that exclude 0, Nadeau and Bengio's interval, and what they decide."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from gcodefp.evaluation.bootstrap import Difference, Estimate
from gcodefp.evaluation.significance import (
    BEATS,
    MIN_FOLDS,
    MIN_RECORDINGS,
    NOT_BETTER,
    UNDECIDED,
    FoldValues,
    decide,
    difference_over_folds,
    half_width,
    reversed_folds,
    side_of_zero,
    significant_sign,
)


def folds(*differences: float, test: int = 15, train: int = 60) -> list[FoldValues]:
    return [FoldValues(seed, 0.4 + d, 0.4, test, train) for seed, d in enumerate(differences)]


@pytest.mark.parametrize(
    ("low", "high", "side"),
    [(0.1, 0.2, 1), (-0.2, -0.1, -1), (-0.1, 0.1, 0), (0.0, 0.2, 0), (-0.2, 0.0, 0),
     (None, None, 0)],
)  # fmt: skip
def test_an_interval_lies_on_one_side_of_0_or_on_none(
    low: float | None, high: float | None, side: int
) -> None:
    assert side_of_zero(low, high) == side
    for recordings, sign in ((MIN_RECORDINGS, side), (MIN_RECORDINGS - 1, 0)):
        entry: dict[str, Any] = {"value": low, "low": low, "high": high, "recordings": recordings}
        assert significant_sign(entry) == sign
        assert significant_sign(Difference(**entry)) == sign
        assert significant_sign(Estimate(**entry, n=9)) == sign


def test_the_interval_is_that_of_a_calculation_by_hand() -> None:
    """Mean .2, variance (.01 + .01) / 4, times 1 / 5 + 15 / 60; t of 4 degrees .975: 2.776445."""
    difference = difference_over_folds(folds(0.1, 0.2, 0.3, 0.2, 0.2))
    expected = 2.776445 * (0.005 * 0.45) ** 0.5
    assert expected == pytest.approx(0.131699, abs=1e-6)
    assert difference == pytest.approx((0.2, 0.2 - expected, 0.2 + expected))


def test_without_test_recordings_it_is_the_t_interval_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.3, 7)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert half_width(values.tolist(), 0.0) == pytest.approx((high - low) / 2)
    quantile = stats.t(6).ppf(0.975)
    corrected = quantile * np.sqrt((1 / 7 + 0.3) * values.var(ddof=1))
    assert half_width(values.tolist(), 0.3) == pytest.approx(corrected)


def test_one_split_has_no_interval_and_none_has_nothing() -> None:
    assert difference_over_folds(folds(0.25)) == (pytest.approx(0.25), None, None)
    assert difference_over_folds([]) == (None, None, None)


@pytest.mark.parametrize(
    ("differences", "kind", "against"),
    [
        ((0.1, 0.12, 0.11, 0.09, 0.1), BEATS, 0),
        # The interval is above 0, one fold below.
        ((0.3,) * 11 + (-0.01,), UNDECIDED, 1),
        # All folds are above 0, the interval is not.
        ((0.01, 0.4, 0.02, 0.3, 0.01), UNDECIDED, 0),
        ((0.1, -0.2, 0.05, 0.1, 0.0), UNDECIDED, 1),
        ((-0.1, -0.12, -0.11, -0.09, -0.1), NOT_BETTER, 0),
        ((0.0,) * MIN_FOLDS, NOT_BETTER, 0),
        ((0.1, 0.12, 0.11, 0.09), UNDECIDED, 0),
        ((-0.1,) * (MIN_FOLDS - 1), UNDECIDED, 0),
        ((), UNDECIDED, 0),
    ],
)
def test_a_verdict_takes_an_interval_above_0_and_no_fold_that_reverses_it(
    differences: tuple[float, ...], kind: str, against: int
) -> None:
    scores = folds(*differences)
    assert decide(scores) == kind
    assert len(reversed_folds(scores)) == against
    if kind == UNDECIDED and against and len(differences) > MIN_FOLDS:
        assert side_of_zero(*difference_over_folds(scores)[1:]) == 1
