from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcodefp.errors import UserError
from gcodefp.sweeps.rules import LONGEST, Expression

NAMES: dict[str, Any] = {"d_model": 64, "nhead": 4, "optimizer": "sgd", "model.depth": 3, "x": 0.5}
WHERE = "sweep.constraints[0]"


def expression(text: str) -> Expression:
    return Expression(text, set(NAMES), WHERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("d_model % nhead == 0", True),
        ("d_model % 5", 4),
        ("d_model / nhead", 16.0),
        ("d_model // 5 - 2 * nhead + 1", 5),
        ("-x + +1", 0.5),
        ("1 < nhead < 4", False),
        ("1 < nhead <= 4 != 5", True),
        ("optimizer == 'sgd' and model.depth >= 3", True),
        ("optimizer in ['adam', 'adamw'] or not x > 1", True),
        ("optimizer not in ('adam', 'sgd')", False),
        ("nhead in [2, x * 8]", True),
        ("True and None == None", True),
        (" nhead > 3 ", True),
        # The rest is not reached, as in Python.
        ("nhead == 4 or 1 / 0", True),
        ("nhead != 4 and 1 / 0", False),
        ("5 < nhead < 1 / 0", False),
    ],
)
def test_values_are_those_of_python(text: str, value: Any) -> None:
    assert expression(text).value(NAMES) == value


OPERATORS = ["+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "and", "or"]
NUMBERS = st.integers(-9, 9)
TEXTS = st.recursive(
    NUMBERS.map(str) | st.sampled_from(["a", "b"]),
    lambda inner: (
        st.builds(
            "({} {} {})".format,
            inner,
            st.sampled_from(OPERATORS),
            inner,
        )
        | st.builds("({} {})".format, st.sampled_from(["-", "+", "not"]), inner)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(text=TEXTS, a=NUMBERS, b=NUMBERS)
def test_any_arithmetic_is_python_s(text: str, a: int, b: int) -> None:
    made = Expression(text, {"a", "b"}, WHERE)
    try:
        wanted = eval(text, {"__builtins__": {}}, {"a": a, "b": b})
    except ArithmeticError:
        with pytest.raises(UserError, match="zero"):
            made.value({"a": a, "b": b})
        return
    assert made.value({"a": a, "b": b}) == wanted


def test_the_names_that_are_read() -> None:
    assert expression("d_model % nhead == 0 and model.depth > 1").names == {
        "d_model", "nhead", "model.depth",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('x')",
        "().__class__",
        "nhead.__class__",
        "x if x else x",
        "[y for y in (1, 2)]",
        "lambda: 1",
        "(y := 4)",
        "d_model ** 9 ** 9",
        "1 << 99",
        "~nhead",
        "f'{nhead}'",
        "nhead[0]",
        "{1: 2}",
        "{1, 2}",
        "[*nhead]",
        "b'x'",
        "1j",
        "...",
        "nhead is 4",
        "await nhead",
    ],
)
def test_nothing_is_called_or_looked_up(text: str) -> None:
    with pytest.raises(UserError) as error:
        expression(text)
    assert str(error.value).startswith(f"{WHERE}: {text!r}")


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "nhead ==", "nhead = 4", "import os", "1; 2", "a b", "\0", None, 4, ["nhead"]),
        "1 + " * LONGEST + "1",
        "(" * 249 + "1" + ")" * 249,
    ],
)
def test_what_is_no_expression(text: Any) -> None:
    with pytest.raises(UserError, match=r"is no expression; write one such as 'd_model % nhead"):
        Expression(text, set(NAMES), WHERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-" * (LONGEST - 1) + "1", 1 if LONGEST % 2 else -1),
        ("not " * 100 + "nhead", True),
        ("1" + "+1" * (LONGEST // 2 - 1), LONGEST // 2),
        ("(1 and " * 60 + "1" + ")" * 60, True),
    ],
)
def test_the_deepest_expression_is_read(text: str, value: int) -> None:
    assert expression(text).value(NAMES) == value


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no hyperparameter 'nheads'; did you mean 'nhead'\?"):
        expression("d_model % nheads == 0")
    with pytest.raises(UserError, match=r"no hyperparameter 'modl.depth'; did you mean 'model.d"):
        expression("modl.depth == 0")


@pytest.mark.parametrize("text", ["optimizer / 2", "1 / (nhead - 4)", "3 in nhead", "'a' < 1"])
def test_what_cannot_be_computed_is_told_with_the_values(text: str) -> None:
    made = expression(text)
    with pytest.raises(UserError) as error:
        made.value(NAMES)
    assert str(error.value).startswith(f"{WHERE}: {text!r} for {{")
    for name in made.names:
        assert f"{name!r}: {NAMES[name]!r}" in str(error.value)


def test_a_name_without_a_value_is_told_unless_it_is_not_reached() -> None:
    """A conditional hyperparameter that a run does not have."""
    names = {key: value for key, value in NAMES.items() if key != "x"}
    assert expression("nhead == 4 or x > 1").value(names) is True
    with pytest.raises(UserError, match=r"for {'nhead': 4}: 'x' has no value there"):
        expression("nhead == 4 and x > 1").value(names)
