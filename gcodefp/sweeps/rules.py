"""What the configuration adds to a sweep's YAML, which stays W&B's.

Constraints that every run has to satisfy, conditions under which a parameter is drawn at all, the
configurations to try first, and the width within which a parallel search is reproducible.
"""

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gcodefp.errors import UserError, did_you_mean
from gcodefp.model.hyperparameters import KNOWN
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.values import SEPARATOR, flatten, leaf, reject_text_number

# Expressions over hyperparameters, such as `d_model % nhead == 0`.
#
# They are Python's, read as a syntax tree and evaluated by this module: arithmetic, comparisons,
# `and`, `or`, `not`, `in`, numbers, texts, lists and names; nothing is called, nothing is looked
# up.

Names = Mapping[str, Any]

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
LONGEST = 500
"""Characters; a deeper tree than these can make would end Python's own recursion."""


class Expression:
    """A checked expression; `names` are the hyperparameters that it reads."""

    def __init__(self, text: str, known: set[str], where: str) -> None:
        """Reads an expression.

        Args:
            known: the names that it may read; `model.d_model` is one of a nested block.
            where: the key that it stands under, for the error message.

        Raises:
            UserError: it is no expression, or reads or does what is not known.
        """
        self.text = text
        self.where = where
        try:
            if not isinstance(text, str) or len(text) > LONGEST:
                raise ValueError
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError):
            raise UserError(
                f"{where}: {text!r} is no expression; write one such as 'd_model % nhead == 0'"
            ) from None
        self.names: set[str] = set()
        self._check(self._tree, known)

    def value(self, names: Names) -> Any:
        """Its value for these hyperparameters.

        Raises:
            UserError: it cannot be computed, as with a text divided by a number.
        """
        try:
            return _evaluate(self._tree, names)
        except (TypeError, ArithmeticError, KeyError) as error:
            values = {name: names[name] for name in sorted(self.names) if name in names}
            why = f"{error} has no value there" if isinstance(error, KeyError) else error
            raise UserError(f"{self.where}: {self.text!r} for {values}: {why}") from None

    def holds(self, names: Names) -> bool:
        """Whether it is true for these hyperparameters.

        Raises:
            UserError: it is neither true nor false.
        """
        value = self.value(names)
        if not isinstance(value, bool):
            raise UserError(
                f"{self.where}: {self.text!r} is {value!r}, neither true nor false; compare it "
                f"with something: '{self.text} == 0'"
            )
        return value

    def _check(self, node: ast.expr, known: set[str]) -> None:
        name = _dotted(node)
        if name is not None:
            if name not in known:
                raise UserError(
                    f"{self.where}: {self.text!r}: no hyperparameter {name!r}; "
                    f"{did_you_mean(name, known)}"
                )
            self.names.add(name)
            return
        if not _is_allowed(node):
            raise UserError(
                f"{self.where}: {self.text!r}: {ast.unparse(node)!r} is not allowed; use names, "
                "numbers, texts, lists, + - * / // %, comparisons, in, and, or, not"
            )
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._check(child, known)


def _dotted(node: ast.expr) -> str | None:
    """`d_model` or `model.d_model`; None if the node is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        group = _dotted(node.value)
        return None if group is None else f"{group}.{node.attr}"
    return None


def _is_allowed(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None):
            return True
        case ast.BoolOp() | ast.List() | ast.Tuple():
            return True
        case ast.UnaryOp(op=op):
            return type(op) in UNARY
        case ast.BinOp(op=op):
            return type(op) in BINARY
        case ast.Compare(ops=ops):
            return all(type(op) in COMPARE for op in ops)
    return False


def _evaluate(node: ast.expr, names: Names) -> Any:
    """The node's value; `and`, `or` and chains of comparisons end early, as in Python."""
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            return [_evaluate(element, names) for element in elements]
        case ast.UnaryOp(op=op, operand=operand):
            return UNARY[type(op)](_evaluate(operand, names))
        case ast.BinOp(left=left, op=op2, right=right):
            return BINARY[type(op2)](_evaluate(left, names), _evaluate(right, names))
        case ast.BoolOp(op=op1, values=values):
            for part in values:
                value = _evaluate(part, names)
                if bool(value) == isinstance(op1, ast.Or):
                    break
            return value
        case ast.Compare(left=left, ops=ops, comparators=others):
            value = _evaluate(left, names)
            for op3, other in zip(ops, others, strict=True):
                right_value = _evaluate(other, names)
                if not COMPARE[type(op3)](value, right_value):
                    return False
                value = right_value
            return True
    return names[str(_dotted(node))]


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
