"""From timed configurations to the time and the memory of a sweep, in numbers and in words."""

from collections.abc import Sequence
from itertools import cycle, islice
from math import hypot, log
from statistics import median
from typing import NamedTuple

from gcodefp.costs.candidates import Candidate, labels
from gcodefp.costs.cost import (
    UNCERTAINTY,
    Interval,
    Point,
    Run,
    interpolated,
    interpolated_bytes,
    left_out_error,
    spread,
    sweep_seconds,
)
from gcodefp.costs.timing import Timing
from gcodefp.search.hyperband import Hyperband
from gcodefp.sweep.progress import duration

GIBIBYTE = 2**30
LOG_BYTES = 100 * 2**20
"""What W&B's library and its process take of the memory in an agent, and in no timed process."""


class Timed(NamedTuple):
    """A configuration, and its timing or in words why there is none."""

    candidate: Candidate
    timing: Timing | str


class Evidence(NamedTuple):
    """A run that is over, and the seconds that its epochs took on average."""

    work: float
    epoch_seconds: float


class Crew(NamedTuple):
    """Agents that work at once, and where.

    Attributes:
        places: how many of them work at full speed.
        crowding: how many times as long work takes because of what else the machine does.
    """

    agents: int
    places: int
    crowding: float = 1.0


def seconds_left(
    timed: Sequence[Timed],
    known: Sequence[Candidate],
    left: int,
    evidence: Sequence[Evidence],
    crew: Crew,
    rule: Hyperband | None,
) -> Interval:
    """How long the sweep will take from now on.

    Args:
        known: configurations of runs that are left; they stand for all of these.
        left: how many runs are left.
    """
    timings = [t.timing for t in timed if isinstance(t.timing, Timing)]
    points = _points(timed)
    ratios = [e.epoch_seconds / interpolated(points, e.work) for e in evidence]
    scale = median(ratios) if ratios else 1.0
    if len(ratios) > 1:
        noise = spread(ratios)
    else:
        # What else goes on shows in both: within these seconds, and in how busy the machine is.
        noise = max(median(spread(t.step_seconds) for t in timings), log(crew.crowding))
    file_seconds = median(t.file_seconds for t in timings)
    run_seconds = median(t.run_seconds for t in timings)
    runs = [
        Run(
            epochs=c.hyperparameters.max_epochs,
            epoch_seconds=scale * interpolated(points, c.workload.work) + file_seconds,
            other_seconds=run_seconds,
        )
        for c in islice(cycle(known), left)
    ]
    uncertainty = hypot(max(UNCERTAINTY, noise), left_out_error(points))
    total = sweep_seconds(runs, crew.agents, crew.places, rule, uncertainty)
    start = max(t.start_seconds for t in timings)
    return Interval(*(seconds + start for seconds in total))


def memory_needs(timed: Sequence[Timed], known: Sequence[Candidate], device: bool) -> list[float]:
    """The memory of an agent, in bytes, for each configuration."""
    points = [
        Point(c.workload.step_bytes, _peak(t, device)) for c, t in timed if isinstance(t, Timing)
    ]
    return [interpolated_bytes(points, c.workload.step_bytes) for c in known]


def memory_lines(
    needs: Sequence[float], agents: int, available: int, where: str
) -> tuple[str, str | None]:
    """What agents need, and a warning where that is more than there is."""
    most = max(needs)
    text = (
        f"{where}: up to {most / GIBIBYTE:.2f} GiB an agent, {_sum_text(most, agents)} of "
        f"{available / GIBIBYTE:.1f} GiB"
    )
    if most * agents <= available:
        return text, None
    alone = sum(need > available for need in needs)
    together = sum(need * agents > available for need in needs)
    advice = f"{together} of {len(needs)} configurations will not fit in the {where}"
    advice += f" with {agents} agents" if agents > 1 else ""
    if agents > 1 and available >= most:
        fitting = int(available // most)
        return text, f"{advice}: take {fitting}, or make batch_size or d_model smaller"
    return text, f"{advice}, {alone} of them not even alone: make batch_size or d_model smaller"


def table(timed: Sequence[Timed], known: Sequence[Candidate], device: bool) -> str:
    """The timed configurations, as plain text."""
    rows = [("configuration", "parameters", "seconds per epoch", "peak memory")]
    for label, (candidate, timing) in zip(
        labels([t.candidate for t in timed], known), timed, strict=True
    ):
        parameters = f"{candidate.workload.parameters:,}"
        if isinstance(timing, str):
            rows.append((label, parameters, "-", timing))
            continue
        taken = _peak(timing, device)
        rows.append(
            (label, parameters, f"{timing.epoch_seconds:.3g}", f"{taken / GIBIBYTE:.2f} GiB")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(t.rjust(w) for t, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    )


def time_line(seconds: Interval, agents: int) -> str:
    """As `about 12 min (9 min to 16 min) with 2 agents`."""
    low, middle, high = (duration(value) for value in seconds)
    return f"about {middle} ({low} to {high}) with {agents} agent{'s' * (agents > 1)}"


def _peak(timing: Timing, device: bool) -> int:
    return timing.device_bytes if device else timing.host_bytes + LOG_BYTES


def _points(timed: Sequence[Timed]) -> list[Point]:
    return [Point(c.workload.work, t.epoch_seconds) for c, t in timed if isinstance(t, Timing)]


def _sum_text(most: float, agents: int) -> str:
    return f"{most * agents / GIBIBYTE:.2f} GiB for {agents} agent{'s' * (agents > 1)}"
