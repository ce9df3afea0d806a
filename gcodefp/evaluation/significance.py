"""Which differences are significant, in one fold and over several folds and trainings.

An interval from a bootstrap over the test recordings of one fold knows nothing of other folds and
trainings. A conclusion needs both: several random folds, each with a training of its own. Their
train splits overlap, so the plain variance of the mean over folds is too small; C. Nadeau and Y.
Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003, correct it.
"""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, variance
from typing import Any, NamedTuple

from scipy.special import stdtrit

from gcodefp.evaluation.bootstrap import CONFIDENCE_LEVEL, Difference, Estimate

MIN_RECORDINGS = 6
"""With fewer, all of them are better by chance in more than 2.5 % of cases (sign test)."""
MIN_FOLDS = 5
"""Folds, each with its own training, below which there is no conclusion."""
BEATS, UNDECIDED, NOT_BETTER = "beats", "undecided", "not-better"


def side_of_zero(low: float | None, high: float | None) -> int:
    """1 if an interval lies above 0, -1 if below; 0 if it contains 0 or there is none."""
    if low is None or high is None or low <= 0 <= high:
        return 0
    return 1 if low > 0 else -1


def significant_sign(difference: Difference | Estimate | Mapping[str, Any]) -> int:
    """`side_of_zero` of an interval over recordings; 0 with fewer than MIN_RECORDINGS of them."""
    numbers = difference if isinstance(difference, Mapping) else difference._asdict()
    has_enough = numbers["recordings"] >= MIN_RECORDINGS
    return side_of_zero(numbers["low"], numbers["high"]) if has_enough else 0


class FoldValues(NamedTuple):
    """The primary metric in one fold, whose split has this seed and its own training."""

    seed: int
    # shares of the same rows; `pipeline` is of gcodefp, as files call it
    pipeline: float
    baseline: float
    # how many recordings were scored, and trained on
    test_recordings: int
    train_recordings: int

    @property
    def difference(self) -> float:
        return self.pipeline - self.baseline


class FoldsDifference(NamedTuple):
    """The mean over folds of their differences; without a fold None, of one fold no interval."""

    value: float | None
    low: float | None
    high: float | None


def difference_over_folds(folds: Sequence[FoldValues]) -> FoldsDifference:
    """gcodefp minus baseline, with the corrected interval; train recordings do not include val."""
    if not folds:
        return FoldsDifference(None, None, None)
    differences = [fold.difference for fold in folds]
    mean = fmean(differences)
    if len(folds) == 1:
        return FoldsDifference(mean, None, None)
    test = sum(fold.test_recordings for fold in folds)
    train = sum(fold.train_recordings for fold in folds)
    width = half_width(differences, test / train)
    return FoldsDifference(mean, mean - width, mean + width)


def half_width(differences: Sequence[float], test_to_train: float) -> float:
    """Half the CONFIDENCE_LEVEL interval of the mean of two or more differences.

    Nadeau and Bengio's corrected resampled t-test: the variance of the mean of J folds is
    (1 / J + test recordings per train recording) times the sample variance of their differences;
    t distribution with J - 1 degrees of freedom.
    """
    count = len(differences)
    quantile = float(stdtrit(count - 1, (1 + CONFIDENCE_LEVEL) / 2))
    return quantile * math.sqrt((1 / count + test_to_train) * variance(differences))


def decide(folds: Sequence[FoldValues]) -> str:
    """BEATS: of MIN_FOLDS or more, the interval lies above 0 and no fold is below 0.

    NOT_BETTER: of as many, the mean is not above 0. Else UNDECIDED.
    """
    difference = difference_over_folds(folds)
    if len(folds) < MIN_FOLDS or difference.value is None:
        return UNDECIDED
    if difference.value <= 0:
        return NOT_BETTER
    above = side_of_zero(difference.low, difference.high) > 0
    return BEATS if above and not reversed_folds(folds) else UNDECIDED


def reversed_folds(folds: Sequence[FoldValues]) -> list[FoldValues]:
    """The folds whose difference has the other sign than the mean."""
    mean = difference_over_folds(folds).value or 0.0
    return [fold for fold in folds if fold.difference * mean < 0]
