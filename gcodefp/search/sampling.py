"""What run k of a sweep gets.

A grid and random search are sequences, so any agent may ask for any of their runs at any time.
Bayesian search is a function of (sweep, seed, k) and of what other runs have shown so far.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from gcodefp.errors import UserError
from gcodefp.search.distributions import Scalar
from gcodefp.search.nesting import flatten, nest
from gcodefp.search.specification import Specification
from gcodefp.search.trainable import accepts

ATTEMPTS = 1000
"""Draws in a row that were all there already, after which an uncountable space is exhausted."""
SUGGESTIONS = 5
"""Times that a sampler may insist on what is there already, before a random draw is taken."""
COUNTABLE = 100_000
"""A space of at most so many combinations is looked through to its end."""
OPEN = 0.5
"""The latent number of a parameter that a run does not have."""

Latent = Mapping[str, float]


class Proposal(NamedTuple):
    """A run's hyperparameters, nested, and the latent number of each parameter that varies."""

    hyperparameters: Mapping[str, Any]
    latent: Latent


class Earlier(NamedTuple):
    """Another run: what it was given, and its loss (lower is better); None while it is open.

    A failed run whose loss cannot be told has an infinite one.
    """

    hyperparameters: Mapping[str, Any]
    latent: Latent
    loss: float | None


class Exhausted(Exception):
    """There is no configuration that was not given out already."""


class Plan:
    """What the runs of one sweep get; it remembers what it has worked out."""

    def __init__(self, specification: Specification, seed: int) -> None:
        self._specification = specification
        self._seed = seed
        self._known: list[Proposal] = []
        self._more = _sequence(specification, seed)

    def propose(self, number: int, others: Sequence[Earlier]) -> Proposal:
        """What run `number` gets.

        Args:
            others: runs that were given something; only Bayesian search looks at them.

        Raises:
            Exhausted: the space has no further configuration.
        """
        specification = self._specification
        if specification.method == "bayes" and number >= len(specification.rules.first):
            return _suggested(specification, self._seed, number, others)
        while len(self._known) <= number:
            if (proposal := next(self._more, None)) is None:
                raise Exhausted
            self._known.append(proposal)
        return self._known[number]


def propose(
    specification: Specification, seed: int, number: int, others: Sequence[Earlier]
) -> Proposal:
    """What run `number` of a sweep gets; a Plan is faster for many runs."""
    return Plan(specification, seed).propose(number, others)


def varying(specification: Specification) -> list[str]:
    """The paths of the parameters that have more than one value."""
    return [path for path, p in specification.parameters.items() if len(p.choices) != 1]


def is_possible(specification: Specification, values: Mapping[str, Any]) -> bool:
    """Whether the trainer and the sweep's constraints take these values, by path."""
    return specification.rules.allow(values) and accepts(values)


def configurations(specification: Specification) -> list[dict[str, Any]] | None:
    """All possible configurations, by path; None if they are too many to be counted."""
    supports = [parameter.support() for parameter in specification.parameters.values()]
    counted = [support for support in supports if support is not None]
    if len(counted) < len(supports) or prod(map(len, counted)) > COUNTABLE:
        return None
    return list(_possible(specification, counted))


def grid_size(specification: Specification) -> int:
    """How many possible configurations a grid has."""
    return sum(1 for _ in _grid(specification))


def total_runs(specification: Specification) -> int:
    """How many runs the sweep is to have.

    Raises:
        UserError: it has no end, or nothing in it is possible.
    """
    if specification.method == "grid":
        size = grid_size(specification)
        if not size:
            raise UserError(
                "no combination of the grid is possible; nhead must divide d_model, and the "
                "constraints must hold"
            )
        return min(size, specification.run_cap or size)
    if specification.run_cap is None:
        raise UserError(
            f"run_cap: method {specification.method} has no end of its own; add run_cap to the "
            "sweep YAML, or set sweep.run_cap in the configuration"
        )
    return specification.run_cap


def _sequence(specification: Specification, seed: int) -> Iterator[Proposal]:
    """The first points, then the grid or the draws of random search, nothing twice."""
    given = set()
    for number, point in enumerate(specification.rules.first):
        proposal = _first(specification, seed, number, point)
        if _key(proposal) not in given:
            given.add(_key(proposal))
            yield proposal
    if specification.method == "grid":
        for values in _grid(specification):
            proposal = Proposal(nest(values), {})
            if _key(proposal) not in given:
                yield proposal
        return
    random = np.random.default_rng(seed)
    while True:
        try:
            proposal = _drawn(specification, random, given)
        except Exhausted:
            return
        given.add(_key(proposal))
        yield proposal


def _grid(specification: Specification) -> Iterator[dict[str, Any]]:
    """Keys sorted, the last varies fastest."""
    grids = [parameter.grid() for parameter in specification.parameters.values()]
    return _possible(specification, grids)


def _possible(
    specification: Specification, supports: Sequence[Sequence[Scalar]]
) -> Iterator[dict[str, Any]]:
    """All combinations that may run; those that differ in nothing that is drawn come once."""
    seen = set()
    for combination in product(*supports):
        values = dict(zip(specification.parameters, combination, strict=True))
        values = specification.rules.active(values)
        key = json.dumps(values)
        if key not in seen and is_possible(specification, values):
            seen.add(key)
            yield values


def _first(
    specification: Specification, seed: int, number: int, point: Mapping[str, Any]
) -> Proposal:
    """A configuration to try first; what it leaves out is drawn."""
    random = np.random.default_rng([seed, number])
    for _ in range(ATTEMPTS):
        latent = _draw(specification, random)
        for path in latent.keys() & point.keys():
            latent[path] = specification.parameters[path].latent(point[path]) or OPEN
        proposal = _proposal(specification, latent, point)
        if is_possible(specification, flatten(proposal.hyperparameters)):
            return proposal
    raise UserError(
        f"sweep.first[{number}]: {dict(point)} breaks a constraint, or the trainer cannot take it"
    )


def _drawn(specification: Specification, random: np.random.Generator, given: set[str]) -> Proposal:
    """A random configuration that is possible and not given out yet."""
    for _ in range(ATTEMPTS):
        proposal = _proposal(specification, _draw(specification, random))
        if _is_new(specification, proposal, given):
            return proposal
    left = [
        values
        for values in configurations(specification) or ()
        if _key(Proposal(nest(values), {})) not in given
    ]
    if not left:
        raise Exhausted
    values = left[int(random.integers(len(left)))]
    latent = {
        path: specification.parameters[path].latent(values.get(path)) or OPEN
        for path in varying(specification)
    }
    return Proposal(nest(values), latent)


def _suggested(
    specification: Specification, seed: int, number: int, others: Sequence[Earlier]
) -> Proposal:
    """What Bayesian search makes of the other runs."""
    from gcodefp.search.bayes import suggest  # Optuna is imported for Bayesian search only

    given = {_key(run) for run in others}
    for attempt in range(SUGGESTIONS if varying(specification) else 0):
        # How sums are split among threads shows in their last digits.
        with threadpool_limits(1):
            latent = suggest(specification, _seed(seed, number, attempt), others)
        proposal = _proposal(specification, latent)
        if _is_new(specification, proposal, given):
            return proposal
    return _drawn(specification, np.random.default_rng([seed, number]), given)


def _is_new(specification: Specification, proposal: Proposal, given: set[str]) -> bool:
    if _key(proposal) in given:
        return False
    return is_possible(specification, flatten(proposal.hyperparameters))


def _draw(specification: Specification, random: np.random.Generator) -> dict[str, float]:
    return {path: float(random.random()) for path in varying(specification)}


def _proposal(
    specification: Specification, latent: Latent, fixed: Mapping[str, Any] | None = None
) -> Proposal:
    """The run behind latent numbers; `fixed` values are taken as they are."""
    values = {path: p.value(latent.get(path, OPEN)) for path, p in specification.parameters.items()}
    values = specification.rules.active(values | dict(fixed or {}))
    return Proposal(
        nest(values), {path: u if path in values else OPEN for path, u in latent.items()}
    )


def _key(run: Proposal | Earlier) -> str:
    return json.dumps(run.hyperparameters, sort_keys=True)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
