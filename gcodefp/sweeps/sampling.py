"""The configurations of a sweep: which are possible, how many, and the hyperparameters of run k.

A grid and random search are sequences, so any agent can compute any of their runs at any time.
Bayesian search is a function of (sweep, seed, k) and of the other runs' results so far.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice, starmap
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gcodefp.errors import UserError
from gcodefp.sweeps.distributions import Scalar
from gcodefp.sweeps.expressions import Expression
from gcodefp.sweeps.parameters import dotted, flatten, leaf, nest
from gcodefp.sweeps.search_options import named_values
from gcodefp.sweeps.specification import Observation, Specification, UnitPoint, varying
from gcodefp.sweeps.trainable import accepts, check_trainable

COUNTABLE = 100_000
"""A space of at most so many combinations is listed."""
ATTEMPTS = 5000
"""Draws in a row that are assigned already or impossible, before the search ends."""
SUGGESTIONS = 5
"""Suggestions in a row that are assigned already, before a random draw takes their place."""
INACTIVE_UNIT = 0.5
"""The unit coordinate of a parameter that a run does not have."""

Supports = Sequence[Sequence[Scalar]]


class Proposal(NamedTuple):
    """A run's hyperparameters, nested, and its point in the unit cube of those that vary."""

    hyperparameters: Mapping[str, Any]
    unit_point: UnitPoint


class Exhausted(Exception):
    """No configuration is left that no run has; the message gives the reason."""


def is_possible(specification: Specification, proposal: Proposal) -> bool:
    """Whether the sweep's constraints and this project's trainer, if it trains, take a run."""
    values = flatten(proposal.hyperparameters)
    has_script = specification.script is not None
    return specification.options.allow(values) and (has_script or accepts(values))


def configuration_key(value: Any) -> Hashable:
    """Equal for runs with the same hyperparameters; 16 is 16.0, but True is not 1."""
    if isinstance(value, Mapping):
        return frozenset((name, configuration_key(inner)) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return tuple(map(configuration_key, value))
    return frozenset([value]) if isinstance(value, bool) else value


# All configurations of a space.


def combinations(specification: Specification) -> int | None:
    """How many combinations of values there are, possible or not; None if infinitely many."""
    supports = _supports(specification)
    return None if supports is None else prod(map(len, supports))


def configurations(specification: Specification) -> list[Proposal] | None:
    """All possible configurations, without unit points; None if they are too many to be listed."""
    supports = _supports(specification)
    if supports is None or prod(map(len, supports)) > COUNTABLE:
        return None
    return list(_possible(specification, supports))


def grid_size(specification: Specification) -> int:
    """How many combinations a grid has, possible or not."""
    return prod(len(parameter.grid()) for parameter in specification.parameters.values())


def _supports(specification: Specification) -> Supports | None:
    """The values of each parameter; None if one has infinitely many."""
    supports = [parameter.support() for parameter in specification.parameters.values()]
    listed = [support for support in supports if support is not None]
    return listed if len(listed) == len(supports) else None


def _possible(specification: Specification, supports: Supports) -> Iterator[Proposal]:
    """All combinations that may run, each once though conditions may make several of them equal.

    Raises UserError: so many are impossible that the search for the next one ends.
    """
    seen = set()
    impossible = 0
    for combination in _product(supports):
        chosen = dict(zip(specification.parameters, combination, strict=True))
        proposal = Proposal(nest(specification.options.active(chosen)), {})
        identity = configuration_key(proposal.hyperparameters)
        if identity not in seen and is_possible(specification, proposal):
            seen.add(identity)
            yield proposal
        elif (impossible := impossible + 1) > COUNTABLE:
            raise UserError(
                f"more than {COUNTABLE} combinations break a constraint, are none for the trainer, "
                "or repeat others; narrow the values"
            )


def _product(supports: Supports) -> Iterator[tuple[Scalar, ...]]:
    """itertools.product, which would list each support first, though it may be a billion long."""
    if not supports:
        yield ()
        return
    for value in supports[0]:
        for others in _product(supports[1:]):
            yield (value, *others)


def never_true(specification: Specification) -> list[Expression]:
    """Conditions that hold for no value of what they read, or for none of so many draws."""
    parameters, random = specification.parameters, np.random.default_rng(0)
    idle = []
    for condition in specification.options.conditions.values():
        read = {p: parameters[p] for p in parameters if {leaf(p), dotted(p)} & condition.names}
        supports = [parameter.support() or [None] * (ATTEMPTS + 1) for parameter in read.values()]
        if prod(map(len, supports)) <= ATTEMPTS:
            values = (dict(zip(read, choice, strict=True)) for choice in _product(supports))
        else:
            values = (
                {path: p.value(random.random()) for path, p in read.items()}
                for _ in range(ATTEMPTS)
            )
        has_script = specification.options.has_script
        if not any(condition.holds(named_values(v, has_script)) for v in values):
            idle.append(condition)
    return idle


# Points of the unit cube, whose axes are the parameters.


def draw(specification: Specification, random: np.random.Generator) -> dict[str, float]:
    """A random point of the unit cube."""
    return {path: float(random.random()) for path in varying(specification)}


def proposal_at(
    specification: Specification, unit: UnitPoint, fixed: Mapping[str, Any] | None = None
) -> Proposal:
    """The run at a point of the unit cube; `fixed` values, by path, are taken as they are."""
    values = {
        path: p.value(unit.get(path, INACTIVE_UNIT)) for path, p in specification.parameters.items()
    }
    values = specification.options.active(values | dict(fixed or {}))
    return Proposal(
        nest(values), {path: u if path in values else INACTIVE_UNIT for path, u in unit.items()}
    )


def _with_unit_point(specification: Specification, proposal: Proposal) -> Proposal:
    """The proposal with the unit point of its values."""
    values, parameters = flatten(proposal.hyperparameters), specification.parameters
    unit = {
        path: (path in values and parameters[path].to_unit(values[path])) or INACTIVE_UNIT
        for path in varying(specification)
    }
    return proposal._replace(unit_point=unit)


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
        first = self._specification.options.first_points
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
        """How many runs a grid has, with initial configurations; counts no further than `most`."""
        return sum(1 for _ in islice(self._listed(), most))

    def _sequence(self) -> Iterator[Proposal]:
        """Each configuration once; the exception at the end gives the reason."""
        assigned = set[Hashable]()
        for proposal in self._listed():
            assigned.add(configuration_key(proposal.hyperparameters))
            yield proposal
        if self._specification.method == "grid":
            raise Exhausted("every configuration of the grid has been tried")
        random = np.random.default_rng(self._seed)
        while True:
            yield self._drawn(random, assigned)

    def _listed(self) -> Iterator[Proposal]:
        """The initial configurations, then the grid (the last key varies fastest); each once."""
        specification, seen = self._specification, set()
        first = starmap(self._completed, enumerate(specification.options.first_points))
        is_grid = specification.method == "grid"
        supports = [p.grid() for p in specification.parameters.values()] if is_grid else []
        for proposal in chain(first, _possible(specification, supports) if is_grid else ()):
            if (identity := configuration_key(proposal.hyperparameters)) not in seen:
                seen.add(identity)
                yield proposal

    def _completed(self, number: int, point: Mapping[str, Any]) -> Proposal:
        """A configuration to try first; parameters that it omits are drawn."""
        specification = self._specification
        random = np.random.default_rng([self._seed, number])
        for _ in range(ATTEMPTS):
            unit = draw(specification, random)
            for path in unit.keys() & point.keys():
                unit[path] = specification.parameters[path].to_unit(point[path]) or INACTIVE_UNIT
            proposal = proposal_at(specification, unit, point)
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
        assigned = {configuration_key(run.hyperparameters) for run in others}
        for attempt in range(SUGGESTIONS if varying(specification) else 0):
            parts = np.random.SeedSequence([self._seed, number, attempt])
            unit = suggest(specification, int(parts.generate_state(1)[0]), others)
            proposal = proposal_at(specification, unit)
            if self._add_if_new(proposal, assigned):
                return proposal
        return self._drawn(np.random.default_rng([self._seed, number]), assigned)

    def _drawn(self, random: np.random.Generator, assigned: set[Hashable]) -> Proposal:
        """A random configuration that is possible and that no run has; added to `assigned`."""
        for _ in range(ATTEMPTS):
            proposal = proposal_at(self._specification, draw(self._specification, random))
            if self._add_if_new(proposal, assigned):
                return proposal
            if self._all is not None and len(assigned) >= len(self._all):
                break
        if self._all is None:
            raise Exhausted(f"{ATTEMPTS} draws in a row break a constraint or were tried before")
        remaining = [p for p in self._all if configuration_key(p.hyperparameters) not in assigned]
        if not remaining:
            raise Exhausted("every configuration of the space has been tried")
        proposal = remaining[int(random.integers(len(remaining)))]
        assigned.add(configuration_key(proposal.hyperparameters))
        return _with_unit_point(self._specification, proposal)

    @cached_property
    def _all(self) -> list[Proposal] | None:
        return configurations(self._specification)

    def _add_if_new(self, proposal: Proposal, assigned: set[Hashable]) -> bool:
        """Whether it is possible, and no run has it; then it is added to `assigned`."""
        identity = configuration_key(proposal.hyperparameters)
        if identity in assigned or not is_possible(self._specification, proposal):
            return False
        assigned.add(identity)
        return True


def checked_total(specification: Specification, where: str, seed: int) -> int:
    """The number of runs of a sweep that can be run. Raises UserError: it cannot."""
    if specification.script is None:
        check_trainable(specification, where)
    try:
        check_possible(specification, seed)
        return total_runs(specification)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def check_possible(specification: Specification, seed: int) -> None:
    """Raises UserError: an initial configuration, or every draw, breaks the constraints."""
    sequence = ConfigurationSequence(specification, seed)
    try:
        for number in range(max(1, len(specification.options.first_points))):
            sequence.propose(number, [])
    except Exhausted:
        raise UserError(f"no configuration is possible: {_needs(specification)}") from None


def total_runs(specification: Specification) -> int:
    """How many runs the sweep is to have. Raises UserError: it has no end."""
    cap = specification.run_cap
    if specification.method == "grid":
        size = grid_size(specification)
        if min(size, cap or size) > COUNTABLE:
            raise UserError(
                f"run_cap: the grid has {size} combinations, too many for a run_cap of "
                f"{cap or 'none'}; write one of at most {COUNTABLE}, or list fewer values"
            )
        if runs := ConfigurationSequence(specification, 0).size(cap):
            return runs
        raise UserError(f"no combination of the grid is possible: {_needs(specification)}")
    if cap is None:
        raise UserError(
            f"run_cap: method {specification.method} has no end of its own; add run_cap to the "
            "sweep YAML, or set sweep.run_cap in the configuration (for the first phase)"
        )
    return cap


def _needs(specification: Specification) -> str:
    trainer = "" if specification.script else "nhead must divide d_model, and "
    constraints = ", ".join(repr(c.text) for c in specification.options.constraints)
    return f"{trainer}the constraints must hold ({constraints or 'there are none'})"
