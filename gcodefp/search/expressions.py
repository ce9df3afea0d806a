"""Expressions over hyperparameters, such as `d_model % nhead == 0`.

They are Python's, read as a syntax tree and evaluated by this module: arithmetic, comparisons,
`and`, `or`, `not`, `in`, numbers, texts, lists and names; nothing is called, nothing is looked up.
"""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from gcodefp.errors import UserError, did_you_mean

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
