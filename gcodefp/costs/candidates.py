"""The configurations that a sweep will try, as far as they can be known before it starts."""

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from gcodefp.costs.workload import Extent, Workload, workload
from gcodefp.errors import UserError
from gcodefp.learning.hyperparameters import Hyperparameters, hyperparameters_from
from gcodefp.learning.network import Sizes
from gcodefp.search.sampling import Exhausted, Plan
from gcodefp.sweep.sweep_file import SweepFile

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
    plan = Plan(specification, sweep.seed)
    left = [number for number in range(sweep.total) if number not in over]
    for number in left[:MOST]:
        try:
            proposal = plan.propose(number, [])
        except Exhausted:
            logger.info("the space has only %d configurations", number)
            return
        yield {"seed": sweep.seed} | dict(proposal.hyperparameters)


def candidates(
    asked: Iterable[dict[str, Any]], sizes: Sizes, extent: Extent, device: str
) -> list[Candidate]:
    """Those of the configurations that the trainer takes, with a warning about the others."""
    known = []
    for number, values in enumerate(asked):
        try:
            hyperparameters = hyperparameters_from(values, f"configuration {number}")
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
