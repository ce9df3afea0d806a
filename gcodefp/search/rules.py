"""What the configuration adds to a sweep's YAML, which stays W&B's.

Constraints that every run has to satisfy, conditions under which a parameter is drawn at all, the
configurations to try first, and the width within which a parallel search is reproducible.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gcodefp.errors import UserError, did_you_mean
from gcodefp.learning.hyperparameters import KNOWN
from gcodefp.search.distributions import Parameter
from gcodefp.search.expressions import Expression
from gcodefp.search.nesting import SEPARATOR, flatten, leaf
from gcodefp.search.scalars import reject_text_number

EXAMPLES = 50
Values = Mapping[str, Any]
"""Path of a parameter -> value."""


@dataclass(frozen=True)
class Rules:
    """The rules of a sweep, checked.

    Attributes:
        constraints: have to be true of every run.
        conditions: path -> expression; where it is false, the parameter is left out of the run.
        first: the values, by path, that the first runs get; what they leave out is drawn.
        width: run k is decided by the results of the runs up to k - width alone, so that as many
            agents work at once and timing decides nothing; None is as fast as it can be.
    """

    constraints: tuple[Expression, ...] = ()
    conditions: Mapping[str, Expression] = field(default_factory=dict)
    first: tuple[Values, ...] = ()
    width: int | None = None

    def active(self, values: Values) -> dict[str, Any]:
        """The values without those whose condition is false."""
        if not self.conditions:
            return dict(values)
        names = names_of(values)
        return {
            path: value
            for path, value in values.items()
            if path not in self.conditions or self.conditions[path].holds(names)
        }

    def allow(self, values: Values) -> bool:
        """Whether all constraints are true of a run."""
        names = names_of(values) if self.constraints else {}
        return all(constraint.holds(names) for constraint in self.constraints)

    def describe(self) -> dict[str, Any]:
        """As sweep.json holds them; `read_rules` reads it again. Empty if there are none."""
        described = {
            "constraints": [constraint.text for constraint in self.constraints],
            "conditions": {path: c.text for path, c in self.conditions.items()},
            "first": [dict(values) for values in self.first],
            "width": self.width,
        }
        return {"rules": described} if any(described.values()) else {}


NO_RULES = Rules()


def names_of(values: Values) -> dict[str, Any]:
    """What expressions read: every value by its dotted path, and by its own name if that is clear.

    What a run leaves open has the trainer's default.
    """
    names = {name: known.default for name, known in KNOWN.items()}
    own = Counter(leaf(path) for path in values)
    names |= {leaf(path): value for path, value in values.items() if own[leaf(path)] == 1}
    return names | {path.replace(SEPARATOR, "."): value for path, value in values.items()}


def read_rules(
    parameters: Mapping[str, Parameter],
    constraints: Sequence[Any] = (),
    conditions: Mapping[str, Any] | None = None,
    first: Sequence[Any] = (),
    width: int | None = None,
) -> Rules:
    """Checks the rules of a sweep with these parameters.

    Raises:
        UserError: it names the key below `sweep` in the configuration, and the value.
    """
    known = set(names_of(dict.fromkeys(parameters)))
    checked = tuple(
        Expression(text, known, f"sweep.constraints[{index}]")
        for index, text in enumerate(constraints)
    )
    when = {
        _path(name, parameters, "sweep.conditions"): Expression(
            text, known, f"sweep.conditions.{name}"
        )
        for name, text in (conditions or {}).items()
    }
    _check_chain(when)
    points = tuple(_first(point, parameters, f"sweep.first[{i}]") for i, point in enumerate(first))
    rules = Rules(checked, when, points, width)
    for values in _examples(parameters):
        rules.allow(rules.active(values))  # A text divided by a number is told now.
    return rules


def _examples(parameters: Mapping[str, Parameter]) -> Iterator[Values]:
    random = np.random.default_rng(0)
    for _ in range(EXAMPLES):
        yield {path: parameter.value(random.random()) for path, parameter in parameters.items()}


def _path(name: str, paths: Iterable[str], where: str) -> str:
    """The path that a user means by a name, a dotted or a slashed path."""
    wanted = str(name).replace(".", SEPARATOR)
    meant = [p for p in paths if wanted in (p.replace(".", SEPARATOR), leaf(p))]
    if len(meant) != 1:
        known = [p.replace(SEPARATOR, ".") for p in paths]
        hint = "it is in several groups" if meant else did_you_mean(str(name), known)
        raise UserError(f"{where}: {name!r} is no parameter of the sweep; {hint}")
    return meant[0]


def _check_chain(conditions: Mapping[str, Expression]) -> None:
    names = {name for path in conditions for name in (leaf(path), path.replace(SEPARATOR, "."))}
    for condition in conditions.values():
        if conditional := sorted(condition.names & names):
            raise UserError(
                f"{condition.where}: {condition.text!r} depends on {conditional[0]}, which has a "
                "condition itself; write both conditions in one expression with `and`"
            )


def _first(point: Any, parameters: Mapping[str, Parameter], where: str) -> dict[str, Any]:
    if not isinstance(point, Mapping) or not point:
        raise UserError(f"{where}: {point!r} must map hyperparameters to values")
    values = {}
    for name, value in flatten(point).items():
        path = _path(name, parameters, where)
        reject_text_number(value, f"{where}.{name}")
        latent = parameters[path].latent(value)
        if latent is None:
            told = ", ".join(f"{k} {v}" for k, v in parameters[path].describe().items())
            raise UserError(f"{where}.{name}: {value!r} is not in the sweep's range: {told}")
        is_listed = parameters[path].choices or parameters[path].is_quantized
        # As the sweep has it: 64 where 64.0 was written.
        values[path] = parameters[path].value(latent) if is_listed else value
    return values
