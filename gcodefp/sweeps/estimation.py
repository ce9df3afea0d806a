"""The configurations that a sweep will try, as far as they can be known before it starts."""

import heapq
import logging
import math
from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import cycle, islice
from math import hypot, log
from statistics import median, quantiles
from typing import Any, NamedTuple

import torch

from gcodefp.errors import UserError
from gcodefp.model.hyperparameters import Hyperparameters, parse_hyperparameters
from gcodefp.model.network import Network, Sizes
from gcodefp.sweeps.hyperband import Hyperband
from gcodefp.sweeps.observer import duration
from gcodefp.sweeps.sampling import ConfigurationSequence, Exhausted
from gcodefp.sweeps.sweep_file import SweepFile
from gcodefp.sweeps.timing import Timing

STEP_OPERATIONS = {"cpu": 1e8, "cuda": 1e11}
"""Device -> what it could compute while a layer of a training step is only being set up."""
TRAINING_PASSES = 3
"""Forward once, and backward for activations and for weights."""
ACTIVATIONS_PER_LAYER = 16
"""Numbers that a layer keeps for the way back, in multiples of its input's."""
OPTIMIZER_COPIES = 4
"""Weights, gradients, and two moments."""
BYTES = 4


class DatasetSize(NamedTuple):
    """How large a dataset is: windows of so many rows each."""

    train_windows: int
    val_windows: int
    rows: int


class Workload(NamedTuple):
    """What a configuration has to do.

    Attributes:
        parameters: of the network.
        work: multiply-adds of an epoch, about.
        step_bytes: what a training step holds, about.
    """

    parameters: int
    work: float
    step_bytes: float


def workload(
    hyperparameters: Hyperparameters, sizes: Sizes, extent: DatasetSize, device: str
) -> Workload:
    """Counts the weights of the real network, without giving them any memory."""
    with torch.device("meta"):
        network = Network(sizes, hyperparameters)
    encoder = _weights(network.stem) + _weights(network.encoder)
    heads = [child for name, child in network.named_children() if name.endswith("_head")]
    writer = _weights(network.writer) + sum(_weights(head) for head in heads)
    width, layers = hyperparameters.d_model, hyperparameters.num_layers
    encode = extent.rows * (encoder + 2 * layers * extent.rows * width)
    written = min(hyperparameters.rows_per_window, extent.rows) * sizes.steps
    steps = extent.train_windows / hyperparameters.batch_size
    work = (
        TRAINING_PASSES * extent.train_windows * (encode + written * writer)
        + extent.val_windows * (encode + extent.rows * sizes.steps * writer)
        + steps * (layers + 2) * STEP_OPERATIONS[device]
    )
    kept = extent.rows * (sizes.channels + ACTIVATIONS_PER_LAYER * width * layers)
    kept += written * (ACTIVATIONS_PER_LAYER * width + sizes.parameter_values)
    parameters = _weights(network)
    step_bytes = BYTES * (hyperparameters.batch_size * kept + OPTIMIZER_COPIES * parameters)
    return Workload(parameters, work, step_bytes)


def _weights(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


logger = logging.getLogger(__name__)

MOST = 200
"""So many configurations stand for those of a longer sweep."""
COSTLY = (
    "batch_size",
    "d_model",
    "nhead",
    "num_layers",
    "rows_per_window",
    "max_epochs",
    "optimizer",
)
"""Hyperparameters that a run's time or memory depends on."""


class Candidate(NamedTuple):
    """A configuration and what it has to do."""

    hyperparameters: Hyperparameters
    workload: Workload


def asked_of_runs(sweep: SweepFile, over: Collection[int]) -> Iterator[dict[str, Any]]:
    """What runs that are not over will be given.

    What Bayesian search will propose cannot be known; random draws stand for it.
    """
    specification = sweep.specification
    if specification.method == "bayes":
        specification = replace(specification, method="random")
    plan = ConfigurationSequence(specification, sweep.seed)
    left = [number for number in range(sweep.total) if number not in over]
    for number in left[:MOST]:
        try:
            proposal = plan.propose(number, [])
        except Exhausted:
            logger.info("the space has only %d configurations", number)
            return
        yield {"seed": sweep.seed} | dict(proposal.hyperparameters)


def candidates(
    asked: Iterable[dict[str, Any]], sizes: Sizes, extent: DatasetSize, device: str
) -> list[Candidate]:
    """Those of the configurations that the trainer takes, with a warning about the others."""
    known = []
    for number, values in enumerate(asked):
        try:
            hyperparameters = parse_hyperparameters(values, f"configuration {number}")
        except UserError as error:
            logger.warning("invalid, its run will fail: %s", error)
            continue
        known.append(Candidate(hyperparameters, workload(hyperparameters, sizes, extent, device)))
    return known


def to_be_timed(known: Sequence[Candidate]) -> list[Candidate]:
    """The smallest, the median and the largest by work, and the largest by memory."""
    distinct = sorted({c.workload.work: c for c in known}.values(), key=lambda c: c.workload.work)
    picks = [distinct[0], distinct[len(distinct) // 2], distinct[-1]]
    picks.append(max(reversed(distinct), key=lambda c: c.workload.step_bytes))
    return sorted(
        {candidate.workload: candidate for candidate in picks}.values(),
        key=lambda c: c.workload.work,
    )


def labels(timed: Sequence[Candidate], known: Sequence[Candidate]) -> list[str]:
    """What tells configurations apart: their hyperparameters that vary and matter here."""
    rows = [asdict(candidate.hyperparameters) for candidate in known]
    varying = [name for name in COSTLY if len({row[name] for row in rows}) > 1]
    return [
        ", ".join(f"{name} {getattr(candidate.hyperparameters, name)}" for name in varying) or "all"
        for candidate in timed
    ]


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
