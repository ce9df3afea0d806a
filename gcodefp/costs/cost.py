"""What a sweep costs, from what a few of its configurations were seen to cost."""

import heapq
import math
from bisect import bisect
from collections.abc import Sequence
from statistics import median, quantiles
from typing import NamedTuple

from gcodefp.search.hyperband import Hyperband

UNCERTAINTY = 0.1
"""The least, as a logarithm: two runs of one configuration differ so much on a quiet machine."""


class Point(NamedTuple):
    """A configuration's work, in any unit, and what it was measured to take."""

    work: float
    measured: float


class Run(NamedTuple):
    """What is known of a run before it starts."""

    epochs: int
    epoch_seconds: float
    other_seconds: float


class Interval(NamedTuple):
    """A number and the bounds that it is expected to lie in."""

    low: float
    middle: float
    high: float


def interpolated(points: Sequence[Point], work: float) -> float:
    """What a configuration takes, on straight lines between the logarithms of the points."""
    known = sorted({point.work: point for point in points}.values())
    if len(known) == 1:
        return known[0].measured * work / known[0].work
    right = min(max(bisect([point.work for point in known], work), 1), len(known) - 1)
    below, above = known[right - 1], known[right]
    share = math.log(work / below.work) / math.log(above.work / below.work)
    return below.measured ** (1 - share) * above.measured**share


def left_out_error(points: Sequence[Point]) -> float:
    """How far points are from what those around them say, at most, as a logarithm."""
    errors = [0.0]
    for point in sorted(points)[1:-1]:
        others = [other for other in points if other != point]
        errors.append(abs(math.log(interpolated(others, point.work) / point.measured)))
    return max(errors)


def spread(values: Sequence[float]) -> float:
    """How far most values are from their median, as a logarithm."""
    if len(values) < 2:
        return 0.0
    tenths = quantiles(values, n=10, method="inclusive")
    return max(abs(math.log(edge / median(values))) for edge in (tenths[0], tenths[-1]))


def makespan(seconds: Sequence[float], agents: int, places: int) -> float:
    """When the last of these runs is over, each free agent taking the next one.

    Args:
        seconds: of each run, in order, while no more than `places` agents work.
        places: how many work at full speed; more of them share these places evenly.
    """
    waiting = iter(seconds)
    now = done = 0.0
    ends: list[float] = []  # On a clock that goes as fast as each of the agents does.
    while True:
        while len(ends) < agents and (needed := next(waiting, None)) is not None:
            heapq.heappush(ends, done + needed)
        if not ends:
            return now
        slowness = max(1.0, len(ends) / places)
        first = heapq.heappop(ends)
        now, done = now + (first - done) * slowness, first


def epochs_until_stop(rule: Hyperband | None, epochs: int, survivors: float) -> float:
    """How many epochs runs have on average, where so large a share survives each band."""
    if rule is None:
        return epochs
    done, alive, total = 0, 1.0, 0.0
    for band in rule.bands:
        until = min(band, epochs)
        total += alive * (until - done)
        done, alive = until, alive * survivors
    return total + alive * (epochs - done) if done < epochs else total


def interpolated_bytes(points: Sequence[Point], work: float) -> float:
    """The memory of a configuration, on straight lines; no less than that of a smaller one."""
    known = sorted(points)
    right = min(max(bisect([point.work for point in known], work), 1), len(known) - 1)
    if not right or work <= known[0].work:
        return known[0].measured
    below, above = known[right - 1], known[right]
    rise = max(0.0, above.measured - below.measured) / (above.work - below.work)
    return below.measured + rise * (work - below.work)


def surviving_share(rule: Hyperband | None, runs: int) -> float:
    """The share of runs that a band lets pass, if the good ones come in no particular order.

    The i-th at a band has to be among the int(i / eta) + 1 best by then: the first always is.
    """
    if rule is None or not runs:
        return 1.0
    passing = (min(1.0, (int(i / rule.eta) + 1) / i) for i in range(1, runs + 1))
    return sum(passing) / runs


def sweep_seconds(
    runs: Sequence[Run], agents: int, places: int, rule: Hyperband | None, uncertainty: float
) -> Interval:
    """How long agents work on these runs.

    The interval reaches from early termination at its most effective to none at all.

    Args:
        uncertainty: of a run's seconds, as a logarithm.
    """

    def total(survivors: float) -> float:
        seconds = [
            run.other_seconds + run.epoch_seconds * epochs_until_stop(rule, run.epochs, survivors)
            for run in runs
        ]
        return makespan(seconds, agents, places)

    middle = total(surviving_share(rule, len(runs)))
    low = total(1 / rule.eta if rule else 1.0) * math.exp(-uncertainty)
    high = total(1.0) * math.exp(uncertainty)
    # Several agents on shorter runs may, rarely, be done later.
    return Interval(min(low, middle), middle, max(high, middle))
