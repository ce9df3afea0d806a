"""The hyperparameters of run k of a sweep.

A grid and random search are sequences, so any agent can compute any of their runs at any time.
Bayesian search is a function of (sweep, seed, k) and of the other runs' results so far.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice, starmap
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from gcodefp.errors import UserError
from gcodefp.sweeps.space import (
    COUNTABLE,
    INACTIVE_LATENT,
    Latent,
    Proposal,
    configurations,
    draw,
    grid,
    grid_size,
    is_possible,
    key,
    proposal_at,
    varying,
    with_latent,
)
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.values import flatten

ATTEMPTS = 5000
"""Draws in a row that are assigned already or impossible, before the search ends."""
SUGGESTIONS = 5
"""Suggestions in a row that are assigned already, before a random draw takes their place."""


class Observation(NamedTuple):
    """Another run: its hyperparameters, and its loss (lower is better); None while it is open.

    A failed run without a value has an infinite one.
    """

    hyperparameters: Mapping[str, Any]
    latent: Latent
    loss: float | None


class Exhausted(Exception):
    """No configuration is left that no run has; the message gives the reason."""


class ConfigurationSequence:
    """The hyperparameters of a sweep's runs, one after another; computed ones are kept."""

    def __init__(self, specification: Specification, seed: int) -> None:
        self._specification = specification
        self._seed = seed
        self._proposals: list[Proposal] = []
        self._more = self._sequence()
        self._end: Exhausted | None = None

    def propose(self, number: int, others: Sequence[Observation]) -> Proposal:
        """The hyperparameters of run `number`.

        Args:
            others: runs that have hyperparameters; only Bayesian search uses them.

        Raises Exhausted: the space has no further configuration.
        """
        first = self._specification.options.first
        if self._specification.method == "bayes" and number >= len(first):
            return self._suggested(number, others)
        while len(self._proposals) <= number:
            if self._end is not None:
                raise self._end
            try:
                self._proposals.append(next(self._more))
            except Exhausted as error:
                self._end = error
        return self._proposals[number]

    def size(self, most: int | None) -> int:
        """How many runs a grid has, first points included; counts no further than `most`."""
        return sum(1 for _ in islice(self._listed(), most))

    def _sequence(self) -> Iterator[Proposal]:
        """Each configuration once; the exception at the end gives the reason."""
        assigned = set()
        for proposal in self._listed():
            assigned.add(key(proposal.hyperparameters))
            yield proposal
        if self._specification.method == "grid":
            raise Exhausted("every configuration of the grid has been tried")
        random = np.random.default_rng(self._seed)
        while True:
            proposal = self._drawn(random, assigned)
            assigned.add(key(proposal.hyperparameters))
            yield proposal

    def _listed(self) -> Iterator[Proposal]:
        """The first points, then the grid if it is one; each configuration once."""
        specification, seen = self._specification, set()
        first = starmap(self._completed, enumerate(specification.options.first))
        for proposal in chain(first, grid(specification) if specification.method == "grid" else ()):
            if (identity := key(proposal.hyperparameters)) not in seen:
                seen.add(identity)
                yield proposal

    def _completed(self, number: int, point: Mapping[str, Any]) -> Proposal:
        """A configuration to try first; parameters that it omits are drawn."""
        specification = self._specification
        random = np.random.default_rng([self._seed, number])
        for _ in range(ATTEMPTS):
            latent = draw(specification, random)
            for path in latent.keys() & point.keys():
                latent[path] = specification.parameters[path].latent(point[path]) or INACTIVE_LATENT
            proposal = proposal_at(specification, latent, point)
            has_all = point.keys() <= flatten(proposal.hyperparameters).keys()
            if has_all and is_possible(specification, proposal):
                return proposal
        raise UserError(
            f"sweep.first[{number}]: {dict(point)} breaks a constraint or a condition, or the "
            "trainer cannot take it"
        )

    def _suggested(self, number: int, others: Sequence[Observation]) -> Proposal:
        """Bayesian search's proposal from the other runs."""
        from gcodefp.sweeps.bayes import suggest  # Optuna is imported for Bayesian search only

        specification = self._specification
        assigned = {key(run.hyperparameters) for run in others}
        for attempt in range(SUGGESTIONS if varying(specification) else 0):
            parts = np.random.SeedSequence([self._seed, number, attempt])
            # The last digits of a sum depend on how threads share it.
            with threadpool_limits(1):
                latent = suggest(specification, int(parts.generate_state(1)[0]), others)
            proposal = proposal_at(specification, latent)
            if self._is_new(proposal, assigned):
                return proposal
        return self._drawn(np.random.default_rng([self._seed, number]), assigned)

    def _drawn(self, random: np.random.Generator, assigned: set[str]) -> Proposal:
        """A random configuration that is possible and that no run has."""
        for _ in range(ATTEMPTS):
            proposal = proposal_at(self._specification, draw(self._specification, random))
            if self._is_new(proposal, assigned):
                return proposal
            if self._all is not None and len(assigned) >= len(self._all):
                break
        if self._all is None:
            raise Exhausted(f"{ATTEMPTS} draws in a row break a constraint or were tried before")
        remaining = [p for p in self._all if key(p.hyperparameters) not in assigned]
        if not remaining:
            raise Exhausted("every configuration of the space has been tried")
        return with_latent(self._specification, remaining[int(random.integers(len(remaining)))])

    @cached_property
    def _all(self) -> list[Proposal] | None:
        return configurations(self._specification)

    def _is_new(self, proposal: Proposal, assigned: set[str]) -> bool:
        is_assigned = key(proposal.hyperparameters) in assigned
        return not is_assigned and is_possible(self._specification, proposal)


def propose(
    specification: Specification, seed: int, number: int, others: Sequence[Observation]
) -> Proposal:
    """The hyperparameters of one run; a ConfigurationSequence is faster for many."""
    return ConfigurationSequence(specification, seed).propose(number, others)


def total_runs(specification: Specification) -> int:
    """How many runs the sweep is to have.

    Raises UserError: it has no end, or nothing in it is possible.
    """
    cap = specification.run_cap
    if specification.method == "grid":
        size = grid_size(specification)
        if min(size, cap or size) > COUNTABLE:
            raise UserError(
                f"run_cap: the grid has {size} combinations, too many for a run_cap of "
                f"{cap or 'none'}; write one of at most {COUNTABLE}, or list fewer values"
            )
        runs = ConfigurationSequence(specification, 0).size(cap)
        if not runs:
            raise UserError(
                f"no combination of the grid is possible; {_what_must_hold(specification)}"
            )
        return runs
    if cap is None:
        raise UserError(
            f"run_cap: method {specification.method} has no end of its own; add run_cap to the "
            "sweep YAML, or set sweep.run_cap in the configuration (for the first phase)"
        )
    return cap


def check_possible(specification: Specification, seed: int) -> None:
    """Makes sure that the first points, and one run at least, are possible.

    Raises UserError: no draw satisfies the constraints.
    """
    sequence = ConfigurationSequence(specification, seed)
    try:
        for number in range(max(1, len(specification.options.first))):
            sequence.propose(number, [])
    except Exhausted:
        constraints = ", ".join(repr(c.text) for c in specification.options.constraints)
        raise UserError(
            f"no configuration is possible: {_what_must_hold(specification)} "
            f"({constraints or 'there are none'}); none of {ATTEMPTS} draws does so"
        ) from None


def _what_must_hold(specification: Specification) -> str:
    trainer = "" if specification.program else "nhead must divide d_model, and "
    return f"{trainer}the constraints must hold"
