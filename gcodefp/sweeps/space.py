"""The configurations of a sweep: which are possible, and how many."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gcodefp.sweeps.distributions import Scalar
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.trainable import accepts
from gcodefp.sweeps.values import flatten, nest

COUNTABLE = 100_000
"""A space of at most so many combinations is looked through to its end."""
OPEN = 0.5
"""The latent number of a parameter that a run does not have."""

Latent = Mapping[str, float]


class Proposal(NamedTuple):
    """A run's hyperparameters, nested, and the latent number of each parameter that varies."""

    hyperparameters: Mapping[str, Any]
    latent: Latent


def varying(specification: Specification) -> list[str]:
    """The paths of the parameters that have more than one value."""
    return [path for path, p in specification.parameters.items() if len(p.choices) != 1]


def is_possible(specification: Specification, proposal: Proposal) -> bool:
    """Whether the trainer and the sweep's constraints take a run."""
    values = flatten(proposal.hyperparameters)
    return specification.rules.allow(values) and accepts(values)


def combinations(specification: Specification) -> int | None:
    """How many combinations of values there are, possible or not; None if infinitely many."""
    supports = [parameter.support() for parameter in specification.parameters.values()]
    if any(support is None for support in supports):
        return None
    return prod(len(support) for support in supports if support is not None)


def configurations(specification: Specification) -> list[Proposal] | None:
    """All possible configurations; None if they are too many to be looked through."""
    size = combinations(specification)
    if size is None or size > COUNTABLE:
        return None
    supports = [parameter.support() or () for parameter in specification.parameters.values()]
    return list(_possible(specification, supports))


def grid(specification: Specification) -> Iterator[Proposal]:
    """A grid's configurations: keys sorted, the last varies fastest."""
    grids = [parameter.grid() for parameter in specification.parameters.values()]
    return (Proposal(made.hyperparameters, {}) for made in _possible(specification, grids))


def proposal_at(
    specification: Specification, latent: Latent, fixed: Mapping[str, Any] | None = None
) -> Proposal:
    """The run behind latent numbers; `fixed` values, by path, are taken as they are."""
    values = {path: p.value(latent.get(path, OPEN)) for path, p in specification.parameters.items()}
    values = specification.rules.active(values | dict(fixed or {}))
    return Proposal(
        nest(values), {path: u if path in values else OPEN for path, u in latent.items()}
    )


def draw(specification: Specification, random: np.random.Generator) -> dict[str, float]:
    """Random latent numbers."""
    return {path: float(random.random()) for path in varying(specification)}


def key(hyperparameters: Mapping[str, Any]) -> str:
    """The same for runs that were given the same."""
    return json.dumps(hyperparameters, sort_keys=True)


def _possible(
    specification: Specification, supports: Sequence[Sequence[Scalar]]
) -> Iterator[Proposal]:
    """All combinations that may run; those that differ in nothing that is drawn come once."""
    seen = set()
    vary = varying(specification)
    pairs = [
        [(value, parameter.latent(value) or OPEN) for value in support]
        for parameter, support in zip(specification.parameters.values(), supports, strict=True)
    ]
    for combination in product(*pairs):
        chosen = dict(zip(specification.parameters, combination, strict=True))
        values = specification.rules.active({path: value for path, (value, _) in chosen.items()})
        latent = {path: chosen[path][1] if path in values else OPEN for path in vary}
        made = Proposal(nest(values), latent)
        if key(values) not in seen and is_possible(specification, made):
            seen.add(key(values))
            yield made
