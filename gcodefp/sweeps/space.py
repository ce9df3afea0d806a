"""The configurations of a sweep: which are possible, and how many."""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gcodefp.errors import UserError
from gcodefp.sweeps.distributions import Scalar
from gcodefp.sweeps.expressions import Expression
from gcodefp.sweeps.search_options import names_of
from gcodefp.sweeps.specification import Specification
from gcodefp.sweeps.trainable import accepts
from gcodefp.sweeps.values import dotted, flatten, leaf, nest

COUNTABLE = 100_000
"""A space of at most so many combinations is listed."""
DRAWS = 5000
"""A condition that none of so many combinations satisfies is never true."""
INACTIVE_LATENT = 0.5
"""The latent number of a parameter that a run does not have, in the middle of (0, 1)."""

Latent = Mapping[str, float]


class Proposal(NamedTuple):
    """A run's hyperparameters, nested, and the latent number of each parameter that varies."""

    hyperparameters: Mapping[str, Any]
    latent: Latent


def varying(specification: Specification) -> list[str]:
    """The paths of the parameters that have more than one value."""
    return [path for path, p in specification.parameters.items() if len(p.choices) != 1]


def is_possible(specification: Specification, proposal: Proposal) -> bool:
    """Whether the sweep's constraints and this project's trainer, if it trains, take a run."""
    values = flatten(proposal.hyperparameters)
    is_external = specification.program is not None
    return specification.options.allow(values) and (is_external or accepts(values))


def combinations(specification: Specification) -> int | None:
    """How many combinations of values there are, possible or not; None if infinitely many."""
    supports = _supports(specification)
    return None if supports is None else prod(map(len, supports))


def configurations(specification: Specification) -> list[Proposal] | None:
    """All possible configurations, without latents; None if they are too many to be listed."""
    supports = _supports(specification)
    if supports is None or prod(map(len, supports)) > COUNTABLE:
        return None
    return list(_possible(specification, supports))


def grid_size(specification: Specification) -> int:
    """How many combinations a grid has, possible or not."""
    return prod(len(parameter.grid()) for parameter in specification.parameters.values())


def grid(specification: Specification) -> Iterator[Proposal]:
    """A grid's configurations: keys sorted, the last varies fastest."""
    return _possible(specification, [p.grid() for p in specification.parameters.values()])


def never_true(specification: Specification) -> list[Expression]:
    """Conditions that hold for no value of what they read, or for none of so many draws."""
    parameters, random = specification.parameters, np.random.default_rng(0)
    idle = []
    for condition in specification.options.conditions.values():
        read = {p: parameters[p] for p in parameters if {leaf(p), dotted(p)} & condition.names}
        supports = [parameter.support() for parameter in read.values()]
        listed = [support for support in supports if support is not None]
        if len(listed) == len(supports) and prod(map(len, listed)) <= DRAWS:
            combinations = _product(listed)
        else:
            combinations = (
                tuple(p.value(random.random()) for p in read.values()) for _ in range(DRAWS)
            )
        values = (dict(zip(read, c, strict=True)) for c in combinations)
        is_external = specification.options.is_external
        if not any(condition.holds(names_of(v, is_external)) for v in values):
            idle.append(condition)
    return idle


def with_latent(specification: Specification, proposal: Proposal) -> Proposal:
    """The proposal with the latent number of each of its values."""
    values, parameters = flatten(proposal.hyperparameters), specification.parameters
    latent = {
        path: (parameters[path].latent(values[path]) or INACTIVE_LATENT)
        if path in values
        else INACTIVE_LATENT
        for path in varying(specification)
    }
    return proposal._replace(latent=latent)


def proposal_at(
    specification: Specification, latent: Latent, fixed: Mapping[str, Any] | None = None
) -> Proposal:
    """The run behind latent numbers; `fixed` values, by path, are taken as they are."""
    values = {
        path: p.value(latent.get(path, INACTIVE_LATENT))
        for path, p in specification.parameters.items()
    }
    values = specification.options.active(values | dict(fixed or {}))
    return Proposal(
        nest(values), {path: u if path in values else INACTIVE_LATENT for path, u in latent.items()}
    )


def draw(specification: Specification, random: np.random.Generator) -> dict[str, float]:
    """Random latent numbers."""
    return {path: float(random.random()) for path in varying(specification)}


def key(hyperparameters: Mapping[str, Any]) -> str:
    """Equal for runs with the same hyperparameters; 16 is 16.0, but True is not 1."""
    return json.dumps(_canonical(hyperparameters), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _canonical(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _supports(specification: Specification) -> list[Sequence[Scalar]] | None:
    """The values of each parameter; None if one has infinitely many."""
    supports = []
    for parameter in specification.parameters.values():
        if (support := parameter.support()) is None:
            return None
        supports.append(support)
    return supports


def _possible(
    specification: Specification, supports: Sequence[Sequence[Scalar]]
) -> Iterator[Proposal]:
    """All combinations that may run, each once though conditions may make several of them equal.

    Raises UserError: so many are impossible that the search for the next one ends.
    """
    seen = set()
    impossible = 0
    for combination in _product(supports):
        chosen = dict(zip(specification.parameters, combination, strict=True))
        proposal = Proposal(nest(specification.options.active(chosen)), {})
        identity = key(proposal.hyperparameters)
        if identity not in seen and is_possible(specification, proposal):
            seen.add(identity)
            yield proposal
        elif (impossible := impossible + 1) > COUNTABLE:
            raise UserError(
                f"more than {COUNTABLE} combinations break a constraint, are none for the trainer, "
                "or repeat others; narrow the values"
            )


def _product(supports: Sequence[Sequence[Scalar]]) -> Iterator[tuple[Scalar, ...]]:
    """itertools.product, which would list each support first, though it may be a billion long."""
    if not supports:
        yield ()
        return
    for value in supports[0]:
        for others in _product(supports[1:]):
            yield (value, *others)
