"""The verdict on a recording, with a p-value by conformal prediction (Vovk et al. 2005).

Each statistic of a recording is compared with those of good recordings, each of which is measured
with a template that it is no part of (jackknife; Barber et al. 2021). Their largest values are
modelled as a Pareto tail, so that one odd recording is no bar for all: the score of a recording is
the least of the tail probabilities, as -log10. The p-value is its rank among the scores of the good
recordings, in whose tails it counts as they do in its own. With n of them no p-value is below
1 / (n + 1), so no lower rate of false alarms can be promised.

Shapes: R good recordings, S statistics, K programs.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gcodefp.detection.deviations import (
    EXTRA,
    MISSING,
    SHORTEST_SECONDS,
    TWO_SIDED,
    Segment,
    Statistics,
)
from gcodefp.detection.template import Array

DETECTION_FORMAT = "gcodefp-detection-1"
REBUILD = "snakemake --cores all --forcerun fit_detector"
FALSE_ALARM_RATE = 0.01
TAIL_SHARE = 0.2
"""Share of the good recordings to which the Pareto tail is fitted."""
TAIL_PRIOR, FIT_TAIL_PRIOR = 0.6, 0.05
"""Mean of log(x / threshold) that a tail is taken to have besides its own: one without an odd
recording says little on the next odd one. Window fits are bounded. Chosen on real recordings."""
FLOORS = Statistics(length=0.5, slowdown=0.5, start=0.5, end=0.5, gain=1.0, fit=0.02, level=0.02,
                    cover=0.02, drift=0.5)  # fmt: skip
"""Least threshold of each tail: smaller deviations are none."""
STEADY_SECONDS = 3.0
"""Where nine of ten good recordings are as equally long, their length says what lacks; where logs
begin and end manually, the alignment's ends do."""
POOLING_P = 0.01
"""Programs whose scores differ with a lower p-value (Kruskal-Wallis) are calibrated apart."""
PAUSE_SECONDS = 3.0
AS_EXPECTED, ANOTHER, UNKNOWN = "as expected", "another program", "none of the programs"
STOPPED, LATE, PAUSED = "stopped early", "started late", "paused"
SHORT, LONG, DEVIATES = "too short", "too long", "deviates"
MIN_LEVEL = 0.5
"""Share of the expected fit below which a recording may be of another program."""
NO_LEVEL, NO_LEVEL_SCORE = 0.2, 20.0
"""With a lower share of the fit of a whole program, little of it is in the signals. The share is
bounded, so the tail of one odd good recording could be higher: its score is above every tail's."""


@dataclass(frozen=True)
class Calibration:
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

    def all_deviations(self) -> Array:
        """Distance of statistics from the median of the program's other recordings, (R, S)."""
        index = np.arange(len(self.program))
        return np.stack([
            row - np.median(self.statistics[(self.program == program) & (index != own)], axis=0)
            for own, (row, program) in enumerate(zip(self.statistics, self.program, strict=True))
        ])  # fmt: skip

    def including(self, statistics: Sequence[float], program: int) -> "Calibration":
        """With a further recording."""
        both = np.vstack([self.statistics, statistics])
        return replace(self, statistics=both, program=np.append(self.program, program))

    def scores(self) -> list[dict[str, float]]:
        """Statistic -> -log10 of its tail probability among the others, of each recording."""
        every, used = self.all_deviations(), self.used()
        return [
            _scores(own, row, np.delete(every, index, 0), used)
            for index, (own, row) in enumerate(zip(self.statistics, every, strict=True))
        ]

    @property
    def is_pooled(self) -> bool:
        """Whether the scores of all programs calibrate each."""
        return not self.pooled_p < POOLING_P

    def used(self) -> tuple[str, ...]:
        """The statistics that are compared."""
        lengths = self.all_deviations()[:, Statistics._fields.index("length")]
        is_steady = np.quantile(np.abs(lengths), 0.9) <= STEADY_SECONDS
        unused = {"cover", "drift", *(("start", "end") if is_steady else ("length",))}
        return tuple(name for name in Statistics._fields if name not in unused)

    def comparable(self, program: int) -> NDArray[np.bool_]:
        """The good recordings that a recording of the program is compared with, (R,)."""
        return np.full(len(self.program), True) if self.is_pooled else self.program == program


def tail_scores(deviations: Array, good: Array, used: Collection[str]) -> dict[str, float]:
    """Used statistic -> -log10 of its tail probability; deviations (S,), of good ones (R, S)."""
    scores = {}
    for index, name in enumerate(Statistics._fields):
        if name not in used:
            continue
        # Too long and too short are two things, with a tail each.
        sign = -1.0 if name in TWO_SIDED and deviations[index] < 0 else 1.0
        value, reference = sign * float(deviations[index]), np.sort(sign * good[:, index])
        tail = max(1, int(len(reference) * TAIL_SHARE))
        threshold = max(float(reference[-tail - 1 :][0]), FLOORS[index])
        if value <= threshold:
            probability = (1 + (reference >= value).sum()) / (len(reference) + 1)
            scores[name] = min(-np.log10(probability), -np.log10(TAIL_SHARE))
        else:
            excess = np.log(np.maximum(reference[-tail:], threshold) / threshold).sum()
            prior = FIT_TAIL_PRIOR if name == "fit" else TAIL_PRIOR
            exponent = (tail + 1) / (excess + tail * prior)
            scores[name] = -np.log10(TAIL_SHARE) + exponent * np.log10(value / threshold)
    return {name: float(score) for name, score in scores.items()}


def _scores(
    statistics: Sequence[float], deviations: Array, good: Array, used: Collection[str]
) -> dict[str, float]:
    """The tail scores; that of `level` is above NO_LEVEL_SCORE if next to nothing fits."""
    scores = tail_scores(deviations, good, used)
    if (share := Statistics(*statistics).level * Statistics(*statistics).cover) < NO_LEVEL:
        scores["level"] = float(NO_LEVEL_SCORE + NO_LEVEL - share)
    return scores


def pooling_p(scores: Array, program: NDArray[np.integer]) -> float:
    """Probability that scores differ so much between programs by chance; NaN for one program."""
    from scipy.stats import kruskal

    groups = [scores[program == index] for index in np.unique(program)]
    if len(groups) < 2 or np.ptp(scores) == 0:
        return float("nan")
    return float(kruskal(*groups).pvalue)


class Judgement(NamedTuple):
    """What is said of a recording.

    Attributes:
        p_value: share of good recordings that deviate as much.
        rate: of false alarms, at least 1 / (good recordings + 1).
        scores: statistic -> -log10 of its tail probability.
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


def judge(
    calibration: Calibration,
    statistics: Statistics,
    program: int,
    rate: float = FALSE_ALARM_RATE,
) -> Judgement:
    """Compares a recording that is no good one of the calibration with the good ones.

    Args:
        rate: of false alarms that is asked for.
    """
    *good, scores = calibration.including(statistics, program).scores()
    reference = np.array([max(own.values()) for own in good], dtype=float)[
        calibration.comparable(program)
    ]
    rank = np.sort(reference)[::-1]
    p_value = float((1 + (reference >= max(scores.values())).sum()) / (len(reference) + 1))
    rate = max(rate, 1 / (len(reference) + 1))
    allowed = int(np.floor(rate * (len(reference) + 1) + 1e-9)) - 1
    bar = rank[allowed] if allowed < len(rank) else -np.inf
    alarms = tuple(name for name, score in scores.items() if score > bar)
    return Judgement(p_value, rate, scores, alarms)


def name_verdict(
    judgement: Judgement,
    statistics: Statistics,
    usual: Sequence[float],
    segments: Sequence[Segment],
    levels: Sequence[float],
    program: int,
) -> str:
    """The verdict in words.

    Args:
        usual: (S,) medians of the program's good recordings.
        levels: (K,) share of the expected fit of the recording as each program.
    """
    if not judgement.deviates:
        return AS_EXPECTED
    if -statistics.level < MIN_LEVEL:
        best = int(np.argmax(levels))
        return ANOTHER if best != program and levels[best] > MIN_LEVEL else UNKNOWN
    alarms, usually = set(judgement.alarms), Statistics(*usual)
    worst = max(segments, key=lambda segment: segment.seconds, default=None)
    for name, verdict in (("end", STOPPED), ("start", LATE)):
        lacks = getattr(statistics, name)
        is_worst = worst is not None and worst.kind == MISSING and lacks >= worst.seconds
        if lacks > getattr(usually, name) + SHORTEST_SECONDS and (name in alarms or is_worst):
            return verdict
    if worst and worst.kind == EXTRA and worst.seconds >= PAUSE_SECONDS:
        return PAUSED
    if alarms & {"length", "slowdown"} and not alarms & {"gain", "fit", "level"}:
        return SHORT if statistics.length < usually.length else LONG
    return DEVIATES
