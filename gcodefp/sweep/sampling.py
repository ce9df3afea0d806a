"""What run k of a sweep gets.

A grid and random search are functions of (sweep, seed, k) alone, so any agent may ask at any time.
Bayesian search is a function of that and of what the runs before k have shown so far.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, NamedTuple

import numpy as np

from gcodefp.errors import UserError
from gcodefp.learning.hyperparameters import hyperparameters_from
from gcodefp.sweep.distributions import Scalar
from gcodefp.sweep.specification import Specification

ATTEMPTS = 1000
"""Draws in a row that were all there already, after which a space counts as exhausted."""

Latent = Mapping[str, float]


class Proposal(NamedTuple):
    """A run's hyperparameters and the latent numbers, one per varying parameter, behind them."""

    hyperparameters: Mapping[str, Scalar]
    latent: Latent


class Earlier(NamedTuple):
    """A run before k: what it was given, and its loss (lower is better); None while it runs.

    A failed run has an infinite loss.
    """

    hyperparameters: Mapping[str, Any]
    latent: Latent
    loss: float | None


class Exhausted(Exception):
    """There is no configuration that was not given out already."""


def grid_size(specification: Specification) -> int:
    """How many possible configurations a grid has."""
    return sum(1 for _ in _possible_grid(specification))


def propose(
    specification: Specification, seed: int, number: int, earlier: Sequence[Earlier]
) -> Proposal:
    """What run `number` gets.

    Args:
        earlier: all runs with smaller numbers; only Bayesian search looks at them.

    Raises:
        Exhausted: the space has no further configuration.
    """
    if specification.method == "grid":
        return _grid(specification, number)
    if specification.method == "random":
        return _random(specification, seed, number)
    from gcodefp.sweep.bayes import suggest  # Optuna is imported for Bayesian search only

    known = {_key(run.hyperparameters) for run in earlier}
    for attempt in range(ATTEMPTS):
        if attempt < ATTEMPTS // 50:
            latent = suggest(specification, _seed(seed, number, attempt), earlier)
        else:  # The sampler insists on what is there already.
            latent = _draw(specification, np.random.default_rng([seed, number, attempt]))
        proposal = _proposal(specification, latent)
        if _key(proposal.hyperparameters) not in known and is_possible(proposal.hyperparameters):
            return proposal
    raise Exhausted


def is_possible(hyperparameters: Mapping[str, Any]) -> bool:
    """Whether the trainer takes the combination; nhead, for one, has to divide d_model."""
    try:
        hyperparameters_from(hyperparameters)
    except UserError:
        return False
    return True


def varying(specification: Specification) -> list[str]:
    """The parameters that have more than one value."""
    return [name for name, p in specification.parameters.items() if len(p.choices) != 1]


def _grid(specification: Specification, number: int) -> Proposal:
    """Keys sorted, the last varies fastest; impossible combinations are left out."""
    possible = islice(_possible_grid(specification), number, None)
    if (chosen := next(possible, None)) is None:
        raise Exhausted
    return Proposal(chosen, {})


def _possible_grid(specification: Specification) -> Iterator[dict[str, Scalar]]:
    names = list(specification.parameters)
    values = (parameter.grid() for parameter in specification.parameters.values())
    for combination in product(*values):
        chosen = dict(zip(names, combination, strict=True))
        if is_possible(chosen):
            yield chosen


def _random(specification: Specification, seed: int, number: int) -> Proposal:
    """The number-th distinct configuration of a fixed sequence of draws."""
    known: set[str] = set()
    random = np.random.default_rng(seed)
    misses = 0
    while misses < ATTEMPTS:
        proposal = _proposal(specification, _draw(specification, random))
        key = _key(proposal.hyperparameters)
        if key in known or not is_possible(proposal.hyperparameters):
            misses += 1
        elif len(known) == number:
            return proposal
        else:
            known.add(key)
            misses = 0
    raise Exhausted


def _draw(specification: Specification, random: np.random.Generator) -> dict[str, float]:
    return {name: float(random.random()) for name in varying(specification)}


def _proposal(specification: Specification, latent: Latent) -> Proposal:
    values = {n: p.value(latent.get(n, 0.5)) for n, p in specification.parameters.items()}
    return Proposal(values, latent)


def _key(hyperparameters: Mapping[str, Any]) -> str:
    return json.dumps(hyperparameters, sort_keys=True)


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def total_runs(specification: Specification) -> int:
    """How many runs the sweep is to have.

    Raises:
        UserError: it has no end.
    """
    if specification.method == "grid":
        size = grid_size(specification)
        if not size:
            raise UserError("no combination of the grid is possible; nhead must divide d_model")
        return min(size, specification.run_cap or size)
    if specification.run_cap is None:
        raise UserError(
            f"run_cap: method {specification.method} has no end of its own; add run_cap to the "
            "sweep YAML, or set sweep.run_cap in the configuration"
        )
    return specification.run_cap
