"""Expressions of the configuration: over hyperparameters, and over the metrics of an epoch."""

import ast
import keyword
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import simpleeval

from gcodefp.errors import UserError, did_you_mean, shown
from gcodefp.model.hyperparameters import LOGGED_METRICS

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
DEFAULTS = simpleeval.DEFAULT_OPERATORS
OPERATORS: dict[type, Any] = {kind: _of_numbers(DEFAULTS[kind]) for kind in ARITHMETIC}
OPERATORS |= {kind: DEFAULTS[kind] for kind in COMPARISONS}
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
        """Checks what it may read (`model.d_model` is in a group); `where` is its key.

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


# Metrics that are combined from those of an epoch, such as `0.7 * val/aligned_acc - val/loss`.

METRIC = re.compile(r"(?<![\w./])[A-Za-z_]\w*(?:/[A-Za-z_]\w*)*")
"""A metric's name in an expression; a division needs spaces around its `/`."""
COMBINED_NAME = re.compile(r"[A-Za-z_][\w./-]{0,99}")
COLUMNS = (*LOGGED_METRICS, "epoch", "seconds")
PROBES = (0.5, 0.3)
"""Values of all metrics with which a new expression is tried."""


@dataclass(frozen=True)
class CombinedMetrics:
    """Metrics of an epoch that are computed from others; `texts` are the expressions by name."""

    texts: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The combined metrics of which all parts are there; NaN where one has no value."""
        values = {name.replace("/", "."): value for name, value in metrics.items()}
        return {
            name: _number(expression, values)
            for name, text in self.texts.items()
            if (expression := _read(name, text, "sweep.combined")).names <= values.keys()
        }


def read_combined(texts: Mapping[str, Any], where: str = "sweep.combined") -> CombinedMetrics:
    """Checks expressions over logged metrics, by the name of what they combine.

    Raises UserError: it names the key and the value.
    """
    for name, text in texts.items():
        if name in COLUMNS or not COMBINED_NAME.fullmatch(str(name)):
            raise UserError(
                f"{where}: {shown(name)} is logged already, or no name; choose another such as "
                "combined_score"
            )
        expression = _read(name, text, where)
        for probe in PROBES:
            value = expression.value({metric.replace("/", "."): probe for metric in LOGGED_METRICS})
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{where}.{name}: {text!r} is {shown(value)}, and not a number")
    return CombinedMetrics(dict(texts))


def _read(name: str, text: Any, where: str) -> Expression:
    """The expression; a name's `/` is read as the `.` of a group."""
    where = f"{where}.{name}"
    names = set(METRIC.findall(str(text)))
    for unknown in sorted(names - set(LOGGED_METRICS) - set(keyword.kwlist)):
        raise UserError(
            f"{where}: {text!r}: no metric {unknown!r}; {did_you_mean(unknown, LOGGED_METRICS)}; "
            "a division needs spaces around its /"
        )
    valid = {metric.replace("/", ".") for metric in LOGGED_METRICS}
    is_text = isinstance(text, str)
    source = METRIC.sub(lambda match: match[0].replace("/", "."), text) if is_text else text
    return Expression(source, valid, where)


def _number(expression: Expression, values: Mapping[str, float]) -> float:
    """NaN where it cannot be computed, as with a division by zero."""
    try:
        return float(expression.value(values))
    except (UserError, OverflowError):
        return math.nan
