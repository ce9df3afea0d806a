import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from gcodefp.evaluation import bootstrap
from gcodefp.evaluation.bootstrap import (
    Estimate,
    balanced_accuracy,
    draw_resamples,
    estimate,
    quantile,
    with_interval,
)

NOTHING = Estimate(None, None, None, 0, 0)


def test_ratio_is_of_sums_over_recordings_that_count() -> None:
    correct, total = np.array([1, 1, 0, 9]), np.array([1, 2, 3, 10])
    result = estimate(correct, total, np.array([0, 0, 1, 2]))
    assert (result.value, result.n, result.recordings) == (pytest.approx(11 / 16), 16, 3)
    assert result.low is not None
    assert result.high is not None
    assert 0 <= result.low < 11 / 16 < result.high <= 9 / 10
    counting = estimate(correct[:2], total[:2], np.array([0, 1]))
    assert estimate(np.array([1, 1, 0]), np.array([1, 2, 0]), np.array([0, 3, 1])) == counting


def test_one_recording_has_no_width_and_none_has_no_value() -> None:
    one = estimate(np.array([1, 0, 1]), np.array([1, 1, 2]), np.zeros(3, int))
    assert one == Estimate(0.5, 0.5, 0.5, 4, 1)
    middle = with_interval(quantile(np.array([1.0, math.nan, 2.0, 9.0, 3.0]), np.full(5, 4)))
    assert middle == Estimate(2.5, 2.5, 2.5, 4, 1)
    empty = np.zeros(0, int)
    assert estimate(np.zeros(3), np.zeros(3), np.array([0, 1, 1])) == NOTHING
    assert with_interval(balanced_accuracy(empty, empty, empty)) == NOTHING
    assert with_interval(quantile(np.full(2, math.nan), np.zeros(2, int))) == NOTHING


ROWS = st.tuples(st.just(math.nan) | st.integers(-9, 9).map(float), st.integers(0, 4))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(ROWS, st.integers(0, 5)), min_size=1, max_size=30),
    level=st.sampled_from([None, 0.5, 0.9]),
)
def test_statistics_equal_those_of_numpy_on_rows_and_resamples(
    rows: list[tuple[tuple[float, int], int]], level: float | None
) -> None:
    values, true = (np.array(column) for column in zip(*(row for row, _ in rows), strict=True))
    recording = np.array([recording for _, recording in rows])
    correct, counted = values > 0, np.full(len(rows), True)
    if level is None:  # Balanced accuracy.
        result, resampled = kept(lambda: with_interval(balanced_accuracy(correct, true, recording)))
    else:
        counted = ~np.isnan(values)
        result, resampled = kept(lambda: with_interval(quantile(values, recording, level)))
    if not counted.any():
        assert result == NOTHING
        return
    values, true, correct, recording = (a[counted] for a in (values, true, correct, recording))

    def expected(chosen: np.ndarray) -> float:
        if level is not None:
            return float(np.quantile(values[chosen], level))
        present, own = np.unique(true[chosen], return_inverse=True)
        if len(present) == 1:  # scikit-learn warns of a single class.
            return float(correct[chosen].mean())
        predicted = np.where(correct[chosen], own, (own + 1) % len(present))
        return float(balanced_accuracy_score(own, predicted))

    assert result.value == pytest.approx(expected(np.arange(len(values))))
    assert (result.n, result.recordings) == (len(values), len(np.unique(recording)))
    for sample in (0, 1, 2):
        assert resampled[sample] == pytest.approx(expected(rows_of_resample(recording, sample)))


def test_intervals_cover_the_truth_where_those_over_rows_do_not() -> None:
    """Recordings of different length and difficulty, with correlated rows in each."""
    random = np.random.default_rng(5)
    times, row_hits, hits = 60, 0, {"ratio": 0, "balanced": 0, "median": 0}
    for _ in range(times):
        recording = np.arange(40).repeat(random.integers(20, 60, 40))
        correct = random.random(len(recording)) < random.beta(7, 3, 40)[recording]
        true = random.choice(3, size=len(recording), p=[0.6, 0.3, 0.1])
        shift = random.uniform(-0.1, 0.1, 40)[recording]
        recalled = random.random(len(recording)) < 0.9 - 0.2 * true + shift
        values = random.normal(size=40)[recording] + random.normal(size=len(recording))
        for name, truth, result in (
            ("ratio", 0.7, estimate(correct, np.ones(len(correct)), recording)),
            ("balanced", 0.7, with_interval(balanced_accuracy(recalled, true, recording))),
            ("median", 0.0, with_interval(quantile(values, recording))),
        ):
            assert result.low is not None
            assert result.high is not None
            hits[name] += result.low <= truth <= result.high
        width = 1.96 * math.sqrt(correct.mean() * (1 - correct.mean()) / len(correct))
        row_hits += abs(correct.mean() - 0.7) <= width
    assert all(0.85 <= count / times <= 1 for count in hits.values()), hits
    assert row_hits / times < 0.75


def kept(compute_metrics: Callable[[], Estimate]) -> tuple[Estimate, list[float]]:
    """The estimate, and the statistic on every resample."""
    values: list[float] = []
    interval = bootstrap.percentile_interval

    def keep(resampled: np.ndarray) -> tuple[float, float]:
        values.extend(resampled.tolist())
        return interval(resampled)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "percentile_interval", keep)
        return compute_metrics(), values


def rows_of_resample(recording: np.ndarray, sample: int) -> np.ndarray:
    """The rows of one resample, each as often as its recording was drawn."""
    present = np.unique(recording)
    drawn = present[draw_resamples(len(present))[sample]]
    return np.concatenate([np.flatnonzero(recording == index) for index in drawn])
