from typing import Any

import pytest

from gcodefp.errors import UserError
from gcodefp.sweeps.expressions import MAX_EXPRESSION_LENGTH, Expression

NAMES: dict[str, Any] = {"d_model": 64, "nhead": 4, "optimizer": "sgd", "model.depth": 3, "x": 0.5}
WHERE = "sweep.constraints[0]"


def expression(text: Any) -> Expression:
    return Expression(text, set(NAMES), WHERE)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("d_model % nhead == 0", True),
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


def test_names_that_are_read() -> None:
    names = expression("d_model % nhead == 0 and model.depth > 1").names
    assert names == {"d_model", "nhead", "model.depth"}


@pytest.mark.parametrize(
    "text",
    [
        *("__import__('os').system('true')", "open('x')", "().__class__", "nhead.__class__"),
        *("x if x else x", "[y for y in (1, 2)]", "lambda: 1", "(y := 4)", "9 ** 9 ** 9"),
        *("1 << 99", "~nhead", "f'{nhead}'", "nhead[0]", "{1: 2}", "{1, 2}", "[*nhead]"),
        *("b'x'", "1j", "...", "nhead is 4", "await nhead"),
        # No expression at all, too long or too deep.
        *("", " ", "nhead ==", "nhead = 4", "import os", "1; 2", "a b", "\0", None, 4, ["nhead"]),
        *("1 + " * MAX_EXPRESSION_LENGTH + "1", "(" * 249 + "1" + ")" * 249),
        "-" * (MAX_EXPRESSION_LENGTH - 1) + "1",
        *("not " * 100 + "nhead", "1" + "+1" * 249, "'" + "a" * 10**6 + "'"),
    ],
)
def test_anything_else_is_refused_with_key_and_text(text: Any) -> None:
    with pytest.raises(UserError) as error:
        expression(text)
    message = str(error.value)
    assert message.startswith(f"{WHERE}: {text!r}"[:200])
    assert len(message) < 1000


@pytest.mark.parametrize(
    "text",
    [
        *("optimizer / 2", "1 / (nhead - 4)", "3 in nhead", "'a' < 1", "-optimizer"),
        *("[0] * 300000000", "'%2000000000d' % x", "optimizer + 'x'", "[[0] * 9] * 9"),
        *("9" * 400 + " / x", "True + 1", "nhead * (x > 0)", "-(nhead == 4)", "[1] < 2"),
    ],
)
def test_what_cannot_be_computed_is_named_with_its_values(text: str) -> None:
    made = expression(text)
    with pytest.raises(UserError) as error:
        made.value(NAMES)
    assert str(error.value).startswith(f"{WHERE}: {text!r} for {{")
    for name in made.names:
        assert f"{name!r}: {NAMES[name]!r}" in str(error.value)


def test_unknown_name_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no hyperparameter 'nheads'; did you mean 'nhead'\?"):
        expression("d_model % nheads == 0")
    with pytest.raises(UserError, match=r"no hyperparameter 'modl.depth'; did you mean 'model.d"):
        expression("modl.depth == 0")


@pytest.mark.parametrize("missing", ["x", "model.depth"])
def test_name_without_a_value_is_an_error_where_it_is_reached(missing: str) -> None:
    """A conditional hyperparameter that a run does not have."""
    values = {name: value for name, value in NAMES.items() if name != missing}
    assert expression(f"nhead == 4 or {missing} > 1").value(values) is True
    with pytest.raises(UserError, match=rf"for {{'nhead': 4}}: '{missing}' has no value there"):
        expression(f"nhead == 4 and {missing} > 1").value(values)
