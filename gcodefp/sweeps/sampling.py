"""What run k of a sweep gets.

A grid and random search are sequences, so any agent may ask for any of their runs at any time.
Bayesian search is a function of (sweep, seed, k) and of what other runs have shown so far.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from gcodefp.errors import UserError
from gcodefp.sweeps.space import (
    OPEN,
    Latent,
    Proposal,
    configurations,
    draw,
    grid,
    is_possible,
    key,
    proposal_at,
    varying,
)
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.values import flatten

ATTEMPTS = 5000
"""Draws in a row that were there already or impossible, after which no more are made."""
SUGGESTIONS = 5
"""Times that a sampler may insist on what is there already, before a random draw is taken."""


class Observation(NamedTuple):
    """Another run: what it was given, and its loss (lower is better); None while it is open.

    A failed run whose loss cannot be told has an infinite one.
    """

    hyperparameters: Mapping[str, Any]
    latent: Latent
    loss: float | None


class Exhausted(Exception):
    """There is no configuration that was not given out already; it says why."""


class ConfigurationSequence:
    """What the runs of one sweep get; it remembers what it has worked out."""

    def __init__(self, specification: Specification, seed: int) -> None:
        self._specification = specification
        self._seed = seed
        self._known: list[Proposal] = []
        self._more = self._sequence()
        self._end: Exhausted | None = None

    def propose(self, number: int, others: Sequence[Observation]) -> Proposal:
        """What run `number` gets.

        Args:
            others: runs that were given something; only Bayesian search looks at them.

        Raises:
            Exhausted: the space has no further configuration.
        """
        first = self._specification.rules.first
        if self._specification.method == "bayes" and number >= len(first):
            return self._suggested(number, others)
        while len(self._known) <= number:
            if self._end is not None:
                raise self._end
            try:
                self._known.append(next(self._more))
            except Exhausted as error:
                self._end = error
        return self._known[number]

    def size(self, most: int | None) -> int:
        """How many runs a grid has, first points included; counts no further than `most`."""
        return sum(1 for _ in islice(self._listed(), most))

    def _sequence(self) -> Iterator[Proposal]:
        """Nothing twice; at its end it says why."""
        if self._specification.method == "grid":
            yield from self._listed()
            raise Exhausted("every configuration of the grid has been tried")
        given = set()
        for proposal in self._first():
            given.add(key(proposal.hyperparameters))
            yield proposal
        random = np.random.default_rng(self._seed)
        while True:
            proposal = self._drawn(random, given)
            given.add(key(proposal.hyperparameters))
            yield proposal

    def _listed(self) -> Iterator[Proposal]:
        """The first points, then the grid."""
        first = list(self._first())
        yield from first
        given = {key(proposal.hyperparameters) for proposal in first}
        for proposal in grid(self._specification):
            if key(proposal.hyperparameters) not in given:
                yield proposal

    def _first(self) -> Iterator[Proposal]:
        """The configurations to try first, each once; what they leave out is drawn."""
        given = set()
        for number, point in enumerate(self._specification.rules.first):
            proposal = self._completed(number, point)
            if key(proposal.hyperparameters) not in given:
                given.add(key(proposal.hyperparameters))
                yield proposal

    def _completed(self, number: int, point: Mapping[str, Any]) -> Proposal:
        specification = self._specification
        random = np.random.default_rng([self._seed, number])
        for _ in range(ATTEMPTS):
            latent = draw(specification, random)
            for path in latent.keys() & point.keys():
                latent[path] = specification.parameters[path].latent(point[path]) or OPEN
            proposal = proposal_at(specification, latent, point)
            has_all = point.keys() <= flatten(proposal.hyperparameters).keys()
            if has_all and is_possible(specification, proposal):
                return proposal
        raise UserError(
            f"sweep.first[{number}]: {dict(point)} breaks a constraint or a condition, or the "
            "trainer cannot take it"
        )

    def _suggested(self, number: int, others: Sequence[Observation]) -> Proposal:
        """What Bayesian search makes of the other runs."""
        from gcodefp.sweeps.bayes import suggest  # Optuna is imported for Bayesian search only

        specification = self._specification
        given = {key(run.hyperparameters) for run in others}
        for attempt in range(SUGGESTIONS if varying(specification) else 0):
            parts = np.random.SeedSequence([self._seed, number, attempt])
            # How sums are split among threads shows in their last digits.
            with threadpool_limits(1):
                latent = suggest(specification, int(parts.generate_state(1)[0]), others)
            proposal = proposal_at(specification, latent)
            if self._is_new(proposal, given):
                return proposal
        return self._drawn(np.random.default_rng([self._seed, number]), given)

    def _drawn(self, random: np.random.Generator, given: set[str]) -> Proposal:
        """A random configuration that is possible and not given out yet."""
        for _ in range(ATTEMPTS):
            proposal = proposal_at(self._specification, draw(self._specification, random))
            if self._is_new(proposal, given):
                return proposal
            if self._all is not None and len(given) >= len(self._all):
                break
        if self._all is None:
            raise Exhausted(f"{ATTEMPTS} draws in a row break a constraint or were tried before")
        left = [made for made in self._all if key(made.hyperparameters) not in given]
        if not left:
            raise Exhausted("every configuration of the space has been tried")
        return left[int(random.integers(len(left)))]

    @cached_property
    def _all(self) -> list[Proposal] | None:
        return configurations(self._specification)

    def _is_new(self, proposal: Proposal, given: set[str]) -> bool:
        is_given = key(proposal.hyperparameters) in given
        return not is_given and is_possible(self._specification, proposal)


def propose(
    specification: Specification, seed: int, number: int, others: Sequence[Observation]
) -> Proposal:
    """What run `number` of a sweep gets; a Plan is faster for many runs."""
    return ConfigurationSequence(specification, seed).propose(number, others)


def total_runs(specification: Specification) -> int:
    """How many runs the sweep is to have.

    Raises:
        UserError: it has no end, or nothing in it is possible.
    """
    if specification.method == "grid":
        size = ConfigurationSequence(specification, 0).size(specification.run_cap)
        if not size:
            raise UserError(
                "no combination of the grid is possible; nhead must divide d_model, and the "
                "constraints must hold"
            )
        return size
    if specification.run_cap is None:
        raise UserError(
            f"run_cap: method {specification.method} has no end of its own; add run_cap to the "
            "sweep YAML, or set sweep.run_cap in the configuration (for the first phase)"
        )
    return specification.run_cap


def check_possible(specification: Specification, seed: int) -> None:
    """Makes sure that the first points, and one run at least, can be.

    Raises:
        UserError: no draw satisfies the constraints.
    """
    plan = ConfigurationSequence(specification, seed)
    try:
        for number in range(max(1, len(specification.rules.first))):
            plan.propose(number, [])
    except Exhausted:
        told = ", ".join(repr(c.text) for c in specification.rules.constraints)
        raise UserError(
            "no configuration is possible: nhead must divide d_model, and the constraints must "
            f"hold ({told or 'there are none'}); none of {ATTEMPTS} draws does so"
        ) from None
