import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score

from gcodefp.evaluation import bootstrap
from gcodefp.evaluation.bootstrap import (
    RESAMPLES,
    Estimate,
    draw,
    estimate,
    multiplicities,
    with_interval,
)
from gcodefp.evaluation.metrics import balanced, estimate_median

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 5)), min_size=1, max_size=30
)


def test_multiplicities_are_those_of_the_draw() -> None:
    drawn, times = draw(7), multiplicities(7)
    assert times.shape == (RESAMPLES, 7)
    for sample in (0, 1, RESAMPLES - 1):
        assert times[sample].tolist() == [(drawn[sample] == i).sum() for i in range(7)]


# Balanced accuracy


@settings(deadline=None, max_examples=20)
@given(rows=ROWS)
def test_it_is_scikit_learn_s_on_the_rows_and_on_every_resample(
    rows: list[tuple[bool, int, int]],
) -> None:
    correct, true, recording = (np.array(column) for column in zip(*rows, strict=True))
    resampled: list[float] = []
    found = _kept(resampled, lambda: with_interval(balanced(correct, true, recording)))
    present, of_class = np.unique(true, return_inverse=True)
    if len(present) > 1:  # scikit-learn warns of a single class.
        answers = np.where(correct, of_class, (of_class + 1) % len(present))
        assert found.value == pytest.approx(balanced_accuracy_score(of_class, answers))
    assert (found.n, found.recordings) == (len(rows), len(np.unique(recording)))
    for sample in (0, 1, 2):
        chosen = _chosen(recording, sample)
        recalls = [correct[chosen][true[chosen] == c].mean() for c in np.unique(true[chosen])]
        assert resampled[sample] == pytest.approx(np.mean(recalls))


def test_classes_of_one_size_in_each_recording_make_it_the_plain_accuracy() -> None:
    random = np.random.default_rng(1)
    recording, true = np.arange(240) // 12, np.arange(240) % 4
    correct = random.random(240) < 0.3 + 0.02 * recording
    plain = estimate(correct, np.ones(240), recording)
    found = with_interval(balanced(correct, true, recording))
    assert found == pytest.approx(plain)


def test_a_rare_class_weighs_as_much_as_a_common_one() -> None:
    correct = np.array([1] * 98 + [0, 0])
    true = np.array([7] * 98 + [3, 3])
    found = with_interval(balanced(correct, true, np.arange(100) % 2))
    assert found == Estimate(0.5, 0.5, 0.5, 100, 2)


def test_nothing_to_tell_gives_no_value() -> None:
    nothing = np.zeros(0, int)
    assert with_interval(balanced(nothing, nothing, nothing)) == Estimate(None, None, None, 0, 0)


# Medians


@settings(deadline=None, max_examples=20)
@given(
    rows=st.lists(
        st.tuples(st.just(math.nan) | st.integers(-9, 9).map(float), st.integers(0, 5)),
        min_size=1,
        max_size=30,
    )
)
def test_it_is_numpy_s_on_the_rows_and_on_every_resample(rows: list[tuple[float, int]]) -> None:
    values, recording = (np.array(column) for column in zip(*rows, strict=True))
    resampled: list[float] = []
    found = _kept(resampled, lambda: estimate_median(values, recording))
    known = ~np.isnan(values)
    if not known.any():
        assert found == Estimate(None, None, None, 0, 0)
        return
    values, recording = values[known], recording[known]
    assert found.value == np.median(values)
    assert (found.n, found.recordings) == (len(values), len(np.unique(recording)))
    for sample in (0, 1, 2):
        assert resampled[sample] == np.median(values[_chosen(recording, sample)])


def test_one_recording_gives_no_width() -> None:
    found = estimate_median(np.array([1.0, math.nan, 2.0, 9.0, 3.0]), np.full(5, 4))
    assert found == Estimate(2.5, 2.5, 2.5, 4, 1)


# Intervals


def test_the_intervals_hold_the_truth_about_95_times_in_100() -> None:
    """Recordings of unlike length and difficulty, with rows that are alike within each."""
    random = np.random.default_rng(5)
    times, inside = 30, {"balanced": 0, "median": 0}
    for _ in range(times):
        recording = np.arange(30).repeat(random.integers(10, 30, 30))
        true = random.choice(3, size=len(recording), p=[0.6, 0.3, 0.1])
        # Recalls of 0.9, 0.7 and 0.5 on average, and a median of 0.
        shift = random.uniform(-0.1, 0.1, 30)[recording]
        correct = random.random(len(recording)) < 0.9 - 0.2 * true + shift
        values = random.normal(size=30)[recording] + random.normal(size=len(recording))
        for name, truth, found in (
            ("balanced", 0.7, with_interval(balanced(correct, true, recording))),
            ("median", 0.0, estimate_median(values, recording)),
        ):
            assert found.low is not None
            assert found.high is not None
            inside[name] += found.low <= truth <= found.high
    assert all(count / times >= 0.85 for count in inside.values()), inside


def _kept(kept: list[float], measure: Callable[[], Estimate]) -> Estimate:
    """The estimate, and the metric of every resample, from which it takes its interval."""

    def keep(resampled: np.ndarray) -> tuple[float, float]:
        kept.extend(resampled.tolist())
        return interval(resampled)

    interval = bootstrap.percentile_interval
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bootstrap, "percentile_interval", keep)
        return measure()


def _chosen(recording: np.ndarray, sample: int) -> np.ndarray:
    """The rows of one resample, each as often as its recording was drawn."""
    present = np.unique(recording)
    drawn = present[draw(len(present))[sample]]
    return np.concatenate([np.flatnonzero(recording == of) for of in drawn])
