"""The verdict on a recording, with a p-value by conformal prediction (Vovk et al. 2005).

Each statistic of a recording is compared with those of good recordings, each of which is measured
with a profile of other recordings (cross-conformal; Vovk 2015). Their largest values are
modelled as a Pareto tail, so that one outlier does not set the threshold for all: the anomaly score
of a recording is the least of the tail probabilities, as -log10. The p-value is its rank among the
scores of the good recordings, in whose tails it counts as they do in its own. With n of them no
p-value is below 1 / (n + 1), so no lower rate of false alarms can be promised.

Shapes: R good recordings, S statistics, K programs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.detection.deviations import (
    EXTRA,
    MIN_SECONDS,
    MISSING,
    TWO_SIDED,
    Deviation,
    Statistics,
)
from gcodefp.detection.profile import Array

DETECTION_FORMAT = "gcodefp-detection-1"
REBUILD = "snakemake --cores all --forcerun fit_detector"
FALSE_ALARM_RATE = 0.01
TAIL_SHARE = 0.2
"""Share of the good recordings to which the Pareto tail is fitted."""
TAIL_PRIOR, MATCH_TAIL_PRIOR = 0.6, 0.05
"""Mean of log(x / threshold) that a tail is taken to have besides its own: one without an outlier
says little on the next outlier. Window matches are bounded. Chosen on real recordings."""
FLOORS = Statistics(duration=0.5, slowdown=0.5, missing_start=0.5, missing_end=0.5, drift=0.5,
                    jump_gain=1.0, match_drop=0.02, neg_match_share=0.02,
                    neg_coverage=0.02)  # fmt: skip
"""Least threshold of each tail: smaller deviations are none."""
STEADY_SECONDS = 3.0
"""Where nine of ten good recordings are as equally long, the duration says what is missing; where
logs begin and end manually, the alignment's ends do."""
POOLING_P = 0.01
"""Programs whose scores differ with a lower p-value (Kruskal-Wallis) are calibrated apart."""
PAUSE_SECONDS = 3.0
AS_EXPECTED, ANOTHER, NO_PROGRAM = "as expected", "another program", "none of the programs"
STOPPED, LATE, PAUSED = "stopped early", "started late", "paused"
SHORT, LONG, DEVIATES = "too short", "too long", "deviates"
MIN_MATCH_SHARE = 0.5
"""Share of the expected match below which a recording may be of another program."""
NO_MATCH_SHARE, NO_MATCH_SCORE = 0.2, 20.0
"""With a lower share of the match of a whole program, little of it is in the signals. The share is
bounded, so the tail of one outlier could be higher: its score is above every tail's."""


@dataclass(frozen=True)
class CalibrationSet:
    """The good recordings.

    Attributes:
        statistics: (R, S).
        program: (R,) index of its program.
        live: (R, L) highest live statistics while the recording was read.
        seconds: (R,) duration.
        pooled_p: that the scores of all programs are alike; NaN for a single one.
    """

    statistics: Array
    program: NDArray[np.int64]
    live: Array
    seconds: Array
    pooled_p: float = np.nan

    def distances_to_median(self) -> Array:
        """Distance of statistics from the median of the program's other recordings, (R, S)."""
        index = np.arange(len(self.program))
        return np.stack([
            row - np.median(self.statistics[(self.program == program) & (index != own)], axis=0)
            for own, (row, program) in enumerate(zip(self.statistics, self.program, strict=True))
        ])  # fmt: skip

    def including(self, statistics: Sequence[float], program: int) -> "CalibrationSet":
        """With a further recording."""
        both = np.vstack([self.statistics, statistics])
        return replace(self, statistics=both, program=np.append(self.program, program))

    def scores(self) -> list[dict[str, float]]:
        """Statistic -> -log10 of its tail probability among the others, of each recording."""
        every, used = self.distances_to_median(), self.used_statistics()
        return [
            _scores_with_floor(own, row, np.delete(every, index, 0), used)
            for index, (own, row) in enumerate(zip(self.statistics, every, strict=True))
        ]

    @property
    def is_pooled(self) -> bool:
        """Whether the scores of all programs calibrate each."""
        return not self.pooled_p < POOLING_P

    def used_statistics(self) -> tuple[str, ...]:
        """The statistics that are compared."""
        durations = self.distances_to_median()[:, Statistics._fields.index("duration")]
        is_steady = np.quantile(np.abs(durations), 0.9) <= STEADY_SECONDS
        ends = ("missing_start", "missing_end")
        unused = {"neg_coverage", "drift", *(ends if is_steady else ("duration",))}
        return tuple(name for name in Statistics._fields if name not in unused)

    def comparable(self, program: int) -> NDArray[np.bool_]:
        """The good recordings that a recording of the program is compared with, (R,)."""
        return np.full(len(self.program), True) if self.is_pooled else self.program == program


def tail_scores(distances: Array, good: Array, used: Collection[str]) -> dict[str, float]:
    """Used statistic -> -log10 of its tail probability; distances (S,), of good ones (R, S)."""
    scores = {}
    for index, name in enumerate(Statistics._fields):
        if name not in used:
            continue
        # Too long and too short are two things, with a tail each.
        sign = -1.0 if name in TWO_SIDED and distances[index] < 0 else 1.0
        value, others = sign * float(distances[index]), np.sort(sign * good[:, index])
        tail = max(1, int(len(others) * TAIL_SHARE))
        threshold = max(float(others[-tail - 1 :][0]), FLOORS[index])
        if value <= threshold:
            probability = (1 + (others >= value).sum()) / (len(others) + 1)
            scores[name] = min(-np.log10(probability), -np.log10(TAIL_SHARE))
        else:
            excess = np.log(np.maximum(others[-tail:], threshold) / threshold).sum()
            prior = MATCH_TAIL_PRIOR if name == "match_drop" else TAIL_PRIOR
            exponent = (tail + 1) / (excess + tail * prior)
            scores[name] = -np.log10(TAIL_SHARE) + exponent * np.log10(value / threshold)
    return {name: float(score) for name, score in scores.items()}


def _scores_with_floor(
    statistics: Sequence[float], distances: Array, good: Array, used: Collection[str]
) -> dict[str, float]:
    """The tail scores; above NO_MATCH_SCORE if next to nothing matches."""
    scores = tail_scores(distances, good, used)
    own = Statistics(*statistics)
    if (share := own.neg_match_share * own.neg_coverage) < NO_MATCH_SHARE:
        scores["neg_match_share"] = float(NO_MATCH_SCORE + NO_MATCH_SHARE - share)
    return scores


def pooling_p(scores: Array, program: NDArray[np.integer]) -> float:
    """Probability that scores differ so much between programs by chance; NaN for one program."""
    from scipy.stats import kruskal

    groups = [scores[program == index] for index in np.unique(program)]
    if len(groups) < 2 or np.ptp(scores) == 0:
        return float("nan")
    return float(kruskal(*groups).pvalue)


class ConformalTest(NamedTuple):
    """The conformal test of a recording against the good ones.

    Attributes:
        p_value: share of good recordings that deviate as much.
        rate: of false alarms, at least 1 / (good recordings + 1).
        scores: statistic -> anomaly score: -log10 of its tail probability.
        alarms: the statistics for which the recording deviates.
    """

    p_value: float
    rate: float
    scores: dict[str, float]
    alarms: tuple[str, ...]

    @property
    def deviates(self) -> bool:
        return self.p_value <= self.rate

    @property
    def score(self) -> float:
        return max(self.scores.values())


def conformal_test(
    calibration: CalibrationSet,
    statistics: Statistics,
    program: int,
    rate: float = FALSE_ALARM_RATE,
) -> ConformalTest:
    """Compares a recording that is no good one of the calibration with the good ones.

    Args:
        rate: of false alarms; a higher one if so few good recordings cannot promise it.
    """
    *good, scores = calibration.including(statistics, program).scores()
    highest = np.array([max(own.values()) for own in good], dtype=float)
    ranked = np.sort(highest[calibration.comparable(program)])[::-1]
    count = len(ranked) + 1
    p_value = float((1 + (ranked >= max(scores.values())).sum()) / count)
    rate = max(rate, 1 / count)
    allowed = int(np.floor(rate * count + 1e-9)) - 1
    threshold = ranked[allowed] if allowed < len(ranked) else -np.inf
    alarms = tuple(name for name, score in scores.items() if score > threshold)
    return ConformalTest(p_value, rate, scores, alarms)


def name_verdict(
    test: ConformalTest,
    statistics: Statistics,
    medians: Sequence[float],
    deviations: Sequence[Deviation],
    match_shares: Sequence[float],
    program: int,
) -> str:
    """The verdict in words.

    Args:
        medians: (S,) medians of the program's good recordings.
        match_shares: (K,) share of the expected match of the recording as each program.
    """
    if not test.deviates:
        return AS_EXPECTED
    if statistics.match_share < MIN_MATCH_SHARE:
        best = int(np.argmax(match_shares))
        return ANOTHER if best != program and match_shares[best] > MIN_MATCH_SHARE else NO_PROGRAM
    alarms, typical = set(test.alarms), Statistics(*medians)
    longest = max(deviations, key=lambda deviation: deviation.seconds, default=None)
    for name, verdict in (("missing_end", STOPPED), ("missing_start", LATE)):
        seconds = getattr(statistics, name)
        is_longest = longest and longest.kind == MISSING and seconds >= longest.seconds
        if seconds > getattr(typical, name) + MIN_SECONDS and (name in alarms or is_longest):
            return verdict
    if longest and longest.kind == EXTRA and longest.seconds >= PAUSE_SECONDS:
        return PAUSED
    if alarms & {"duration", "slowdown"} and not alarms & {
        "jump_gain",
        "match_drop",
        "neg_match_share",
    }:
        return SHORT if statistics.duration < typical.duration else LONG
    return DEVIATES
