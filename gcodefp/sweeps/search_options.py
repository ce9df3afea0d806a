"""What the configuration adds to a sweep's YAML, which stays W&B's.

Constraints that every run has to satisfy, conditions under which a parameter is drawn at all, the
configurations to try first, and the width within which a parallel search is reproducible.
"""

import argparse
import ast
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import simpleeval

from gcodefp.command_line import positive
from gcodefp.errors import UserError, did_you_mean
from gcodefp.model.hyperparameters import HYPERPARAMETERS
from gcodefp.sweeps.distributions import Parameter
from gcodefp.sweeps.values import dotted, flatten, hyperparameter_value, leaf, shown
from gcodefp.sweeps.yaml_input import load_yaml

if TYPE_CHECKING:
    from gcodefp.sweeps.specification import Specification

# Expressions over hyperparameters, such as `d_model % nhead == 0`.

MAX_EXPRESSION_LENGTH = 500
"""Characters of an expression."""
MAX_DEPTH = 50
"""Levels of an expression; Python's own recursion ends beyond some hundred."""
EXAMPLE = "write one such as 'd_model % nhead == 0'"
ALLOWED = "names, numbers, strings, lists, + - * / // %, comparisons, in, and, or, not"


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """Arithmetic as Python's, but not of strings and lists, which `*` and `%` can make huge."""

    def calculated(*values: Any) -> Any:
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{shown(value)} is not a number to calculate with")
        return function(*values)

    return calculated


ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.USub, ast.UAdd)
COMPARISONS = (
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Not,
)  # fmt: skip
OPERATORS = {
    kind: _of_numbers(function) if kind in ARITHMETIC else function
    for kind, function in simpleeval.DEFAULT_OPERATORS.items()
    if kind in ARITHMETIC + COMPARISONS
}


NODES = (
    ast.Constant, ast.Name, ast.List, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare,
)  # fmt: skip


def _evaluator() -> Any:
    """simpleeval with fewer nodes, and with names that hold a point, such as `model.d_model`."""
    evaluator = simpleeval.EvalWithCompoundTypes(operators=OPERATORS, functions={})
    evaluator.nodes = {kind: evaluator.nodes[kind] for kind in NODES}
    evaluator.nodes[ast.Attribute] = lambda node: evaluator.names[_dotted(node)]
    return evaluator


def _is_allowed(node: ast.AST) -> bool:
    if isinstance(node, ast.operator | ast.unaryop | ast.cmpop):
        return type(node) in OPERATORS
    if isinstance(node, ast.Constant):
        return isinstance(node.value, bool | int | float | str | None)
    return isinstance(node, (*NODES, ast.boolop, ast.expr_context))


class Expression:
    """A checked expression; `names` are the hyperparameters that it reads."""

    def __init__(self, text: str, valid_names: set[str], where: str) -> None:
        """Reads an expression.

        Args:
            valid_names: what it may read; `model.d_model` is in a group.
            where: its key, for messages.

        Raises UserError: it is no valid expression, or has an unknown name or operation.
        """
        self.text = text
        self.where = where
        try:
            if not isinstance(text, str) or len(text) > MAX_EXPRESSION_LENGTH:
                raise ValueError
            self._tree = ast.parse(text.strip(), mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise UserError(f"{where}: {shown(text)} is not an expression; {EXAMPLE}") from None
        self.names: set[str] = set()
        self._evaluator = _evaluator()
        self._check(self._tree, valid_names, MAX_DEPTH)

    def value(self, values: Mapping[str, Any]) -> Any:
        """Its value for these hyperparameters.

        Raises UserError: it cannot be computed, as with a string divided by a number.
        """
        self._evaluator.names = values
        try:
            return self._evaluator.eval(self.text, self._tree)
        except (simpleeval.NameNotDefined, KeyError) as error:
            name = getattr(error, "name", None) or error.args[0]
            why: Any = f"{name!r} has no value there"
        except (TypeError, ArithmeticError, simpleeval.InvalidExpression) as error:
            why = error
        read = {name: values[name] for name in sorted(self.names) if name in values}
        raise UserError(f"{self.where}: {self.text!r} for {shown(read)}: {why}")

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true for these hyperparameters.

        Raises UserError: it is neither true nor false.
        """
        value = self.value(values)
        if not isinstance(value, bool):
            raise UserError(
                f"{self.where}: {self.text!r} is {shown(value)}, neither true nor false; compare "
                f"it with something: '{self.text} == 0'"
            )
        return value

    def _check(self, node: ast.AST, valid_names: set[str], levels: int) -> None:
        name = _dotted(node)
        if levels == 0:
            raise UserError(f"{self.where}: {self.text!r} has too many levels; {EXAMPLE}")
        if name in valid_names:
            self.names.add(str(name))
        elif name is not None:
            raise UserError(
                f"{self.where}: {self.text!r}: no hyperparameter {name!r}; "
                f"{did_you_mean(name, valid_names)}"
            )
        elif not _is_allowed(node):
            part = ast.unparse(node) if isinstance(node, ast.expr) else type(node).__name__
            raise UserError(f"{self.where}: {self.text!r}: {part!r} is not allowed; use {ALLOWED}")
        else:
            for child in ast.iter_child_nodes(node):
                self._check(child, valid_names, levels - 1)


def _dotted(node: ast.AST) -> str | None:
    """`d_model` or `model.d_model`; None if the node is something else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        group = _dotted(node.value)
        return None if group is None else f"{group}.{node.attr}"
    return None


EXAMPLES = 50
Values = Mapping[str, Any]
"""Path of a parameter -> value."""


@dataclass(frozen=True)
class SearchOptions:
    """What the configuration adds to a sweep, checked.

    Attributes:
        constraints: have to be true of every run.
        conditions: path -> expression; where it is false, the run has no such parameter.
        first: values by path of the first runs; the other parameters are drawn.
        width: run k is decided by the results of the runs up to k - width alone, so that
            timing decides nothing; None is as fast as it can be.
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
        """As sweep.json holds them; `read_options` reads it again. Empty if there are none."""
        described = {
            "constraints": [constraint.text for constraint in self.constraints],
            "conditions": {path: c.text for path, c in self.conditions.items()},
            "first": [dict(values) for values in self.first],
            "width": self.width,
        }
        return {"rules": described} if any(described.values()) else {}


NO_OPTIONS = SearchOptions()


def names_of(values: Values) -> dict[str, Any]:
    """What expressions read: every value by its dotted path, and by its own name if that is unique.

    A hyperparameter that a run does not set has the trainer's default.
    """
    names = {name: setting.default for name, setting in HYPERPARAMETERS.items()}
    own = Counter(leaf(path) for path in values)
    names |= {leaf(path): value for path, value in values.items() if own[leaf(path)] == 1}
    return names | {dotted(path): value for path, value in values.items()}


def read_options(
    parameters: Mapping[str, Parameter],
    constraints: Sequence[Any] = (),
    conditions: Mapping[str, Any] | None = None,
    first: Sequence[Any] = (),
    width: int | None = None,
) -> SearchOptions:
    """Checks the rules of a sweep with these parameters.

    Raises UserError: it names the key below `sweep` in the configuration, and the value.
    """
    names = set(names_of(dict.fromkeys(parameters)))
    checked = [Expression(t, names, f"sweep.constraints[{i}]") for i, t in enumerate(constraints)]
    texts = _by_path(conditions or {}, parameters, "sweep.conditions")
    when = {path: Expression(t, names, f"sweep.conditions.{n}") for path, (n, t) in texts.items()}
    _check_chain(when)
    points = tuple(_first(point, parameters, f"sweep.first[{i}]") for i, point in enumerate(first))
    options = SearchOptions(tuple(checked), when, points, width)
    random = np.random.default_rng(0)
    for _ in range(EXAMPLES):
        values = {path: parameter.value(random.random()) for path, parameter in parameters.items()}
        options.allow(options.active(values))  # A string divided by a number fails now.
    return options


def _by_path(
    values: Mapping[str, Any], paths: Iterable[str], where: str
) -> dict[str, tuple[str, Any]]:
    """Names and values by the path that each name means, which may be dotted or slashed."""
    by_path: dict[str, tuple[str, Any]] = {}
    for name, value in values.items():
        wanted = dotted(str(name))
        meant = [path for path in paths if wanted in (dotted(path), leaf(path))]
        if len(meant) != 1:
            hint = "it is in several groups" if meant else did_you_mean(wanted, map(dotted, paths))
            raise UserError(f"{where}: {shown(name)} is not a parameter of the sweep; {hint}")
        if meant[0] in by_path:
            raise UserError(f"{where}: {name} and {by_path[meant[0]][0]} are the same; keep one")
        by_path[meant[0]] = name, value
    return by_path


def _check_chain(conditions: Mapping[str, Expression]) -> None:
    names = {name for path in conditions for name in (leaf(path), dotted(path))}
    for condition in conditions.values():
        if conditional := sorted(condition.names & names):
            raise UserError(
                f"{condition.where}: {condition.text!r} depends on {conditional[0]}, which has a "
                "condition itself; write both conditions in one expression with `and`"
            )


def _first(point: Any, parameters: Mapping[str, Parameter], where: str) -> dict[str, Any]:
    if not isinstance(point, Mapping) or not point:
        raise UserError(f"{where}: {shown(point)} must map hyperparameters to values")
    values = {}
    for path, (name, value) in _by_path(flatten(point), parameters, where).items():
        try:
            hyperparameter_value(value)
        except ValueError as error:
            raise UserError(f"{where}.{name}: {error}") from None
        latent = parameters[path].latent(value)
        if latent is None:
            limits = ", ".join(f"{k} {shown(v)}" for k, v in parameters[path].describe().items())
            raise UserError(f"{where}.{name}: {shown(value)} is not in the sweep's range: {limits}")
        is_listed = parameters[path].choices or parameters[path].is_quantized
        # As the sweep has it: 64 where 64.0 was written.
        values[path] = parameters[path].value(latent) if is_listed else value
    return values


# The same rules as flags of a command.


def add_option_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `sweep` in the configuration that are not in the YAML."""
    group = parser.add_argument_group("rules besides the YAML; all but --width may repeat")
    for name, text in (
        ("constraint", "'d_model %% nhead == 0', true of every run"),
        ("condition", "\"momentum: optimizer == 'sgd'\", when the parameter is drawn"),
        ("first", "'{learning_rate: 0.004}', a configuration to try first"),
    ):
        group.add_argument(f"--{name}", action="append", default=[], help=text)
    group.add_argument("--width", type=positive, help="runs at a time, of a reproducible search")


def with_options(
    specification: "Specification",
    arguments: argparse.Namespace,
    first: Sequence[str] | None = None,
) -> "Specification":
    """The sweep with the rules that these flags ask for.

    Args:
        first: instead of the first points that the flags name.

    Raises UserError: a flag is not what it should be.
    """
    conditions: dict[str, Any] = {}
    for text in arguments.condition:
        name, separator, expression = text.partition(":")
        if not separator:
            raise UserError(f'--condition {text!r}: write "NAME: EXPRESSION"')
        if name.strip() in conditions:
            raise UserError(f"--condition {text!r}: {name.strip()} has one already; keep one")
        conditions[name.strip()] = expression.strip()
    options = read_options(
        specification.parameters,
        constraints=arguments.constraint,
        conditions=conditions,
        first=[_mapping(text) for text in (arguments.first if first is None else first)],
        # Runs that depend on no results are bit-identical without it.
        width=arguments.width if specification.depends_on_results else None,
    )
    if arguments.width and specification.impute_while_running:
        raise UserError(
            "metric.impute_while_running depends on timing; remove it, or set no sweep.width"
        )
    return replace(specification, options=options)


def _mapping(text: str) -> Mapping[str, Any]:
    value = load_yaml(text, f"--first {text!r}")
    if not isinstance(value, Mapping):
        raise UserError(f"--first {text!r}: write a mapping such as '{{learning_rate: 0.004}}'")
    return value
